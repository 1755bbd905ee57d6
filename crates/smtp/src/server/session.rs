//! The session's state, and what goes in and out.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::input::Input;
use super::letter::Letter;
use super::phase::{Pending, Phase};
use super::{Protocol, Question, ServerConfig, replies};
use crate::address::Host;
use crate::envelope::{MailParams, RcptParams};
use crate::extension::Capabilities;
use crate::path::{ForwardPath, ReversePath};
use crate::reply::Reply;
use crate::tls::TlsInfo;

/// Replies are handed out when so many octets of them wait, whatever else is to be done.
const REPLIES_AT_ONCE: usize = 16 * 1024;
/// Input that may wait for an answer. A driver that does not read while [`ServerSession::wants_input`] is false never
/// comes near it.
const INPUT_AHEAD: usize = 1024 * 1024;

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Output {
    Ask(Question),
    /// A piece of the letter: dot-stuffing undone, line ends as CR LF.
    Body(Vec<u8>),
    /// The letter that was being received is gone; drop what was stored of it.
    Abandon,
    Transmit(Vec<u8>),
    /// All before it is transmitted; hand the connection to TLS.
    StartTls,
    Event(Event),
    /// Nothing to do until input comes or this time is reached.
    Wait(Instant),
    Close,
}

/// What an operator's log wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// One command line as received, AUTH redacted.
    Command(String),
    /// One reply as sent, challenges of AUTH redacted.
    Reply(Reply),
    /// The peer broke the protocol in a way that is worth a line.
    Misbehaved(&'static str),
}

/// From MAIL to the end of data. Recipients are those that were accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    pub from: ReversePath,
    pub params: MailParams,
    pub recipients: Vec<(ForwardPath, RcptParams)>,
}

/// The transaction with all that belongs to it, so that it is forgotten as one.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) transaction: Transaction,
    pub(super) letter: Option<Letter>,
    /// RCPTs beyond the limit.
    pub(super) overshoot: usize,
    /// RCPTs that policy refused.
    pub(super) refused: usize,
}

#[derive(Debug)]
pub(super) struct Hello {
    pub(super) host: Host,
    /// EHLO or LHLO, not HELO.
    pub(super) extended: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) errors: u32,
    pub(super) junk: u32,
    pub(super) messages: u32,
    pub(super) auth_failures: u32,
}

#[derive(Debug)]
pub struct ServerSession {
    pub(super) config: Arc<ServerConfig>,
    pub(super) now: Instant,
    /// What the deadline of the next command counts from.
    pub(super) since: Instant,
    pub(super) input: Input,
    pub(super) queue: VecDeque<Output>,
    replies: Vec<u8>,
    pub(super) phase: Phase,
    pub(super) question: Option<Pending>,
    pub(super) tls: Option<TlsInfo>,
    pub(super) hello: Option<Hello>,
    /// What the last EHLO offered; nothing behind HELO.
    pub(super) offered: Capabilities,
    pub(super) account: Option<String>,
    pub(super) open: Option<Open>,
    /// A chunk was refused: no other is taken until RSET or EHLO (RFC 3030 §2). So many recipients had been accepted.
    pub(super) chunks_failed: Option<usize>,
    pub(super) counts: Counts,
    /// No command has come yet, or none since TLS.
    pub(super) first: bool,
    /// Policy answered the connection with 554: only QUIT is served (RFC 5321 §3.1).
    pub(super) refused: bool,
    /// An AUTH was seen: lines that are no commands may be its responses.
    pub(super) auth_seen: bool,
    eof: bool,
    flooded: bool,
    pub(super) shutdown: Option<Reply>,
}

/// In.
impl ServerSession {
    /// A new connection: the first output is `Ask(Connect)`.
    pub fn new(config: Arc<ServerConfig>, now: Instant) -> Self {
        Self {
            config,
            now,
            since: now,
            input: Input::default(),
            queue: VecDeque::from([Output::Ask(Question::Connect)]),
            replies: Vec::new(),
            phase: Phase::Command,
            question: Some(Pending::Connect),
            tls: None,
            hello: None,
            offered: Capabilities::default(),
            account: None,
            open: None,
            chunks_failed: None,
            counts: Counts::default(),
            first: true,
            refused: false,
            auth_seen: false,
            eof: false,
            flooded: false,
            shutdown: None,
        }
    }

    /// The same for a connection that begins with TLS (port 465); call before the first output.
    pub fn with_tls(config: Arc<ServerConfig>, now: Instant, tls: TlsInfo) -> Self {
        Self { tls: Some(tls), ..Self::new(config, now) }
    }

