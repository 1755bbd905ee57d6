//! The calendar: when which letter is tried next, and which worker gets it. No clock, no disk, no socket.
//!
//! How it is used: feed `handle_*` with what happened, then drain [`Scheduler::poll_dispatch`] (workers and jobs) and
//! [`Scheduler::poll_calendar`] (letters whose time has come).
//!
//! ```text
//! enqueued ──────────────► ready (one FIFO a site) ──take / Hand──► running ──settled──► removed
//!                              ▲                                       │
//!                              │ loaded: the driver read the letter    │ again at t
//! waiting ────► calendar ──Load┘ and asked the router for its sites    │
//!                 │    ▲───────────────────────────────────────────────┘
//!                 └Expire: the driver reports what is still pending
//! ```
//!
//! A deferred letter is two times in a table and one entry in an ordered set: some 60 octets, whatever its size and
//! number of recipients. One that is due and waits behind others takes 16 more (`behind`). Who of them is due is read from the spool when the time comes, and their site is decided then.
//!
//! # Invariants
//! - A recipient is in at most one job. The driver leaves out of [`Scheduler::handle_loaded`] what [`Scheduler::out_of`]
//!   names as ready or running.
//! - Sites never wait for each other: each has its own queue and workers, under a limit a site and one in all.
//! - A letter expires on time even when its site gets no worker; recipients that are being tried then are let finish.
//! - A ready job implies a worker that will ask for it, a limit that is reached, or an entry in the outbox.
//!
//! # Limits
//! - Times are wall-clock milliseconds. When the clock is set, the intervals under way become shorter or longer once; no
//!   attempt is put off further than the longest interval, and no letter expires by it without one more attempt.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::letter::{QueueId, Timestamp};
use crate::queue::{Lane, Place, Sites, Source};
use crate::table::{IdMap, Table};

mod behind;
mod job;
mod pace;
mod ready;
mod search;
mod status;
mod suspend;
#[cfg(test)]
mod tests;
mod workers;

pub use job::{Job, RecipientSet};
pub use ready::Flow;
pub use status::{Bound, LaneStatus};
pub use workers::{Dispatch, WorkerId};
use workers::{LaneQueue, Worker};

/// What to do with letters, now or later.
#[derive(Debug, PartialEq)]
pub enum Calendar {
    /// Its time has come: read it, ask the router, answer with [`Scheduler::handle_loaded`]. With `all`, an operator
    /// asked for it: recipients that are not due yet are taken as well.
    Load { id: QueueId, all: bool },
    /// Report all pending recipients but those in `running`, then answer with [`Scheduler::handle_removed`], or with
    /// [`Scheduler::handle_expired`] where some are left.
    Expire { id: QueueId, running: RecipientSet },
    /// Nothing before this time; `None`: nothing until something happens.
    Wait(Option<Timestamp>),
}

pub struct Scheduler {
    routes: Arc<dyn Sites>,
    most_workers: usize,
    letters: Table<Plan>,
    /// One entry a letter, at [`Plan::at`].
    calendar: BTreeSet<(Timestamp, QueueId)>,
    /// Recipients that are ready or running; only for letters that have such.
    out: IdMap<Out>,
    /// Numbers the entries of `out`.
    rounds: u32,
    lanes: HashMap<Lane, LaneQueue>,
    /// What waits until the site of its domain is found.
    searching: HashMap<Arc<str>, Vec<(Source, Job)>>,
    search_again: BTreeSet<(Timestamp, Arc<str>)>,
    /// When lanes are looked at although nothing happened; one entry a lane at most.
    alarms: BTreeSet<(Timestamp, Lane)>,
    /// The newest time that was told.
    now: Timestamp,
    /// Connections of a lane of which nothing is known yet.
    initial: usize,
    workers: IdMap<Worker, WorkerId>,
    last_worker: u64,
    /// Sites that wait for a place under the limit of all, in turn: first those that have no worker at all.
    starved_without: VecDeque<Lane>,
    starved: VecDeque<Lane>,
    /// The oldest connection is closed first.
    idle: BTreeSet<WorkerId>,
    retiring: usize,
    outbox: VecDeque<Dispatch>,
    /// Letters that were due when there was no room for more; mostly still so.
    overdue: VecDeque<QueueId>,
    suspended: suspend::Suspended,
}

