//! Identifiers: from the time, ascending, never the same twice in one folder.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::letter::{QueueId, Timestamp};

/// How many identifiers a millisecond has room for, as a power of two. More than these borrow from the next one.
const PER_MILLISECOND: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct Ids {
    last: AtomicU64,
}

impl Ids {
    /// None up to `floor` is given.
    pub fn above(floor: u64) -> Self {
        Self { last: AtomicU64::new(floor) }
    }

    pub fn next(&self) -> QueueId {
        let now = Timestamp::now().0 << PER_MILLISECOND;
        let step = |last: u64| now.max(last.saturating_add(1));
        // Also when the clock goes back, or was far ahead once.
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(step(last)));
        QueueId(step(last.unwrap_or_else(|last| last)))
    }

    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }
}
