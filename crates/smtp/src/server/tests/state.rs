//! The order of commands, and one transaction that is forgotten whole.

use super::peer::{ENVELOPE, Peer, accept_all, answering, config, lmtp, submission};
use crate::reply::Reply;
use crate::server::{Answer, Event, Question, ServerConfig};

#[test]
fn commands_out_of_order_are_refused() {
    let mut peer = Peer::new(config(), accept_all());
    peer.take();
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"), [503; 3]);
    assert_eq!(peer.codes_of("NOOP\r\nRSET\r\nHELP\r\nVRFY x\r\n"), [250, 250, 214, 252]);
    assert_eq!(peer.codes_of("EHLO c.example\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"), [250, 503, 503]);
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\nMAIL FROM:<a@example.org>\r\nDATA\r\n"), [250, 503, 554]);
    assert_eq!(peer.codes_of("QUIT\r\n"), [221]);
    assert!(peer.closed);
}

#[test]
fn rset_and_ehlo_forget_the_whole_transaction() {
    for forget in ["RSET", "EHLO d.example", "HELO d.example"] {
        let mut peer = Peer::greeted(config());
        peer.send("MAIL FROM:<a@example.org> SMTPUTF8 BODY=BINARYMIME\r\nRCPT TO:<b@example.com>\r\n");
        assert!(peer.session.transaction().is_some());
        peer.send(format!("{forget}\r\n"));
        peer.take();
        assert!(peer.session.transaction().is_none(), "{forget}");
        assert_eq!(
            peer.codes_of("DATA\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<ü@example.com>\r\nDATA\r\n"),
            [503, 250, 553, 554]
        );
    }
}

#[test]
fn data_after_a_failed_bdat_is_refused() {
    let mut peer = Peer::greeted(config());
    assert_eq!(
        peer.codes_of(format!("{ENVELOPE}BDAT 2\r\n\n\nDATA\r\nRSET\r\nDATA\r\n")),
        [250, 250, 550, 503, 250, 503]
    );
}

#[test]
fn refused_greeting_leaves_only_quit() {
    let refuse = |q: &Question| {
        (*q == Question::Connect).then(|| Answer::Reply(Reply::new(554, (5, 7, 1), "no mail from your network")))
    };
    let mut peer = Peer::new(config(), answering(refuse));
    assert_eq!(peer.codes(), [554]);
    assert_eq!(peer.codes_of("EHLO c.example\r\nNOOP\r\nBDAT 4\r\nQUITQUIT\r\n"), [503, 503, 503, 221]);
    let close = |q: &Question| (*q == Question::Connect).then(|| Answer::Close(Reply::new(421, (4, 3, 2), "busy")));
    let mut peer = Peer::new(config(), answering(close));
    assert_eq!(peer.codes(), [421]);
    assert!(peer.closed);
}

#[test]
fn refused_ehlo_changes_nothing() {
    let refuse = |q: &Question| match q {
        Question::Helo { host, .. } if host.to_string() == "bad.example" => {
            Some(Answer::Reply(Reply::new(550, (5, 7, 1), "no")))
        }
        _ => None,
    };
    let mut peer = Peer::new(config(), answering(refuse));
    peer.take();
    assert_eq!(peer.codes_of(format!("EHLO bad.example\r\nMAIL FROM:<a@example.org>\r\nEHLO c.example\r\n{ENVELOPE}EHLO bad.example\r\nDATA\r\n.\r\n")), [550, 503, 250, 250, 250, 550, 354, 250]);
    assert_eq!(peer.session.helo().unwrap().to_string(), "c.example");
}

#[test]
fn refusals_of_policy_are_said_as_they_are() {
    let rules = |q: &Question| match q {
        Question::Mail { from, .. } if from.is_null() => Some(Answer::Reply(Reply::new(451, (4, 7, 1), "later"))),
        Question::Rcpt { .. } => Some(Answer::Reply(Reply::new(250, (2, 1, 5), "gladly"))),
        Question::Data => Some(Answer::Reply(Reply::new(250, (2, 0, 0), "yes"))),
        Question::Message => Some(Answer::Reply(Reply::new(250, (2, 6, 0), "queued as 42"))),
        Question::Vrfy(_) => Some(Answer::Reply(Reply::new(550, (5, 1, 1), "unknown"))),
        _ => None,
    };
    let mut peer = Peer::new(config(), answering(rules));
    peer.send("EHLO c.example\r\n");
    peer.take();
    assert_eq!(peer.ask("MAIL FROM:<>\r\nVRFY x\r\n"), "451 4.7.1 later\r\n550 5.1.1 unknown\r\n");
    let said = peer.ask(format!("{ENVELOPE}DATA\r\nx\r\n.\r\n"));
    assert!(said.contains("250 2.1.5 gladly\r\n354 ") && said.ends_with("250 2.6.0 queued as 42\r\n"), "{said}");
}

