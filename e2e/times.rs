//! Letters with a time: held until then, or back by then.

use std::time::{Duration, Instant};

use harness::maildir::contains;
use harness::{Profile, Program, Sink, Stage};

use crate::{ANNA, annas_house, as_anna, from_anna, on_relay};

#[test]
fn a_letter_with_holdfor_goes_out_then_and_not_before() {
    let sink = Sink::start();
    let program = annas_house().route("b.test", sink.address()).start();
    let mut client = as_anna(&program, Profile::Submissions);
    let hello = client.say("EHLO client.test", 250);
    assert!(hello.offers("FUTURERELEASE").is_some_and(|limits| limits.starts_with("5184000 ")), "{hello}");
    let begun = Instant::now();
    client.say(&format!("MAIL FROM:<{ANNA}> HOLDFOR=2 MT-PRIORITY=3"), 250);
    client.say("RCPT TO:<x@b.test>", 250);
    client.say("DATA", 354);
    client.send(&from_anna("x@b.test", "later"));
    client.send(b".\r\n");
    client.expect(250);
    client.deliver(ANNA, &["y@b.test"], &from_anna("y@b.test", "now"));
    assert_eq!(sink.wait_for(1)[0].to, ["<y@b.test>"]);
    let letters = sink.wait_for(2);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(letters[1].to, ["<x@b.test>"]);
    assert!(!letters[1].mail.contains("HOLD"), "{}", letters[1].mail);
}

#[test]
fn a_letter_that_must_be_there_in_time_comes_back_from_a_server_that_promises_nothing() {
    let sink = Sink::start();
    let program = annas_house().route("b.test", sink.address()).start();
    let mut client = as_anna(&program, Profile::Submissions);
    client.say(&format!("MAIL FROM:<{ANNA}> BY=60;R"), 250);
    client.say("RCPT TO:<x@b.test>", 250);
    client.say("DATA", 354);
    client.send(&from_anna("x@b.test", "in time"));
    client.send(b".\r\n");
    client.expect(250);
    program.house.maildir(ANNA).wait_for_letter("Status: 5.4.7");
    assert_eq!(sink.count(), 0);
}

/// A letter of Anna's with these parameters of MAIL.
fn send_with(program: &Program, params: &str, to: &str) {
    let mut client = as_anna(program, Profile::Submissions);
    client.say(&format!("MAIL FROM:<{ANNA}> {params}"), 250);
    client.say(&format!("RCPT TO:<{to}>"), 250);
    client.say("DATA", 354);
    client.send(&from_anna(to, "in time"));
    client.send(b".\r\n");
    client.expect(250);
}

/// RFC 2852 §4: with N its sender is told that it is late, and it goes on.
#[test]
fn a_letter_that_is_late_is_told_of_and_delivered_all_the_same() {
    let sink = Sink::start();
    sink.answer(Stage::Mail, "", "451 4.3.2 not yet", 1000);
    let program = annas_house().retry(&["0s", "1s"]).route("b.test", sink.address()).start();
    send_with(&program, "BY=2;N", "x@b.test");
    let report = program.house.maildir(ANNA).wait_for_letter("Action: delayed");
    for expected in
        ["Status: 4.4.7\r\n", "Deliver-By-Date: ", "It was to be delivered by", "please do not send it again"]
    {
        assert!(contains(&report, expected), "{expected} is not in\n{}", String::from_utf8_lossy(&report));
    }
    sink.relent();
    sink.wait_for(1);
    // It went to where nobody watches the time.
    let report = program.house.maildir(ANNA).wait_for_letter("Action: relayed");
    assert!(contains(&report, "It was to be delivered by"));
}

#[test]
fn a_server_that_watches_the_time_gets_what_is_left_and_with_trace_its_sender_hears_of_it() {
    let sink = Sink::builder().offer(&["PIPELINING", "DSN", "DELIVERBY"]).start();
    let program = annas_house().route("b.test", sink.address()).start();
    send_with(&program, "BY=100;NT", "x@b.test");
    let mail = sink.wait_for(1).remove(0).mail;
    let left = mail.split(" BY=").nth(1).and_then(|by| by.split(';').next()).and_then(|left| left.parse::<i64>().ok());
    assert!(left.is_some_and(|left| (80..=100).contains(&left)) && mail.contains(";NT"), "{mail}");
    program.house.maildir(ANNA).wait_for_letter("Action: relayed");
}

#[test]
fn who_has_not_logged_in_can_have_nothing_held() {
    let program = crate::relay_house().start();
    let mut client = on_relay(&program);
    assert!(client.say("EHLO client.test", 250).offers("FUTURERELEASE").is_none());
    client.say("MAIL FROM:<a@a.test> HOLDFOR=2", 555);
    client.say("MAIL FROM:<a@a.test> BY=120;R", 555);
    client.say("MAIL FROM:<a@a.test> MT-PRIORITY=9", 555);
}
