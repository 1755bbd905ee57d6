//! The session itself: what goes in and comes out. What is said is in [`sender`](super::sender), what is heard in
//! [`receiver`](super::receiver).

use std::collections::VecDeque;
use std::time::Instant;

use super::auth::Auth;
use super::body::Encoder;
use super::letter::Letter;
use super::output::{Closed, Message, Output, Stage};
use super::sender::Next;
use super::{ClientConfig, TlsMode, words};
use crate::extension::Capabilities;
use crate::reply::ReplyParser;
use crate::tls::TlsInfo;

/// Where the session is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a session lives on its connection, most of its time with a letter")]
pub(super) enum Phase {
    /// Greeting, EHLO, STARTTLS, AUTH.
    Opening,
    /// The driver is to do the TLS handshake.
    Handshake,
    Ready,
    /// MAIL to the reply to the end of data.
    Letter(Letter),
    Quitting,
    Closed(Closed),
}

/// A reply that is awaited, in the order of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Rset,
    Mail,
    Rcpt(usize),
    Data,
    /// A chunk that is not the last.
    Chunk,
    /// For all recipients; in LMTP for one.
    EndOfData(Option<usize>),
    Quit,
}

impl Expect {
    pub(super) fn stage(self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Ehlo | Self::Helo => Stage::Ehlo,
            Self::StartTls => Stage::StartTls,
            Self::Auth => Stage::Auth,
            Self::Rset | Self::Mail => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Chunk | Self::EndOfData(_) => Stage::EndOfData,
            Self::Quit => Stage::Quit,
        }
    }
}

pub struct ClientSession {
    pub(super) config: ClientConfig,
    pub(super) transcript: bool,
    pub(super) phase: Phase,
    /// What the sender says as soon as it may.
    pub(super) next: Next,
    /// What the receiver awaits.
    pub(super) expected: VecDeque<Expect>,
    pub(super) parser: ReplyParser,
    /// The reply that is coming in began while none was awaited.
    pub(super) unasked: bool,
    /// Octets not yet handed out; they come behind all of `outputs`.
    pub(super) out: Vec<u8>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) deadline: Instant,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) tls: Option<TlsInfo>,
    /// The peer said no to STARTTLS, which was welcome but not required.
    pub(super) tls_declined: bool,
    pub(super) auth: Auth,
    /// The content of the letter is being given.
    pub(super) body: Option<Encoder>,
    /// The peer has a transaction that was begun and not ended: RSET comes before the next MAIL.
    pub(super) half_open: bool,
    pub(super) letters: u32,
    /// The peer offered CHUNKING and does not know BDAT.
    pub(super) bdat_refused: bool,
    /// The name that the certificate was held against could have been put there by anyone.
    pub(super) name_unprotected: bool,
}

impl ClientSession {
    pub fn new(config: ClientConfig, now: Instant) -> Self {
        let implicit = config.tls == TlsMode::Implicit;
        let mut session = Self {
            transcript: false,
            phase: if implicit { Phase::Handshake } else { Phase::Opening },
            next: Next::Nothing,
            expected: VecDeque::from([Expect::Greeting]),
            parser: ReplyParser::new(),
            unasked: false,
            out: Vec::new(),
            outputs: VecDeque::new(),
            deadline: now + config.timeouts.greeting,
            capabilities: None,
            tls: None,
            tls_declined: false,
            auth: Auth::default(),
            body: None,
            half_open: false,
            letters: 0,
            bdat_refused: false,
            name_unprotected: false,
            config,
        };
        if implicit {
            session.outputs.push_back(Output::StartTls);
        }
        session
    }

