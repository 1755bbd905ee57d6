//! What a session may cost.

use std::time::Duration;

use super::peer::{ENVELOPE, Peer, accept_all, answering, config, submission};
use crate::reply::Reply;
use crate::server::{Answer, Output, Question, ServerConfig, ServerLimits};

fn limited(limits: ServerLimits) -> Peer {
    Peer::greeted(ServerConfig { limits, ..config() })
}

#[test]
fn slow_command_is_cut_off_whatever_drips_in() {
    let mut peer = Peer::greeted(config());
    for _ in 0..299 {
        peer.send("N");
        peer.pass(Duration::from_secs(1));
        assert!(!peer.closed);
    }
    peer.send("N");
    peer.pass(Duration::from_secs(1));
    assert!(peer.take().ends_with("421 4.4.2 No command came in time; closing the connection\r\n"));
    assert!(peer.closed);
}

#[test]
fn deadline_of_a_command_counts_from_the_last_reply() {
    let mut peer = Peer::greeted(config());
    peer.pass(Duration::from_secs(299));
    assert_eq!(peer.codes_of("NOOP\r\n"), [250]);
    assert_eq!(peer.deadline, Some(peer.now + Duration::from_secs(300)));
    peer.pass(Duration::from_secs(299));
    assert!(!peer.closed);
}

#[test]
fn silence_before_the_first_command_and_within_auth_is_bounded() {
    let mut peer = Peer::new(config(), accept_all());
    peer.pass(Duration::from_secs(300));
    assert!(peer.closed);
    let mut peer = Peer::with_tls(submission(), accept_all());
    peer.send("EHLO c.example\r\nAUTH LOGIN\r\n");
    peer.pass(Duration::from_secs(300));
    assert!(peer.closed && peer.take().contains("421 4.4.2 "));
}

#[test]
fn slow_letter_is_cut_off_by_its_rate() {
    for begin in ["DATA\r\n", "BDAT 1000000 LAST\r\n"] {
        let mut peer = Peer::greeted(config());
        peer.send(format!("{ENVELOPE}{begin}"));
        peer.take();
        // 400 octets per second: the grace lasts for 30 s, and each 500 octets earn another second.
        for _ in 0..149 {
            peer.send([b'x'; 400]);
            peer.pass(Duration::from_secs(1));
            assert!(!peer.closed, "{begin}");
        }
        peer.pass(Duration::from_secs(1));
        assert!(peer.take().starts_with("421 4.4.2 The message came in too slowly"), "{begin}");
        assert_eq!((peer.closed, peer.abandoned), (true, 1));
    }
}

#[test]
fn steady_letter_is_cut_off_by_the_cap() {
    let mut peer = Peer::greeted(config());
    peer.send(format!("{ENVELOPE}DATA\r\n"));
    for _ in 0..1799 {
        peer.send([b'x'; 1000]);
        peer.pass(Duration::from_secs(1));
        assert!(!peer.closed);
    }
    peer.send([b'x'; 1000]);
    peer.pass(Duration::from_secs(1));
    assert_eq!((peer.closed, peer.abandoned), (true, 1));
}

/// A disk that takes its time is no fault of the peer's: neither the rate nor the cap counts it.
#[test]
fn time_that_we_take_to_store_a_letter_is_not_the_peers() {
    for begin in ["DATA\r\n", "BDAT 1000000 LAST\r\n"] {
        let mut peer = Peer::greeted(config());
        peer.send(format!("{ENVELOPE}{begin}"));
        peer.storing = Duration::from_secs(100);
        for _ in 0..30 {
            peer.send([b'x'; 400]);
            peer.pass(Duration::from_secs(1));
            assert!(!peer.closed, "{begin}");
        }
        // The peer's own time still counts: of 30 s grace and 24 s earned it has used 30.
        peer.storing = Duration::ZERO;
        peer.pass(Duration::from_secs(23));
        assert!(!peer.closed, "{begin}");
        peer.pass(Duration::from_secs(1));
        assert!(peer.take().ends_with("421 4.4.2 The message came in too slowly; closing the connection\r\n"));
        assert!(peer.closed);
    }
}

#[test]
fn time_that_we_take_to_store_a_chunk_is_not_taken_from_the_next_command() {
    let mut peer = Peer::greeted(config());
    peer.storing = Duration::from_secs(1000);
    peer.send(format!("{ENVELOPE}BDAT 1000\r\n{}", "x".repeat(1000)));
    peer.pass(Duration::from_secs(299));
    assert!(!peer.closed);
    peer.pass(Duration::from_secs(1));
    assert!(peer.closed);
}

#[test]
fn cap_of_a_letter_holds_between_its_chunks() {
    let mut peer = Peer::greeted(ServerConfig {
        limits: ServerLimits { junk_commands: u32::MAX, ..Default::default() },
        ..config()
    });
    peer.send(ENVELOPE);
    for _ in 0..18 {
        peer.send(format!("BDAT 1000\r\n{}", "x".repeat(1000)));
        peer.pass(Duration::from_secs(100));
    }
    assert_eq!((peer.closed, peer.abandoned), (true, 1));
}

