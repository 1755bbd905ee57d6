//! A server's session: no panic, no endless loop, bounded buffers, letters whole or not at all, and the same replies
//! however its input is cut. The first octet chooses the port, the second what policy answers, the third where to cut.
#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use smtp::sasl::{Mechanism, ScramVerifier};
use smtp::server::{
    Answer, AuthQuestion, BareNewline, Output, Protocol, Question, ServerConfig, ServerLimits, ServerSession,
};
use smtp::{Reply, Secret, TlsInfo};

fn config(choice: u8) -> (ServerConfig, bool) {
    let bit = |n: u8| choice & (1 << n) != 0;
    let tight = ServerLimits {
        message_size: 40,
        discard: 60,
        header_size: 30,
        header_field_size: 20,
        header_fields: 2,
        hops: 1,
        recipients: 2,
        messages: 2,
        command_line: 80,
        auth_line: 120,
        ..Default::default()
    };
    let auth = vec![Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
    let config = ServerConfig {
        hostname: "mx.example".parse().expect("a host name"),
        protocol: if bit(0) { Protocol::Lmtp } else { Protocol::Smtp },
        starttls: bit(1),
        require_tls: bit(1) && bit(2),
        auth: if bit(3) { auth } else { Vec::new() },
        require_auth: bit(3) && bit(2),
        dsn: bit(4),
        chunking: !bit(5),
        smtputf8: !bit(5),
        bare_newline: if bit(6) { BareNewline::Normalize } else { BareNewline::Reject },
        limits: if bit(7) { tight } else { ServerLimits::default() },
        clock: || std::time::SystemTime::UNIX_EPOCH,
    };
    (config, bit(4))
}

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

/// Refuses each eighth or so question, as `mood` has it.
fn answer(question: &Question, mood: u8, asked: u32) -> Answer {
    if let Question::Auth(AuthQuestion::ScramVerifier { .. }) = question {
        let key = || Secret::new([1; 32]);
        let (salt, iterations) = (b"salt".to_vec(), 4096);
        return Answer::Scram(ScramVerifier { salt, iterations, stored_key: key(), server_key: key() });
    }
    match (u32::from(mood).wrapping_mul(2_654_435_761).wrapping_add(asked)) % 8 {
        0 if mood & 1 == 1 => Answer::Reply(Reply::new(451, (4, 7, 1), "later")),
        1 if mood & 2 == 2 => Answer::Reply(Reply::new(550, (5, 7, 1), "no")),
        2 if mood & 4 == 4 => Answer::PerRecipient(vec![Reply::new(250, (2, 0, 0), "kept")]),
        3 if mood & 8 == 8 => Answer::Close(Reply::new(421, (4, 3, 2), "busy")),
        _ => Answer::Accept,
    }
}

#[derive(Debug, Default, PartialEq)]
struct Seen {
    said: Vec<u8>,
    letters: Vec<Vec<u8>>,
    closed: bool,
    started_tls: bool,
}

struct Driver {
    session: ServerSession,
    now: Instant,
    mood: u8,
    asked: u32,
    outputs: usize,
    draft: Option<Vec<u8>>,
    seen: Seen,
}

impl Driver {
    fn drain(&mut self) {
        loop {
            self.outputs += 1;
            match self.session.poll_output() {
                Output::Ask(question) => {
                    self.asked += 1;
                    let answer = answer(&question, self.mood, self.asked);
                    let yes = matches!(answer, Answer::Accept);
                    match question {
                        Question::Data if yes => assert!(self.draft.replace(Vec::new()).is_none()),
                        Question::Message => {
                            let letter = self.draft.take().expect("a letter was begun");
                            assert!(self.session.transaction().is_some_and(|t| !t.recipients.is_empty()));
                            if yes {
                                self.seen.letters.push(letter);
                            }
                        }
                        _ => {}
                    }
                    self.session.handle_answer(self.now, answer);
                }
                Output::Body(piece) => self.draft.as_mut().expect("a letter was begun").extend(piece),
                Output::Abandon => drop(self.draft.take().expect("a letter was begun")),
                Output::Transmit(octets) => {
                    assert!(octets.ends_with(b"\r\n"));
                    self.seen.said.extend(octets);
                }
                Output::StartTls => {
                    self.seen.started_tls = true;
                    return;
                }
                Output::Event(_) => {}
                Output::Wait(until) => {
                    assert!(until > self.now);
                    return;
                }
                Output::Close => {
                    self.seen.closed = true;
                    assert!(self.draft.is_none(), "half a letter is left");
                    return;
                }
            }
        }
    }
}

fn play(choice: u8, mood: u8, wire: &[u8], cuts: impl Iterator<Item = usize>) -> Seen {
    let now = Instant::now();
    let (config, encrypted) = config(choice);
    let config = Arc::new(config);
    let session = if encrypted { ServerSession::with_tls(config, now, tls()) } else { ServerSession::new(config, now) };
    let mut driver = Driver { session, now, mood, asked: 0, outputs: 0, draft: None, seen: Seen::default() };
    driver.drain();
    let mut start = 0;
    for end in cuts.chain([wire.len()]) {
        // Behind STARTTLS the octets belong to TLS; what is put there in clear is another matter, tested by name.
        if driver.seen.started_tls {
            break;
        }
        driver.session.handle_input(driver.now, &wire[start..end]);
        driver.drain();
        start = end;
    }
    assert!(driver.outputs <= 60 + 10 * wire.len(), "{} outputs for {} octets", driver.outputs, wire.len());
    if !driver.seen.closed && !driver.seen.started_tls {
        let mut ended = driver;
        // The state stays usable: time, shutdown and the end of the connection each lead to Close.
        match mood % 3 {
            0 => ended.session.handle_eof(ended.now),
            1 => ended.session.handle_timeout(ended.now + Duration::from_secs(36_000)),
            _ => {
                ended.session.handle_shutdown(ended.now, Reply::new(421, (4, 3, 2), "stopping"));
                ended.drain();
                ended.session.handle_eof(ended.now);
            }
        }
        let said = ended.seen.said.len();
        ended.now += Duration::from_secs(36_000);
        ended.drain();
        assert!(ended.seen.closed && ended.draft.is_none());
        ended.seen.said.truncate(said);
        ended.seen.closed = false;
        return ended.seen;
    }
    driver.seen
}

fuzz_target!(|input: &[u8]| {
    let [choice, mood, cut, wire @ ..] = input else { return };
    let whole = play(*choice, *mood, wire, std::iter::empty());
    // A nonce is made anew each time; STARTTLS with octets behind it is refused only when they are seen.
    if whole.said.windows(4).any(|w| w == b"334 ") || memchr_starttls(wire) {
        play(*choice, *mood, wire, 1..wire.len().max(1));
        return;
    }
    let at = usize::from(*cut) % (wire.len() + 1);
    assert_eq!(play(*choice, *mood, wire, std::iter::once(at)), whole);
    assert_eq!(play(*choice, *mood, wire, 1..wire.len().max(1)), whole);
});

fn memchr_starttls(wire: &[u8]) -> bool {
    wire.windows(8).any(|w| w.eq_ignore_ascii_case(b"STARTTLS"))
}
