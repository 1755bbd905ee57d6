//! Lanes in simulated time: windows, pauses, rates, turns. Peers bear so many connections, or are dead until some time.

use std::sync::Mutex;

use super::*;
use crate::queue::{Rate, Source, Weather};

#[derive(Debug, Default)]
struct Allowed(Mutex<HashMap<String, Limits>>);

impl Sites for Allowed {
    fn place_of(&self, _: &Letter, _: &Recipient, _: Option<&str>) -> Place {
        site("unused").into()
    }
    fn limits(&self, lane: &Lane) -> Limits {
        self.0.lock().unwrap().get(&*lane.site.0).copied().unwrap_or(Limits::connections(50))
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) takes: u64,
    pub(super) bears: usize,
    pub(super) dead_until: u64,
}

pub(super) const GOOD: Peer = Peer { takes: SECOND, bears: usize::MAX, dead_until: 0 };

pub(super) struct Sim {
    pub(super) scheduler: Scheduler,
    allowed: Arc<Allowed>,
    pub(super) now: u64,
    pub(super) peers: HashMap<String, Peer>,
    pub(super) letters: HashMap<QueueId, (String, Flow)>,
    /// By when they end; whether there were too many connections when it began.
    pub(super) running: BTreeMap<(u64, WorkerId), (Job, Lane, bool)>,
    lanes: HashMap<WorkerId, Lane>,
    /// Begun: when and where.
    pub(super) begun: Vec<(u64, String)>,
    pub(super) delivered: HashMap<QueueId, u64>,
    troubles: usize,
    known: BTreeSet<WorkerId>,
}

impl Driver for Sim {
    fn scheduler(&mut self) -> &mut Scheduler {
        &mut self.scheduler
    }

    fn opened(&mut self, worker: WorkerId, lane: Lane) {
        self.lanes.insert(worker, lane);
    }

    fn start(&mut self, worker: WorkerId, job: Job) {
        let lane = self.lanes[&worker].clone();
        let peer = self.peers[&*lane.site.0];
        // Who has a connection keeps it.
        let first = self.known.insert(worker);
        let others = self.running.values().filter(|(_, at, _)| at.site == lane.site).count();
        self.begun.push((self.now, lane.site.0.to_string()));
        self.running.insert((self.now + peer.takes, worker), (job, lane, others >= peer.bears && first));
    }
}

impl Sim {
    pub(super) fn new(in_all: usize, peers: &[(&str, Peer)]) -> Self {
        let allowed = Arc::new(Allowed::default());
        Self {
            scheduler: Scheduler::new(allowed.clone(), in_all, 5),
            allowed,
            now: 0,
            peers: peers.iter().map(|(name, peer)| (name.to_string(), *peer)).collect(),
            letters: HashMap::new(),
            running: BTreeMap::new(),
            lanes: HashMap::new(),
            begun: Vec::new(),
            delivered: HashMap::new(),
            troubles: 0,
            known: BTreeSet::new(),
        }
    }

    pub(super) fn limit(&mut self, name: &str, limits: Limits) {
        self.allowed.0.lock().unwrap().insert(name.into(), limits);
        self.scheduler.handle_limits(&Site(name.into()));
        self.dispatch();
    }

    pub(super) fn send(&mut self, id: u64, to: &str, flow: Flow) {
        self.letters.insert(QueueId(id), (to.into(), flow));
        self.scheduler.handle_time(Timestamp(self.now));
        self.scheduler.handle_enqueued(QueueId(id), Timestamp(60 * DAY), flow, [(site(to), one())]);
        self.dispatch();
    }

