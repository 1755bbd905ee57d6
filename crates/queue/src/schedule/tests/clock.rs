//! The clock is set, forward and back, by hours and by days.

use super::lanes::{GOOD, Peer, Sim, flow};
use super::*;

const FULL: (&str, u64, u64) = ("full", SECOND, u64::MAX);

/// A world with letters that were deferred some times, on the second day of their lives.
fn on_the_second_day() -> World {
    let mut world = World::new(5, 50, &[FULL, ("good", SECOND, 0)]);
    (0..500).for_each(|id| world.enqueue(id, "full"));
    world.run_until(DAY);
    world
}

fn set(world: &mut World, to: u64) {
    let longest = world.policy.longest();
    if to < world.now {
        world.scheduler.handle_clock_back(Timestamp(to), Timestamp(to).after(longest));
    } else {
        world.scheduler.handle_clock_forward(Timestamp(to));
    }
    // What is being tried ends all the same.
    let running = std::mem::take(&mut world.running);
    let by = i128::from(to) - i128::from(world.now);
    let moved = |at: u64| u64::try_from(i128::from(at) + by).unwrap_or(0);
    world.running = running.into_iter().map(|((at, worker), job)| ((moved(at), worker), job)).collect();
    world.now = to;
}

#[test]
fn a_clock_set_forward_by_hours_has_each_letter_tried_once() {
    for hours in [1, 6, 30] {
        let mut world = on_the_second_day();
        let before = world.attempts;
        set(&mut world, DAY + hours * HOUR);
        world.run_until(DAY + hours * HOUR + 30 * 60 * SECOND);
        let attempts = world.attempts - before;
        // Three hours and a fifth are the longest wait of most of them.
        assert!(attempts <= 600, "{hours} h: a storm of {attempts}");
        assert!(hours == 1 || attempts >= 500, "{hours} h: {attempts}");
        assert!(world.expired.is_empty());
    }
}

#[test]
fn a_clock_set_forward_past_their_lives_does_not_end_letters_untried() {
    let mut world = on_the_second_day();
    // By the time, the site is well.
    world.peers.insert("full".into(), (SECOND, 30 * DAY));
    set(&mut world, 30 * DAY);
    world.run_until(30 * DAY + HOUR);
    assert_eq!((world.delivered.len(), world.expired.len()), (500, 0));
    // Where it is not, they end after that attempt.
    let mut world = on_the_second_day();
    let before = world.attempts;
    set(&mut world, 30 * DAY);
    world.run_until(30 * DAY + 2 * HOUR);
    assert_eq!((world.attempts - before, world.expired.len()), (500, 500));
    assert!(world.scheduler.is_empty());
}

#[test]
fn a_clock_set_back_puts_no_letter_off_for_long() {
    for back in [2 * HOUR, 23 * HOUR] {
        let mut world = on_the_second_day();
        let before = world.attempts;
        set(&mut world, DAY - back);
        let longest = world.policy.longest().as_millis() as u64;
        world.run_until(DAY - back + longest);
        let attempts = world.attempts - before;
        assert!((500..2_000).contains(&attempts), "{back}: {attempts} attempts in {longest} ms");
    }
    // Nor a letter that comes after it.
    let mut world = on_the_second_day();
    set(&mut world, DAY - 20 * HOUR);
    world.enqueue(1_000, "good");
    world.run_until(DAY - 20 * HOUR + 2 * SECOND);
    assert!(world.delivered.contains_key(&QueueId(1_000)));
}

#[test]
fn a_dead_site_is_looked_at_again_whatever_the_clock_does() {
    for to in [HOUR, 3 * DAY - 10 * HOUR, 40 * DAY] {
        let mut sim = Sim::new(50, &[("dead", Peer { dead_until: u64::MAX, ..GOOD })]);
        sim.run_until(3 * DAY - HOUR);
        (0..100).for_each(|id| sim.send(id, "dead", flow(1)));
        sim.run_until(3 * DAY);
        if to < sim.now {
            sim.scheduler.handle_clock_back(Timestamp(to), Timestamp(to + 6 * HOUR));
        } else {
            sim.scheduler.handle_clock_forward(Timestamp(to));
        }
        sim.now = to;
        sim.peers.insert("dead".into(), GOOD);
        sim.run_until(to + 7 * HOUR);
        assert_eq!(sim.delivered.len(), 100, "set to {to}");
        assert!(sim.scheduler.is_empty());
    }
}

#[test]
fn days_forward_and_back_again_leave_everything_as_it_should_be() {
    let mut world = on_the_second_day();
    set(&mut world, 4 * DAY);
    world.run_until(4 * DAY + 10 * 60 * SECOND);
    set(&mut world, DAY + 10 * 60 * SECOND);
    world.peers.insert("full".into(), (SECOND, 0));
    world.run_until(2 * DAY);
    assert_eq!((world.delivered.len(), world.expired.len()), (500, 0));
    assert!(world.scheduler.is_empty());
}