#[test]
fn endless_line_is_refused_once_and_passed_over_within_bounds() {
    let mut peer = Peer::greeted(config());
    let said = peer.ask("x".repeat(2048));
    assert!(said.starts_with("500 5.5.2 Command line too long"), "{said}");
    assert!(peer.ask("x".repeat(60_000)).is_empty() && peer.session.input.is_empty());
    assert_eq!(peer.codes_of("\r\nNOOP\r\n"), [250]);
    peer.send("x".repeat(2048));
    peer.take();
    assert_eq!(peer.codes_of("x".repeat(65_537)), [421]);
    assert!(peer.closed);
}

#[test]
fn line_may_be_as_long_as_the_limit() {
    let mut peer = Peer::greeted(config());
    let noop = |len: usize| format!("NOOP {}\r\n", "x".repeat(len - 7));
    assert_eq!(peer.codes_of(noop(2048)), [250]);
    assert_eq!(peer.codes_of(noop(2049)), [500]);
    assert_eq!(peer.codes_of("NOOP\r\n"), [250]);
}

#[test]
fn header_beyond_its_limit_is_refused_in_step() {
    let mut peer = limited(ServerLimits { header_size: 100, ..Default::default() });
    let header = format!("From someone\r\nX: {}\r\n\r\nbody", "x".repeat(100));
    let said = peer.ask(format!("{ENVELOPE}DATA\r\n{header}\r\n.\r\nNOOP\r\n"));
    assert!(said.contains("\r\n552 5.3.4 The header") && said.ends_with("250 2.0.0 OK\r\n"), "{said}");
    let body = "x".repeat(1000);
    assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\nX: y\r\n\r\n{body}\r\n.\r\n")), [250, 250, 354, 250]);
}

#[test]
fn field_beyond_its_limit_is_refused_in_step_however_it_is_folded() {
    for field in [format!("X: {}", "x".repeat(100)), "X:".to_owned() + &"\r\n xxxxxxx".repeat(10)] {
        let mut peer = limited(ServerLimits { header_field_size: 100, ..Default::default() });
        let said = peer.ask(format!("{ENVELOPE}DATA\r\nA: b\r\n{field}\r\n\r\nbody\r\n.\r\nNOOP\r\n"));
        assert!(said.contains("\r\n552 5.3.4 A field") && said.ends_with("250 2.0.0 OK\r\n"), "{said}");
        let body = "x".repeat(1000);
        let fit = format!("X: {}", "x".repeat(95));
        assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\n{fit}\r\n\r\n{body}\r\n.\r\n")), [250, 250, 354, 250]);
    }
    // The line that mailbox programs put on top is not exempt.
    let mut peer = limited(ServerLimits { header_field_size: 100, ..Default::default() });
    let from = format!("From {}", "x".repeat(100));
    assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\n{from}\r\nA: b\r\n.\r\n")), [250, 250, 354, 552]);
}

#[test]
fn fields_beyond_the_limit_are_refused_in_step() {
    let mut peer = Peer::greeted(config());
    let letter =
        |fields: usize| format!("{ENVELOPE}DATA\r\n{}\r\n{}.\r\n", "A: b\r\n".repeat(fields), "A: b\r\n".repeat(9));
    assert_eq!(peer.codes_of(letter(1000)), [250, 250, 354, 250]);
    let said = peer.ask(letter(1001));
    assert!(said.contains("\r\n554 5.6.0 The header"), "{said}");
    assert_eq!(peer.letters.len(), 1);
}

#[test]
fn letter_in_a_circle_is_refused_for_good() {
    let mut peer = Peer::greeted(config());
    let hops = |n: usize| format!("{ENVELOPE}DATA\r\n{}\r\n.\r\n", "Received: from x\r\n".repeat(n));
    assert_eq!(peer.codes_of(hops(100)), [250, 250, 354, 250]);
    let said = peer.ask(hops(101));
    assert!(said.contains("\r\n554 5.4.6 "), "{said}");
    assert_eq!(peer.letters.len(), 1);
}

#[test]
fn recipients_beyond_the_limit_get_452_and_the_letter_goes_to_the_others() {
    let mut peer = limited(ServerLimits { recipients: 100, errors: 3, ..Default::default() });
    let rcpts = "RCPT TO:<b@example.com>\r\n".repeat(150);
    let codes = peer.codes_of(format!("MAIL FROM:<a@example.org>\r\n{rcpts}DATA\r\n.\r\n"));
    assert_eq!(codes[..101], [250; 101]);
    assert_eq!(codes[101..151], [452; 50]);
    assert_eq!(codes[151..], [354, 250]);
    // But not for ever.
    let rcpts = "RCPT TO:<b@example.com>\r\n".repeat(300);
    assert_eq!(peer.codes_of(format!("MAIL FROM:<a@example.org>\r\n{rcpts}")).last(), Some(&421));
    assert!(peer.closed);
}

