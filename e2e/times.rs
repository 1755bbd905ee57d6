//! Letters with a time: held until then, or back by then.

use std::time::{Duration, Instant};

use harness::{Profile, Sink};

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

#[test]
fn who_has_not_logged_in_can_have_nothing_held() {
    let program = crate::relay_house().start();
    let mut client = on_relay(&program);
    assert!(client.say("EHLO client.test", 250).offers("FUTURERELEASE").is_none());
    client.say("MAIL FROM:<a@a.test> HOLDFOR=2", 555);
    client.say("MAIL FROM:<a@a.test> BY=120;R", 555);
    client.say("MAIL FROM:<a@a.test> MT-PRIORITY=9", 555);
}