    /// Octets from the peer. Those that come before the greeting are served, with a note: they are the mark of a
    /// program that does not listen, and what that is worth is for policy to say.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        self.now = now;
        if bytes.is_empty() || matches!(self.phase, Phase::Closing | Phase::Closed) {
            return;
        }
        // RFC 3207 §4.2: what came in the clear behind STARTTLS is not the peer's that TLS will authenticate.
        if matches!(self.phase, Phase::TlsNext | Phase::Tls) {
            self.misbehaved("octets between STARTTLS and the handshake");
            return self.close();
        }
        if matches!(self.question, Some(Pending::Connect)) && self.input.is_empty() {
            self.misbehaved("talked before the greeting");
        }
        // A letter's octets are not buffered where nothing stands before them.
        let used = if self.question.is_none() && self.input.is_empty() { self.receive(bytes) } else { 0 };
        let rest = bytes.get(used..).unwrap_or_default();
        if self.flooded || matches!(self.phase, Phase::Closing) {
            return;
        }
        let room = INPUT_AHEAD.saturating_sub(self.input.len());
        self.flooded = rest.len() > room;
        self.input.push(rest.get(..room).unwrap_or(rest));
    }

    /// The peer has closed its side. What it sent before is still answered.
    pub fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        self.eof = true;
    }

    /// The handshake asked for by [`Output::StartTls`] is done. (When it failed: close.)
    pub fn handle_tls(&mut self, now: Instant, tls: TlsInfo) {
        (self.now, self.since) = (now, now);
        if !matches!(self.phase, Phase::Tls) {
            return;
        }
        // RFC 3207 §4.2: "the server MUST discard any knowledge obtained from the client … which was not obtained from
        // the TLS negotiation itself".
        self.reset();
        self.hello = None;
        self.account = None;
        self.offered = Capabilities::default();
        self.first = true;
        self.tls = Some(tls);
        self.phase = Phase::Command;
    }

    /// The [`Output::Body`] given last is stored. The time that took is ours, not the peer's: no deadline of a letter
    /// counts it.
    pub fn handle_stored(&mut self, now: Instant) {
        let ours = now.saturating_duration_since(self.now);
        (self.now, self.since) = (now, self.since + ours);
        if let Some(letter) = self.open.as_mut().and_then(|open| open.letter.as_mut()) {
            letter.pace.excuse(ours);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.question.is_some() || now < self.deadline() {
            return;
        }
        match self.phase {
            Phase::Closing | Phase::Closed => {}
            Phase::TlsNext | Phase::Tls => self.close(),
            Phase::Data | Phase::Chunk { .. } | Phase::Drain { .. } => self.close_with(replies::TOO_SLOW),
            Phase::Command | Phase::Skip { .. } | Phase::Sasl(_) => self.close_with(replies::IDLE),
        }
    }

    /// The server is stopping: a session between letters says this 421 reply and closes at once; one that is
    /// receiving a letter finishes it first.
    pub fn handle_shutdown(&mut self, now: Instant, reply: Reply) {
        self.now = now;
        self.shutdown = Some(reply);
    }
}

/// Out.
impl ServerSession {
    pub fn poll_output(&mut self) -> Output {
        loop {
            if let Some(output) = self.queue.pop_front() {
                return output;
            }
            if self.replies.len() >= REPLIES_AT_ONCE {
                return Output::Transmit(mem::take(&mut self.replies));
            }
            if self.question.is_some() {
                return Output::Wait(self.deadline());
            }
            if self.step() {
                continue;
            }
            if !self.replies.is_empty() {
                return Output::Transmit(mem::take(&mut self.replies));
            }
            match self.phase {
                Phase::TlsNext => {
                    self.phase = Phase::Tls;
                    return Output::StartTls;
                }
                Phase::Closing | Phase::Closed => {
                    self.phase = Phase::Closed;
                    return Output::Close;
                }
                _ => return Output::Wait(self.deadline()),
            }
        }
    }

    /// Replies that wait to be transmitted, for a driver that has to wait for an answer.
    pub fn flush(&mut self) -> Option<Vec<u8>> {
        if self.replies.is_empty() { None } else { Some(mem::take(&mut self.replies)) }
    }

    /// Whether the driver should read from the peer now. While a question is open it should not: the peer is to wait
    /// for its answer in the network's buffers, not in ours.
    pub fn wants_input(&self) -> bool {
        let listening = !matches!(self.phase, Phase::TlsNext | Phase::Tls | Phase::Closing | Phase::Closed);
        listening && self.question.is_none() && self.queue.is_empty()
    }

    pub fn transaction(&self) -> Option<&Transaction> {
        self.open.as_ref().map(|open| &open.transaction)
    }

    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    pub fn helo(&self) -> Option<&Host> {
        self.hello.as_ref().map(|hello| &hello.host)
    }

