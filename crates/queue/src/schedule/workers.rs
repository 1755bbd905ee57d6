//! The workers' half of the scheduler: who gets which job, and when a site gets one more connection.
//!
//! A site needs a worker when it has more ready jobs than workers that are free to ask. It gets one at once while both
//! limits allow. Past its own limit it waits for its own workers; past the limit of all it stands in line. Each place that
//! becomes free goes to the first in line, sites without any worker before those that have some. While such a site
//! stands there, idle workers are retired, and busy ones after their job: so busy sites cannot keep the others out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Job, Out, RecipientSet, Scheduler, Stage};
use crate::letter::QueueId;
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
}

/// How many letters the only worker of a site carries before it gives way to a site that has none.
const JOBS_BEFORE_GIVING_WAY: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct LaneQueue {
    ready: VecDeque<Job>,
    open: usize,
    busy: usize,
    idle: Vec<WorkerId>,
    starved: bool,
}

impl LaneQueue {
    fn needs_one_more(&self) -> bool {
        self.ready.len() > self.open.saturating_sub(self.busy)
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    lane: Lane,
    state: WorkerState,
    jobs: u32,
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
        self.lanes.get(lane).map_or(0, |queue| queue.ready.len())
    }

    /// The next job for this worker, if there is one now.
    pub fn take(&mut self, worker: WorkerId) -> Option<Job> {
        self.handle_free(worker);
        if self.gives_way(worker) {
            return None;
        }
        let lane = self.workers.get(&worker)?.lane.clone();
        let job = self.pop_ready(&lane)?;
        self.set_state(worker, WorkerState::Busy);
        self.feed(&lane);
        Some(job)
    }

    /// The worker has nothing to do and waits for [`Dispatch::Hand`] or [`Dispatch::Retire`].
    pub fn handle_idle(&mut self, worker: WorkerId) {
        self.handle_free(worker);
        if let Some(job) = self.take(worker) {
            self.outbox.push_back(Dispatch::Hand { worker, job });
        } else if self.gives_way(worker) {
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
        if self.letters.get(&job.id).is_some_and(|plan| plan.stage == Stage::Held) {
            return;
        }
        out.ready.add(&job.recipients);
        self.lanes.entry(lane.clone()).or_default().ready.push_front(job);
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

    /// Puts a job into its site's queue, or into the hands of an idle worker.
    pub(super) fn push(&mut self, id: QueueId, place: Place, recipients: RecipientSet) {
        match place {
            Place::Lane { lane, via: _ } => self.push_ready(id, lane, recipients),
            Place::Unknown { domain, source } => {
                if recipients.is_empty() {
                    return;
                }
                self.out.entry(id).or_default().ready.add(&recipients);
                let jobs = self.searching.entry(Arc::clone(&domain)).or_default();
                if jobs.is_empty() {
                    self.outbox.push_back(Dispatch::Search { domain });
                }
                jobs.push((source, Job { id, recipients }));
            }
        }
    }

    /// The site of this domain is known: what waits for it becomes ready.
    pub fn handle_found(&mut self, domain: &str, site: &Site, _via: &Via) {
        for (source, job) in self.searching.remove(domain).unwrap_or_default() {
            if self.out.get(&job.id).is_some_and(|out| out.ready.contains_all(&job.recipients)) {
                self.push_ready(job.id, Lane { site: site.clone(), source }, job.recipients);
            }
        }
    }

    /// A search was given up.
    pub fn handle_unsearched(&mut self, domain: &str) {
        if let Some((domain, _)) = self.searching.get_key_value(domain) {
            self.outbox.push_back(Dispatch::Search { domain: Arc::clone(domain) });
        }
    }

    pub fn handle_weather(&mut self, _worker: WorkerId, _weather: Weather) {}

    /// The limits of this site's lanes are others now.
    pub fn handle_limits(&mut self, site: &Site) {
        let lanes: Vec<Lane> = self.lanes.keys().filter(|lane| lane.site == *site).cloned().collect();
        lanes.iter().for_each(|lane| self.feed(lane));
    }

    fn push_ready(&mut self, id: QueueId, lane: Lane, recipients: RecipientSet) {
        if recipients.is_empty() {
            return;
        }
        let Out { ready, .. } = self.out.entry(id).or_default();
        ready.add(&recipients);
        let queue = self.lanes.entry(lane.clone()).or_default();
        queue.ready.push_back(Job { id, recipients });
        // The last to become idle has the warmest connection.
        if let Some(worker) = queue.idle.last().copied()
            && let Some(job) = self.pop_ready(&lane)
        {
            self.set_state(worker, WorkerState::Busy);
            self.outbox.push_back(Dispatch::Hand { worker, job });
        }
        self.feed(&lane);
    }

    /// Takes the first job whose recipients are still wanted: a letter may have been dropped or have expired.
    fn pop_ready(&mut self, lane: &Lane) -> Option<Job> {
        let queue = self.lanes.get_mut(lane)?;
        while let Some(job) = queue.ready.pop_front() {
            if let Some(out) = self.out.get_mut(&job.id)
                && out.ready.contains_all(&job.recipients)
            {
                out.ready.subtract(&job.recipients);
                out.running.add(&job.recipients);
                return Some(job);
            }
        }
        None
    }

    /// Opens workers for a site as far as it needs them and the limits allow.
    fn feed(&mut self, lane: &Lane) {
        while self.wants_worker(lane) {
            if self.workers.len() >= self.most_workers || self.in_line() > 0 {
                return self.stand_in_line(lane);
            }
            self.open_worker(lane);
        }
    }

    fn wants_worker(&self, lane: &Lane) -> bool {
        // The router is asked last: mostly there is no need.
        let needs = |queue: &&LaneQueue| !queue.starved && queue.needs_one_more();
        self.lanes.get(lane).filter(needs).is_some_and(|queue| queue.open < self.routes.limits(lane).connections.max(1))
    }

    fn open_worker(&mut self, lane: &Lane) {
        self.last_worker += 1;
        let worker = WorkerId(self.last_worker);
        self.lanes.entry(lane.clone()).or_default().open += 1;
        self.workers.insert(worker, Worker { lane: lane.clone(), state: WorkerState::Free, jobs: 0 });
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

    fn tidy(&mut self, lane: &Lane) {
        if self.lanes.get(lane).is_some_and(|queue| queue.open == 0 && queue.ready.is_empty() && !queue.starved) {
            self.lanes.remove(lane);
        }
    }
}
