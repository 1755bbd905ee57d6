//! The workers' half of the scheduler: who gets which job, and when a site gets one more connection.
//!
//! A site needs a worker when it has more ready jobs than workers that are free to ask. It gets one at once while both
//! limits allow. Past its own limit it waits for its own workers; past the limit of all it stands in line. Each place that
//! becomes free goes to the first in line, sites without any worker before those that have some. While such a site
//! stands there, idle workers are retired, and busy ones after their job: so busy sites cannot keep the others out.

use std::sync::Arc;
use std::time::Duration;

use super::behind::Behind;
use super::pace::Pace;
use super::ready::{Flow, Ready};
use super::{Job, Out, RecipientSet, Scheduler, Stage};
use crate::letter::{QueueId, Timestamp};
use crate::queue::{Lane, Place, Site, Via, Weather};

/// Names a worker as long as it lives; ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u64);

/// What to do with workers, now.
#[derive(Debug, PartialEq)]
pub enum Dispatch {
    /// Somebody should open a connection for this site; it counts as open until [`Scheduler::handle_closed`].
    OpenWorker { worker: WorkerId, lane: Lane },
    /// Somebody should find out the site of this domain, and answer with [`Scheduler::handle_found`] or
    /// [`Scheduler::handle_unsearched`].
    Search { domain: Arc<str> },
    /// An idle worker gets a job and is no longer idle.
    Hand { worker: WorkerId, job: Job },
    /// An idle worker should close: another site needs its place.
    Retire { worker: WorkerId },
    /// This letter waits behind others now: it need not be kept at hand.
    Rest { id: QueueId },
}

/// How many letters the only worker of a site carries before it gives way to a site that has none.
const JOBS_BEFORE_GIVING_WAY: u32 = 20;
/// How many idle workers are looked at for one whose connection suits a letter.
const IDLE_LOOK: usize = 8;
/// How long the window of a lane is remembered that has nothing to do.
const REMEMBERED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct LaneQueue {
    pub ready: Ready,
    pub pace: Pace,
    pub open: usize,
    pub busy: usize,
    /// Attempts that were begun.
    pub begun: u64,
    idle: Vec<WorkerId>,
    pub starved: bool,
    /// Letters that wait until it has room for them.
    pub behind: Option<Box<Behind>>,
    /// Since when it has nothing to do.
    pub unused: Option<Timestamp>,
    /// Its one entry in [`Scheduler::alarms`].
    alarm: Option<Timestamp>,
}

impl LaneQueue {
    fn new(pace: Pace) -> Self {
        Self {
            ready: Ready::default(),
            pace,
            open: 0,
            busy: 0,
            begun: 0,
            idle: Vec::new(),
            starved: false,
            behind: None,
            unused: None,
            alarm: None,
        }
    }

