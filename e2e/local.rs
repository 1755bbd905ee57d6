//! Mailboxes on this machine: aliases, catch-all, tags, Maildir and LMTP.

use std::time::Duration;

use harness::maildir::contains;
use harness::{Profile, Program, Sink, Stage, wait_until};

use crate::{ANNA, annas_house, as_anna, from_anna, house, on_relay};

fn send(program: &Program, to: &str, mark: &str) {
    let mut client = on_relay(program);
    let reply = client.deliver("someone@elsewhere.test", &[to], &from_anna(to, mark));
    assert_eq!(reply.code, 250, "{to}: {reply}");
}

#[test]
fn aliases_lead_to_mailboxes_here_and_elsewhere() {
    let sink = Sink::start();
    let program = house()
        .listen(Profile::Relay)
        .local_with(
            "example.test",
            "mailboxes = [\"bob\", \"carol\"]\naliases = { info = [\"bob\", \"carol\"], shop = \"info\", far = \"x@far.test\" }",
        )
        .route("far.test", sink.address())
        .start();
    send(&program, "shop@example.test", "to-the-shop");
    program.maildir("bob@example.test").wait_for_letter("to-the-shop");
    program.maildir("carol@example.test").wait_for_letter("to-the-shop");
    send(&program, "far@example.test", "to-far");
    assert_eq!(sink.wait_for(1)[0].to, ["<x@far.test>"]);
}

/// RFC 3461 §5.2.7.3.
#[test]
fn who_asks_of_an_alias_whether_it_arrived_hears_that_it_stands_for_several() {
    let program = annas_house()
        .local_with("shop.test", "mailboxes = [\"bob\", \"carol\"]\naliases = { info = [\"bob\", \"carol\"] }")
        .start();
    let mut client = as_anna(&program, Profile::Submissions);
    client.say(&format!("MAIL FROM:<{ANNA}> ENVID=order-7"), 250);
    client.say("RCPT TO:<info@shop.test> NOTIFY=SUCCESS,FAILURE", 250);
    client.say("DATA", 354);
    client.send(&from_anna("info@shop.test", "to several"));
    client.send(b".\r\n");
    client.expect(250);
    let report = program.house.maildir(ANNA).wait_for_letter("Action: expanded");
    for expected in ["Original-Envelope-Id: order-7\r\n", "Final-Recipient: rfc822; info@shop.test\r\n"] {
        assert!(contains(&report, expected), "{}", String::from_utf8_lossy(&report));
    }
    program.maildir("carol@shop.test").wait_for_letter("to several");
    assert_eq!(program.house.maildir(ANNA).letters().len(), 1, "one report, and none of each delivery");
}

#[test]
fn one_letter_comes_once_by_two_ways() {
    let program = house()
        .listen(Profile::Relay)
        .local_with("example.test", "mailboxes = [\"bob\"]\naliases = { info = \"bob\", sales = \"bob\" }")
        .start();
    let mut client = on_relay(&program);
    let to = ["info@example.test", "sales@example.test", "bob@example.test"];
    client.deliver("a@b.test", &to, &from_anna(to[0], "only-once"));
    program.maildir("bob@example.test").wait_for_letter("only-once");
    send(&program, "bob@example.test", "the-next");
    program.maildir("bob@example.test").wait_for_letter("the-next");
    let came = program.maildir("bob@example.test").letters();
    assert_eq!(came.iter().filter(|letter| contains(letter, "only-once")).count(), 1);
}

#[test]
fn a_tag_leads_to_the_mailbox() {
    let program = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    send(&program, "bob+news@example.test", "tagged");
    program.maildir("bob@example.test").wait_for_letter("tagged");
    send(&program, "BOB@EXAMPLE.TEST", "capitals");
    program.maildir("bob@example.test").wait_for_letter("capitals");
}

#[test]
fn a_catch_all_takes_what_is_left() {
    let program = house()
        .listen(Profile::Relay)
        .local_with("example.test", "mailboxes = [\"bob\", \"rest\"]\ncatch_all = \"rest\"")
        .start();
    send(&program, "whoever@example.test", "for-the-rest");
    program.maildir("rest@example.test").wait_for_letter("for-the-rest");
    send(&program, "bob@example.test", "for-bob");
    program.maildir("bob@example.test").wait_for_letter("for-bob");
    assert!(!program.maildir("rest@example.test").has("for-bob"));
}

#[test]
fn a_letter_in_a_maildir_is_whole_and_tells_its_way() {
    let program = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    send(&program, "bob@example.test", "its-way");
    let stored = program.maildir("bob@example.test").wait_for_letter("its-way");
    let text = String::from_utf8_lossy(&stored).replace("\r\n", "\n");
    assert!(text.starts_with("Return-Path: <someone@elsewhere.test>\n"), "{text}");
    assert!(text.contains("\nReceived: from client.test"), "{text}");
    assert!(text.contains("for <bob@example.test>"), "{text}");
    let files = program.maildir("bob@example.test").files();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.split('.').count() >= 3, "not unique across time, process and host: {name}");
    let tmp = program.maildir("bob@example.test").path().join("tmp");
    assert_eq!(std::fs::read_dir(tmp).expect("tmp").count(), 0);
}

#[test]
fn lmtp_delivers_each_recipient_by_itself() {
    let lmtp = Sink::builder().lmtp().start();
    lmtp.answer(Stage::End, "carol@", "452 4.2.2 over quota", 1);
    let program = house()
        .listen(Profile::Relay)
        .local_with("example.test", &format!("mailboxes = [\"bob\", \"carol\"]\ndeliver = \"lmtp:{}\"", lmtp.address()))
        .retry(&["0s", "1s"])
        .start();
    let mut client = on_relay(&program);
    client.deliver("a@b.test", &["bob@example.test", "carol@example.test"], &from_anna("bob@example.test", "by-lmtp"));
    wait_until(Duration::from_secs(20), "both mailboxes", || {
        lmtp.look(|letters| letters.iter().flat_map(|letter| &letter.to).count() == 2)
    });
    let letters = lmtp.letters();
    assert!(letters.iter().all(|letter| letter.hello.starts_with("LHLO")));
    let times = |who: &str| letters.iter().flat_map(|letter| &letter.to).filter(|to| to.contains(who)).count();
    assert_eq!((times("bob@"), times("carol@")), (1, 1));
}