    /// The account that authenticated, as it named itself.
    pub fn authenticated(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The word for the `with` clause of Received (RFC 3848, RFC 6531 §4.3): ESMTPS, UTF8SMTPSA, LMTP …
    pub fn protocol_word(&self) -> &'static str {
        let words = match (self.config.protocol, self.transaction().is_some_and(|t| t.params.smtputf8)) {
            (Protocol::Smtp, false) => ["ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"],
            (Protocol::Smtp, true) => ["UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"],
            (Protocol::Lmtp, false) => ["LMTP", "LMTPA", "LMTPS", "LMTPSA"],
            (Protocol::Lmtp, true) => ["UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"],
        };
        let [plain, authenticated, encrypted, both] = words;
        match (self.tls.is_some(), self.account.is_some()) {
            (false, false) if self.hello.as_ref().is_some_and(|hello| !hello.extended) => "SMTP",
            (false, false) => plain,
            (false, true) => authenticated,
            (true, false) => encrypted,
            (true, true) => both,
        }
    }
}

/// Common to all phases.
impl ServerSession {
    /// Acts upon what has come in, one command or one piece at a time; `false` where there is not enough of it.
    fn step(&mut self) -> bool {
        if matches!(self.phase, Phase::TlsNext | Phase::Tls | Phase::Closing | Phase::Closed) {
            return false;
        }
        if let Some(reply) = self.shutdown.take_if(|_| self.open.as_ref().is_none_or(|open| open.letter.is_none())) {
            self.close_with(reply);
            return true;
        }
        let stepped = match self.phase {
            Phase::Command => self.step_command(),
            Phase::Sasl(_) => self.step_sasl(),
            Phase::Skip { .. } => self.step_skip(),
            _ => self.step_letter(),
        };
        if stepped {
            return true;
        }
        if self.flooded {
            self.misbehaved("sent too much without waiting");
            self.close_with(replies::TOO_MUCH_AHEAD);
        } else if self.eof {
            self.close();
        }
        matches!(self.phase, Phase::Closing)
    }

    fn deadline(&self) -> Instant {
        let limits = &self.config.limits;
        let letter = self.open.as_ref().and_then(|open| open.letter.as_ref());
        match (&self.phase, letter) {
            (Phase::Data | Phase::Chunk { .. }, Some(letter)) => letter.pace.deadline(limits),
            (Phase::Drain { pace, .. }, _) => pace.deadline(limits),
            (_, Some(letter)) => (self.since + limits.command_timeout).min(letter.pace.cap(limits)),
            (_, None) => self.since + limits.command_timeout,
        }
    }

    pub(super) fn ask(&mut self, question: Question, pending: Pending) {
        self.question = Some(pending);
        self.queue.push_back(Output::Ask(question));
    }

    pub(super) fn say(&mut self, reply: Reply) {
        reply.write(&mut self.replies);
        self.queue.push_back(Output::Event(Event::Reply(reply)));
    }

    /// A challenge of AUTH: `shown` is what the log gets.
    pub(super) fn say_redacted(&mut self, reply: &Reply, shown: Reply) {
        reply.write(&mut self.replies);
        self.queue.push_back(Output::Event(Event::Reply(shown)));
    }

    /// A refusal; too many of them end the session.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.refuse_times(reply, 1);
    }

    /// The same, once for each recipient of LMTP, of whom there may be none; it counts once.
    pub(super) fn refuse_times(&mut self, reply: Reply, times: usize) {
        self.counts.errors = self.counts.errors.saturating_add(1);
        if self.counts.errors > self.config.limits.errors {
            return self.close_with(replies::TOO_MANY_ERRORS);
        }
        self.say_times(reply, times);
    }

    pub(super) fn say_times(&mut self, reply: Reply, times: usize) {
        for _ in 1..times {
            self.say(reply.clone());
        }
        if times > 0 {
            self.say(reply);
        }
    }

    /// A command that brings no letter nearer; `false` where there were too many and the session ends.
    pub(super) fn junk(&mut self) -> bool {
        self.counts.junk = self.counts.junk.saturating_add(1);
        let bearable = self.counts.junk <= self.config.limits.junk_commands;
        if !bearable {
            self.close_with(replies::TOO_MUCH_JUNK);
        }
        bearable
    }

    pub(super) fn misbehaved(&mut self, how: &'static str) {
        self.queue.push_back(Output::Event(Event::Misbehaved(how)));
    }

    /// The transaction is over, whole. If its letter was on the way, it is gone.
    pub(super) fn reset(&mut self) {
        self.chunks_failed = None;
        let letter = self.open.take().and_then(|open| open.letter);
        if letter.is_some_and(|letter| !letter.abandoned) {
            self.queue.push_back(Output::Abandon);
        }
    }

    pub(super) fn close_with(&mut self, reply: Reply) {
        self.say(reply);
        self.close();
    }

    pub(super) fn close(&mut self) {
        self.reset();
        self.input.clear();
        self.phase = Phase::Closing;
    }
}
