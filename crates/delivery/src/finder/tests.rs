use dns::DnsError;

use super::*;
use crate::mx::PlannedHost;
use crate::tests::shipped;

fn plan(server: &str) -> Result<Plan, Unroutable> {
    let host = PlannedHost { name: server.into(), preference: 10, addresses: vec![[192, 0, 2, 1].into()] };
    Ok(Plan { hosts: vec![host], names: vec![server.into()] })
}

fn trouble() -> Result<Plan, Unroutable> {
    Err(Unroutable::Dns(DnsError { name: "d.example".into(), what: "SERVFAIL".into() }))
}

#[test]
fn an_answer_lives_its_life_and_no_longer() {
    let (finder, start) = (Finder::default(), Instant::now());
    finder.learn(shipped(), "d.example", plan("mx.example"), start);
    let just_before = start + LIFE - Duration::from_millis(1);
    assert_eq!(&*finder.known("d.example", just_before).unwrap().site.0, "mx.example");
    assert!(finder.known("d.example", start + LIFE).is_none());
    assert!(finder.known("other.example", start).is_none());
}

#[test]
fn trouble_is_asked_about_again_sooner_than_an_answer() {
    let (finder, start) = (Finder::default(), Instant::now());
    finder.learn(shipped(), "d.example", trouble(), start);
    finder.learn(shipped(), "none.example", Err(Unroutable::NullMx("none.example".into())), start);
    assert_eq!(&*finder.known("d.example", start).unwrap().site.0, "mx:d.example");
    assert!(finder.known("d.example", start + LIFE_OF_TROUBLE).is_none());
    assert!(finder.known("none.example", start + LIFE_OF_TROUBLE).is_some());
}

#[test]
fn the_last_answer_stands() {
    let (finder, start) = (Finder::default(), Instant::now());
    finder.learn(shipped(), "d.example", plan("old.example"), start);
    finder.learn(shipped(), "d.example", plan("new.example"), start);
    assert_eq!(&*finder.known("d.example", start).unwrap().site.0, "new.example");
}

#[test]
fn memory_is_bounded_and_keeps_what_is_asked_for() {
    let (finder, start) = (Finder::with_room_for(10), Instant::now());
    finder.learn(shipped(), "kept.example", plan("mx.example"), start);
    for n in 0..1000 {
        finder.learn(shipped(), &format!("{n}.example"), plan("mx.example"), start);
        assert!(finder.known("kept.example", start).is_some(), "after {n}");
        assert!(finder.lock().len() <= 10);
    }
    assert!(finder.known("0.example", start).is_none());
}

#[test]
fn what_nobody_asks_for_is_forgotten_with_time() {
    let (finder, start) = (Finder::default(), Instant::now());
    finder.learn(shipped(), "d.example", plan("mx.example"), start);
    finder.learn(shipped(), "e.example", plan("mx.example"), start + LIFE);
    finder.learn(shipped(), "f.example", plan("mx.example"), start + 2 * LIFE);
    assert_eq!(finder.lock().len(), 2);
}

#[test]
fn an_attempt_asks_again_about_trouble_that_is_not_new() {
    let (finder, start) = (Finder::default(), Instant::now());
    let failed = finder.learn(shipped(), "d.example", trouble(), start);
    assert!(failed.serves_an_attempt(start) && !failed.serves_an_attempt(start + JUST_NOW));
    let found = finder.learn(shipped(), "d.example", plan("mx.example"), start);
    assert!(found.serves_an_attempt(start + JUST_NOW));
}

#[test]
fn what_is_forgotten_is_asked_for_again() {
    let (finder, start) = (Finder::default(), Instant::now());
    finder.learn(shipped(), "d.example", plan("mx.example"), start);
    finder.forget("d.example");
    assert!(finder.known("d.example", start).is_none());
}
