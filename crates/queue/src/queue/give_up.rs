//! When recipients are given up, where sites or domains have times of their own.
//!
//! # Invariants
//! - Where no table of a site or a domain names a time, a letter has one time and nobody is asked anything.
//!
//! # Limits
//! - A letter whose site is not known, as before its first attempt, has the longest time that it may have. An attempt knows
//!   the site, and plans no later one than its time allows.

use super::inner::{Inner, Loaded};
use super::{Place, QueueConfig};
use crate::letter::{Course, Letter, QueueId, Timestamp};
use crate::retry::RetryOverride;
use crate::schedule::RecipientSet;

/// What goes on of a letter: when the first of its recipients is given up, and when the first is due.
pub(super) struct GoesOn {
    pub expires: Timestamp,
    pub next: Timestamp,
}

impl QueueConfig {
    /// Whether a site or a domain has a time of its own.
    pub(super) fn has_give_ups(&self) -> bool {
        self.retry_site.values().chain(self.retry_domain.values()).any(RetryOverride::gives_up)
    }

    /// When the first pending recipient of this letter is given up, as far as that is known without its sites.
    pub(crate) fn expiry(&self, letter: &Letter, course: &Course) -> Timestamp {
        let general = self.retry.expiry(letter).after(course.held);
        if !self.has_give_ups() {
            return general;
        }
        let pending = letter.recipients.iter().zip(&course.states).filter(|(_, progress)| progress.state.is_pending());
        let each = pending.map(|(recipient, _)| self.give_up_at(letter, None, &recipient.address).after(course.held));
        each.min().unwrap_or(general)
    }
}

impl Inner {
    /// When each pending recipient is given up, by what the router knows of its site now.
    fn give_ups(&self, config: &QueueConfig, Loaded { letter, course }: &Loaded) -> Vec<(usize, Timestamp)> {
        let pending = letter.recipients.iter().zip(&course.states).enumerate();
        let pending = pending.filter(|(_, (_, progress))| progress.state.is_pending());
        let each = pending.map(|(index, (recipient, _))| {
            let site = match self.sites.place_of(letter, recipient, course.redirect.as_deref()) {
                Place::Lane { lane, .. } => Some(lane.site),
                Place::Unknown { .. } => None,
            };
            let site = site.as_ref().map(|site| &*site.0);
            (index, config.give_up_at(letter, site, &recipient.address).after(course.held))
        });
        each.collect()
    }

    /// When the first recipient of a letter is given up; `None` where it has one time that is known already.
    pub fn first_give_up(&self, loaded: &Loaded) -> Option<Timestamp> {
        let config = self.config();
        if !config.has_give_ups() {
            return None;
        }
        self.give_ups(&config, loaded).into_iter().map(|(_, at)| at).min()
    }

    /// Recipients whose time is not over, though the letter's is.
    pub fn not_given_up(&self, loaded: &Loaded, now: Timestamp) -> RecipientSet {
        let config = self.config();
        if !config.has_give_ups() {
            return RecipientSet::default();
        }
        self.give_ups(&config, loaded).into_iter().filter(|(_, at)| *at > now).map(|(index, _)| index).collect()
    }

    /// What goes on of a letter once these of its recipients are done; not those that are being tried.
    pub fn goes_on(&self, id: QueueId, done: &RecipientSet) -> Option<GoesOn> {
        let config = self.config();
        if !config.has_give_ups() {
            return None;
        }
        let loaded = self.at_hand_or_load(id).ok()?;
        let running = self.lock().scheduler.out_of(id).1;
        let mut rest = self.give_ups(&config, &loaded);
        rest.retain(|(index, _)| !done.contains(*index) && !running.contains(*index));
        let due = |index: usize| loaded.course.states.get(index).map(|progress| progress.due);
        let next = rest.iter().filter_map(|(index, _)| due(*index)).min()?;
        Some(GoesOn { expires: rest.iter().map(|(_, at)| *at).min()?, next })
    }
}