    /// The same, saying each line of the dialog as an [`Event`].
    pub fn with_transcript(config: ClientConfig, now: Instant) -> Self {
        Self { transcript: true, ..Self::new(config, now) }
    }

    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if !self.out.is_empty() {
            return Output::Transmit(std::mem::take(&mut self.out));
        }
        match &self.phase {
            Phase::Closed(why) => Output::Closed(why.clone()),
            _ => Output::Wait(self.deadline),
        }
    }

    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        let mut input = bytes;
        let mut heard = false;
        while !input.is_empty() && !self.is_closed() {
            if matches!(self.phase, Phase::Handshake) {
                // RFC 3207 §4.2: these octets came in clear; nobody knows who wrote them.
                return self.protocol_error(Stage::StartTls, "octets came before the TLS handshake");
            }
            // Where nothing is awaited when a reply begins, it is no reply to what is said before it ends.
            if self.parser.is_idle() {
                self.unasked = self.expected.is_empty();
            }
            match self.parser.read(&mut input) {
                Ok(Some(reply)) => {
                    heard = true;
                    self.receive(reply);
                }
                Ok(None) => {}
                Err(error) => return self.protocol_error(self.stage(), error.what()),
            }
        }
        if heard {
            self.go_on(now);
        }
    }

    /// The peer has closed its side, or cannot be written to.
    pub fn handle_eof(&mut self, _now: Instant) {
        match self.phase {
            Phase::Quitting => self.close(Closed::Quit),
            _ => self.close(Closed::Disconnected(self.stage())),
        }
    }

    /// The handshake asked for by [`Output::StartTls`] is done; with [`TlsMode::Implicit`] it may be told unasked.
    pub fn handle_tls(&mut self, now: Instant, tls: TlsInfo) {
        if !matches!(self.phase, Phase::Handshake) {
            return;
        }
        self.outputs.retain(|output| *output != Output::StartTls);
        self.tls = Some(tls);
        self.phase = Phase::Opening;
        if self.expected.is_empty() {
            // RFC 3207 §4.2: "The client MUST discard any knowledge obtained from the server … prior to the TLS negotiation".
            self.capabilities = None;
            self.next = Next::Ehlo;
        }
        self.go_on(now);
    }

    /// The handshake failed. Whether to try again without TLS is for the caller to say.
    pub fn handle_tls_failed(&mut self, _now: Instant, why: String) {
        self.close(Closed::TlsFailed(why));
    }

    /// Does nothing before the [`deadline`](Self::deadline).
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.phase {
            Phase::Ready => self.quit(now),
            Phase::Quitting => self.close(Closed::Quit),
            _ => self.close(Closed::Timeout(self.stage())),
        }
    }

    /// After [`Output::Ready`]. Where the connection is gone already, every recipient gets 451 4.4.2 of our own.
    pub fn deliver(&mut self, now: Instant, message: Message) {
        let letter = Letter::new(message);
        if !matches!(self.phase, Phase::Ready) {
            return self.push(Output::Done(letter.finish(Stage::Mail, words::LOST)));
        }
        self.begin_letter(letter);
        self.go_on(now);
    }

    /// After [`Output::NeedBody`]; as often as there are pieces. Drain the output between large pieces.
    pub fn handle_body(&mut self, now: Instant, bytes: &[u8]) {
        self.say_body(bytes);
        self.deadline = now + self.patience();
    }

    pub fn handle_body_end(&mut self, now: Instant) {
        self.say_body_end();
        self.go_on(now);
    }

    /// The letter cannot be read to its end (a broken disk): the session must not let the peer take half of it for whole.
    /// It closes without an end of data; every recipient gets 451 4.3.0 of our own.
    pub fn handle_body_failed(&mut self, _now: Instant) {
        if let Phase::Letter(letter) = &mut self.phase {
            letter.decide_rest(Stage::Data, words::UNREADABLE);
            self.close(Closed::Quit);
        }
    }

    /// QUIT, from [`Output::Ready`]. Elsewhere the session ends at once, and a letter in hand is left for later.
    pub fn quit(&mut self, now: Instant) {
        match self.phase {
            Phase::Ready => {
                self.phase = Phase::Quitting;
                self.next = Next::Quit;
                self.go_on(now);
            }
            Phase::Quitting => {}
            _ => self.close(Closed::Quit),
        }
    }
}

/// What can be asked of a session at any time.
impl ClientSession {
    /// What the peer offered, once there was an EHLO; after TLS, what it offered there.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities.as_ref()
    }

    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    /// Letters that the peer has answered on this connection.
    pub fn letters(&self) -> u32 {
        self.letters
    }

    /// The peer answered BDAT as a command that it does not know, though it offered CHUNKING. Further letters of this session
    /// go by DATA; the one that was refused may be given again.
    pub fn bdat_refused(&self) -> bool {
        self.bdat_refused
    }

    /// The peer's name comes from an MX record that nothing has authenticated: whatever its certificate says, it is not good
    /// enough for REQUIRETLS (RFC 8689 §4.2.1).
    pub fn distrust_name(&mut self) {
        self.name_unprotected = true;
    }

    /// Letters go by DATA from now on, but for what only BDAT can carry.
    pub fn forgo_bdat(&mut self) {
        self.config.chunking = false;
    }

    /// Recipients that the peer takes in one transaction (RFC 9422 §4). Those beyond get 452 4.5.3 of our own.
    pub fn recipients_max(&self) -> Option<usize> {
        let max = self.capabilities.as_ref()?.limits.rcpt_max?;
        usize::try_from(max).ok()
    }

    /// Letters that the peer still takes on this connection, where it named a limit (RFC 9422 §4).
    pub fn letters_left(&self) -> Option<u32> {
        let max = self.capabilities.as_ref()?.limits.mail_max?;
        Some(max.saturating_sub(self.letters))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, also while there is output to be written.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Where in the dialog the session is: what is awaited from the peer, or what comes next.
    pub fn stage(&self) -> Stage {
        match (&self.phase, self.expected.front()) {
            (Phase::Handshake, _) => return Stage::StartTls,
            (_, Some(expect)) if self.body.is_none() => return expect.stage(),
            _ => {}
        }
        match &self.phase {
            Phase::Opening | Phase::Handshake => Stage::Greeting,
            Phase::Ready => Stage::Mail,
            Phase::Letter(_) => Stage::Data,
            Phase::Quitting | Phase::Closed(_) => Stage::Quit,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }
}
