//! Many letters, little memory: what is behind a dead or slow site, what is on the calendar, and what each costs.

use super::lanes::{GOOD, Peer, Sim, flow};
use super::*;
use crate::schedule::behind::{ACTIVE_MOST, Behind};
use crate::schedule::pace::Pace;
use crate::schedule::workers::LaneQueue;

const DEAD: Peer = Peer { dead_until: HOUR, ..GOOD };
const SLOW: Peer = Peer { takes: SECOND, bears: 1, dead_until: 0 };

#[test]
fn a_letter_and_a_lane_cost_so_much_and_no_more() {
    assert!(size_of::<(QueueId, Plan)>() <= 32);
    assert!(size_of::<(Timestamp, QueueId)>() <= 16);
    assert!(size_of::<LaneQueue>() <= 256, "{}", size_of::<LaneQueue>());
    assert!(size_of::<Pace>() <= 144, "{}", size_of::<Pace>());
    assert!(size_of::<Behind>() <= 64);
}

#[test]
fn a_dead_site_has_no_letters_in_memory_and_all_leave_when_it_is_back() {
    let mut sim = Sim::new(500, &[("dead", DEAD)]);
    (0..2_000).for_each(|id| sim.send(id, "dead", flow(id % 7)));
    sim.run_until(30 * 60 * SECOND);
    assert_eq!(sim.scheduler.active(), 0);
    let lane = &sim.scheduler.lanes[&site("dead")];
    assert_eq!(lane.ready.len(), 0);
    assert!(sim.scheduler.ready(&site("dead")) > 1_900, "they are counted all the same");
    assert!(matches!(sim.bound("dead"), Bound::Dead { .. }));
    let probes = sim.begun.len();
    assert!(probes < 20, "{probes} attempts while it was dead");
    sim.run_until(3 * HOUR);
    assert_eq!(sim.delivered.len(), 2_000);
    assert!(sim.scheduler.is_empty() && sim.scheduler.out.is_empty() && sim.scheduler.overdue.is_empty());
    assert!(sim.scheduler.lanes.values().all(|lane| lane.behind.is_none()));
}

#[test]
fn behind_a_dead_site_senders_keep_their_turns() {
    let mut sim = Sim::new(500, &[("dead", Peer { takes: 100, ..DEAD })]);
    (0..5_000).for_each(|id| sim.send(id, "dead", flow(1)));
    // Back, but nobody has looked yet.
    sim.run_until(HOUR + SECOND);
    assert!(matches!(sim.bound("dead"), Bound::Dead { .. }));
    sim.send(9_000, "dead", flow(2));
    sim.send(9_001, "dead", Flow { priority: -1, sender: 3 });
    sim.run_until(3 * HOUR);
    let before = |id: u64| sim.delivered.values().filter(|at| **at < sim.delivered[&QueueId(id)]).count();
    assert!(before(9_000) < 300, "{} letters before the one of another sender", before(9_000));
    assert!(before(9_001) < 300, "{} letters before the one of the lower class", before(9_001));
}

#[test]
fn a_hundred_thousand_letters_for_a_slow_site_delay_no_other() {
    let mut sim = Sim::new(20, &[("slow", SLOW), ("fast", Peer { takes: 10, ..GOOD })]);
    sim.limit("slow", Limits::connections(1));
    (0..100_000).for_each(|id| sim.send(id, "slow", flow(1)));
    assert!(sim.scheduler.active() <= ACTIVE_MOST * 2 / 3, "{} in memory", sim.scheduler.active());
    sim.run_until(10 * SECOND);
    sim.send(200_000, "fast", flow(1));
    sim.run_until(11 * SECOND);
    assert_eq!(sim.delivered.get(&QueueId(200_000)), Some(&(10 * SECOND + 10)));
    // One that was deferred is read and goes as well.
    sim.letters.insert(QueueId(200_001), ("fast".into(), flow(1)));
    sim.scheduler.handle_waiting(QueueId(200_001), Timestamp(DAY), Timestamp(20 * SECOND));
    sim.run_until(21 * SECOND);
    assert_eq!(sim.delivered.get(&QueueId(200_001)), Some(&(20 * SECOND + 10)));
    // Nor does another sender's to the slow one wait for all of them.
    sim.send(200_002, "slow", flow(2));
    sim.run_until(40 * SECOND);
    assert!(sim.delivered.contains_key(&QueueId(200_002)));
}

#[test]
fn a_slow_site_gets_all_its_letters_from_behind() {
    let mut sim = Sim::new(20, &[("slow", Peer { takes: 10, ..GOOD })]);
    sim.limit("slow", Limits::connections(1));
    (0..40_000).for_each(|id| sim.send(id, "slow", flow(id % 3)));
    assert!(sim.scheduler.active() < 20_000);
    sim.run_until(HOUR);
    assert_eq!(sim.delivered.len(), 40_000);
    assert!(sim.scheduler.is_empty());
}

