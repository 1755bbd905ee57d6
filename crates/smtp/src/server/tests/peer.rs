//! A peer with a policy behind the session, for tests: octets in, replies and letters out.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::*;
use crate::reply::Reply;
use crate::sasl::Mechanism;
use crate::secret::Secret;
use crate::tls::TlsInfo;

pub(super) type Policy = Box<dyn FnMut(&Question) -> Answer>;

pub(super) struct Peer {
    pub(super) session: ServerSession,
    pub(super) now: Instant,
    policy: Policy,
    /// All that was transmitted, and in which pieces.
    pub(super) said: String,
    pub(super) writes: Vec<String>,
    pub(super) questions: Vec<Question>,
    pub(super) letters: Vec<Vec<u8>>,
    draft: Option<Vec<u8>>,
    pub(super) abandoned: usize,
    pub(super) events: Vec<Event>,
    pub(super) starts_tls: bool,
    pub(super) closed: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) outputs: usize,
    /// What each piece of a letter takes to be stored.
    pub(super) storing: Duration,
}

pub(super) fn config() -> ServerConfig {
    ServerConfig {
        hostname: "mx.example.com".parse().unwrap(),
        protocol: Protocol::Smtp,
        starttls: false,
        require_tls: false,
        auth: Vec::new(),
        require_auth: false,
        dsn: true,
        chunking: true,
        smtputf8: true,
        bare_newline: BareNewline::Reject,
        limits: ServerLimits::default(),
        clock: || SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

/// As on port 587.
pub(super) fn submission() -> ServerConfig {
    let auth = vec![Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
    ServerConfig { starttls: true, require_tls: true, require_auth: true, auth, ..config() }
}

pub(super) fn lmtp() -> ServerConfig {
    ServerConfig { protocol: Protocol::Lmtp, ..config() }
}

pub(super) fn tls() -> TlsInfo {
    TlsInfo {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        server_name: None,
        exporter: Some(Secret::new(*b"0123456789abcdef0123456789abcdef")),
        end_point: None,
        verified: Ok(()),
    }
}

/// Accepts all, and the password `secret`.
pub(super) fn accept_all() -> Policy {
    Box::new(|question| match question {
        Question::Auth(AuthQuestion::Password { password, .. }) if password.expose() != b"secret" => {
            Answer::Reply(Reply::new(535, (5, 7, 8), "wrong"))
        }
        _ => Answer::Accept,
    })
}

impl Peer {
    pub(super) fn new(config: ServerConfig, policy: Policy) -> Self {
        let now = Instant::now();
        Self::over(ServerSession::new(Arc::new(config), now), now, policy)
    }

    /// As on port 465.
    pub(super) fn with_tls(config: ServerConfig, policy: Policy) -> Self {
        let now = Instant::now();
        Self::over(ServerSession::with_tls(Arc::new(config), now, tls()), now, policy)
    }

    fn over(session: ServerSession, now: Instant, policy: Policy) -> Self {
        let mut peer = Self {
            session,
            now,
            policy,
            said: String::new(),
            writes: Vec::new(),
            questions: Vec::new(),
            letters: Vec::new(),
            draft: None,
            abandoned: 0,
            events: Vec::new(),
            starts_tls: false,
            closed: false,
            deadline: None,
            outputs: 0,
            storing: Duration::ZERO,
        };
        peer.drain();
        peer
    }

    /// A peer that has greeted already; what was said until then is forgotten.
    pub(super) fn greeted(config: ServerConfig) -> Self {
        let hello = if config.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
        let mut peer = Self::new(config, accept_all());
        peer.send(format!("{hello} client.example\r\n"));
        peer.take();
        peer
    }

    pub(super) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.session.handle_input(self.now, octets.as_ref());
        self.drain();
    }

    /// Sends in pieces that end at `cuts`.
    pub(super) fn send_cut(&mut self, octets: &[u8], cuts: &[usize]) {
        let mut start = 0;
        for &end in cuts.iter().chain([&octets.len()]) {
            self.send(&octets[start..end]);
            start = end;
        }
    }

    /// Sends and gives what was answered.
    pub(super) fn ask(&mut self, octets: impl AsRef<[u8]>) -> String {
        self.send(octets);
        self.take()
    }

    /// What was said since the last time.
    pub(super) fn take(&mut self) -> String {
        self.writes.clear();
        std::mem::take(&mut self.said)
    }

    /// Replies since the last time, one code each, continuation lines left out.
    pub(super) fn codes(&mut self) -> Vec<u16> {
        let said = self.take();
        said.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|l| l[..3].parse().unwrap()).collect()
    }

    pub(super) fn codes_of(&mut self, octets: impl AsRef<[u8]>) -> Vec<u16> {
        self.send(octets);
        self.codes()
    }

    pub(super) fn handshake(&mut self) {
        assert!(self.starts_tls, "no STARTTLS");
        self.starts_tls = false;
        self.session.handle_tls(self.now, tls());
        self.drain();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
        self.drain();
    }

    pub(super) fn hang_up(&mut self) {
        self.session.handle_eof(self.now);
        self.drain();
    }

    pub(super) fn shut_down(&mut self) {
        self.session.handle_shutdown(self.now, Reply::new(421, (4, 3, 2), "stopping"));
        self.drain();
    }

    /// How often policy was asked about a sender.
    pub(super) fn mails(&self) -> usize {
        self.questions.iter().filter(|q| matches!(q, Question::Mail { .. })).count()
    }

    /// Whether a letter was begun and is neither complete nor abandoned.
    pub(super) fn has_draft(&self) -> bool {
        self.draft.is_some()
    }

    pub(super) fn commands(&self) -> Vec<&str> {
        self.events.iter().filter_map(|e| if let Event::Command(c) = e { Some(c.as_str()) } else { None }).collect()
    }

    pub(super) fn drain(&mut self) {
        loop {
            self.outputs += 1;
            match self.session.poll_output() {
                Output::Ask(question) => {
                    let answer = (self.policy)(&question);
                    self.follow(&question, &answer);
                    self.questions.push(question);
                    self.session.handle_answer(self.now, answer);
                }
                Output::Body(piece) => {
                    self.draft.as_mut().expect("no letter was accepted").extend(piece);
                    self.now += self.storing;
                    self.session.handle_stored(self.now);
                }
                Output::Abandon => {
                    self.abandoned += 1;
                    self.draft.take().expect("nothing to abandon");
                }
                Output::Transmit(octets) => {
                    let text = String::from_utf8(octets).unwrap();
                    self.said.push_str(&text);
                    self.writes.push(text);
                }
                Output::StartTls => self.starts_tls = true,
                Output::Event(event) => self.events.push(event),
                Output::Wait(deadline) => return self.deadline = Some(deadline),
                Output::Close => return self.closed = true,
            }
        }
    }

    /// What a driver does with the letter.
    fn follow(&mut self, question: &Question, answer: &Answer) {
        let positive = match answer {
            Answer::Accept => true,
            Answer::Reply(reply) => !reply.is_transient() && !reply.is_permanent(),
            Answer::PerRecipient(replies) => replies.iter().any(Reply::is_positive),
            Answer::Close(_) | Answer::Scram(_) => false,
        };
        match question {
            Question::Data if positive => {
                assert!(self.draft.replace(Vec::new()).is_none(), "two letters at once");
            }
            Question::Message => {
                let letter = self.draft.take().expect("a letter without a beginning");
                if positive {
                    self.letters.push(letter);
                }
            }
            _ => {}
        }
    }
}

pub(super) const ENVELOPE: &str = "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n";

/// A policy that answers by kind of question; the first that fits, else `Accept`.
pub(super) fn answering(rules: impl Fn(&Question) -> Option<Answer> + 'static) -> Policy {
    Box::new(move |question| rules(question).unwrap_or(Answer::Accept))
}
