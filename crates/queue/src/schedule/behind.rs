//! Letters that are due and wait behind others: only their names are in memory until there is room for them.
//!
//! | where | which | when they are read |
//! |---|---|---|
//! | [`Behind`], one a lane | its site is dead, rests or is suspended; or the lane has its share of letters in memory | the lane runs dry |
//! | [`Scheduler::overdue`] | there are enough letters in memory, whatever their lane | some are done |
//!
//! A name is 16 octets, and in a lane stands under its class and sender: when the lane gets letters again, the classes have
//! their shares, and the senders take turns, as they do among letters that are ready ([`super::ready`]).
//!
//! # Invariants
//! - A lane with names is fed when its pause is over, and while it is open whenever it runs low: none waits for ever.
//! - A sender that has few letters in a lane that is open is never kept behind.
//! - A name may be outdated (the letter is done, or held, or ready by now): reading it then changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ready::SHARES;
use super::{Dispatch, Flow, Job, NEVER, Plan, Scheduler, Stage};
use crate::letter::{QueueId, Timestamp};
use crate::queue::Lane;
use crate::table::IdMap;

/// Letters with ready or running recipients, over all lanes: past so many no more are read because they are due.
pub(super) const ACTIVE_MOST: usize = 20_000;
/// Past so many, fresh letters wait as well.
const ACTIVE_LIMIT: usize = 100_000;
/// What a sender may always have ready in a lane that is open.
const SENDER_LEAST: usize = 4;
/// A lane with fewer ready letters gets some of those behind, so many at once.
const LOW: usize = 100;
const BATCH: usize = 200;
/// When those that were called and did not come are given up.
const CALL_AGAIN: Duration = Duration::from_secs(1);

/// Letters that wait for their lane, by class and sender.
#[derive(Debug, Default)]
pub(super) struct Behind {
    names: BTreeSet<(u8, u32, QueueId)>,
    /// Letters that each class may still have called in this round, and the sender that had the last turn.
    credit: [u8; 3],
    last: [u32; 3],
    /// Letters that were called and have not come yet, and since when.
    called: u32,
    since: Timestamp,
}

impl Behind {
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn add(&mut self, flow: Flow, id: QueueId) {
        self.names.insert((flow.class() as u8, flow.sender as u32, id));
    }

    /// One that was called has come.
    pub fn came(&mut self) {
        self.called = self.called.saturating_sub(1);
    }

    /// Whether nobody is on the way, or has been for too long.
    fn may_call(&self, now: Timestamp) -> bool {
        self.called == 0 || now < self.since || now.since(self.since) >= CALL_AGAIN
    }

    /// The next in turn.
    fn pop(&mut self) -> Option<QueueId> {
        let waits = |class: usize, names: &BTreeSet<_>| {
            let first = (class as u8, 0, QueueId(0));
            names.range(first..(class as u8 + 1, 0, QueueId(0))).next().is_some()
        };
        let open =
            |credit: &[u8; 3], names: &BTreeSet<_>| (0..3).find(|class| credit[*class] > 0 && waits(*class, names));
        let class = match open(&self.credit, &self.names) {
            Some(class) => class,
            None => {
                self.credit = SHARES.map(|share| share as u8);
                open(&self.credit, &self.names)?
            }
        };
        self.credit[class] -= 1;
        let of_class = |sender: u32, id: u64| (class as u8, sender, QueueId(id));
        let after = of_class(self.last[class], u64::MAX);
        let mut next = self.names.range(after..of_class(u32::MAX, u64::MAX));
        let name = match next.next() {
            Some(name) => *name,
            None => *self.names.range(of_class(0, 0)..).next()?,
        };
        self.last[class] = name.1;
        self.names.remove(&name);
        Some(name.2)
    }
}

impl Scheduler {
    /// Whether a letter may become ready in this lane now. The more letters there are in memory, the fewer each lane may
    /// have: one that is slow cannot take all the room.
    pub(super) fn has_room_in(&self, lane: &Lane, flow: Flow) -> bool {
        let Some(queue) = self.lanes.get(lane) else { return self.out.len() < ACTIVE_LIMIT };
        if queue.pace.allowed(self.now) == 0 {
            return false;
        }
        let share = ACTIVE_MOST.saturating_sub(self.out.len());
        queue.ready.len() < share || queue.ready.of_sender(flow) < SENDER_LEAST
    }

