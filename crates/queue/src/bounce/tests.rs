use smtp::{Notify, RcptParams, Ret, ReversePath};

use super::*;
use crate::letter::QueueId;

fn letter(from: &str, notify: Option<Notify>) -> Letter {
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(from.parse().unwrap()) };
    Letter {
        id: QueueId(42),
        arrived: Timestamp(1_700_000_000_000),
        from,
        params: MailParams { ret: Some(Ret::Headers), envid: Some("QQ314159".into()), ..MailParams::default() },
        recipients: vec![Recipient::new("bob@far.example".parse().unwrap(), RcptParams { notify, orcpt: None })],
        size: 60,
        origin: Origin::default(),
        bulk: false,
    }
}

fn ended(reply: Reply, by: &str, expired: bool) -> Ended {
    Ended {
        index: 0,
        attempts: 3,
        last: LastReply { at: Timestamp(1_700_000_100_000), reply, by: by.into() },
        how: if expired { How::Expired } else { How::Failed },
    }
}

const TEXT: &[u8] = b"From: alice@near.example\r\nSubject: tea\r\n\r\nAt five?\r\n";

fn text(ended: Ended) -> String {
    let written = write(&letter("alice@near.example", None), &[ended], TEXT, "mx.near.example", Timestamp::now());
    String::from_utf8(written.unwrap().text).unwrap()
}

#[test]
fn the_sender_is_told_who_said_no_and_in_what_words() {
    let reply = Reply::new(550, (5, 1, 1), "no Bob here");
    let text = text(ended(reply, "mx1.far.example [192.0.2.1]:25", false));
    for expected in [
        "To: <alice@near.example>\r\n",
        "Original-Envelope-Id: QQ314159\r\n",
        "Final-Recipient: rfc822; bob@far.example\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Remote-MTA: dns; mx1.far.example\r\n",
        "550 5.1.1 no Bob here",
        "Subject: tea\r\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert!(!text.contains("At five?"), "RET=HDRS asks for the header alone");
}

#[test]
fn a_server_without_a_name_goes_by_its_address() {
    let text = text(ended(Reply::new(550, (5, 1, 1), "no Bob here"), "[192.0.2.1]:25", false));
    assert!(text.contains("Remote-MTA: dns; [192.0.2.1]\r\n"), "{text}");
    assert!(text.contains("Diagnostic-Code: smtp; 550 5.1.1 no Bob here"), "{text}");
}

#[test]
fn an_expired_letter_has_the_status_of_one() {
    let text = text(ended(Reply::new(450, (4, 2, 1), "mailbox busy"), "mx1.far.example [192.0.2.1]:25", true));
    assert!(text.contains("Status: 4.4.7\r\n") && text.contains("mailbox busy"), "{text}");
}

#[test]
fn our_own_words_name_no_remote_server() {
    let text = text(ended(Reply::new(554, (5, 4, 4), "the domain has no mail servers"), "gatepost", false));
    assert!(!text.contains("Remote-MTA"), "{text}");
}

#[test]
fn a_failure_without_an_enhanced_code_gets_the_general_one() {
    assert_eq!(
        status(&letter("a@b.example", None), &ended(Reply::plain(550, "no"), "x", false)),
        EnhancedCode::new(5, 0, 0)
    );
    assert_eq!(
        status(&letter("a@b.example", None), &ended(Reply::new(450, (4, 7, 1), "no"), "x", false)),
        EnhancedCode::new(5, 7, 1)
    );
}

#[test]
fn a_report_comes_from_the_null_path_and_goes_to_the_sender() {
    let ended = ended(Reply::new(550, (5, 1, 1), "no"), "gatepost", false);
    let written =
        write(&letter("alice@near.example", None), std::slice::from_ref(&ended), TEXT, "mx", Timestamp(5)).unwrap();
    assert!(written.letter.from.is_null());
    assert_eq!(written.letter.recipients[0].address, "alice@near.example".parse().unwrap());
    assert_eq!(written.letter.origin.listener, LISTENER);
    assert!(write(&letter("", None), &[ended], TEXT, "mx", Timestamp(5)).is_none());
}

#[test]
fn silence_is_kept_where_it_was_asked_for() {
    let notify = |never, success, failure| Some(Notify { never, success, failure, delay: false });
    let from = "alice@near.example";
    assert!(wants_report(&letter(from, None), 0, How::Failed));
    assert!(wants_report(&letter(from, notify(false, true, true)), 0, How::Failed));
    assert!(!wants_report(&letter(from, notify(true, false, false)), 0, How::Failed));
    assert!(!wants_report(&letter(from, notify(false, true, false)), 0, How::Failed));
    assert!(!wants_report(&letter("", None), 0, How::Failed));
    assert!(!wants_report(&letter("", notify(false, false, true)), 0, How::Failed), "never about a report");
}

/// RFC 8689 §5.
#[test]
fn a_letter_that_requires_tls_goes_back_without_its_body_and_under_the_same_rule() {
    for (requiretls, ret) in [(true, Some(Ret::Full)), (true, None), (false, Some(Ret::Full))] {
        let mut letter = letter("alice@near.example", None);
        (letter.params.requiretls, letter.params.ret, letter.size) = (requiretls, ret, TEXT.len() as u64);
        let ended = ended(Reply::new(550, (5, 7, 30), "REQUIRETLS is not supported"), "gatepost", false);
        let written = write(&letter, &[ended], TEXT, "mx.near.example", Timestamp::now()).unwrap();
        assert_eq!(written.letter.params.requiretls, requiretls);
        let text = String::from_utf8(written.text).unwrap();
        assert!(text.contains("Subject: tea"), "{text}");
        assert_eq!(text.contains("At five?"), !requiretls, "{text}");
    }
}
