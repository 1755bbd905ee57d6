//! A client's session against a hostile server: no panic, no endless loop, one reply for each recipient, nothing secret
//! without TLS, and no octet after the session has ended. The first octet chooses the configuration, the second the cut.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use smtp::client::{ClientConfig, ClientSession, ClientTimeouts, Credentials, Message, Output, TlsMode};
use smtp::server::Protocol;
use smtp::{MailParams, RcptParams, ReversePath, Secret, TlsInfo};

const LETTER: &[u8] = b".From: a\r\n\r\n.\r\n\nbare\r..\r\n.";
const RECIPIENTS: usize = 3;

fn config(choice: u8) -> ClientConfig {
    let bit = |n: u8| choice & (1 << n) != 0;
    ClientConfig {
        ehlo: "client.example".parse().expect("a host name"),
        protocol: if bit(0) { Protocol::Lmtp } else { Protocol::Smtp },
        tls: [TlsMode::None, TlsMode::Opportunistic, TlsMode::StartTls, TlsMode::Implicit][usize::from(choice >> 1 & 3)],
        auth: bit(3).then(|| Credentials { user: "user".into(), password: Secret::new(*b"PassWord") }),
        insecure_allow_plaintext_auth: false,
        pipelining: !bit(4),
        chunking: !bit(5),
        timeouts: ClientTimeouts::default(),
    }
}

fn message() -> Message {
    Message {
        from: ReversePath::Null,
        params: MailParams { size: Some(LETTER.len() as u64), ..Default::default() },
        recipients: (0..RECIPIENTS)
            .map(|n| (format!("r{n}@example.org").parse().expect("a mailbox"), RcptParams::default()))
            .collect(),
    }
}

struct Driver {
    session: ClientSession,
    now: Instant,
    said: Vec<u8>,
    given: usize,
    done: usize,
    encrypted: bool,
    closed: bool,
}

impl Driver {
    fn drain(&mut self) {
        for turn in 0.. {
            assert!(turn < 10_000, "an endless loop");
            match self.session.poll_output() {
                Output::Transmit(octets) => {
                    if !self.encrypted {
                        // AUTH PLAIN and LOGIN would carry it in base64.
                        assert!(!octets.windows(4).any(|w| w == b"AUTH"), "AUTH without TLS");
                    }
                    self.said.extend(octets);
                }
                Output::StartTls => {
                    self.encrypted = true;
                    let tls = TlsInfo {
                        protocol: "TLSv1.3",
                        cipher: "TLS_AES_128_GCM_SHA256".into(),
                        server_name: None,
                        exporter: None,
                        end_point: None,
                        verified: Ok(()),
                    };
                    self.session.handle_tls(self.now, tls);
                }
                Output::Ready if self.given < 2 => {
                    self.given += 1;
                    self.session.deliver(self.now, message());
                }
                Output::Ready => self.session.quit(self.now),
                Output::NeedBody => {
                    let (head, tail) = LETTER.split_at(7);
                    self.session.handle_body(self.now, head);
                    self.session.handle_body(self.now, tail);
                    self.session.handle_body_end(self.now);
                }
                Output::Done(delivery) => {
                    assert_eq!(delivery.recipients.len(), RECIPIENTS);
                    self.done += 1;
                }
                Output::Event(_) => {}
                Output::Wait(until) => {
                    assert!(until > self.now);
                    return;
                }
                Output::Closed(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [choice, cut, wire @ ..] = input else { return };
    let now = Instant::now();
    let session = ClientSession::with_transcript(config(*choice), now);
    let mut driver = Driver { session, now, said: Vec::new(), given: 0, done: 0, encrypted: false, closed: false };
    driver.drain();
    let step = if *cut == 0 { wire.len().max(1) } else { usize::from(*cut) };
    for piece in wire.chunks(step) {
        driver.session.handle_input(now, piece);
        driver.drain();
        if driver.closed {
            break;
        }
    }
    if !driver.closed {
        if cut % 2 == 0 {
            driver.session.handle_eof(now);
        } else {
            // Quiet at first, then no answer to QUIT.
            for _ in 0..2 {
                driver.now += Duration::from_secs(3600);
                driver.session.handle_timeout(driver.now);
                driver.drain();
            }
        }
        driver.drain();
    }
    assert!(driver.closed, "the session ends");
    assert_eq!(driver.done, driver.given, "each letter has its verdict");
    // Nothing of ours has a bare CR or LF, whatever the letter and the server had.
    let bare = |(at, octet): (usize, &u8)| match octet {
        b'\r' => driver.said.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || driver.said.get(at - 1) != Some(&b'\r'),
        _ => false,
    };
    assert!(!driver.said.iter().enumerate().any(bare), "{}", driver.said.escape_ascii());
});
