//! Another way for letters than their recipients' own, on an operator's word. What a way is, only the router knows; it is
//! asked with it at each attempt ([`Sites::place_of`](super::Sites::place_of)).
//!
//! # Invariants
//! - As in `bulk`: what is counted is durable, and killed in the middle, each letter goes one way or the other.
//! - An attempt under way ends where it began; it is never made twice for this.

use std::sync::Arc;

use super::Queue;
use super::filter::Selection;
use super::inner::{Inner, Loaded};
use crate::intake::Refusal;
use crate::letter::{QueueId, Timestamp};
use crate::record::Event;

impl Queue {
    /// Sends letters another way, or with `None` their own again, and has those that are not held tried now. Gives how many
    /// were not going that way already. Blocks.
    ///
    /// # Errors
    /// The spool cannot write; some may be redirected.
    pub fn redirect(&self, selection: &Selection, to: Option<&str>) -> Result<usize, Refusal> {
        self.inner.each_piece(selection, |now, letters| self.inner.redirect_piece(letters, to, now))
    }
}

impl Inner {
    fn redirect_piece(
        self: &Arc<Self>,
        letters: Vec<(QueueId, Option<Loaded>)>,
        to: Option<&str>,
        now: Timestamp,
    ) -> Result<usize, Refusal> {
        let mut written = Vec::with_capacity(letters.len());
        {
            let mut state = self.lock();
            for (id, loaded) in letters {
                let Some(loaded) = loaded.filter(|_| state.scheduler.contains(id)) else { continue };
                state.keep(id, loaded, None, true);
                let Some(warm) = state.warm.get_mut(&id).filter(|warm| warm.course.is_pending()) else { continue };
                if warm.course.redirect.as_deref() == to {
                    continue;
                }
                warm.course.redirect = to.map(str::to_owned);
                let pending = warm.course.states.iter_mut().filter(|progress| progress.state.is_pending());
                pending.for_each(|progress| progress.due = progress.due.min(now));
                state.scheduler.handle_replaced(id, now);
                self.recorder.record_at(now, Event::Redirected).id(id).text("text", to.unwrap_or_default()).write();
                written.extend(self.write_course(&mut state, id));
            }
            self.pump(&mut state);
        }
        self.until_durable(written)
    }
}
