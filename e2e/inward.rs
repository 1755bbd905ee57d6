//! What comes in wrongly: relay tricks, smuggling, sizes, foreign protocols. The session stays in step, or is closed.

use harness::letter::letter_of_size;
use harness::{Profile, Sink};

use crate::{annas_house, from_anna, on_relay, relay_house};

#[test]
fn relay_tricks_are_no_way_out() {
    let sink = Sink::start();
    let program = annas_house().route("*", sink.address()).start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<someone@elsewhere.test>", 250);
    for trick in [
        "<user%elsewhere.test@example.test>",
        "<elsewhere.test!user@example.test>",
        "<\"user@elsewhere.test\"@example.test>",
        "<\"user@elsewhere.test\">",
        "<user@elsewhere.test@example.test>",
        "<user@[127.0.0.1]>",
        "<user@elsewhere.test.>",
        "<@elsewhere.test,@example.test:user@elsewhere.test>",
        "<user@example.test.elsewhere.test>",
        "<user@elsewhere.test\0@example.test>",
        "<someone@ELSEWHERE.test>",
        "user@elsewhere.test",
    ] {
        let reply = client.ask(&format!("RCPT TO:{trick}"));
        assert!((500..600).contains(&reply.code), "{trick}: {reply}");
    }
    // A source route is read past: what counts is the last address, and that one is ours.
    client.say("RCPT TO:<@elsewhere.test:bob@example.test>", 250);
    assert_eq!(sink.count(), 0);
}

#[test]
fn unknown_mailboxes_are_refused_at_once() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<>", 250);
    let reply = client.say("RCPT TO:<nobody@example.test>", 550);
    assert!(reply.says("5.1.1"), "{reply}");
    client.say("RCPT TO:<bob@example.test>", 250);
}

#[test]
fn postmaster_is_always_there() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<someone@elsewhere.test>", 250);
    client.say("RCPT TO:<Postmaster>", 250);
    client.say("RCPT TO:<postmaster@example.test>", 250);
}

#[test]
fn a_second_letter_cannot_be_smuggled_in() {
    let sink = Sink::start();
    let program = relay_house().route("*", sink.address()).start();
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\n.\r", "\r.\r\n", "\r\n\0.\r\n"] {
        let mut client = on_relay(&program);
        client.say("MAIL FROM:<a@b.test>", 250);
        client.say("RCPT TO:<c@d.test>", 250);
        client.say("DATA", 354);
        let hidden = "MAIL FROM:<evil@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: hidden\r\n\r\nhi\r\n.\r\n";
        client.send(format!("Subject: x\r\n\r\ntext{end}{hidden}").as_bytes());
        let reply = client.reply();
        // Refused, or the whole taken as one letter; never two.
        assert!(reply.code == 250 || (550..560).contains(&reply.code), "{end:?}: {reply}");
        client.say("NOOP", 250);
        client.say("QUIT", 221);
    }
    let mut client = on_relay(&program);
    client.deliver("last@b.test", &["c@d.test"], &from_anna("c@d.test", "the-last"));
    harness::wait_until(std::time::Duration::from_secs(20), "the last letter", || {
        sink.look(|letters| letters.iter().any(|letter| letter.contains("the-last")))
    });
    assert!(sink.letters().iter().all(|letter| letter.from != "<evil@b.test>"));
}

#[test]
fn a_letter_too_big_is_refused_and_the_session_goes_on() {
    let program = annas_house().set("limits", "message_size = \"1MB\"").start();
    let mut client = on_relay(&program);
    let reply = client.ask("MAIL FROM:<a@b.test> SIZE=5000000");
    assert_eq!(reply.code, 552, "{reply}");
    let big = letter_of_size("a@b.test", "bob@example.test", "too-big", 3_000_000);
    let reply = client.deliver("a@b.test", &["bob@example.test"], &big);
    assert_eq!(reply.code, 552, "{reply}");
    assert!(reply.says("5.3.4"), "{reply}");
    let reply = client.deliver("a@b.test", &["bob@example.test"], &from_anna("bob@example.test", "small"));
    assert_eq!(reply.code, 250, "{reply}");
    program.maildir("bob@example.test").wait_for_letter("small");
    assert!(!program.maildir("bob@example.test").has("too-big"));
}

#[test]
fn a_letter_that_goes_in_circles_is_refused() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    let mut letter = b"Received: from a by b; Mon, 3 Mar 2025 10:00:00 +0000\r\n".repeat(101);
    letter.extend(from_anna("bob@example.test", "circle"));
    let reply = client.deliver("a@b.test", &["bob@example.test"], &letter);
    assert_eq!(reply.code, 554, "{reply}");
    assert!(reply.says("5.4.6"), "{reply}");
}

#[test]
fn foreign_protocols_are_shown_out() {
    let program = annas_house().start();
    for opening in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nMAIL FROM"]
    {
        let mut client = program.client(Profile::Relay);
        client.expect(220);
        client.send(opening);
        let rest = client.rest();
        assert!(rest.starts_with('5') || rest.starts_with('4'), "{rest:?}");
        assert!(!rest.contains("\n250"), "{rest:?}");
    }
}

#[test]
fn a_letter_half_sent_leaves_nothing() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<bob@example.test>", 250);
    client.say("DATA", 354);
    client.send(b"Subject: half\r\n\r\nthe first half\r\n");
    drop(client);
    let mut client = on_relay(&program);
    client.deliver("a@b.test", &["bob@example.test"], &from_anna("bob@example.test", "whole"));
    program.maildir("bob@example.test").wait_for_letter("whole");
    assert!(!program.maildir("bob@example.test").has("the first half"));
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    client.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n");
    assert_eq!([0; 4].map(|_| client.reply().code), [250, 550, 250, 354]);
    client.send(b"Subject: pipe\r\n\r\npiped\r\n.\r\nQUIT\r\n");
    assert_eq!([0; 2].map(|_| client.reply().code), [250, 221]);
    program.maildir("bob@example.test").wait_for_letter("piped");
}

#[test]
fn chunks_arrive_whole() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<bob@example.test>", 250);
    // A chunk ends where its size says: in the middle of CRLF, before a dot.
    client.send(b"BDAT 21\r\nSubject: chunks\r\n\r\n.\rBDAT 12\r\n\n.in chunks\rBDAT 1 LAST\r\n\n");
    client.expect(250);
    client.expect(250);
    client.expect(250);
    let stored = program.maildir("bob@example.test").wait_for_letter("in chunks");
    assert!(String::from_utf8_lossy(&stored).replace("\r\n", "\n").ends_with("\n\n.\n.in chunks\n"));
}

#[test]
fn starttls_takes_nothing_from_before_it() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    client.send(b"STARTTLS\r\nMAIL FROM:<evil@b.test>\r\n");
    let reply = client.reply();
    if reply.code == 220 {
        // Then what was said in clear must be forgotten, or the connection be gone.
        assert!(client.try_tls(&program.house.ca().trusting(), harness::house::HOSTNAME).is_err());
    } else {
        assert!(reply.code >= 500 || reply.code == 421, "{reply}");
    }
}
