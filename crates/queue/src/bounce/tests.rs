use smtp::{ByMode, DeliverBy, Notify, RcptParams, Ret, ReversePath};

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
        tls_optional: false,
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

fn with_time(seconds: i64, mode: ByMode, trace: bool, notify: Option<Notify>) -> Letter {
    let mut letter = letter("alice@near.example", notify);
    letter.params.by = Some(DeliverBy { seconds, mode, trace });
    letter
}

/// RFC 2852 §4.
#[test]
fn who_set_a_time_hears_where_nobody_watches_it_and_with_trace_of_each_server() {
    let never = Some(Notify { never: true, success: false, failure: false, delay: false });
    let failure = Some(Notify { never: false, success: false, failure: true, delay: false });
    for (mode, trace, notify, told) in [
        (ByMode::Notify, false, None, true),
        (ByMode::Notify, false, failure, true),
        (ByMode::Notify, true, never, false),
        (ByMode::Return, true, None, true),
        (ByMode::Return, false, None, false),
    ] {
        assert_eq!(
            wants_report(&with_time(60, mode, trace, notify), 0, How::Relayed),
            told,
            "{mode:?} {trace} {notify:?}"
        );
    }
    assert!(!wants_report(&letter("alice@near.example", None), 0, How::Relayed));
    assert!(!wants_report(&with_time(60, ByMode::Notify, true, None), 0, How::Delivered), "only of the way");
}

#[test]
fn a_time_that_was_set_has_its_field_and_its_codes() {
    let last = LastReply { at: Timestamp(1), reply: Reply::new(451, (4, 3, 0), "later"), by: "gatepost".into() };
    let until = Timestamp(1_700_500_000_000);
    for (mode, how, status) in [
        (ByMode::Notify, How::Delayed { until }, "4.4.7"),
        (ByMode::Return, How::Expired, "5.4.7"),
        (ByMode::Notify, How::Expired, "4.4.7"),
    ] {
        let ended = Ended { index: 0, attempts: 1, last: last.clone(), how };
        let written = write(&with_time(60, mode, false, None), &[ended], TEXT, "mx.near.example", Timestamp::now());
        let text = String::from_utf8(written.unwrap().text).unwrap();
        assert!(text.contains("Deliver-By-Date: Tue, 14 Nov 2023 22:14:20 +0000\r\n"), "{text}");
        assert!(text.contains(&format!("\r\nStatus: {status}\r\n")), "{text}");
    }
}

/// Each class of refusal with the words that a server says, and what the writer of the letter reads.
#[test]
fn what_to_do_follows_from_what_the_words_mean() {
    let peer = "mx1.far.example [192.0.2.1]:25";
    for (code, words, by, expired, advice) in [
        ((550, 5, 1, 1), "no such user", peer, false, "There is no such address."),
        ((552, 5, 2, 2), "mailbox full", peer, false, "The mailbox is full."),
        ((554, 5, 7, 1), "mailbox is over quota", peer, false, "The mailbox is full."),
        ((552, 5, 3, 4), "message size exceeds fixed limit", peer, false, "smaller attachments"),
        (
            (550, 5, 7, 1),
            "blocked, see https://www.spamhaus.org/query/ip/192.0.2.1",
            peer,
            false,
            "does not trust the server",
        ),
        ((550, 5, 7, 26), "unauthenticated mail is prohibited", peer, false, "SPF, DKIM or DMARC"),
        ((550, 5, 7, 1), "message content rejected as spam", peer, false, "fewer links"),
        ((550, 5, 7, 1), "relaying denied", peer, false, "says that it does not"),
        ((530, 5, 7, 0), "authentication required", peer, false, "wants a login"),
        ((550, 5, 7, 10), "TLS required", peer, false, "encrypted"),
        (
            (554, 5, 0, 0),
            "an operator of this server gave the letter back",
            "gatepost",
            false,
            "Your administrator can say more.",
        ),
        ((550, 5, 4, 7), "no", "gatepost", false, "The other side did not take it in all that time"),
        ((550, 5, 1, 2), "no such domain", "gatepost", false, "There is no such domain"),
        ((556, 5, 1, 10), "null MX", "gatepost", false, "takes no mail at all"),
        ((554, 5, 4, 6), "loop", "gatepost", false, "in a circle"),
        ((554, 5, 4, 4), "only loopback", "gatepost", false, "typing error behind the @"),
        ((550, 5, 6, 7), "no SMTPUTF8", "gatepost", false, "plain ASCII"),
        ((550, 5, 7, 30), "no REQUIRETLS", "gatepost", false, "not to go without encryption"),
        ((452, 4, 2, 2), "over quota", peer, true, "The mailbox is full."),
        ((451, 4, 7, 1), "greylisted", peer, true, "did not take it in all that time"),
        ((451, 4, 7, 5), "no TLS with mx", "gatepost", true, "encrypted"),
        ((451, 4, 4, 1), "refused the connection", "gatepost", true, "did not take it in all that time"),
        ((451, 4, 4, 3), "SERVFAIL", "gatepost", true, "which server takes mail"),
        ((452, 4, 2, 2), "no room", "gatepost", true, "The mailbox is full."),
        ((452, 4, 3, 1), "disk full", "maildir", true, "no room for it on this server"),
    ] {
        let (code, class, subject, detail) = code;
        let reply = Reply::from_peer(ReplyCode::new(code), Some(EnhancedCode::new(class, subject, detail)), words);
        let text = text(ended(reply, by, expired)).replace("\r\n", " ");
        assert!(text.contains(advice), "{advice:?} is not in\n{text}");
    }
}