#[test]
fn limits_are_told_in_advance() {
    let mut peer = Peer::new(
        ServerConfig {
            limits: ServerLimits { recipients: 7, messages: 9, message_size: 1234, ..Default::default() },
            ..config()
        },
        accept_all(),
    );
    let offer = peer.ask("EHLO c.example\r\n");
    assert!(offer.contains("LIMITS MAILMAX=9 RCPTMAX=7\r\n") && offer.contains("SIZE 1234\r\n"), "{offer}");
}

#[test]
fn announced_size_beyond_the_limit_is_refused_at_mail() {
    let mut peer = limited(ServerLimits { message_size: 100, ..Default::default() });
    let said =
        peer.ask("MAIL FROM:<a@example.org> SIZE=101\r\nMAIL FROM:<a@example.org> SIZE=99999999999999999999\r\n");
    assert!(said.lines().all(|line| line.starts_with("552 5.3.4 ")), "{said}");
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org> SIZE=100\r\n"), [250]);
}

#[test]
fn junk_commands_end_the_session_unless_a_letter_comes_between() {
    let mut peer = limited(ServerLimits { junk_commands: 10, ..Default::default() });
    let junk = "NOOP\r\nRSET\r\nHELP\r\nVRFY x\r\nEHLO c.example\r\n";
    assert_eq!(peer.codes_of(junk.repeat(2)).len(), 10);
    assert!(!peer.closed);
    assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\n.\r\n{junk}{junk}")).len(), 14);
    assert!(!peer.closed);
    assert_eq!(peer.codes_of("NOOP\r\n"), [421]);
    assert!(peer.closed);
}

#[test]
fn errors_end_the_session() {
    let mut peer = limited(ServerLimits { errors: 3, ..Default::default() });
    assert_eq!(peer.codes_of("X\r\n".repeat(5)), [500, 500, 500, 421]);
    assert!(peer.closed);
}

fn no_recipient() -> super::peer::Policy {
    answering(|question| match question {
        Question::Rcpt { to, .. } if !to.to_string().contains("bob") => {
            Some(Answer::Reply(Reply::new(550, (5, 1, 1), "unknown")))
        }
        _ => None,
    })
}

#[test]
fn dead_recipients_do_not_end_the_session_of_one_who_has_authenticated() {
    let mut peer = Peer::with_tls(submission(), no_recipient());
    peer.send("EHLO c.example\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
    assert!(peer.take().contains("\r\n235 "));
    let dead = "RCPT TO:<dead@example.org>\r\n".repeat(25);
    let wire = format!("MAIL FROM:<a@example.org>\r\n{dead}RCPT TO:<bob@example.org>\r\nDATA\r\n.\r\n");
    let codes = peer.codes_of(wire);
    assert_eq!((&codes[1..26], &codes[26..]), ([550; 25].as_slice(), [250, 354, 250].as_slice()));
    // But not without end.
    let dead = "RCPT TO:<dead@example.org>\r\n".repeat(1100);
    let codes = peer.codes_of(format!("MAIL FROM:<a@example.org>\r\n{dead}"));
    assert_eq!((codes.len(), codes.last()), (1 + 1000 + 20 + 1, Some(&421)));
    assert!(peer.closed);
}

#[test]
fn dead_recipients_end_the_session_of_a_stranger() {
    let mut peer = Peer::new(config(), no_recipient());
    peer.send("EHLO c.example\r\nMAIL FROM:<a@example.org>\r\n");
    peer.take();
    let codes = peer.codes_of("RCPT TO:<dead@example.org>\r\n".repeat(25));
    assert_eq!((codes.len(), codes.last()), (21, Some(&421)));
    assert!(peer.closed);
}

#[test]
fn letters_beyond_the_limit_are_refused_at_mail() {
    let mut peer = limited(ServerLimits { messages: 1, ..Default::default() });
    assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\n.\r\n{ENVELOPE}")), [250, 250, 354, 250, 452, 503]);
}

#[test]
fn flood_while_policy_thinks_is_bounded() {
    let now = std::time::Instant::now();
    let mut session = crate::server::ServerSession::new(std::sync::Arc::new(config()), now);
    assert!(matches!(session.poll_output(), Output::Ask(_)));
    assert!(!session.wants_input());
    for _ in 0..100 {
        session.handle_input(now, &b"NOOP\r\n".repeat(10_000));
        assert!(session.input.len() <= 1024 * 1024);
    }
}

#[test]
fn replies_to_a_long_pipelined_group_do_not_pile_up() {
    let mut peer = limited(ServerLimits { junk_commands: u32::MAX, ..Default::default() });
    peer.send("HELP\r\n".repeat(10_000));
    assert!(peer.writes.iter().all(|write| write.len() < 20_000) && peer.writes.len() > 10);
}
