//! Pipelining, ends of connections, shutting down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peer::{ENVELOPE, Peer, config};
use crate::reply::Reply;
use crate::server::{Answer, Output, Question, ServerSession};

#[test]
fn pipelined_group_is_answered_in_one_write() {
    let mut peer = Peer::greeted(config());
    peer.send(format!("{ENVELOPE}DATA\r\n"));
    assert_eq!(peer.writes.len(), 1, "{:?}", peer.writes);
    peer.take();
    peer.send(format!("x\r\n.\r\n{ENVELOPE}DATA\r\n"));
    assert_eq!(peer.writes.len(), 1, "{:?}", peer.writes);
    peer.take();
    peer.send(".\r\nQUIT\r\n");
    assert_eq!(peer.writes.len(), 1, "{:?}", peer.writes);
    assert!(peer.closed);
}

#[test]
fn replies_can_be_flushed_while_policy_thinks() {
    let now = Instant::now();
    let mut session = ServerSession::new(Arc::new(config()), now);
    let mut asked = Vec::new();
    session.handle_input(now, b"");
    loop {
        match session.poll_output() {
            Output::Ask(Question::Rcpt { .. }) => break,
            Output::Ask(question) => {
                asked.push(question);
                session.handle_answer(now, Answer::Accept);
            }
            Output::Wait(_) => session.handle_input(now, format!("EHLO c.example\r\n{ENVELOPE}NOOP\r\n").as_bytes()),
            _ => {}
        }
    }
    let waiting = String::from_utf8(session.flush().unwrap()).unwrap();
    assert!(waiting.ends_with("250 2.1.0 Sender OK\r\n"), "{waiting}");
    assert!(session.flush().is_none());
    assert!(matches!(session.poll_output(), Output::Wait(_)), "nothing is acted upon while a question is open");
    session.handle_timeout(now + Duration::from_secs(3600));
    assert!(matches!(session.poll_output(), Output::Wait(_)), "policy's time is not the peer's");
    session.handle_answer(now, Answer::Reply(Reply::new(550, (5, 1, 1), "unknown")));
    let said = std::iter::from_fn(|| match session.poll_output() {
        Output::Transmit(octets) => Some(Some(octets)),
        Output::Wait(_) => None,
        _ => Some(None),
    });
    let said: Vec<u8> = said.flatten().flatten().collect();
    assert_eq!(String::from_utf8(said).unwrap(), "550 5.1.1 unknown\r\n250 2.0.0 OK\r\n");
}

#[test]
fn connection_lost_within_a_letter_leaves_no_half_of_it() {
    for begin in ["DATA\r\nhalf a letter", "DATA\r\n.", "DATA\r\nx\r\n.\r", "BDAT 10 LAST\r\nhalf", "BDAT 2\r\nxy"] {
        let mut peer = Peer::greeted(config());
        peer.send(format!("{ENVELOPE}{begin}"));
        assert!(peer.has_draft());
        peer.hang_up();
        assert_eq!((peer.abandoned, peer.letters.len(), peer.closed), (1, 0, true), "{begin}");
        assert!(!peer.questions.contains(&Question::Message));
    }
}

#[test]
fn peer_that_closed_its_side_still_gets_its_replies() {
    let mut peer = Peer::greeted(config());
    peer.session.handle_input(peer.now, format!("{ENVELOPE}DATA\r\nx\r\n.\r\nNO").as_bytes());
    peer.session.handle_eof(peer.now);
    peer.drain();
    assert_eq!(peer.codes(), [250, 250, 354, 250]);
    assert!(peer.closed && peer.letters.len() == 1);
}

#[test]
fn shutdown_closes_between_letters_at_once_and_behind_a_letter_otherwise() {
    let mut peer = Peer::greeted(config());
    peer.send(ENVELOPE);
    peer.take();
    peer.shut_down();
    assert_eq!((peer.codes(), peer.closed), (vec![421], true));

    for (begin, rest) in [("DATA\r\nx", "\r\n.\r\n"), ("BDAT 1\r\nx", "BDAT 1 LAST\r\ny")] {
        let mut peer = Peer::greeted(config());
        peer.send(format!("{ENVELOPE}{begin}"));
        peer.take();
        peer.shut_down();
        assert!(!peer.closed && peer.take().is_empty());
        assert_eq!(peer.codes_of(format!("{rest}{ENVELOPE}")), [250, 421]);
        assert!(peer.closed && peer.letters.len() == 1);
    }
}

#[test]
fn shutdown_before_the_greeting_is_the_greeting() {
    let now = Instant::now();
    let mut session = ServerSession::new(Arc::new(config()), now);
    session.handle_shutdown(now, Reply::new(421, (4, 3, 2), "stopping"));
    assert!(matches!(session.poll_output(), Output::Ask(Question::Connect)));
    session.handle_answer(now, Answer::Accept);
    let mut said = Vec::new();
    loop {
        match session.poll_output() {
            Output::Transmit(octets) => said.extend(octets),
            Output::Close => break,
            _ => {}
        }
    }
    assert_eq!(said, b"421 4.3.2 stopping\r\n");
    assert!(matches!(session.poll_output(), Output::Close), "a closed session stays closed");
}

#[test]
fn answers_that_close_abandon_nothing_that_policy_refused() {
    let close = |q: &Question| (*q == Question::Message).then(|| Answer::Close(Reply::new(421, (4, 3, 0), "disk")));
    let mut peer = Peer::new(config(), super::peer::answering(close));
    peer.send(format!("EHLO c.example\r\n{ENVELOPE}DATA\r\nx\r\n.\r\nNOOP\r\n"));
    assert_eq!(peer.codes().last(), Some(&421));
    assert_eq!((peer.closed, peer.abandoned), (true, 0));
}
