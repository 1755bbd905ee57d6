//! SASL exchanges with a hostile other side: no panic, no end of steps, no proof without the password.
//! The first octet chooses side and mechanism; what follows are messages, each behind an octet with its length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::sasl::{self, ClientExchange, Mechanism, ScramVerifier, ServerExchange, Step};
use smtp::{Secret, TlsInfo};

const MECHANISMS: [Mechanism; 4] =
    [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::ScramSha256Plus];

fn tls() -> TlsInfo {
    TlsInfo {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        server_name: None,
        exporter: Some(Secret::new([7; 32])),
        end_point: None,
        verified: Ok(()),
    }
}

fn messages(mut input: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some((&length, rest)) = input.split_first() {
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        messages.push(message);
        input = rest;
    }
    messages
}

fn serve(mechanism: Mechanism, messages: &[&[u8]]) {
    let tls = tls();
    let mut messages = messages.iter();
    let (mut exchange, mut step) =
        ServerExchange::start(mechanism, &MECHANISMS, Some(&tls), messages.next().copied());
    for _ in 0..10 {
        step = match step {
            Step::Challenge(_) => match messages.next() {
                Some(message) => exchange.step(message),
                None => return,
            },
            // Keys that nobody has a password for.
            Step::NeedVerifier { .. } => exchange.handle_verifier(ScramVerifier {
                salt: b"salt".to_vec(),
                iterations: 4096,
                stored_key: Secret::new([1; 32]),
                server_key: Secret::new([2; 32]),
            }),
            Step::Proved { .. } => panic!("proved without the password"),
            Step::NeedPassword { authcid, password } => {
                assert!(!authcid.is_empty() && !password.expose().is_empty());
                assert!(!authcid.chars().any(char::is_control));
                return;
            }
            Step::Failed(error) => {
                assert!(!error.reply().is_positive());
                return;
            }
        };
    }
    panic!("an exchange without end");
}

fn ask(mechanism: Mechanism, messages: &[&[u8]]) {
    let tls = tls();
    let password = Secret::new(*b"password");
    let Ok(mut exchange) = ClientExchange::new(mechanism, "user", &password, Some(&tls)) else { return };
    let _ = exchange.initial();
    for message in messages {
        // A server that asks for a million rounds gets them; that takes its time and is no find.
        if message.windows(8).any(|w| w.starts_with(b"i=") && w[2..].iter().all(u8::is_ascii_digit)) {
            return;
        }
        if exchange.step(message).is_err() {
            break;
        }
    }
    if matches!(mechanism, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus) {
        assert!(exchange.finish().is_err(), "a server was believed that did not prove itself");
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let mechanism = MECHANISMS[usize::from(choice & 3)];
    let messages = messages(rest);
    if choice & 4 == 0 { serve(mechanism, &messages) } else { ask(mechanism, &messages) }
    for message in messages {
        if let Ok(decoded) = sasl::decode_base64(message) {
            assert_eq!(sasl::encode_base64(&decoded).as_bytes(), message, "base64 is strict");
        }
    }
});