#[test]
fn with_a_million_on_the_calendar_each_is_read_at_its_time() {
    let mut scheduler = scheduler(5, 500);
    let due = |id: u64| id.wrapping_mul(7_919_317) % (3 * HOUR);
    for id in 0..1_000_000 {
        scheduler.handle_waiting(QueueId(id), Timestamp(5 * DAY), Timestamp(due(id)));
    }
    let mut read = 0;
    for second in 0..30 {
        let now = Timestamp(second * SECOND);
        while let Calendar::Load { id, .. } = scheduler.poll_calendar(now) {
            assert!(due(id.0) + SECOND > now.0.saturating_sub(1), "{} ms late", now.0 - due(id.0));
            scheduler.handle_loaded(id, Flow::default(), None::<(Lane, RecipientSet)>, Some(Timestamp(DAY)));
            read += 1;
        }
        assert!(scheduler.next_time().is_some_and(|at| at > now));
    }
    assert_eq!(read, (0..1_000_000).filter(|id| due(*id) <= 29 * SECOND).count());
    assert!(scheduler.letters.octets() < 36 << 20, "{}", scheduler.letters.octets());
}

#[test]
fn letters_that_are_due_wait_while_there_are_enough_in_memory_and_expire_meanwhile() {
    let mut scheduler = scheduler(5, 10);
    for id in 0..ACTIVE_MOST as u64 {
        let lane = site(&format!("busy{}", id % 1_000));
        scheduler.handle_enqueued(QueueId(id), Timestamp(DAY), flow(id), [(lane, one())]);
    }
    assert_eq!(scheduler.active(), ACTIVE_MOST);
    let late = QueueId(1_000_000);
    scheduler.handle_waiting(late, Timestamp(HOUR), Timestamp(1));
    let short = QueueId(1_000_001);
    scheduler.handle_waiting(short, Timestamp(10), Timestamp(1));
    assert!(matches!(scheduler.poll_calendar(Timestamp(2)), Calendar::Wait(_)));
    let running = RecipientSet::default();
    assert_eq!(scheduler.poll_calendar(Timestamp(10)), Calendar::Expire { id: short, running });
    scheduler.handle_removed(short);
    assert!(matches!(scheduler.poll_calendar(Timestamp(11)), Calendar::Wait(_)));
    (0..10).for_each(|id| scheduler.handle_removed(QueueId(id)));
    assert!(scheduler.next_time().is_some_and(|at| at <= Timestamp(11)), "the driver is woken");
    assert_eq!(scheduler.poll_calendar(Timestamp(11)), Calendar::Load { id: late, all: false });
}

#[test]
fn what_waits_behind_a_dead_site_expires_on_time() {
    let mut scheduler = Scheduler::new(Arc::new(Limit(5)), 10, 1);
    for id in 0..50 {
        scheduler.handle_enqueued(QueueId(id), Timestamp(DAY + id), Flow::default(), [(site("dead"), one())]);
    }
    let (worker, _) = opened(&mut scheduler)[0].clone();
    let job = scheduler.take(worker).unwrap();
    scheduler.handle_weather(worker, crate::queue::Weather::Dead);
    scheduler.handle_settled(job.id, &job.recipients, Some(Timestamp(HOUR)));
    scheduler.handle_closed(worker);
    let resting =
        std::iter::from_fn(|| scheduler.poll_dispatch()).filter(|d| matches!(d, Dispatch::Rest { .. })).count();
    assert_eq!((resting, scheduler.active()), (49, 0));
    let mut expired = Vec::new();
    for at in (0..DAY + 100).step_by(30_000).chain([DAY + 100]) {
        loop {
            match scheduler.poll_calendar(Timestamp(at)) {
                // It is still dead when it is looked at.
                Calendar::Load { id, .. } => {
                    let due = not_out(&scheduler, id);
                    scheduler.handle_loaded(id, Flow::default(), due.map(|one| (site("dead"), one)), None);
                }
                Calendar::Expire { id, .. } => {
                    expired.push((id, at));
                    scheduler.handle_removed(id);
                }
                Calendar::Wait(_) => break,
            }
        }
        while scheduler.poll_dispatch().is_some() {}
    }
    assert_eq!(expired.len(), 50);
    assert!(expired.iter().all(|(id, at)| *at >= DAY + id.0 && *at <= DAY + 30_000));
}

#[test]
fn an_operator_gets_a_letter_from_behind_tried_at_once() {
    let mut sim = Sim::new(500, &[("dead", Peer { dead_until: 60 * SECOND, ..DEAD })]);
    (0..100).for_each(|id| sim.send(id, "dead", flow(1)));
    sim.run_until(65 * SECOND);
    let id = *sim.letters.keys().find(|id| sim.scheduler.next_try(**id).is_none()).unwrap();
    assert!(sim.scheduler.handle_retry(id));
    sim.scheduler.handle_probe_all();
    sim.run_until(70 * SECOND);
    assert!(sim.delivered.contains_key(&id));
}