    fn needs_one_more(&self, now: Timestamp) -> bool {
        let free = self.open.saturating_sub(self.busy);
        self.ready.len() > free && self.pace.letters(now) > free
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    pub lane: Lane,
    state: WorkerState,
    jobs: u32,
    /// What its last letter needed: the next is rather one that needs the same.
    via: Via,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkerState {
    /// Just opened, or between two jobs: it will ask soon.
    Free,
    Idle,
    Busy,
    Retiring,
}

impl Scheduler {
    /// Workers that are open, and those of them that have a job.
    pub fn workers(&self) -> (usize, usize) {
        (self.workers.len(), self.workers.values().filter(|worker| worker.state == WorkerState::Busy).count())
    }

    /// Jobs that wait for a worker of this site. Those of letters that were dropped meanwhile are counted.
    pub fn ready(&self, lane: &Lane) -> usize {
        self.lanes.get(lane).map_or(0, |queue| queue.ready.len() + queue.behind.as_ref().map_or(0, |b| b.len()))
    }

    /// The next job for this worker, if there is one now.
    pub fn take(&mut self, worker: WorkerId) -> Option<Job> {
        self.handle_free(worker);
        if self.gives_way(worker) {
            return None;
        }
        let Worker { lane, via, .. } = self.workers.get(&worker)?;
        let (lane, via) = (lane.clone(), via.clone());
        // It counts itself: more are at work than the site bears.
        if self.lanes.get(&lane).is_none_or(|queue| queue.open - queue.idle.len() > queue.pace.allowed(self.now)) {
            return None;
        }
        let job = self.pop_ready(&lane, &via);
        if let Some(job) = &job {
            self.begin(worker, job);
        }
        self.feed(&lane);
        job
    }

    /// The worker has nothing to do and waits for [`Dispatch::Hand`] or [`Dispatch::Retire`].
    pub fn handle_idle(&mut self, worker: WorkerId) {
        self.handle_free(worker);
        if let Some(job) = self.take(worker) {
            self.outbox.push_back(Dispatch::Hand { worker, job });
        } else if self.gives_way(worker) || self.is_surplus(worker) {
            self.retire(worker);
        } else {
            self.set_state(worker, WorkerState::Idle);
            self.retire_for_the_starved();
        }
    }

    /// The worker is idle no more, or done with its job.
    pub fn handle_free(&mut self, worker: WorkerId) {
        self.set_state(worker, WorkerState::Free);
    }

    /// The worker did not begin this job after all: the next one gets it first.
    pub fn give_back(&mut self, worker: WorkerId, job: Job) {
        self.set_state(worker, WorkerState::Free);
        let Some(lane) = self.workers.get(&worker).map(|worker| worker.lane.clone()) else { return };
        // Dropped or expired meanwhile: nobody wants it back.
        let Some(out) = self.out.get_mut(&job.id) else { return };
        out.running.subtract(&job.recipients);
        // Held meanwhile: who releases it reads from its states when it is due.
        if self.letters.get(job.id).is_some_and(|plan| plan.stage == Stage::Held) {
            return;
        }
        out.ready.add(&job.recipients);
        let job = Job { round: out.round, ..job };
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.pace.uncount_letter();
            queue.ready.push_front(job);
        }
        self.feed(&lane);
    }

    /// The connection is gone; its place is free.
    pub fn handle_closed(&mut self, worker: WorkerId) {
        self.set_state(worker, WorkerState::Free);
        let Some(Worker { lane, .. }) = self.workers.remove(&worker) else { return };
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.open = queue.open.saturating_sub(1);
        }
        // The others first: the site that gave the place back stands at the end of the line.
        while self.workers.len() < self.most_workers
            && let Some(next) = self.starved_without.pop_front().or_else(|| self.starved.pop_front())
        {
            if let Some(queue) = self.lanes.get_mut(&next) {
                queue.starved = false;
            }
            if self.wants_worker(&next) {
                self.open_worker(&next);
            }
            self.feed(&next);
            self.tidy(&next);
        }
        self.feed(&lane);
        self.tidy(&lane);
    }

    /// What to do with workers. Call after each `handle_*` and [`Scheduler::take`] until it gives `None`.
    pub fn poll_dispatch(&mut self) -> Option<Dispatch> {
        self.outbox.pop_front()
    }

    /// What a worker met at its site.
    pub fn handle_weather(&mut self, worker: WorkerId, weather: Weather) {
        let Some(lane) = self.workers.get(&worker).map(|worker| worker.lane.clone()) else { return };
        let Some(queue) = self.lanes.get_mut(&lane) else { return };
        queue.pace.handle_weather(weather, queue.open, self.initial, self.now);
        self.feed(&lane);
    }

    /// The limits of this site's lanes are others now.
    pub fn handle_limits(&mut self, site: &Site) {
        let lanes: Vec<Lane> = self.lanes.keys().filter(|lane| lane.site == *site).cloned().collect();
        for lane in lanes {
            if let Some(queue) = self.lanes.get_mut(&lane) {
                queue.pace.set_limits(self.routes.limits(&lane), self.now);
            }
            self.feed(&lane);
        }
    }

    /// An operator wants to know whether dead sites are back.
    pub fn handle_probe_all(&mut self) {
        let dead: Vec<Lane> = self
            .lanes
            .iter()
            .filter(|(_, queue)| queue.pace.dead_until().is_some())
            .map(|(lane, _)| lane.clone())
            .collect();
        for lane in dead {
            if let Some(queue) = self.lanes.get_mut(&lane) {
                queue.pace.end_pause(self.now);
            }
            self.feed(&lane);
        }
    }

    /// Lanes whose time has come: a pause or a rest is over, the rate allows a letter, or their past may be forgotten.
    pub(super) fn wake_lanes(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.alarms.first()
            && *at <= now
        {
            let Some((_, lane)) = self.alarms.pop_first() else { return };
            if let Some(queue) = self.lanes.get_mut(&lane) {
                queue.alarm = None;
            }
            self.feed(&lane);
            self.tidy(&lane);
        }
    }

    /// All alarms ring: the clock has changed.
    pub(super) fn wake_all_lanes(&mut self, now: Timestamp) {
        self.lanes.values_mut().for_each(|queue| queue.pace.handle_clock_back(now));
        for (_, lane) in std::mem::take(&mut self.alarms) {
            if let Some(queue) = self.lanes.get_mut(&lane) {
                queue.alarm = None;
            }
            self.feed(&lane);
            self.tidy(&lane);
        }
    }

