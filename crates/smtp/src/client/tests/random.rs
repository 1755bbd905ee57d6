//! Whatever a server says and a driver does: no panic, no output without end, and one reply for each recipient.

use std::time::Instant;

use proptest::prelude::*;

use super::support::{config, credentials, drain, later, message, tls_info};
use crate::client::{ClientConfig, ClientSession, Output, Stage, TlsMode};
use crate::server::Protocol;

#[derive(Clone, Debug)]
enum Act {
    Hear(Vec<u8>),
    Deliver(usize),
    Body(Vec<u8>),
    BodyEnd,
    BodyFailed,
    Tls,
    TlsFailed,
    Timeout(u64),
    Quit,
    Eof,
}

fn acts() -> impl Strategy<Value = Act> {
    let reply = |text: &'static str| Just(Act::Hear(text.as_bytes().to_vec()));
    prop_oneof![
        4 => reply("220 x\r\n"),
        4 => reply("250-x\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250-LIMITS RCPTMAX=2\r\n250 AUTH PLAIN\r\n"),
        2 => reply("250 x\r\n"),
        6 => reply("250 ok\r\n250 ok\r\n"),
        3 => reply("354 go\r\n"),
        2 => reply("550 5.1.1 no\r\n"),
        2 => reply("451 4.3.0 later\r\n"),
        1 => reply("421 4.3.2 bye\r\n"),
        2 => reply("235 ok\r\n"),
        1 => reply("334 \r\n"),
        1 => reply("25"),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Act::Hear),
        4 => (0usize..4).prop_map(Act::Deliver),
        4 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Act::Body),
        4 => Just(Act::BodyEnd),
        1 => Just(Act::BodyFailed),
        2 => Just(Act::Tls),
        1 => Just(Act::TlsFailed),
        1 => (0u64..1000).prop_map(Act::Timeout),
        1 => Just(Act::Quit),
        1 => Just(Act::Eof),
    ]
}

fn configs() -> impl Strategy<Value = ClientConfig> {
    let tls = prop_oneof![
        Just(TlsMode::None),
        Just(TlsMode::None),
        Just(TlsMode::Opportunistic),
        Just(TlsMode::StartTls),
        Just(TlsMode::Implicit)
    ];
    (tls, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(tls, lmtp, auth, pipelining, chunking)| ClientConfig {
            tls,
            protocol: if lmtp { Protocol::Lmtp } else { Protocol::Smtp },
            auth: auth.then(credentials),
            insecure_allow_plaintext_auth: pipelining,
            pipelining,
            chunking,
            ..config()
        },
    )
}

fn perform(session: &mut ClientSession, act: Act) {
    let now = Instant::now();
    match act {
        Act::Hear(octets) => session.handle_input(now, &octets),
        Act::Deliver(n) => {
            let all = ["a@example.net", "b@example.net", "c@example.net"];
            session.deliver(now, message(&all[..n.min(3)]));
        }
        Act::Body(octets) => session.handle_body(now, &octets),
        Act::BodyEnd => session.handle_body_end(now),
        Act::BodyFailed => session.handle_body_failed(now),
        Act::Tls => session.handle_tls(now, tls_info()),
        Act::TlsFailed => session.handle_tls_failed(now, "no".into()),
        Act::Timeout(seconds) => session.handle_timeout(later(seconds)),
        Act::Quit => session.quit(now),
        Act::Eof => session.handle_eof(now),
    }
}

/// The letters that were given and not yet answered, each by its number of recipients.
fn check(outputs: &[Output], given: &mut Vec<usize>) {
    for (at, output) in outputs.iter().enumerate() {
        match output {
            Output::Done(delivery) => {
                let count = delivery.recipients.len();
                let known = given.iter().position(|n| *n == count).expect("Done for a letter that was given");
                given.remove(known);
                for recipient in &delivery.recipients {
                    assert!(!recipient.reply.is_positive() || recipient.stage == Stage::EndOfData);
                }
            }
            Output::Closed(_) => {
                assert_eq!(at + 1, outputs.len());
                assert_eq!(*given, [], "closed without a word on a letter");
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_letter_gets_its_replies_whatever_happens(
        config in configs(),
        acts in proptest::collection::vec(acts(), 0..40),
    ) {
        let mut session = ClientSession::with_transcript(config, Instant::now());
        let mut given = Vec::new();
        for act in acts {
            if let Act::Deliver(n) = act {
                given.push(n.min(3));
            }
            perform(&mut session, act);
            check(&drain(&mut session), &mut given);
        }
        session.handle_eof(Instant::now());
        check(&drain(&mut session), &mut given);
        prop_assert_eq!(given, Vec::<usize>::new());
    }

    #[test]
    fn random_octets_never_harm(octets in proptest::collection::vec(any::<u8>(), 0..2000), cut in 1usize..200) {
        let mut session = ClientSession::new(config(), Instant::now());
        for piece in octets.chunks(cut) {
            session.handle_input(Instant::now(), piece);
            drain(&mut session);
        }
    }
}
