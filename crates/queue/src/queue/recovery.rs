//! The start: what lies in the spool goes on the calendar, letter by letter as it is read; nothing else of it is kept.

use super::QueueConfig;
use crate::letter::codec::{self, DecodeError};
use crate::letter::{QueueId, Timestamp};
use crate::schedule::{ONCE_MORE, Scheduler};
use crate::spool::RecoveredLetter;

pub(super) struct Recovery<'a> {
    config: &'a QueueConfig,
    scheduler: &'a mut Scheduler,
    now: Timestamp,
    found: Found,
}

/// What is to be done once the spool is open.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The power went between the last recipient's state and the removal.
    pub done: Vec<QueueId>,
    pub damaged: Vec<(QueueId, DecodeError)>,
}

impl<'a> Recovery<'a> {
    pub fn new(config: &'a QueueConfig, scheduler: &'a mut Scheduler, now: Timestamp) -> Self {
        Self { config, scheduler, now, found: Found::default() }
    }

    pub fn take(&mut self, recovered: &RecoveredLetter) {
        let id = recovered.id;
        let (letter, course) = match codec::decode(id, &recovered.meta, recovered.state.as_deref().unwrap_or_default())
        {
            Ok(read) => read,
            Err(error) => return self.found.damaged.push((id, error)),
        };
        let Some(due) = course.next_due() else { return self.found.done.push(id) };
        let expires = self.config.expiry(&letter, &course);
        // The clock was wrong when that was planned.
        let latest = letter.release().max(self.now).after(self.config.longest_wait());
        let due = if due > latest { self.now } else { due };
        // It should have been tried long ago, but nobody was there: it is tried once more before it is given back.
        let missed = expires <= self.now && due.after(ONCE_MORE) < self.now;
        let expires = if missed { self.now.after(ONCE_MORE) } else { expires };
        self.scheduler.handle_waiting(id, expires, due);
        if let Some(hold) = &course.hold {
            self.scheduler.handle_held(id, hold.until);
        }
    }

    pub fn finish(self) -> Found {
        self.found
    }
}