    fn end(&mut self, worker: WorkerId, job: Job, lane: &Lane, too_many: bool) {
        let weather = match self.peers[&*lane.site.0] {
            peer if peer.dead_until > self.now => Weather::Dead,
            _ if too_many => Weather::Trouble,
            _ => Weather::Fine,
        };
        self.troubles += usize::from(weather == Weather::Trouble);
        self.scheduler.handle_weather(worker, weather);
        let fine = weather == Weather::Fine;
        let again = (!fine).then_some(Timestamp(self.now + HOUR));
        self.scheduler.handle_settled(job.id, &job.recipients, again);
        self.scheduler.handle_free(worker);
        if fine {
            self.scheduler.handle_removed(job.id);
            assert!(self.delivered.insert(job.id, self.now).is_none(), "delivered twice");
            self.ask(worker);
        } else {
            self.scheduler.handle_closed(worker);
        }
    }

    pub(super) fn run_until(&mut self, end: u64) {
        loop {
            let done = self.running.first_key_value().map(|((at, _), _)| *at);
            let due = self.scheduler.next_time().map(|at| at.0.max(self.now));
            let Some(at) = [done, due].into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = at;
            self.scheduler.handle_time(Timestamp(at));
            self.dispatch();
            while let Calendar::Load { id, .. } = self.scheduler.poll_calendar(Timestamp(at)) {
                let (to, flow) = self.letters[&id].clone();
                let due = not_out(&self.scheduler, id);
                self.scheduler.handle_loaded(id, flow, due.map(|one| (site(&to), one)), None);
            }
            self.dispatch();
            if let Some(entry) = self.running.first_entry().filter(|entry| entry.key().0 <= at) {
                let ((_, worker), (job, lane, too_many)) = entry.remove_entry();
                self.end(worker, job, &lane, too_many);
                self.dispatch();
            }
        }
        self.now = end;
    }

    pub(super) fn bound(&self, name: &str) -> Bound {
        let lanes = self.scheduler.lanes(Timestamp(self.now));
        lanes.iter().find(|status| status.lane == site(name)).unwrap().bound
    }
}

pub(super) fn flow(sender: u64) -> Flow {
    Flow { priority: 0, sender }
}

#[test]
fn feedback_finds_how_many_connections_a_peer_bears() {
    let mut sim = Sim::new(500, &[("a", Peer { bears: 20, ..GOOD })]);
    (0..10_000).for_each(|id| sim.send(id, "a", flow(1)));
    sim.run_until(200 * SECOND);
    let (before, troubles) = (sim.delivered.len(), sim.troubles);
    sim.run_until(400 * SECOND);
    let rate = (sim.delivered.len() - before) / 200;
    assert!((12..=20).contains(&rate), "{rate} letters a second");
    assert!(sim.troubles - troubles < 100, "{} of some 3000 met trouble", sim.troubles - troubles);
    assert!(matches!(sim.bound("a"), Bound::Window | Bound::Nothing));
}

#[test]
fn a_limit_of_the_router_is_never_passed() {
    let mut sim = Sim::new(500, &[("a", GOOD)]);
    sim.limit("a", Limits::connections(8));
    (0..1_000).for_each(|id| sim.send(id, "a", flow(1)));
    for second in 1..100 {
        sim.run_until(second * SECOND);
        assert!(sim.running.len() <= 8);
    }
    assert_eq!((sim.running.len(), sim.bound("a")), (8, Bound::Connections));
    sim.limit("a", Limits::connections(2));
    sim.run_until(102 * SECOND);
    assert_eq!(sim.scheduler.workers().0, 2);
}

#[test]
fn a_dead_site_is_probed_by_one_at_a_time_with_growing_pauses() {
    let dead_until = 2 * HOUR + 1;
    let mut sim = Sim::new(500, &[("a", Peer { dead_until, takes: 0, ..GOOD })]);
    (0..1_000).for_each(|id| sim.send(id, "a", flow(1)));
    sim.run_until(HOUR);
    let times: Vec<u64> = sim.begun.iter().map(|(at, _)| at / SECOND).collect();
    let cohort = times.iter().take_while(|at| **at == 0).count();
    assert!((1..=7).contains(&cohort), "{times:?}");
    let pauses: Vec<u64> = times[cohort - 1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..8], [10, 20, 40, 80, 160, 320, 600, 600], "{times:?}");
    assert!(matches!(sim.bound("a"), Bound::Dead { .. }));
    sim.run_until(2 * HOUR + 1_200 * SECOND);
    assert!(sim.delivered.len() > 900, "one fine probe opens it again: {}", sim.delivered.len());
    sim.run_until(4 * HOUR);
    assert_eq!(sim.delivered.len(), 1_000);
}

