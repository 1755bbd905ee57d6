//! Dialogs as files: what the server says, what we must say, and what the driver does and is told between.
//!
//! A file's first line says what it proves. Then, in order:
//! - `! key [value]` before the first other line: the configuration (see `configure`)
//! - `S: line`, `C: line`: a line of the server, and one that must come from us, each without its CRLF
//! - `C= octets`: the same with `\r` and `\n` spelt out, and nothing added
//! - `> word …`: the driver acts (see `act`)
//! - `< text`: the driver is told this (see `told`)
//!
//! Each is replayed whole, octet by octet, and cut at random.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Instant;

use super::support::{config, credentials, later, message, tls_info};
use crate::client::{ClientConfig, ClientSession, Event, Message, Output, TlsMode};
use crate::envelope::{Body, ByMode, DeliverBy, Hold, Notify, OriginalRecipient, Ret};
use crate::path::ReversePath;
use crate::server::Protocol;

struct Script {
    config: ClientConfig,
    transcript: bool,
    steps: Vec<Step>,
}

enum Step {
    Server(Vec<u8>),
    Client(Vec<u8>),
    Act(String),
    Told(String),
}

fn read(text: &str) -> Script {
    let mut script = Script { config: config(), transcript: false, steps: Vec::new() };
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let (kind, rest) = line.split_at(2);
        let wire = format!("{}\r\n", rest.strip_prefix(' ').unwrap_or(rest)).into_bytes();
        let (kind, wire) = if kind == "C=" { ("C:", unescape(&rest[1..])) } else { (kind, wire) };
        match (kind, script.steps.last_mut()) {
            ("! ", _) => configure(&mut script, rest),
            ("S:", Some(Step::Server(lines))) | ("C:", Some(Step::Client(lines))) => lines.extend(wire),
            ("S:", _) => script.steps.push(Step::Server(wire)),
            ("C:", _) => script.steps.push(Step::Client(wire)),
            ("> ", _) => script.steps.push(Step::Act(rest.to_owned())),
            ("< ", _) => script.steps.push(Step::Told(rest.to_owned())),
            _ => panic!("what is {line:?}?"),
        }
    }
    script
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").into_bytes()
}

fn configure(script: &mut Script, line: &str) {
    let config = &mut script.config;
    match line {
        "lmtp" => config.protocol = Protocol::Lmtp,
        "no pipelining" => config.pipelining = false,
        "chunking" => config.chunking = true,
        "auth" => config.auth = Some(credentials()),
        "long password" => config.auth.as_mut().unwrap().password = crate::Secret::new("x".repeat(500)),
        "insecure" => config.insecure_allow_plaintext_auth = true,
        "opportunistic" => config.tls = TlsMode::Opportunistic,
        "starttls" => config.tls = TlsMode::StartTls,
        "implicit" => config.tls = TlsMode::Implicit,
        "transcript" => script.transcript = true,
        _ => panic!("what is {line:?}?"),
    }
}

fn act(session: &mut ClientSession, letter: &mut Message, line: &str) {
    let now = Instant::now();
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "tls" => session.handle_tls(now, tls_info()),
        "tls-unverified" => {
            session.handle_tls(now, crate::TlsInfo { verified: Err("self-signed".into()), ..tls_info() });
        }
        "tls-failed" => session.handle_tls_failed(now, rest.to_owned()),
        "deliver" => {
            letter.recipients = message(&rest.split(' ').collect::<Vec<_>>()).recipients;
            session.deliver(now, letter.clone());
        }
        "letter" => prepare(letter, rest),
        "rcpt-params" => {
            let (to, mut params) = letter.recipients.pop().unwrap();
            params.notify = Some(Notify { never: false, success: true, failure: true, delay: false });
            params.orcpt =
                Some(OriginalRecipient { address_type: rest.into(), address: "a+jürgen=@example.net".into() });
            letter.recipients.push((to, params));
            session.deliver(now, letter.clone());
        }
        "recipients" => letter.recipients = message(&rest.split(' ').collect::<Vec<_>>()).recipients,
        "body" => session.handle_body(now, format!("{rest}\r\n").as_bytes()),
        "raw" => session.handle_body(now, &unescape(rest)),
        "large" => session.handle_body(now, "x\r\n".repeat(100_000).as_bytes()),
        "end" => session.handle_body_end(now),
        "unreadable" => session.handle_body_failed(now),
        "quit" => session.quit(now),
        "eof" => session.handle_eof(now),
        "timeout" => session.handle_timeout(later(rest.parse().unwrap())),
        _ => panic!("what is {line:?}?"),
    }
}

