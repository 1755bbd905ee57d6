//! Simulated time: a scheduler, a router that is a function, and peers whose speed and mood are data.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::letter::{Letter, Recipient};
use crate::queue::{Limits, Site, Via};
use crate::retry::RetryPolicy;

mod behind;
mod clock;
mod lanes;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

#[derive(Debug)]
struct Limit(usize);

impl Sites for Limit {
    fn place_of(&self, _: &Letter, _: &Recipient, _: Option<&str>) -> Place {
        site("unused").into()
    }
    fn limits(&self, _: &Lane) -> Limits {
        Limits::connections(self.0)
    }
}

fn site(name: &str) -> Lane {
    Lane::of(Site(name.into()))
}

fn one() -> RecipientSet {
    [0].into_iter().collect()
}

fn job_of(id: u64) -> Job {
    Job { id: QueueId(id), recipients: one(), via: Via::default(), flow: Flow::default(), round: 0 }
}

fn scheduler(per_site: usize, in_all: usize) -> Scheduler {
    Scheduler::new(Arc::new(Limit(per_site)), in_all, per_site)
}

/// Opens what is asked for; gives the workers by site.
fn opened(scheduler: &mut Scheduler) -> Vec<(WorkerId, Lane)> {
    std::iter::from_fn(|| scheduler.poll_dispatch())
        .map(|dispatch| match dispatch {
            Dispatch::OpenWorker { worker, lane } => (worker, lane),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_letter_goes_from_enqueued_to_removed() {
    let mut scheduler = scheduler(5, 10);
    scheduler.handle_enqueued(QueueId(1), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    let workers = opened(&mut scheduler);
    assert_eq!(workers, [(WorkerId(1), site("a"))]);
    let job = scheduler.take(WorkerId(1)).unwrap();
    assert_eq!(scheduler.out_of(QueueId(1)), (RecipientSet::default(), one()));
    assert_eq!(scheduler.take(WorkerId(1)), None);
    scheduler.handle_settled(job.id, &job.recipients, None);
    scheduler.handle_removed(job.id);
    assert!(scheduler.is_empty());
    assert_eq!(scheduler.poll_calendar(Timestamp(u64::MAX - 1)), Calendar::Wait(None));
    scheduler.handle_closed(WorkerId(1));
    assert_eq!(scheduler.workers(), (0, 0));
    assert!(scheduler.lanes.is_empty() && scheduler.out.is_empty());
}

#[test]
fn idle_workers_come_before_new_ones() {
    let mut scheduler = scheduler(5, 10);
    scheduler.handle_enqueued(QueueId(1), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    opened(&mut scheduler);
    let job = scheduler.take(WorkerId(1)).unwrap();
    scheduler.handle_settled(job.id, &job.recipients, None);
    scheduler.handle_idle(WorkerId(1));
    scheduler.handle_enqueued(QueueId(2), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    let hand = scheduler.poll_dispatch();
    assert_eq!(hand, Some(Dispatch::Hand { worker: WorkerId(1), job: job_of(2) }));
    assert_eq!(scheduler.poll_dispatch(), None);
    scheduler.handle_enqueued(QueueId(3), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    assert_eq!(opened(&mut scheduler), [(WorkerId(2), site("a"))]);
}

#[test]
fn a_worker_that_becomes_idle_gets_what_came_meanwhile() {
    let mut scheduler = scheduler(1, 10);
    scheduler.handle_enqueued(QueueId(1), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    opened(&mut scheduler);
    scheduler.take(WorkerId(1)).unwrap();
    scheduler.handle_enqueued(QueueId(2), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    assert_eq!(scheduler.poll_dispatch(), None);
    scheduler.handle_idle(WorkerId(1));
    assert!(matches!(scheduler.poll_dispatch(), Some(Dispatch::Hand { worker: WorkerId(1), .. })));
}

#[test]
fn a_site_never_has_more_workers_than_its_limit() {
    let mut scheduler = scheduler(3, 100);
    for id in 0..50 {
        scheduler.handle_enqueued(QueueId(id), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    }
    assert_eq!(opened(&mut scheduler).len(), 3);
    scheduler.handle_closed(WorkerId(2));
    assert_eq!(opened(&mut scheduler).len(), 1);
}

#[test]
fn places_go_round_when_all_are_taken() {
    let mut scheduler = scheduler(10, 2);
    for id in 0..30 {
        let name = ["a", "b", "c"][id as usize % 3];
        scheduler.handle_enqueued(QueueId(id), Timestamp(DAY), Flow::default(), [(site(name), one())]);
    }
    let mut open = opened(&mut scheduler);
    assert_eq!(open.len(), 2);
    let mut order = Vec::new();
    for _ in 0..9 {
        let (worker, at) = open.remove(0);
        scheduler.take(worker);
        order.push(at.site.0.to_string());
        scheduler.handle_closed(worker);
        open.extend(opened(&mut scheduler));
        assert_eq!(scheduler.workers().0, 2);
    }
    for name in ["a", "b", "c"] {
        assert_eq!(order.iter().filter(|n| *n == name).count(), 3, "{order:?}");
    }
}

#[test]
fn an_idle_worker_gives_its_place_to_a_site_that_has_none() {
    let mut scheduler = scheduler(10, 1);
    scheduler.handle_enqueued(QueueId(1), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    opened(&mut scheduler);
    scheduler.take(WorkerId(1)).unwrap();
    scheduler.handle_enqueued(QueueId(2), Timestamp(DAY), Flow::default(), [(site("b"), one())]);
    assert_eq!(scheduler.poll_dispatch(), None);
    scheduler.handle_idle(WorkerId(1));
    assert_eq!(scheduler.poll_dispatch(), Some(Dispatch::Retire { worker: WorkerId(1) }));
    scheduler.handle_closed(WorkerId(1));
    assert_eq!(opened(&mut scheduler), [(WorkerId(2), site("b"))]);
}

#[test]
fn a_letter_expires_although_its_site_gets_no_worker() {
    let mut scheduler = scheduler(1, 10);
    scheduler.handle_enqueued(QueueId(1), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    opened(&mut scheduler);
    scheduler.take(WorkerId(1)).unwrap();
    scheduler.handle_enqueued(QueueId(2), Timestamp(DAY + 1), Flow::default(), [(site("a"), one())]);
    assert_eq!(scheduler.poll_calendar(Timestamp(DAY - 1)), Calendar::Wait(Some(Timestamp(DAY))));
    assert_eq!(
        scheduler.poll_calendar(Timestamp(DAY + 1)),
        Calendar::Expire { id: QueueId(1), running: one() },
        "what is being tried is let finish"
    );
    let expire = Calendar::Expire { id: QueueId(2), running: RecipientSet::default() };
    assert_eq!(scheduler.poll_calendar(Timestamp(DAY + 1)), expire);
    scheduler.handle_removed(QueueId(2));
    scheduler.handle_expired(QueueId(1), Timestamp(10 * DAY));
    assert_eq!(scheduler.poll_calendar(Timestamp(9 * DAY)), Calendar::Wait(Some(Timestamp(10 * DAY))));
    assert_eq!(scheduler.take(WorkerId(1)), None, "an expired job is not handed out");
}

#[test]
fn a_report_that_could_not_be_stored_is_tried_again() {
    let mut scheduler = scheduler(1, 10);
    scheduler.handle_waiting(QueueId(1), Timestamp(DAY), Timestamp(2 * DAY));
    assert!(matches!(scheduler.poll_calendar(Timestamp(DAY)), Calendar::Expire { .. }));
    assert_eq!(scheduler.poll_calendar(Timestamp(DAY)), Calendar::Wait(None));
    scheduler.handle_expired(QueueId(1), Timestamp(DAY + HOUR));
    assert_eq!(scheduler.poll_calendar(Timestamp(DAY)), Calendar::Wait(Some(Timestamp(DAY + HOUR))));
    assert!(matches!(scheduler.poll_calendar(Timestamp(DAY + HOUR)), Calendar::Expire { .. }));
}

#[test]
fn what_is_settled_while_the_letter_is_read_is_not_forgotten() {
    let mut scheduler = scheduler(1, 10);
    let (a, b) = (one(), [1].into_iter().collect::<RecipientSet>());
    scheduler.handle_waiting(QueueId(1), Timestamp(DAY), Timestamp(5));
    assert_eq!(scheduler.poll_calendar(Timestamp(5)), Calendar::Load { id: QueueId(1), all: false });
    scheduler.handle_loaded(QueueId(1), Flow::default(), [(site("a"), a.clone())], Some(Timestamp(7)));
    opened(&mut scheduler);
    scheduler.take(WorkerId(1)).unwrap();
    assert_eq!(scheduler.poll_calendar(Timestamp(7)), Calendar::Load { id: QueueId(1), all: false });
    assert!(!scheduler.is_quiet(QueueId(1)));
    scheduler.handle_settled(QueueId(1), &a, Some(Timestamp(100)));
    assert!(!scheduler.is_quiet(QueueId(1)), "it is being read");
    scheduler.handle_loaded(QueueId(1), Flow::default(), [(site("a"), b)], None);
    assert_eq!(scheduler.poll_calendar(Timestamp(8)), Calendar::Wait(Some(Timestamp(100))));
}

#[test]
fn an_operator_makes_a_letter_due_at_once() {
    let mut scheduler = scheduler(1, 10);
    scheduler.handle_waiting(QueueId(1), Timestamp(DAY), Timestamp(HOUR));
    assert_eq!(scheduler.poll_calendar(Timestamp(0)), Calendar::Wait(Some(Timestamp(HOUR))));
    assert!(scheduler.handle_retry(QueueId(1)));
    assert_eq!(scheduler.poll_calendar(Timestamp(0)), Calendar::Load { id: QueueId(1), all: true });
    assert!(!scheduler.handle_retry(QueueId(2)));
}

#[test]
fn a_clock_set_back_makes_due_what_it_put_off_too_far() {
    let mut scheduler = scheduler(5, 10);
    scheduler.handle_waiting(QueueId(1), Timestamp(90 * DAY), Timestamp(80 * DAY));
    scheduler.handle_waiting(QueueId(2), Timestamp(90 * DAY), Timestamp(2 * HOUR));
    scheduler.handle_clock_back(Timestamp(HOUR), Timestamp(7 * HOUR));
    let load = Calendar::Load { id: QueueId(1), all: false };
    assert_eq!(scheduler.poll_calendar(Timestamp(HOUR)), load);
    assert_eq!(scheduler.poll_calendar(Timestamp(HOUR)), Calendar::Wait(Some(Timestamp(2 * HOUR))));
}

#[test]
fn a_dropped_letter_is_not_handed_out() {
    let mut scheduler = scheduler(1, 10);
    for id in [1, 2] {
        scheduler.handle_enqueued(QueueId(id), Timestamp(DAY), Flow::default(), [(site("a"), one())]);
    }
    opened(&mut scheduler);
    scheduler.handle_removed(QueueId(1));
    assert_eq!(scheduler.take(WorkerId(1)).unwrap().id, QueueId(2));
    assert_eq!(scheduler.poll_calendar(Timestamp(HOUR)), Calendar::Wait(Some(Timestamp(DAY))));
}

/// Whoever drives a scheduler in a simulation: workers open at once and take letters until there is none.
trait Driver {
    fn scheduler(&mut self) -> &mut Scheduler;

    fn opened(&mut self, _worker: WorkerId, _lane: Lane) {}

    /// The attempt begins.
    fn start(&mut self, worker: WorkerId, job: Job);

    fn dispatch(&mut self) {
        while let Some(dispatch) = self.scheduler().poll_dispatch() {
            match dispatch {
                Dispatch::OpenWorker { worker, lane } => {
                    self.opened(worker, lane);
                    self.ask(worker);
                }
                Dispatch::Search { domain } => panic!("{domain}"),
                Dispatch::Hand { worker, job } => self.start(worker, job),
                Dispatch::Retire { worker } => self.scheduler().handle_closed(worker),
                Dispatch::Rest { .. } => {}
            }
        }
    }

    fn ask(&mut self, worker: WorkerId) {
        match self.scheduler().take(worker) {
            Some(job) => self.start(worker, job),
            None => self.scheduler().handle_idle(worker),
        }
    }
}

/// The recipient of a letter that has one, where it is in no job: as the driver does it.
fn not_out(scheduler: &Scheduler, id: QueueId) -> Option<RecipientSet> {
    let (ready, running) = scheduler.out_of(id);
    (ready.is_empty() && running.is_empty()).then(one)
}

/// A driver with a clock of its own: letters with one recipient each, attempts that take their site's time.
struct World {
    scheduler: Scheduler,
    policy: RetryPolicy,
    now: u64,
    /// Per site: how long an attempt takes, and from when on it accepts.
    peers: HashMap<String, (u64, u64)>,
    letters: BTreeMap<QueueId, (String, u64, u32)>,
    /// Attempts under way, by when they end.
    running: BTreeMap<(u64, WorkerId), Job>,
    delivered: HashMap<QueueId, u64>,
    expired: HashMap<QueueId, u64>,
    attempts: usize,
}

impl Driver for World {
    fn scheduler(&mut self) -> &mut Scheduler {
        &mut self.scheduler
    }

    fn start(&mut self, worker: WorkerId, job: Job) {
        self.attempts += 1;
        let takes = self.peers[&self.letters[&job.id].0].0;
        self.running.insert((self.now + takes, worker), job);
    }
}

impl World {
    fn new(per_site: usize, in_all: usize, peers: &[(&str, u64, u64)]) -> Self {
        Self {
            scheduler: scheduler(per_site, in_all),
            policy: RetryPolicy::default(),
            now: 0,
            peers: peers.iter().map(|(name, takes, from)| (name.to_string(), (*takes, *from))).collect(),
            letters: BTreeMap::new(),
            running: BTreeMap::new(),
            delivered: HashMap::new(),
            expired: HashMap::new(),
            attempts: 0,
        }
    }

    fn enqueue(&mut self, id: u64, to: &str) {
        let id = QueueId(id);
        self.letters.insert(id, (to.to_owned(), self.now, 0));
        let expires = Timestamp(self.now).after(self.policy.give_up);
        self.scheduler.handle_enqueued(id, expires, Flow::default(), [(site(to), one())]);
        self.dispatch();
    }

    fn end(&mut self, worker: WorkerId, job: Job) {
        let (to, arrived, attempts) = self.letters.get_mut(&job.id).unwrap();
        *attempts += 1;
        let expiry = *arrived + self.policy.give_up.as_millis() as u64;
        let accepts = self.now >= self.peers[to].1;
        if accepts {
            assert!(self.delivered.insert(job.id, self.now).is_none(), "delivered twice");
        } else if self.now >= expiry {
            self.expired.insert(job.id, self.now);
        }
        let again = self.policy.next_attempt(job.id, *attempts, Timestamp(self.now));
        self.scheduler.handle_settled(job.id, &job.recipients, (!accepts).then_some(again));
        if accepts || self.now >= expiry {
            self.scheduler.handle_removed(job.id);
        }
        self.ask(worker);
        self.dispatch();
    }

    fn calendar(&mut self) -> Option<u64> {
        loop {
            match self.scheduler.poll_calendar(Timestamp(self.now)) {
                Calendar::Load { id, .. } => {
                    let to = site(&self.letters[&id].0);
                    let due = not_out(&self.scheduler, id);
                    self.scheduler.handle_loaded(id, Flow::default(), due.map(|one| (to, one)), None);
                }
                Calendar::Expire { id, running } if running.is_empty() => {
                    self.expired.insert(id, self.now);
                    self.scheduler.handle_removed(id);
                }
                Calendar::Expire { id, .. } => self.scheduler.handle_expired(id, Timestamp(self.now + HOUR)),
                Calendar::Wait(next) => return next.map(|at| at.0),
            }
            self.dispatch();
        }
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let calendar = self.calendar();
            let running = self.running.first_key_value().map(|((at, _), _)| *at);
            let next = calendar.into_iter().chain(running).min().unwrap_or(u64::MAX);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next.max(self.now);
            while let Some(entry) = self.running.first_entry()
                && entry.key().0 <= self.now
            {
                let ((_, worker), job) = entry.remove_entry();
                self.end(worker, job);
            }
        }
    }
}

#[test]
fn a_month_of_retries_passes_in_no_time() {
    let mut world = World::new(5, 50, &[("dead", 30 * SECOND, u64::MAX), ("back-on-day-3", SECOND, 3 * DAY)]);
    for day in 0..25 {
        for n in 0..20 {
            world.enqueue(1 + 40 * day + n, "dead");
            world.enqueue(1 + 40 * day + 20 + n, "back-on-day-3");
        }
        world.run_until((day + 1) * DAY);
    }
    world.run_until(31 * DAY);
    assert_eq!(world.delivered.len(), 500);
    assert_eq!(world.expired.len(), 500);
    assert!(world.scheduler.is_empty());
    for (id, at) in &world.expired {
        let arrived = world.letters[id].1;
        assert!((5 * DAY..=5 * DAY + HOUR).contains(&(at - arrived)), "{id}: after {}", at - arrived);
    }
    // 8 steps in the first four hours, then every three hours or so for 116 hours.
    let of_dead = world.letters.values().filter(|(to, ..)| to == "dead").map(|(.., attempts)| *attempts);
    assert!(of_dead.clone().all(|attempts| (40..=58).contains(&attempts)), "{:?}", of_dead.max());
}

#[test]
fn one_slow_site_never_delays_another() {
    let mut world = World::new(5, 20, &[("slow", HOUR, 0), ("fast", SECOND, 0)]);
    for id in 0..1_000 {
        world.enqueue(id, "slow");
    }
    for id in 1_000..1_010 {
        world.enqueue(id, "fast");
        world.run_until(world.now + 10 * SECOND);
        assert_eq!(world.delivered[&QueueId(id)], world.now - 9 * SECOND);
    }
}

#[test]
fn busy_sites_make_room_for_one_that_has_no_worker() {
    let names: Vec<String> = (0..10).map(|n| format!("slow{n}")).collect();
    let mut peers: Vec<_> = names.iter().map(|name| (name.as_str(), 60 * SECOND, 0)).collect();
    peers.push(("fast", SECOND, 0));
    // All 20 places are taken by sites that have work for hours.
    let mut world = World::new(5, 20, &peers);
    for id in 0..10_000 {
        world.enqueue(id, &names[id as usize % 10]);
    }
    world.enqueue(50_000, "fast");
    world.run_until(62 * SECOND);
    assert!(world.delivered.contains_key(&QueueId(50_000)), "one attempt of the others, not their backlog");
    // And where each site has only one worker, that one gives way after a while.
    let mut world = World::new(1, 10, &peers);
    for id in 0..10_000 {
        world.enqueue(id, &names[id as usize % 10]);
    }
    world.enqueue(50_000, "fast");
    world.run_until(21 * 60 * SECOND);
    assert!(world.delivered.contains_key(&QueueId(50_000)));
}

proptest! {
    #[test]
    fn every_letter_ends_exactly_once(
        per_site in 1usize..4,
        in_all in 1usize..6,
        letters in proptest::collection::vec((0usize..4, 0..3 * DAY), 1..60),
    ) {
        let peers = [("a", SECOND, 0), ("b", 600 * SECOND, 0), ("c", 60 * SECOND, 2 * DAY), ("d", 10 * SECOND, u64::MAX)];
        let mut world = World::new(per_site, in_all, &peers);
        let mut letters = letters;
        letters.sort_by_key(|(_, at)| *at);
        for (id, (to, at)) in letters.iter().enumerate() {
            world.run_until(*at);
            world.enqueue(id as u64, peers[*to].0);
            prop_assert!(world.scheduler.workers().0 <= in_all);
        }
        world.run_until(40 * DAY);
        prop_assert_eq!(world.delivered.len() + world.expired.len(), letters.len());
        prop_assert!(world.scheduler.is_empty() && world.scheduler.out.is_empty());
    }

    #[test]
    fn a_recipient_set_is_a_set(a in proptest::collection::btree_set(0usize..200, 0..20), b in proptest::collection::btree_set(0usize..200, 0..20)) {
        let (set_a, set_b): (RecipientSet, RecipientSet) = (a.iter().copied().collect(), b.iter().copied().collect());
        prop_assert_eq!(set_a.iter().collect::<Vec<_>>(), a.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(set_a.len(), a.len());
        prop_assert_eq!(set_a.contains_all(&set_b), a.is_superset(&b));
        let (mut sum, mut rest) = (set_a.clone(), set_a.clone());
        sum.add(&set_b);
        rest.subtract(&set_b);
        prop_assert_eq!(sum.iter().collect::<Vec<_>>(), a.union(&b).copied().collect::<Vec<_>>());
        prop_assert_eq!(rest.iter().collect::<Vec<_>>(), a.difference(&b).copied().collect::<Vec<_>>());
        prop_assert_eq!(rest.is_empty(), a.is_subset(&b));
        prop_assert!(a.iter().all(|i| set_a.contains(*i)) && !set_a.contains(1_000));
    }
}

#[test]
fn the_interval_of_the_simulation_is_the_real_one() {
    assert_eq!(RetryPolicy::default().give_up, Duration::from_millis(5 * DAY));
}