    /// It waits behind the others of its lane.
    pub(super) fn put_behind(&mut self, lane: &Lane, flow: Flow, id: QueueId) {
        match self.lanes.get_mut(lane) {
            Some(queue) => {
                let behind = queue.behind.get_or_insert_default();
                behind.came();
                behind.add(flow, id);
                queue.unused = None;
                self.feed(lane);
            }
            None => self.overdue.push_back(id),
        }
        self.rest(id);
    }

    /// It waits until there is room.
    pub(super) fn put_overdue(&mut self, id: QueueId) {
        self.overdue.push_back(id);
        self.rest(id);
    }

    /// The same for one that was ready.
    pub(super) fn put_back_behind(&mut self, lane: &Lane, job: &Job) {
        take_back(&mut self.out, job);
        self.put_behind(lane, job.flow, job.id);
    }

    /// The driver need not keep it, where nothing of it is ready or running.
    fn rest(&mut self, id: QueueId) {
        if !self.out.contains_key(&id) {
            self.outbox.push_back(Dispatch::Rest { id });
        }
    }

    /// A site that cannot be tried needs no letters in memory.
    pub(super) fn put_all_behind(&mut self, lane: &Lane) {
        let Some(queue) = self.lanes.get_mut(lane) else { return };
        let jobs = queue.ready.take_all();
        if jobs.is_empty() {
            return;
        }
        let behind = queue.behind.get_or_insert_default();
        for job in jobs {
            if self.out.get(&job.id).is_some_and(|out| out.wants(&job)) {
                behind.add(job.flow, job.id);
                take_back(&mut self.out, &job);
                if !self.out.contains_key(&job.id) {
                    self.outbox.push_back(Dispatch::Rest { id: job.id });
                }
            }
        }
        if behind.is_empty() {
            queue.behind = None;
        }
    }

    /// Calls some of those behind, where the lane is open and has few letters ready.
    pub(super) fn call(&mut self, lane: &Lane) {
        let now = self.now;
        let Some(queue) = self.lanes.get_mut(lane) else { return };
        let probing = queue.pace.dead_until().is_some();
        let (low, batch) = if probing { (1, 1) } else { (LOW, BATCH) };
        if queue.pace.allowed(now) == 0 || queue.ready.len() >= low {
            return;
        }
        let Some(behind) = queue.behind.as_mut().filter(|behind| behind.may_call(now)) else { return };
        behind.called = 0;
        let mut called = Vec::new();
        while called.len() < batch
            && let Some(id) = behind.pop()
        {
            if self.letters.get(id).is_some_and(|plan| matches!(plan.stage, Stage::Quiet)) {
                called.push(id);
            }
        }
        (behind.called, behind.since) = (called.len() as u32, now);
        if behind.is_empty() && called.is_empty() {
            queue.behind = None;
        }
        for id in called {
            if let Some(plan) = self.letters.get(id).copied() {
                self.plan(id, Plan { next: plan.next.min(now), ..plan });
            }
        }
    }

    /// When a lane with letters behind is to be looked at although nothing happens.
    pub(super) fn calls_again(&self, lane: &Lane) -> Option<Timestamp> {
        let behind = self.lanes.get(lane)?.behind.as_ref()?;
        (behind.called > 0).then(|| behind.since.after(CALL_AGAIN))
    }

    /// Whether letters that are due may be read.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < ACTIVE_MOST
    }

    /// A letter that was due when there was no room, now that there is some.
    pub(super) fn next_overdue(&mut self) -> Option<QueueId> {
        while self.has_room()
            && let Some(id) = self.overdue.pop_front()
        {
            let Some(plan) = self.letters.get(id).copied().filter(|plan| plan.stage == Stage::Quiet) else { continue };
            if plan.expires > self.now {
                self.plan(id, Plan { stage: Stage::Loading, next: NEVER, ..plan });
                return Some(id);
            }
        }
        if self.overdue.is_empty() && self.overdue.capacity() > 1_000 {
            self.overdue = Default::default();
        }
        None
    }
}

/// These recipients are ready no more.
fn take_back(out: &mut IdMap<super::Out>, job: &Job) {
    let Some(of_letter) = out.get_mut(&job.id) else { return };
    of_letter.ready.subtract(&job.recipients);
    if of_letter.ready.is_empty() && of_letter.running.is_empty() {
        out.remove(&job.id);
    }
}