#[test]
fn an_operator_has_a_dead_site_looked_at_now() {
    let mut sim = Sim::new(500, &[("a", Peer { dead_until: 1, takes: 0, ..GOOD })]);
    (0..100).for_each(|id| sim.send(id, "a", flow(1)));
    sim.run_until(2);
    assert!(sim.delivered.is_empty());
    sim.scheduler.handle_probe_all();
    sim.dispatch();
    sim.run_until(3);
    assert!(sim.delivered.len() >= 93, "{}", sim.delivered.len());
}

#[test]
fn a_hundred_thousand_for_a_slow_site_delay_no_letter_to_another() {
    let mut sim = Sim::new(20, &[("slow", GOOD), ("fast", Peer { takes: 1, ..GOOD })]);
    sim.limit("slow", Limits::connections(1));
    (0..100_000).for_each(|id| sim.send(id, "slow", flow(1)));
    for id in 100_000..100_010 {
        sim.run_until(sim.now + 10 * SECOND);
        sim.send(id, "fast", flow(2));
        sim.run_until(sim.now + 50);
        assert!(sim.delivered.contains_key(&QueueId(id)));
    }
}

#[test]
fn a_newsletter_delays_another_senders_letter_by_the_connections_in_hand_only() {
    let mut sim = Sim::new(20, &[("a", GOOD)]);
    sim.limit("a", Limits::connections(5));
    (0..100_000).for_each(|id| sim.send(id, "a", flow(1)));
    sim.run_until(10 * SECOND + 1);
    sim.send(100_000, "a", flow(2));
    sim.run_until(12 * SECOND);
    assert!(sim.delivered.contains_key(&QueueId(100_000)));
}

#[test]
fn a_rate_is_held_within_one_letter() {
    for (letters, per) in [(60, 60 * SECOND), (7, SECOND), (1, 30 * SECOND)] {
        let mut sim = Sim::new(20, &[("a", Peer { takes: 20, ..GOOD })]);
        let rate = Rate { letters, per: Duration::from_millis(per) };
        sim.limit("a", Limits { rate: Some(rate), ..Limits::connections(10) });
        (0..2_000).for_each(|id| sim.send(id, "a", flow(1)));
        assert_eq!(sim.bound("a"), Bound::Rate);
        sim.run_until(120 * SECOND);
        let begun = |from: u64| sim.begun.iter().filter(|(at, _)| (from..from + per).contains(at)).count();
        for from in (0..120 * SECOND - per).step_by(997) {
            assert!(begun(from).abs_diff(letters as usize) <= 1, "{} in {per} ms from {from}", begun(from));
        }
    }
}

#[test]
fn a_site_at_rest_is_left_alone_until_then() {
    let mut sim = Sim::new(20, &[("a", GOOD)]);
    let until = Timestamp(HOUR);
    sim.limit("a", Limits { rests_until: Some(until), ..Limits::connections(10) });
    sim.send(1, "a", flow(1));
    assert_eq!(sim.bound("a"), Bound::Resting { until });
    sim.run_until(HOUR - 1);
    assert!(sim.begun.is_empty());
    sim.run_until(HOUR + SECOND);
    assert_eq!(sim.delivered[&QueueId(1)], HOUR + SECOND);
}

#[test]
fn an_urgent_letter_is_first_and_the_low_ones_do_not_starve() {
    let mut sim = Sim::new(20, &[("a", GOOD)]);
    sim.limit("a", Limits::connections(1));
    for n in 0..300 {
        for (class, priority) in [-1, 0, 1].into_iter().enumerate() {
            sim.send(3 * n + class as u64, "a", Flow { priority, sender: 1 });
        }
    }
    sim.run_until(131 * SECOND);
    let of = |class: u64| sim.delivered.keys().filter(|id| id.0 % 3 == class).count();
    assert!((9..=11).contains(&of(0)) && (38..=42).contains(&of(1)) && of(2) >= 78, "{} {} {}", of(0), of(1), of(2));
}

