//! A server that means harm, or is badly broken.

use std::time::Instant;

use super::support::{after, config, credentials, drain, later, message, tls_info, transmitted};
use crate::client::{ClientConfig, ClientSession, Closed, Output, Stage, TlsMode};
use crate::tls::TlsInfo;

const PIPELINING: &str = "250-x\r\n250 PIPELINING\r\n";

fn starttls() -> ClientConfig {
    ClientConfig { tls: TlsMode::StartTls, ..config() }
}

fn hears(session: &mut ClientSession, octets: &[u8]) -> Vec<Output> {
    session.handle_input(Instant::now(), octets);
    drain(session)
}

/// The only output, which ends the session as a protocol error.
fn broken(outputs: &[Output]) -> &'static str {
    match outputs {
        [Output::Closed(Closed::Protocol { what, .. })] => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn octets_behind_the_220_to_starttls_are_never_taken_into_tls() {
    for injected in
        ["220 go\r\n250-AUTH PLAIN\r\n250 SIZE\r\n", "220 go\r\n2", "220 go\r\n\r\n", "220 go\r\n421 bye\r\n"]
    {
        let mut session = after(starttls(), &["220 x\r\n", "250-x\r\n250 STARTTLS\r\n"]);
        let outputs = hears(&mut session, injected.as_bytes());
        assert_eq!(broken(&outputs), "octets came before the TLS handshake", "{injected:?}");
    }
}

#[test]
fn octets_between_the_220_and_the_handshake_are_an_error() {
    let mut session = after(starttls(), &["220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"]);
    broken(&hears(&mut session, b"250-x\r\n"));
    session.handle_tls(Instant::now(), tls_info());
    assert!(matches!(drain(&mut session)[..], [Output::Closed(_)]), "a handshake brings nothing back");
}

#[test]
fn octets_before_implicit_tls_are_an_error() {
    let mut session = ClientSession::new(ClientConfig { tls: TlsMode::Implicit, ..config() }, Instant::now());
    broken(&hears(&mut session, b"220 x\r\n"));
}

#[test]
fn what_was_offered_before_tls_is_forgotten_at_once() {
    let mut session = after(starttls(), &["220 x\r\n", "250-x\r\n250-SIZE 7\r\n250 STARTTLS\r\n", "220 go\r\n"]);
    assert!(session.capabilities().is_some());
    session.handle_tls(Instant::now(), tls_info());
    assert_eq!(session.capabilities(), None);
}

#[test]
fn starttls_stripped_or_altered_never_leads_to_a_letter_in_clear() {
    for heard in
        [&["220 x\r\n", "250-x\r\n250 STARTTLX\r\n"][..], &["220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "500 no\r\n"]]
    {
        let mut session = after(starttls(), heard);
        assert!(matches!(drain(&mut session)[..], [Output::Closed(Closed::TlsNotOffered | Closed::Refused { .. })]));
    }
}

#[test]
fn a_reply_that_comes_before_its_command_is_an_error() {
    let mut session = ClientSession::new(config(), Instant::now());
    broken(&hears(&mut session, b"220 x\r\n250-x\r\n250 AUTH PLAIN\r\n"));
    let mut session = after(config(), &["220 x\r\n", "250 x\r\n"]);
    broken(&hears(&mut session, b"250 ok\r\n"));
}

#[test]
fn half_a_reply_to_nothing_is_not_completed_into_the_reply_to_the_next_command() {
    let mut session = after(config(), &["220 x\r\n", "250 x\r\n25"]);
    session.deliver(Instant::now(), message(&["one@example.net"]));
    drain(&mut session);
    let outputs = hears(&mut session, b"0 ok\r\n");
    assert!(matches!(outputs[..], [Output::Done(_), Output::Closed(Closed::Protocol { .. })]), "{outputs:?}");
}

#[test]
fn two_replies_to_one_command_end_the_session() {
    let mut session = after(config(), &["220 x\r\n", PIPELINING]);
    session.deliver(Instant::now(), message(&["one@example.net"]));
    drain(&mut session);
    let outputs = hears(&mut session, b"250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n");
    assert!(matches!(outputs[..], [Output::Done(_), Output::Closed(Closed::Protocol { .. })]), "{outputs:?}");
    let Output::Done(delivery) = &outputs[0] else { unreachable!() };
    assert!(delivery.recipients[0].reply.is_transient(), "nobody kept this letter");
}

#[test]
fn a_banner_without_end_is_cut_off() {
    let mut session = ClientSession::new(config(), Instant::now());
    let mut fed = 0usize;
    while !matches!(drain(&mut session)[..], [Output::Closed(_)]) {
        session.handle_input(Instant::now(), &[b'x'; 1024]);
        fed += 1024;
        assert!(fed <= 8192);
    }
    let mut session = after(config(), &["220 x\r\n"]);
    let lines = (0..).take_while(|_| hears(&mut session, b"250-\r\n").is_empty()).count();
    assert_eq!(lines, 512);
}

#[test]
fn a_trickle_of_octets_does_not_move_the_deadline() {
    let start = Instant::now();
    let mut session = ClientSession::new(config(), start);
    let deadline = session.deadline();
    for octet in b"220-a\r\n220-b\r\n220 " {
        session.handle_input(later(200), &[*octet]);
        assert_eq!(session.deadline(), deadline);
    }
    session.handle_timeout(deadline);
    assert_eq!(drain(&mut session), [Output::Closed(Closed::Timeout(Stage::Greeting))]);
}

#[test]
fn a_recipient_accepted_after_mail_was_refused_gets_no_empty_letter() {
    let mut session = after(config(), &["220 x\r\n", PIPELINING]);
    session.deliver(Instant::now(), message(&["one@example.net"]));
    drain(&mut session);
    let outputs = hears(&mut session, b"550 no\r\n250 ok\r\n354 go\r\n");
    assert_eq!(transmitted(&outputs), b"");
    assert!(matches!(outputs[..], [Output::Done(_), Output::Closed(Closed::Protocol { .. })]));
}

#[test]
fn what_a_server_says_reaches_a_report_without_control_characters() {
    let mut session = after(config(), &["220 x\r\n", PIPELINING]);
    session.deliver(Instant::now(), message(&["one@example.net"]));
    drain(&mut session);
    let outputs = hears(&mut session, b"550-5.7.1 \x1b[2J\0\r\n550 5.7.1 a\rb\xff\x85\r\n503 x\r\n503 x\r\n");
    let Some(Output::Done(delivery)) = outputs.first() else { panic!("{outputs:?}") };
    assert_eq!(delivery.recipients[0].reply.text(), "?[2J?\na?b\u{fffd}\u{fffd}");
}

#[test]
fn scram_is_not_believed_without_the_servers_proof() {
    let with_auth = ClientConfig { tls: TlsMode::Implicit, auth: Some(credentials()), ..config() };
    let forged = [
        &["235 2.7.0 welcome\r\n"][..],
        &["334 dj1mb3JnZWQ=\r\n"],
        &["334 !\r\n"],
        &["334 \r\n"],
        &["334 cj14LHM9WUE9PSxpPTQwOTY=\r\n"],
    ];
    for offered in ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
        for replies in forged {
            let mut session = ClientSession::new(with_auth.clone(), Instant::now());
            session.handle_tls(Instant::now(), tls_info());
            hears(&mut session, b"220 x\r\n");
            let said = hears(&mut session, format!("250-x\r\n250 AUTH {offered}\r\n").as_bytes());
            assert!(transmitted(&said).starts_with(format!("AUTH {offered} ").as_bytes()));
            broken(&hears(&mut session, replies.concat().as_bytes()));
        }
    }
}

#[test]
fn without_anything_to_bind_to_plus_is_not_chosen() {
    let with_auth = ClientConfig { tls: TlsMode::Implicit, auth: Some(credentials()), ..config() };
    let mut session = ClientSession::new(with_auth, Instant::now());
    session.handle_tls(Instant::now(), TlsInfo { exporter: None, ..tls_info() });
    hears(&mut session, b"220 x\r\n");
    let said = hears(&mut session, b"250-x\r\n250 AUTH PLAIN SCRAM-SHA-256-PLUS SCRAM-SHA-256\r\n");
    assert!(transmitted(&said).starts_with(b"AUTH SCRAM-SHA-256 "));
}

#[test]
fn no_more_than_100_replies_are_ever_awaited() {
    let recipients: Vec<String> = (0..1000).map(|n| format!("r{n}@example.net")).collect();
    let mut session = after(config(), &["220 x\r\n", PIPELINING]);
    session.deliver(Instant::now(), message(&recipients.iter().map(String::as_str).collect::<Vec<_>>()));
    let lines = |outputs: &[Output]| transmitted(outputs).iter().filter(|b| **b == b'\n').count();
    let mut said = lines(&drain(&mut session));
    let mut heard = 0;
    while heard < 1001 {
        assert!(said - heard <= 100, "{said} said, {heard} heard");
        said += lines(&hears(&mut session, &b"250 ok\r\n".repeat(10.min(1001 - heard))));
        heard += 10.min(1001 - heard);
    }
    assert_eq!(said, 1002);
    assert_eq!(hears(&mut session, b"354 go\r\n"), [Output::NeedBody]);
}

#[test]
fn each_stage_has_its_own_patience() {
    let table: [(&[&str], u64, Stage); 5] = [
        (&[], 300, Stage::Greeting),
        (&["220 x\r\n"], 300, Stage::Ehlo),
        (&["220 x\r\n", "250 x\r\n"], 300, Stage::Mail),
        (&["220 x\r\n", "250 x\r\n", "250 ok\r\n"], 300, Stage::Rcpt),
        (&["220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n"], 120, Stage::Data),
    ];
    for (heard, seconds, stage) in table {
        let mut session = after(config(), &heard[..heard.len().min(2)]);
        if let Some(replies) = heard.get(2..) {
            session.deliver(Instant::now(), message(&["one@example.net"]));
            drain(&mut session);
            replies.iter().for_each(|reply| drop(hears(&mut session, reply.as_bytes())));
        } else if stage == Stage::Mail {
            session.deliver(Instant::now(), message(&["one@example.net"]));
            drain(&mut session);
        }
        session.handle_timeout(later(seconds - 1));
        assert_eq!(drain(&mut session), [], "{stage:?}");
        session.handle_timeout(later(seconds + 1));
        assert_eq!(drain(&mut session).pop(), Some(Output::Closed(Closed::Timeout(stage))));
    }
}

#[test]
fn half_a_letter_that_was_not_yet_handed_out_stays_here() {
    let mut session = after(config(), &["220 x\r\n", PIPELINING]);
    session.deliver(Instant::now(), message(&["one@example.net"]));
    drain(&mut session);
    hears(&mut session, b"250 ok\r\n250 ok\r\n354 go\r\n");
    session.handle_body(Instant::now(), b"half\r\n");
    session.handle_body_failed(Instant::now());
    assert_eq!(transmitted(&drain(&mut session)), b"");
}

#[test]
fn only_letters_that_the_peer_heard_of_are_counted() {
    let mut session = after(config(), &["220 x\r\n", "250-x\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=2\r\n"]);
    session.deliver(Instant::now(), message(&["j\u{fc}rgen@example.net"]));
    drain(&mut session);
    assert_eq!((session.letters(), session.letters_left()), (0, Some(2)));
    session.deliver(Instant::now(), message(&["one@example.net"]));
    drain(&mut session);
    hears(&mut session, b"550 no\r\n503 no\r\n503 no\r\n");
    assert_eq!((session.letters(), session.letters_left()), (1, Some(1)));
}