fn prepare(letter: &mut Message, words: &str) {
    for word in words.split(' ') {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "from" if value.is_empty() => letter.from = ReversePath::Null,
            "from" => letter.from = ReversePath::Mailbox(value.parse().unwrap()),
            "size" => letter.params.size = Some(value.parse().unwrap()),
            "8bit" => letter.params.body = Some(Body::EightBitMime),
            "binary" => letter.params.body = Some(Body::BinaryMime),
            "utf8" => letter.params.smtputf8 = true,
            "headers" => letter.params.ret = Some(Ret::Headers),
            "envid" => letter.params.envid = Some(value.into()),
            "requiretls" => letter.params.requiretls = true,
            "by" => {
                letter.params.by =
                    Some(DeliverBy { seconds: value.parse().unwrap(), mode: ByMode::Notify, trace: true })
            }
            "by-or-return" => {
                letter.params.by =
                    Some(DeliverBy { seconds: value.parse().unwrap(), mode: ByMode::Return, trace: false })
            }
            "hold" => letter.params.hold = Some(Hold::For(value.parse().unwrap())),
            "priority" => letter.params.mt_priority = Some(value.parse().unwrap()),
            _ => panic!("what is {word:?}?"),
        }
    }
}

/// What a driver sees of an output, as a line of a script; what is transmitted is no such line.
fn told(output: Output) -> Option<String> {
    Some(match output {
        Output::Transmit(_) | Output::Wait(_) => return None,
        Output::StartTls => "starttls".into(),
        Output::Ready => "ready".into(),
        Output::NeedBody => "need body".into(),
        Output::Done(delivery) => {
            let all = delivery.recipients.iter().map(|r| format!("{:?} {}", r.stage, r.reply));
            format!("done {}", all.collect::<Vec<_>>().join("; "))
        }
        Output::Event(Event::Command(line)) => format!("event C {line}"),
        Output::Event(Event::Reply(reply)) => format!("event S {reply}"),
        Output::Closed(why) => format!("closed {why}"),
    })
}

#[derive(Debug, PartialEq)]
enum Seen {
    Bytes(Vec<u8>),
    Told(String),
}

struct Replay {
    session: ClientSession,
    seen: VecDeque<Seen>,
    closed: bool,
}

impl Replay {
    fn drain(&mut self) {
        loop {
            let output = self.session.poll_output();
            match (output, self.seen.back_mut()) {
                (Output::Wait(_), _) => return,
                (Output::Closed(_), _) if self.closed => return,
                (Output::Transmit(bytes), Some(Seen::Bytes(before))) => before.extend(bytes),
                (Output::Transmit(bytes), _) => self.seen.push_back(Seen::Bytes(bytes)),
                (output, _) => {
                    self.closed |= matches!(output, Output::Closed(_));
                    self.seen.push_back(Seen::Told(told(output).unwrap()));
                }
            }
        }
    }

    fn step(&mut self, letter: &mut Message, step: &Step, cut: &mut dyn FnMut(usize) -> usize) {
        match step {
            Step::Server(lines) => {
                let mut rest = lines.as_slice();
                while !rest.is_empty() {
                    let (piece, tail) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
                    self.session.handle_input(Instant::now(), piece);
                    self.drain();
                    rest = tail;
                }
            }
            Step::Act(line) => {
                act(&mut self.session, letter, line);
                self.drain();
            }
            Step::Client(lines) => {
                let lines = String::from_utf8_lossy(lines);
                match self.seen.pop_front() {
                    Some(Seen::Bytes(bytes)) => assert_eq!(String::from_utf8_lossy(&bytes), lines),
                    other => panic!("{lines:?} was to come, but there is {other:?}"),
                }
            }
            Step::Told(line) => assert_eq!(self.seen.pop_front(), Some(Seen::Told(line.clone()))),
        }
    }
}

fn replay(text: &str, cut: &mut dyn FnMut(usize) -> usize) {
    let script = read(text);
    let now = Instant::now();
    let session = match script.transcript {
        true => ClientSession::with_transcript(script.config, now),
        false => ClientSession::new(script.config, now),
    };
    let mut replay = Replay { session, seen: VecDeque::new(), closed: false };
    let mut letter = message(&[]);
    replay.drain();
    for step in &script.steps {
        replay.step(&mut letter, step, cut);
    }
    assert_eq!(replay.seen, [], "more came than the script says");
}

#[test]
fn dialogs_hold_however_they_are_cut() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/client");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 40, "the dialogs are not all here");
    let mut seed = 1u64;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        println!("{}: {}", file.display(), text.lines().next().unwrap_or_default());
        replay(&text, &mut |len| len);
        replay(&text, &mut |_| 1);
        for _ in 0..10 {
            replay(&text, &mut |len| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (seed >> 33) as usize % len + 1
            });
        }
    }
}
