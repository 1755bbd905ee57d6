use queue::{Suspended, Suspension};

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn lane(bound: Bound) -> LaneReport {
    LaneReport {
        site: "google.com".into(),
        source: String::new(),
        ready: 3,
        running: 1,
        open: 5,
        allowed: 3,
        limit: 5,
        rate: Some((60, 60_000)),
        begun: 7,
        bound,
        rule: None,
        suspension: None,
    }
}

fn group() -> Group {
    let lane = Some(("google.com".to_owned(), String::new()));
    Group { letters: 4, ready: 3, trying: 1, lane, ..Group::default() }
}

#[test]
fn each_limit_is_said_in_plain_words() {
    let said = |bound| of_group(&group(), Some(&lane(bound)), 500, NOW);
    assert_eq!(said(Bound::Connections), "all 5 connections in use");
    assert_eq!(said(Bound::Window), "all 3 connections in use that they seem to bear");
    assert_eq!(said(Bound::Rate), "rate 60/min");
    assert_eq!(said(Bound::Dead { until: Timestamp(1_040_000) }), "no answer from there; looks again in 40s");
    assert_eq!(said(Bound::WorkersOfAll), "all 500 connections outward in use elsewhere");
    assert_eq!(said(Bound::Nothing), "being tried now");
    assert_eq!(
        of_lane(&LaneReport { limit: 1, ..lane(Bound::Connections) }, 500, NOW).unwrap(),
        "the only connection in use"
    );
}

#[test]
fn the_rule_that_changed_a_limit_is_named() {
    let rule = Some("rule google-421 after \"421 4.7.28 slow down\"".to_owned());
    let lane = LaneReport { rule, ..lane(Bound::Rate) };
    let said = of_group(&group(), Some(&lane), 500, NOW);
    assert_eq!(said, "rate 60/min: rule google-421 after \"421 4.7.28 slow down\"");
}

#[test]
fn an_operators_word_goes_before_all_limits() {
    let (of, reason) = (Suspended::Domain("b.test".into()), "they asked".to_owned());
    let suspension = Some(Suspension { of, reason, since: NOW, until: None });
    let group = Group { suspended: 2, suspension, ..group() };
    let said = of_group(&group, Some(&lane(Bound::Connections)), 500, NOW);
    assert_eq!(said, "the domain b.test is suspended: they asked");
}

#[test]
fn what_no_limit_keeps_back_waits_for_its_time() {
    let said = |group: Group| of_group(&group, None, 500, NOW);
    let waiting = Group { letters: 1, waiting: 1, next: Some(Timestamp(1_300_000)), ..Group::default() };
    assert_eq!(said(waiting), "next try in 5m");
    assert_eq!(said(Group { letters: 1, held: 1, ..Group::default() }), "held by an operator");
    assert_eq!(said(Group { ready: 1, unplaced: true, ..Group::default() }), "waits for the DNS to say where it goes");
    assert_eq!(said(Group { trying: 0, ..group() }), "about to go");
    assert!(said(Group { lane: None, ..group() }).starts_with("ready, at more than one site"));
}