#[test]
fn a_worker_prefers_letters_for_its_connection_and_passes_over_the_others_for_a_while_only() {
    let mut ready = ready::Ready::default();
    let via = |name: &str| Via(name.into());
    for id in 0..100 {
        let name = if id % 4 == 0 { "b" } else { "a" };
        ready.push(Job { via: via(name), ..job_of(id) });
    }
    let order: Vec<u64> = std::iter::from_fn(|| ready.pop(&via("a"))).map(|job| job.id.0).collect();
    assert_eq!(order[..6], [1, 2, 3, 5, 6, 7]);
    let waited = order.iter().position(|id| *id == 0).unwrap();
    assert!(waited <= 17, "{waited}");
    assert_eq!(order.len(), 100);
}

#[test]
fn a_sender_pays_for_letters_with_many_recipients() {
    let mut ready = ready::Ready::default();
    for id in 0..40 {
        let recipients = if id % 2 == 0 { (0..10).collect() } else { one() };
        ready.push(Job { recipients, flow: flow(id % 2), ..job_of(id) });
    }
    let first: Vec<u64> = (0..11).map(|_| ready.pop(&Via::default()).unwrap().flow.sender).collect();
    assert_eq!(first.iter().filter(|sender| **sender == 0).count(), 1, "{first:?}");
}

#[test]
fn a_search_that_was_given_up_is_asked_for_again() {
    let mut scheduler = scheduler(5, 10);
    let place = Place::Unknown { domain: "d.example".into(), source: Source::default() };
    scheduler.handle_enqueued(QueueId(1), Timestamp(DAY), Flow::default(), [(place, one())]);
    let search = Some(Dispatch::Search { domain: "d.example".into() });
    assert_eq!((scheduler.poll_dispatch(), scheduler.poll_dispatch()), (search, None));
    scheduler.handle_unsearched("d.example");
    assert_eq!((scheduler.poll_dispatch(), scheduler.searching()), (None, 1));
    assert_eq!(scheduler.poll_calendar(Timestamp(1)), Calendar::Wait(Some(Timestamp(10 * SECOND))));
    scheduler.handle_time(Timestamp(10 * SECOND));
    assert_eq!(scheduler.poll_dispatch(), Some(Dispatch::Search { domain: "d.example".into() }));
    scheduler.handle_found("d.example", &Site("a".into()), &Via("mx".into()));
    assert_eq!(opened(&mut scheduler), [(WorkerId(1), site("a"))]);
    assert_eq!(&*scheduler.take(WorkerId(1)).unwrap().via.0, "mx");
    scheduler.handle_unsearched("d.example");
    assert_eq!(scheduler.searching(), 0);
}

proptest! {
    #[test]
    fn no_lane_is_ever_forgotten(
        in_all in 1usize..6,
        dead in proptest::array::uniform3(0..6 * HOUR),
        bears in proptest::array::uniform3(1usize..8),
        rate in 1u32..100,
        rests in 0..HOUR,
        letters in proptest::collection::vec((0usize..3, 0..3 * HOUR, 0u64..3, -1i8..2), 1..80),
    ) {
        let names = ["a", "b", "c"];
        let peer = |n: usize| Peer { takes: 7 * SECOND, bears: bears[n], dead_until: dead[n] };
        let mut sim = Sim::new(in_all, &[("a", peer(0)), ("b", peer(1)), ("c", peer(2))]);
        let rate = Some(Rate { letters: rate, per: Duration::from_secs(60) });
        sim.limit("a", Limits { rate, ..Limits::connections(10) });
        sim.limit("b", Limits { rests_until: Some(Timestamp(rests)), ..Limits::connections(2) });
        let mut letters = letters;
        letters.sort_by_key(|(_, at, ..)| *at);
        for (id, (to, at, sender, priority)) in letters.iter().enumerate() {
            sim.run_until(*at);
            sim.send(id as u64, names[*to], Flow { priority: *priority, sender: *sender });
            prop_assert!(sim.scheduler.workers().0 <= in_all);
        }
        sim.run_until(2 * DAY);
        prop_assert_eq!(sim.delivered.len(), letters.len());
        prop_assert!(sim.scheduler.is_empty() && sim.scheduler.out.is_empty());
        // And none is kept in mind for ever. Idle workers close some time.
        let workers: Vec<WorkerId> = sim.scheduler.workers.keys().copied().collect();
        workers.into_iter().for_each(|worker| sim.scheduler.handle_closed(worker));
        sim.run_until(3 * DAY);
        prop_assert!(sim.scheduler.lanes.is_empty() && sim.scheduler.alarms.is_empty());
    }
}

