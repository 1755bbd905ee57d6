//! The jobs of one lane that wait for a worker, and whose turn it is.
//!
//! Three classes share the lane 8 : 4 : 1; none starves. Within a class the senders take turns, a letter each; a letter with
//! many recipients costs its sender some of the next turns (deficit round robin). Within a sender it is first in, first out,
//! but for a small look-ahead: a worker would rather have a letter for the connection that it has open.
//!
//! # Invariants
//! - A job is passed over by the look-ahead at most [`PASSED_OVER_MOST`] times in a row.
//! - A sender is in `turn` exactly while it has jobs.

use std::collections::{HashMap, VecDeque};

use smtp::ReversePath;

use super::{Job, RecipientSet};
use crate::letter::{Letter, QueueId};
use crate::queue::Via;

/// Who a letter competes as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Above 0: before the others; below: after them. RFC 6710 §2 has 19 of them.
    pub priority: i8,
    /// Letters of one sender take turns with those of others.
    pub sender: u64,
}

impl Flow {
    /// By the user who submitted it, else by the sender's address. One of many letters comes behind those that are not,
    /// unless its sender has said otherwise (RFC 6710).
    pub fn of(letter: &Letter) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        match (&letter.origin.user, &letter.from) {
            (Some(user), _) => user.hash(&mut hasher),
            (None, ReversePath::Mailbox(mailbox)) => mailbox.hash(&mut hasher),
            (None, ReversePath::Null) => {}
        }
        Self {
            priority: letter.params.mt_priority.unwrap_or(if letter.bulk { -1 } else { 0 }),
            sender: hasher.finish(),
        }
    }

    pub(super) fn class(self) -> usize {
        match self.priority {
            1.. => 0,
            0 => 1,
            _ => 2,
        }
    }
}

/// Letters per round of the high, the normal and the low class.
pub(super) const SHARES: [u32; 3] = [8, 4, 1];
/// How far a worker looks for a letter that suits its connection: so many senders, and so many letters of each.
const LOOK_AHEAD: usize = 8;
const PASSED_OVER_MOST: u8 = 16;
/// What a letter with many recipients costs at most, in turns.
const COST_MOST: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Ready {
    /// Not there in most of 100,000 lanes.
    classes: Option<Box<[Class; 3]>>,
    len: usize,
}

#[derive(Debug, Default)]
struct Class {
    /// Letters that it may still send in this round.
    credit: u32,
    senders: HashMap<u64, Sender>,
    turn: VecDeque<u64>,
    passed_over: u8,
}

#[derive(Debug, Default)]
struct Sender {
    jobs: VecDeque<Entry>,
    /// Turns to let pass.
    owes: u32,
    priority: i8,
}

#[derive(Debug)]
struct Entry {
    id: QueueId,
    recipients: RecipientSet,
    via: Via,
    round: u32,
}

impl Ready {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn push(&mut self, job: Job) {
        self.add(job, VecDeque::push_back);
    }

    /// It is its sender's next.
    pub fn push_front(&mut self, job: Job) {
        self.add(job, VecDeque::push_front);
    }

    fn add(&mut self, job: Job, add: impl FnOnce(&mut VecDeque<Entry>, Entry)) {
        let Job { id, recipients, via, flow, round } = job;
        let classes = self.classes.get_or_insert_default();
        let Some(class) = classes.get_mut(flow.class()) else { return };
        let sender = class.senders.entry(flow.sender).or_default();
        if sender.jobs.is_empty() {
            class.turn.push_back(flow.sender);
        }
        sender.priority = flow.priority;
        add(&mut sender.jobs, Entry { id, recipients, via, round });
        self.len += 1;
    }

    /// The next job; one with this `via` where it is near.
    pub fn pop(&mut self, via: &Via) -> Option<Job> {
        let classes = self.classes.as_deref_mut()?;
        if !classes.iter().any(|class| class.credit > 0 && !class.turn.is_empty()) {
            classes.iter_mut().zip(SHARES).for_each(|(class, share)| class.credit = share);
        }
        let class = classes.iter_mut().find(|class| class.credit > 0 && !class.turn.is_empty())?;
        class.credit -= 1;
        let job = class.pop(via)?;
        self.len -= 1;
        Some(job)
    }

    /// How many of these are of this sender, in its class.
    pub fn of_sender(&self, flow: Flow) -> usize {
        let class = self.classes.as_ref().and_then(|classes| classes.get(flow.class()));
        class.and_then(|class| class.senders.get(&flow.sender)).map_or(0, |sender| sender.jobs.len())
    }

    /// All of them, in no order.
    pub fn take_all(&mut self) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(self.len);
        self.len = 0;
        for (name, sender) in
            self.classes.take().into_iter().flat_map(|classes| *classes).flat_map(|class| class.senders)
        {
            let flow = Flow { priority: sender.priority, sender: name };
            let job = |Entry { id, recipients, via, round }| Job { id, recipients, via, flow, round };
            jobs.extend(sender.jobs.into_iter().map(job));
        }
        jobs
    }

    /// Gives its memory back, where it is empty.
    pub fn rest(&mut self) {
        if self.is_empty() {
            self.classes = None;
        }
    }
}

impl Class {
    fn pop(&mut self, via: &Via) -> Option<Job> {
        self.pay();
        let (turn, at) = self.choose(via);
        let name = self.turn.remove(turn)?;
        let sender = self.senders.get_mut(&name)?;
        let Entry { id, recipients, via, round } = sender.jobs.remove(at)?;
        let flow = Flow { priority: sender.priority, sender: name };
        if sender.jobs.is_empty() {
            self.senders.remove(&name);
        } else {
            sender.owes = recipients.len().clamp(1, COST_MOST) as u32 - 1;
            self.turn.push_back(name);
        }
        Some(Job { id, recipients, via, flow, round })
    }

    /// Brings a sender to the front that owes nothing.
    fn pay(&mut self) {
        let alone = self.turn.len() == 1;
        while let Some(sender) = self.turn.front().and_then(|name| self.senders.get_mut(name))
            && sender.owes > 0
        {
            sender.owes = if alone { 0 } else { sender.owes - 1 };
            self.turn.rotate_left(1);
        }
    }

    /// Which sender, by its place in the turn, and which of its jobs.
    fn choose(&mut self, via: &Via) -> (usize, usize) {
        let found = if self.passed_over < PASSED_OVER_MOST { self.near(via) } else { None };
        self.passed_over = if found.is_some_and(|found| found != (0, 0)) { self.passed_over + 1 } else { 0 };
        found.unwrap_or_default()
    }

    fn near(&self, via: &Via) -> Option<(usize, usize)> {
        let near = self.turn.iter().take(LOOK_AHEAD).enumerate();
        near.filter_map(|(turn, name)| Some((turn, self.senders.get(name).filter(|sender| sender.owes == 0)?)))
            .find_map(|(turn, sender)| {
                let at = sender.jobs.iter().take(LOOK_AHEAD).position(|entry| entry.via == *via);
                at.map(|at| (turn, at))
            })
    }
}