#[test]
fn refused_data_leaves_the_session_in_step() {
    let no = |q: &Question| (*q == Question::Data).then(|| Answer::Reply(Reply::new(452, (4, 3, 1), "disk full")));
    let mut peer = Peer::new(config(), answering(no));
    peer.send("EHLO c.example\r\n");
    peer.take();
    assert_eq!(peer.codes_of(format!("{ENVELOPE}DATA\r\nRSET\r\n")), [250, 250, 452, 250]);
}

#[test]
fn answer_to_another_question_is_local_trouble() {
    let wrong =
        |q: &Question| matches!(q, Question::Mail { .. } | Question::Message).then(|| Answer::PerRecipient(vec![]));
    let mut peer = Peer::new(config(), answering(wrong));
    peer.send("EHLO c.example\r\n");
    peer.take();
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\n"), [451]);
    peer.session.handle_answer(peer.now, Answer::Accept);
    peer.drain();
    assert!(peer.take().is_empty(), "nothing was asked");
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let rules = |q: &Question| match q {
        Question::Rcpt { to, .. } if to.to_string().starts_with("bad") => {
            Some(Answer::Reply(Reply::new(550, (5, 1, 1), "unknown")))
        }
        Question::Message => Some(Answer::PerRecipient(vec![
            Reply::new(250, (2, 1, 5), "kept"),
            Reply::new(452, (4, 2, 2), "over quota"),
        ])),
        _ => None,
    };
    let mut peer = Peer::new(lmtp(), answering(rules));
    peer.take();
    assert_eq!(peer.codes_of("EHLO c.example\r\nHELO c.example\r\nLHLO c.example\r\n"), [500, 500, 250]);
    let rcpts = "RCPT TO:<x@example.com>\r\nRCPT TO:<bad@example.com>\r\nRCPT TO:<y@example.com>\r\nRCPT TO:<z@example.com>\r\n";
    let codes = peer.codes_of(format!("MAIL FROM:<a@example.org>\r\n{rcpts}DATA\r\nx\r\n.\r\nNOOP\r\n"));
    // The third has no answer from policy: it may try again.
    assert_eq!(codes, [250, 250, 550, 250, 250, 354, 250, 452, 451, 250]);
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\nRCPT TO:<bad@example.com>\r\nDATA\r\n"), [250, 550, 503]);
    assert_eq!(Peer::greeted(config()).codes_of("LHLO c.example\r\n"), [500]);
}

#[test]
fn protocol_words_say_what_was_used() {
    let word = |mut peer: Peer, lines: &str| {
        peer.send(lines);
        peer.session.protocol_word()
    };
    assert_eq!(word(Peer::new(config(), accept_all()), "HELO c.example\r\n"), "SMTP");
    assert_eq!(word(Peer::new(config(), accept_all()), "EHLO c.example\r\n"), "ESMTP");
    assert_eq!(word(Peer::with_tls(config(), accept_all()), "EHLO c.example\r\n"), "ESMTPS");
    let utf8 = "EHLO c.example\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\nMAIL FROM:<ü@example.org> SMTPUTF8\r\n";
    assert_eq!(word(Peer::with_tls(submission(), accept_all()), utf8), "UTF8SMTPSA");
    assert_eq!(word(Peer::new(lmtp(), accept_all()), "LHLO c.example\r\n"), "LMTP");
}

#[test]
fn dsn_is_offered_to_those_who_may_use_it() {
    let mut peer = Peer::with_tls(ServerConfig { dsn: false, require_auth: false, ..submission() }, accept_all());
    assert!(!peer.ask("EHLO c.example\r\n").contains("DSN"));
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org> RET=HDRS\r\n"), [555]);
    assert_eq!(peer.codes_of("AUTH PLAIN AHVzZXIAc2VjcmV0\r\nMAIL FROM:<a@example.org> RET=HDRS\r\n"), [235, 250]);
}

#[test]
fn early_talker_is_served_and_noted() {
    let now = std::time::Instant::now();
    let mut session = crate::server::ServerSession::new(std::sync::Arc::new(config()), now);
    session.handle_input(now, b"EHLO c.exa");
    let mut outputs = Vec::new();
    loop {
        match session.poll_output() {
            crate::server::Output::Ask(_) => session.handle_answer(now, Answer::Accept),
            crate::server::Output::Wait(_) => break,
            other => outputs.push(other),
        }
    }
    assert!(outputs.contains(&crate::server::Output::Event(Event::Misbehaved("talked before the greeting"))));
}