#[test]
fn a_suspended_lane_is_left_alone_until_its_end_and_then_keeps_to_its_limits() {
    let mut sim = Sim::new(50, &[("a", GOOD), ("b", GOOD)]);
    sim.limit("a", Limits::connections(3));
    sim.send(0, "a", flow(1));
    let suspend = |sim: &mut Sim, until: Option<u64>| {
        let until = move |lane: &Lane| until.map(Timestamp).filter(|_| *lane == site("a"));
        sim.scheduler.handle_suspended(Box::new(until));
        sim.dispatch();
    };
    suspend(&mut sim, Some(HOUR));
    (1..100).for_each(|id| sim.send(id, "a", flow(1)));
    sim.send(100, "b", flow(1));
    sim.run_until(HOUR - 1);
    assert_eq!(sim.begun.len(), 2, "what ran goes on, and other lanes are free");
    assert_eq!(sim.bound("a"), Bound::Suspended { until: Some(Timestamp(HOUR)) });
    sim.run_until(HOUR);
    assert_eq!(sim.running.len(), 3, "due at once, but not all at once");
    suspend(&mut sim, Some(u64::MAX));
    sim.run_until(30 * DAY);
    assert_eq!(sim.bound("a"), Bound::Suspended { until: None });
    assert_eq!(sim.scheduler.next_time().map(|at| at.0 > DAY), Some(true), "no alarm rings for nothing");
    let before = sim.delivered.len();
    assert!(before < 10, "{before}");
    suspend(&mut sim, None);
    sim.run_until(31 * DAY);
    assert_eq!(sim.delivered.len(), 101);
}

#[test]
fn a_parked_letter_is_read_when_it_is_unparked_and_expires_at_its_time() {
    let mut scheduler = scheduler(5, 10);
    let park = |scheduler: &mut Scheduler, id| {
        scheduler.handle_waiting(QueueId(id), Timestamp(DAY), Timestamp(0));
        assert_eq!(scheduler.poll_calendar(Timestamp(1)), Calendar::Load { id: QueueId(id), all: false });
        scheduler.handle_loaded(QueueId(id), Flow::default(), Vec::<(Lane, RecipientSet)>::new(), None);
        scheduler.handle_parked(QueueId(id));
    };
    park(&mut scheduler, 1);
    park(&mut scheduler, 2);
    assert_eq!(scheduler.poll_calendar(Timestamp(2)), Calendar::Wait(Some(Timestamp(DAY))));
    scheduler.handle_unparked(QueueId(1), Timestamp(3));
    assert_eq!(scheduler.poll_calendar(Timestamp(3)), Calendar::Load { id: QueueId(1), all: false });
    scheduler.handle_loaded(QueueId(1), Flow::default(), Vec::<(Lane, RecipientSet)>::new(), None);
    assert_eq!(scheduler.parked(), [QueueId(2)]);
    assert!(matches!(scheduler.poll_calendar(Timestamp(DAY)), Calendar::Expire { .. }));
    assert!(matches!(scheduler.poll_calendar(Timestamp(DAY)), Calendar::Expire { .. }));
    scheduler.handle_removed(QueueId(2));
    assert!(scheduler.parked().is_empty(), "nobody remembers a letter that is gone");
}