/// A letter that is not done.
#[derive(Clone, Copy, Debug)]
struct Plan {
    expires: Timestamp,
    /// `NEVER` while all its pending recipients are ready or running.
    next: Timestamp,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Quiet,
    /// An operator asked for it: it is due now, all of it.
    Forced,
    /// The driver is reading it.
    Loading,
    /// The driver is reporting it.
    Expiring,
    /// An operator holds it: neither tried nor expired, but looked at when `next` comes, where that is.
    Held,
}

/// How long a letter that expired while nobody could try it is kept, at most: it is given back after its next attempt.
pub(crate) const ONCE_MORE: Duration = Duration::from_secs(3600);

const NEVER: Timestamp = Timestamp(u64::MAX);

#[derive(Debug)]
struct Out {
    ready: RecipientSet,
    running: RecipientSet,
    /// Jobs of an earlier one were taken back.
    round: u32,
}

impl Out {
    fn begin(rounds: &mut u32) -> Self {
        *rounds = rounds.wrapping_add(1);
        Self { ready: RecipientSet::default(), running: RecipientSet::default(), round: *rounds }
    }

    /// Whether this job is still to be begun: its letter may have been dropped, have expired, or go elsewhere by now.
    fn wants(&self, job: &Job) -> bool {
        self.round == job.round && self.ready.contains_all(&job.recipients)
    }
}

impl Plan {
    fn at(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Held => Some(self.next).filter(|at| *at != NEVER),
            Stage::Quiet => Some(self.next.min(self.expires)).filter(|at| *at != NEVER),
            Stage::Forced => Some(Timestamp(0)),
            Stage::Loading | Stage::Expiring => None,
        }
    }
}

impl Scheduler {
    /// `most_workers` is the limit over all sites; `initial_connections` what a site gets before anything is known of it.
    pub fn new(routes: Arc<dyn Sites>, most_workers: usize, initial_connections: usize) -> Self {
        Self {
            routes,
            most_workers: most_workers.max(1),
            letters: Table::default(),
            calendar: BTreeSet::new(),
            out: IdMap::default(),
            rounds: 0,
            lanes: HashMap::new(),
            searching: HashMap::new(),
            search_again: BTreeSet::new(),
            alarms: BTreeSet::new(),
            now: Timestamp(0),
            initial: initial_connections.max(1),
            workers: IdMap::default(),
            last_worker: 0,
            starved_without: VecDeque::new(),
            starved: VecDeque::new(),
            idle: BTreeSet::new(),
            retiring: 0,
            outbox: VecDeque::new(),
            overdue: VecDeque::new(),
            suspended: suspend::Suspended::default(),
        }
    }

    /// Letters that have a recipient that is ready or running.
    pub fn active(&self) -> usize {
        self.out.len()
    }

    /// Workers that there may be, over all sites.
    pub fn most_workers(&self) -> usize {
        self.most_workers
    }