    fn set_alarm(&mut self, lane: &Lane, at: Timestamp) {
        let Some(queue) = self.lanes.get_mut(lane) else { return };
        if let Some(earlier) = queue.alarm {
            if earlier <= at {
                return;
            }
            self.alarms.remove(&(earlier, lane.clone()));
        }
        queue.alarm = Some(at);
        self.alarms.insert((at, lane.clone()));
    }

    /// Puts a job where it goes.
    pub(super) fn push(&mut self, id: QueueId, flow: Flow, place: Place, recipients: RecipientSet) {
        if recipients.is_empty() {
            return;
        }
        match &place {
            Place::Lane { lane, .. } if !self.has_room_in(lane, flow) => return self.put_behind(lane, flow, id),
            Place::Unknown { domain, .. } if !self.may_seek(domain) => return self.put_overdue(id),
            _ => {}
        }
        let rounds = &mut self.rounds;
        let out = self.out.entry(id).or_insert_with(|| Out::begin(rounds));
        out.ready.add(&recipients);
        let round = out.round;
        match place {
            Place::Lane { lane, via } => self.push_ready(lane, Job { id, recipients, via, flow, round }),
            Place::Unknown { domain, source } => {
                self.seek(domain, source, Job { id, recipients, via: Via::default(), flow, round });
            }
        }
    }

