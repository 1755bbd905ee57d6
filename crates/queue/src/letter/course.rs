//! What changes in a letter's life: where each recipient stands, and what was decided about the letter as a whole. The
//! spool keeps it as the letter's state.

use std::time::Duration;

use super::{Letter, Progress, Timestamp};
use crate::schedule::RecipientSet;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// One for each of the letter's recipients, in their order.
    pub states: Vec<Progress>,
    /// An operator's word that it is not to be tried.
    pub hold: Option<Hold>,
    /// How long it was held before: its time to be delivered in does not pass meanwhile.
    pub held: Duration,
    /// The route that an operator sent it to, in place of the one that its recipients would take.
    pub redirect: Option<String>,
    /// The recipients of whom the sender was told that they have to wait.
    pub delay_told: RecipientSet,
}

/// Not to be tried, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub reason: String,
    pub since: Timestamp,
    /// It ends by itself then.
    pub until: Option<Timestamp>,
}

impl Hold {
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Course {
    /// That of a letter that was never tried.
    pub fn fresh(letter: &Letter, due: Timestamp) -> Self {
        let progress = |recipient: &super::Recipient| Progress { state: recipient.state.clone(), due };
        Self { states: letter.recipients.iter().map(progress).collect(), ..Self::default() }
    }

    /// Whether anybody is still to get it.
    pub fn is_pending(&self) -> bool {
        self.states.iter().any(|progress| progress.state.is_pending())
    }

    /// When the first of the pending is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.states.iter().filter(|progress| progress.state.is_pending()).map(|progress| progress.due).min()
    }

    /// Ends the hold; the time it took does not count. `false`: there was none.
    pub fn release(&mut self, now: Timestamp) -> bool {
        let Some(hold) = self.hold.take() else { return false };
        self.held = self.held.saturating_add(now.since(hold.since));
        true
    }
}