    /// Letters that are not done.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub fn contains(&self, id: QueueId) -> bool {
        self.letters.contains(id)
    }

    /// Ascending.
    pub fn ids_after(&self, after: Option<QueueId>) -> Vec<QueueId> {
        self.letters.ids_after(after).collect()
    }

    /// Ascending.
    pub fn ids(&self) -> Vec<QueueId> {
        self.letters.ids().collect()
    }

    /// Recipients that are ready for a worker, and those that are being tried.
    pub fn out_of(&self, id: QueueId) -> (RecipientSet, RecipientSet) {
        self.out.get(&id).map(|out| (out.ready.clone(), out.running.clone())).unwrap_or_default()
    }

    /// Whether the driver may forget what it holds of this letter: no attempt runs, nothing is being read or reported.
    pub fn is_quiet(&self, id: QueueId) -> bool {
        let busy = self.letters.get(id).is_some_and(|plan| matches!(plan.stage, Stage::Loading | Stage::Expiring));
        !busy && self.out.get(&id).is_none_or(|out| out.running.is_empty())
    }

    /// Whether what the driver read of it, on the calendar's word, is still asked for.
    pub fn is_loading(&self, id: QueueId) -> bool {
        self.letters.get(id).is_some_and(|plan| plan.stage == Stage::Loading)
    }

    /// The same of a letter that is to be reported.
    pub fn is_expiring(&self, id: QueueId) -> bool {
        self.letters.get(id).is_some_and(|plan| plan.stage == Stage::Expiring)
    }

    /// When it is tried next, where that is on the calendar.
    pub fn next_try(&self, id: QueueId) -> Option<Timestamp> {
        self.letters.get(id).map(|plan| plan.next).filter(|next| *next != NEVER)
    }

    /// When [`Scheduler::poll_calendar`] has something to say.
    pub fn next_time(&self) -> Option<Timestamp> {
        let letter = self.calendar.first().map(|(at, _)| *at);
        let lane = self.alarms.first().map(|(at, _)| *at);
        let search = self.search_again.first().map(|(at, _)| *at);
        let overdue = (!self.overdue.is_empty() && self.has_room()).then_some(Timestamp(0));
        [letter, lane, search, overdue].into_iter().flatten().min()
    }

    /// It is this late. To be said before anything else is: rates and pauses are measured by it. Lanes whose pause is over
    /// are looked at.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.now = now;
        self.wake_lanes(now);
        self.search_again(now);
    }

    pub fn set_initial_connections(&mut self, initial: usize) {
        self.initial = initial.max(1);
    }

    /// A fresh letter, all of whose recipients are tried at once.
    pub fn handle_enqueued(
        &mut self,
        id: QueueId,
        expires: Timestamp,
        flow: Flow,
        jobs: impl IntoIterator<Item = (impl Into<Place>, RecipientSet)>,
    ) {
        self.plan(id, Plan { expires, next: NEVER, stage: Stage::Quiet });
        jobs.into_iter().for_each(|(place, recipients)| self.push(id, flow, place.into(), recipients));
    }

    /// The letter is to be looked at then, whatever becomes of it until then: [`Calendar::Load`] says so.
    pub fn handle_notice(&mut self, id: QueueId, at: Timestamp) {
        if let Some(plan) = self.letters.get(id).copied() {
            self.plan(id, Plan { next: plan.next.min(at), ..plan });
        }
    }

    /// A letter that waits: found at the start, or not to be tried at once.
    pub fn handle_waiting(&mut self, id: QueueId, expires: Timestamp, next: Timestamp) {
        self.plan(id, Plan { expires, next, stage: Stage::Quiet });
    }

    /// The answer to [`Calendar::Load`]: the recipients that are due, by site, and when the next of the others is.
    pub fn handle_loaded(
        &mut self,
        id: QueueId,
        flow: Flow,
        jobs: impl IntoIterator<Item = (impl Into<Place>, RecipientSet)>,
        next: Option<Timestamp>,
    ) {
        // An operator may hold it by now, or have given it back.
        let Some(plan) = self.letters.get(id).copied().filter(|plan| plan.stage == Stage::Loading) else { return };
        // What was settled meanwhile may be due earlier than what the driver read.
        let next = plan.next.min(next.unwrap_or(NEVER));
        self.plan(id, Plan { next, stage: Stage::Quiet, ..plan });
        jobs.into_iter().for_each(|(place, recipients)| self.push(id, flow, place.into(), recipients));
    }

    /// The letter's time to be delivered in is another one than was thought.
    pub fn handle_expiry(&mut self, id: QueueId, expires: Timestamp) {
        if let Some(plan) = self.letters.get(id).copied() {
            self.plan(id, Plan { expires, ..plan });
        }
    }

    /// Recipients that were to go elsewhere: they are no longer being tried, and ready where they go now.
    pub fn handle_moved(
        &mut self,
        id: QueueId,
        flow: Flow,
        jobs: impl IntoIterator<Item = (impl Into<Place>, RecipientSet)>,
    ) {
        for (place, recipients) in jobs {
            self.handle_settled(id, &recipients, None);
            if self.letters.get(id).is_some_and(|plan| plan.stage != Stage::Held) {
                self.push(id, flow, place.into(), recipients);
            }
        }
    }

    /// These recipients are no longer being tried. `again`: when those of them that were deferred are due. A letter
    /// without pending recipients is to be taken away by [`Scheduler::handle_removed`].
    pub fn handle_settled(&mut self, id: QueueId, recipients: &RecipientSet, again: Option<Timestamp>) {
        if let Some(out) = self.out.get_mut(&id) {
            out.running.subtract(recipients);
            if out.running.is_empty() && out.ready.is_empty() {
                self.out.remove(&id);
            }
        }
        if let Some(plan) = self.letters.get(id).copied().filter(|plan| plan.stage != Stage::Held)
            && let Some(again) = again
        {
            self.plan(id, Plan { next: plan.next.min(again), ..plan });
        }
    }

    /// What could be reported is reported; what is left is being tried, or the report could not be stored. The driver looks
    /// at it again when that is settled, at the latest at `again`.
    pub fn handle_expired(&mut self, id: QueueId, again: Timestamp) {
        if self.letters.get(id).is_some_and(|plan| plan.stage != Stage::Held) {
            self.plan(id, Plan { expires: again, next: NEVER, stage: Stage::Quiet });
        }
    }

    /// The letter could not be read: neither tried nor expired before `again`.
    pub fn handle_unreadable(&mut self, id: QueueId, again: Timestamp) {
        if let Some(plan) = self.letters.get(id).copied() {
            self.plan(id, Plan { expires: plan.expires.max(again), next: again, stage: Stage::Quiet });
        }
    }

    /// The letter is done, or dropped. Its jobs that are still ready will not be handed out.
    pub fn handle_removed(&mut self, id: QueueId) {
        self.out.remove(&id);
        self.suspended.forget(id);
        if let Some(at) = self.letters.remove(id).and_then(|plan| plan.at()) {
            self.calendar.remove(&(at, id));
        }
    }

    /// An operator holds it: what is being tried goes on, nothing else begins. The driver looks at it again at `until`.
    pub fn handle_held(&mut self, id: QueueId, until: Option<Timestamp>) {
        let Some(plan) = self.letters.get(id).copied() else { return };
        self.unready(id);
        self.plan(id, Plan { stage: Stage::Held, next: until.unwrap_or(NEVER), ..plan });
    }

    /// It is held no more. `next`: when its first pending recipient is due.
    pub fn handle_released(&mut self, id: QueueId, expires: Timestamp, next: Timestamp) {
        if self.letters.contains(id) {
            self.plan(id, Plan { expires, next, stage: Stage::Quiet });
        }
    }

    /// Its recipients go elsewhere now, or nowhere for a while: those that are not being tried are placed anew at once.
    pub fn handle_replaced(&mut self, id: QueueId, now: Timestamp) {
        let Some(plan) = self.letters.get(id).copied() else { return };
        if !matches!(plan.stage, Stage::Held | Stage::Expiring) {
            self.unready(id);
            self.plan(id, Plan { stage: Stage::Quiet, next: now, ..plan });
        }
    }

    /// An operator gives it back to its sender: as [`Calendar::Expire`], which the driver answers. Gives who is being tried;
    /// `None` where there is no such letter, or it is being reported already.
    pub fn handle_given_back(&mut self, id: QueueId) -> Option<RecipientSet> {
        let plan = self.letters.get(id).copied().filter(|plan| plan.stage != Stage::Expiring)?;
        self.plan(id, Plan { stage: Stage::Expiring, next: NEVER, ..plan });
        Some(self.unready(id))
    }

    /// What was ready and not begun is never begun. Gives who is being tried.
    fn unready(&mut self, id: QueueId) -> RecipientSet {
        let Some(out) = self.out.get_mut(&id) else { return RecipientSet::default() };
        let running = std::mem::take(&mut out.running);
        *out = Out { running: running.clone(), ..Out::begin(&mut self.rounds) };
        if running.is_empty() {
            self.out.remove(&id);
        }
        running
    }

    /// An operator wants it tried now. `false`: there is no such letter, or it is held.
    pub fn handle_retry(&mut self, id: QueueId) -> bool {
        let held = |plan: &Plan| plan.stage == Stage::Held;
        let Some(plan) = self.letters.get(id).copied().filter(|plan| !held(plan)) else { return false };
        // With no next try, all that is pending is ready or running already, or waits behind others.
        if plan.stage == Stage::Quiet && (plan.next != NEVER || !self.out.contains_key(&id)) {
            self.plan(id, Plan { stage: Stage::Forced, ..plan });
        }
        true
    }

    /// The clock was set back: what would be due after `latest` is due now.
    pub fn handle_clock_back(&mut self, now: Timestamp, latest: Timestamp) {
        let far = self
            .letters
            .iter()
            .filter(|(_, plan)| plan.stage != Stage::Held && plan.next != NEVER && plan.next > latest);
        let far: Vec<(QueueId, Plan)> = far.map(|(id, plan)| (id, *plan)).collect();
        far.into_iter().for_each(|(id, plan)| self.plan(id, Plan { next: now, ..plan }));
        self.now = now;
        self.wake_all_lanes(now);
        // What waits for a search is asked for again at once.
        self.search_again(NEVER);
    }

    /// The clock was set forward, or the machine slept: letters whose time has run out by that, of which nobody knows
    /// whether they could have been delivered meanwhile, are tried once more before they are given back.
    pub fn handle_clock_forward(&mut self, now: Timestamp) {
        let over = |plan: &Plan| matches!(plan.stage, Stage::Quiet | Stage::Forced) && plan.expires <= now;
        let over: Vec<(QueueId, Plan)> =
            self.letters.iter().filter(|(_, plan)| over(plan)).map(|(id, plan)| (id, *plan)).collect();
        for (id, plan) in over {
            let next = if plan.next == NEVER { NEVER } else { plan.next.min(now) };
            self.plan(id, Plan { next, expires: now.after(ONCE_MORE), ..plan });
        }
    }

    /// What the calendar says at `now`. Call until it says [`Calendar::Wait`], then drain [`Scheduler::poll_dispatch`].
    pub fn poll_calendar(&mut self, now: Timestamp) -> Calendar {
        self.handle_time(now);
        while let Some((_, id)) = self.calendar.first().copied().filter(|(at, _)| *at <= now) {
            let Some(plan) = self.letters.get(id).copied() else {
                self.calendar.pop_first();
                continue;
            };
            let expired = plan.expires <= now && plan.stage != Stage::Held;
            if expired {
                self.plan(id, Plan { stage: Stage::Expiring, next: NEVER, ..plan });
                return Calendar::Expire { id, running: self.unready(id) };
            }
            if plan.stage == Stage::Quiet && !self.has_room() {
                self.plan(id, Plan { next: NEVER, ..plan });
                self.overdue.push_back(id);
                continue;
            }
            self.plan(id, Plan { stage: Stage::Loading, next: NEVER, ..plan });
            return Calendar::Load { id, all: plan.stage == Stage::Forced };
        }
        if let Some(id) = self.next_overdue() {
            return Calendar::Load { id, all: false };
        }
        Calendar::Wait(self.next_time())
    }

    fn plan(&mut self, id: QueueId, plan: Plan) {
        if let Some(at) = self.letters.insert(id, plan).and_then(|old| old.at()) {
            self.calendar.remove(&(at, id));
        }
        if let Some(at) = plan.at() {
            self.calendar.insert((at, id));
        }
    }
}