    /// Puts a job into its lane's queue, or into the hands of an idle worker.
    pub(super) fn push_ready(&mut self, lane: Lane, job: Job) {
        let Some(queue) = self.lanes.get_mut(&lane) else {
            let mut pace = Pace::new(self.initial, self.routes.limits(&lane), self.now);
            pace.suspended = self.suspended.until(&lane);
            let mut queue = LaneQueue::new(pace);
            queue.ready.push(job);
            self.lanes.insert(lane.clone(), queue);
            return self.feed(&lane);
        };
        queue.unused = None;
        queue.behind.iter_mut().for_each(|behind| behind.came());
        // The best idle worker has a connection that suits.
        let near = queue.idle.len().saturating_sub(IDLE_LOOK);
        let suits = |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.via == job.via);
        if let Some(at) = queue.idle.iter().rposition(suits).filter(|at| *at >= near) {
            let worker = queue.idle.remove(at);
            queue.idle.push(worker);
        }
        queue.ready.push(job);
        self.feed(&lane);
    }

    /// Takes the first job whose recipients are still wanted: a letter may have been dropped or have expired.
    fn pop_ready(&mut self, lane: &Lane, via: &Via) -> Option<Job> {
        let queue = self.lanes.get_mut(lane)?;
        if queue.pace.letters(self.now) == 0 {
            return None;
        }
        while let Some(job) = queue.ready.pop(via) {
            if let Some(out) = self.out.get_mut(&job.id)
                && out.wants(&job)
            {
                out.ready.subtract(&job.recipients);
                out.running.add(&job.recipients);
                queue.pace.count_letter(self.now);
                queue.begun += 1;
                return Some(job);
            }
        }
        None
    }

    /// Gives a lane's jobs to its idle workers, and opens more as far as it needs them and the limits allow.
    pub(super) fn feed(&mut self, lane: &Lane) {
        let Some(queue) = self.lanes.get_mut(lane) else { return };
        if queue.pace.is_stale(self.now) {
            queue.pace.set_limits(self.routes.limits(lane), self.now);
        }
        let behind = queue.behind.is_some();
        if queue.ready.is_empty() && !behind {
            return;
        }
        if queue.pace.allowed(self.now) == 0 {
            self.put_all_behind(lane);
        }
        self.hand_to_idle(lane);
        while self.wants_worker(lane) {
            if self.workers.len() >= self.most_workers || self.in_line() > 0 {
                self.stand_in_line(lane);
                break;
            }
            self.open_worker(lane);
        }
        if behind {
            self.call(lane);
        }
        if let Some(queue) = self.lanes.get(lane).filter(|queue| !queue.ready.is_empty() || queue.behind.is_some())
            && let Some(at) = queue.pace.changes_at(self.now).or_else(|| self.calls_again(lane))
        {
            self.set_alarm(lane, at);
        }
    }

    fn hand_to_idle(&mut self, lane: &Lane) {
        while let Some(queue) = self.lanes.get(lane)
            && !queue.ready.is_empty()
            && let Some(worker) = queue.idle.last().copied()
            && queue.open - queue.idle.len() < queue.pace.allowed(self.now)
        {
            // The last to become idle has the warmest connection.
            let via = self.workers.get(&worker).map(|worker| worker.via.clone()).unwrap_or_default();
            let Some(job) = self.pop_ready(lane, &via) else { return };
            self.begin(worker, &job);
            self.outbox.push_back(Dispatch::Hand { worker, job });
        }
    }

    fn begin(&mut self, id: WorkerId, job: &Job) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.via = job.via.clone();
        }
        self.set_state(id, WorkerState::Busy);
    }

    fn wants_worker(&self, lane: &Lane) -> bool {
        let wants = |queue: &LaneQueue| {
            !queue.starved && queue.needs_one_more(self.now) && queue.open < queue.pace.allowed(self.now)
        };
        self.lanes.get(lane).is_some_and(wants)
    }

    fn open_worker(&mut self, lane: &Lane) {
        self.last_worker += 1;
        let worker = WorkerId(self.last_worker);
        let Some(queue) = self.lanes.get_mut(lane) else { return };
        queue.open += 1;
        let opened = Worker { lane: lane.clone(), state: WorkerState::Free, jobs: 0, via: Via::default() };
        self.workers.insert(worker, opened);
        self.outbox.push_back(Dispatch::OpenWorker { worker, lane: lane.clone() });
    }

    fn stand_in_line(&mut self, lane: &Lane) {
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.starved = true;
            let line = if queue.open == 0 { &mut self.starved_without } else { &mut self.starved };
            line.push_back(lane.clone());
        }
        self.retire_for_the_starved();
    }

    fn in_line(&self) -> usize {
        self.starved_without.len() + self.starved.len()
    }

    fn retire_for_the_starved(&mut self) {
        while self.retiring < self.in_line()
            && let Some(worker) = self.idle.first().copied()
        {
            self.retire(worker);
        }
    }

    fn retire(&mut self, worker: WorkerId) {
        self.set_state(worker, WorkerState::Retiring);
        self.outbox.push_back(Dispatch::Retire { worker });
    }

    /// Whether this worker should close although its site has work, so that a site without any gets a place.
    fn gives_way(&self, worker: WorkerId) -> bool {
        if self.retiring >= self.starved_without.len() {
            return false;
        }
        let Some(worker) = self.workers.get(&worker) else { return false };
        let alone = self.lanes.get(&worker.lane).is_some_and(|queue| queue.open == 1);
        worker.jobs >= if alone { JOBS_BEFORE_GIVING_WAY } else { 1 }
    }

    /// Whether its lane has more workers than it may have now.
    fn is_surplus(&self, worker: WorkerId) -> bool {
        let queue = self.workers.get(&worker).and_then(|worker| self.lanes.get(&worker.lane));
        queue.is_some_and(|queue| queue.open > queue.pace.allowed(self.now))
    }

    /// All changes of a worker's state, so that the counts always agree.
    fn set_state(&mut self, id: WorkerId, state: WorkerState) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(queue) = self.lanes.get_mut(&worker.lane) else { return };
        match std::mem::replace(&mut worker.state, state) {
            WorkerState::Busy => queue.busy -= 1,
            WorkerState::Retiring => self.retiring -= 1,
            WorkerState::Idle => {
                self.idle.remove(&id);
                queue.idle.retain(|other| *other != id);
            }
            WorkerState::Free => {}
        }
        match state {
            WorkerState::Busy => {
                queue.busy += 1;
                worker.jobs += 1;
            }
            WorkerState::Retiring => self.retiring += 1,
            WorkerState::Idle => {
                self.idle.insert(id);
                queue.idle.push(id);
            }
            WorkerState::Free => {}
        }
    }

    /// Forgets a lane that has nothing to do: at once where there is nothing to remember, else after a while.
    fn tidy(&mut self, lane: &Lane) {
        let Some(queue) = self.lanes.get(lane) else { return };
        if queue.open > 0 || !queue.ready.is_empty() || queue.behind.is_some() || queue.starved {
            return;
        }
        let since = queue.unused.unwrap_or(self.now);
        let until = queue.pace.dead_until().max(Some(since)).unwrap_or(since).after(REMEMBERED);
        if queue.pace.is_plain(self.initial, self.now) || until <= self.now {
            if let Some(queue) = self.lanes.remove(lane)
                && let Some(at) = queue.alarm
            {
                self.alarms.remove(&(at, lane.clone()));
            }
            return;
        }
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.unused = Some(since);
            queue.ready.rest();
        }
        self.set_alarm(lane, until);
    }
}
