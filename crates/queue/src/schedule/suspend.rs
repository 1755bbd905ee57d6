//! What an operator has suspended: lanes that are left alone, and letters that are parked on the calendar.

use std::collections::BTreeSet;
use std::fmt;

use super::{Job, Scheduler, Stage, WorkerId};
use crate::letter::{QueueId, Timestamp};
use crate::queue::Lane;

pub type UntilWhen = Box<dyn Fn(&Lane) -> Option<Timestamp> + Send + Sync>;

/// Until when a lane is left alone (`u64::MAX`: until it is resumed); and letters with recipients that wait for the end of a
/// suspension.
#[derive(Default)]
pub(super) struct Suspended {
    lanes: Option<UntilWhen>,
    parked: BTreeSet<QueueId>,
}

impl Suspended {
    pub fn until(&self, lane: &Lane) -> Option<Timestamp> {
        self.lanes.as_ref().and_then(|until| until(lane))
    }

    pub fn forget(&mut self, id: QueueId) {
        if !self.parked.is_empty() {
            self.parked.remove(&id);
        }
    }
}

impl fmt::Debug for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspended").field("parked", &self.parked.len()).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Which lanes are left alone, and until when, in place of what was said before. What is tried there ends as it ends.
    pub fn handle_suspended(&mut self, until: UntilWhen) {
        self.suspended.lanes = Some(until);
        let lanes: Vec<Lane> = self.lanes.keys().cloned().collect();
        for lane in lanes {
            let until = self.suspended.until(&lane);
            let changed = self.lanes.get_mut(&lane).is_some_and(|queue| {
                let before = std::mem::replace(&mut queue.pace.suspended, until);
                before != until
            });
            if changed {
                self.feed(&lane);
            }
        }
    }

    /// Some recipients of a letter that was read wait for the end of a suspension. Said after
    /// [`Scheduler::handle_loaded`], whose `next` is that end or none.
    pub fn handle_parked(&mut self, id: QueueId) {
        if self.letters.contains(id) {
            self.suspended.parked.insert(id);
        }
    }

    /// Letters that were parked, ascending.
    pub fn parked(&self) -> Vec<QueueId> {
        self.suspended.parked.iter().copied().collect()
    }

    /// What it waited for may be over: it is read now.
    pub fn handle_unparked(&mut self, id: QueueId, now: Timestamp) {
        if self.suspended.parked.remove(&id)
            && let Some(plan) = self.letters.get(id).copied()
            && matches!(plan.stage, Stage::Quiet | Stage::Loading)
        {
            self.plan(id, super::Plan { next: plan.next.min(now), ..plan });
        }
    }

    /// The worker does not begin this job, because it is suspended: the letter is read again, now.
    pub fn handle_unwanted(&mut self, worker: WorkerId, job: &Job) {
        self.handle_free(worker);
        if let Some(queue) = self.workers.get(&worker).and_then(|worker| self.lanes.get_mut(&worker.lane)) {
            queue.pace.uncount_letter();
        }
        self.handle_settled(job.id, &job.recipients, Some(self.now));
    }
}
