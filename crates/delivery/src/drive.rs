//! Drives a [`ClientSession`] over a real line: bytes, handshakes and the clock.
//!
//! # How it is used
//! [`Connection::open`] gives a connection on which letters may be sent; then [`Connection::deliver`] for each letter,
//! with [`Connection::settle`] between them, and [`Connection::quit`] at the end.
//!
//! # Invariants
//! - Everything the session has to say is gathered and written at once before the next read: a pipelined transaction with
//!   a small letter costs two or three system calls.
//! - No wait is without an end: reads and writes end with the session's own deadline.
//! - Once a write has failed, what the server may have said before is still read: it is the better explanation.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use queue::Body;
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use smtp::client::{ClientSession, Closed, Delivery, Event, Message, Output, Stage, TlsMode};
use smtp::{Reply, TlsInfo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::content::Content;
use crate::dial::{Address, Dial, connect, handshake_words};
use crate::outcome::{Trouble, plain_words, tls_words};
use crate::stream::Stream;
use crate::tls::{Tls, Trust};
use crate::tls_policy::TlsPolicy;

/// Octets of a letter that are read and sent at once.
const PIECE: usize = 256 * 1024;
/// Octets that are gathered before they are written.
const GATHER: usize = 64 * 1024;
/// How long to look for the server's last words once writing to it has failed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// One line of a dialog as it happens, for whoever watches.
#[derive(Debug)]
pub enum Line<'a> {
    Connected(&'a str),
    /// A command as sent, AUTH redacted.
    Sent(&'a str),
    Received(&'a Reply),
    /// This reply of that server keeps every letter back.
    Refused {
        by: &'a str,
        reply: &'a Reply,
    },
    Tls(&'a TlsInfo),
}

pub(crate) type Watch<'a> = &'a mut (dyn FnMut(Line<'_>) + Send);

/// An open connection with its session.
pub(crate) struct Connection {
    stream: Stream,
    session: ClientSession,
    peer: String,
    name: Option<ServerName<'static>>,
    address: Address,
    policy: TlsPolicy,
    plain_because: Option<String>,
    tls: Tls,
    /// The TLS session goes on from an earlier one.
    resumed: bool,
    /// [`Self::found_by_mx_of`] found that nobody has vouched for the name.
    distrusted: bool,
    handshake_time: Duration,
    outbox: Vec<u8>,
    inbox: Box<[u8]>,
    /// Something was read since the last letter began.
    heard: bool,
    write_failed: bool,
}

/// What the session wants of its driver.
#[derive(Debug, PartialEq)]
enum Step {
    Ready,
    NeedBody,
    Done(Delivery),
    Closed(Closed),
}

/// Octets that went over the line, one way or the other.
enum Moved {
    Out(io::Result<usize>),
    In(io::Result<usize>),
}

/// Why a connection did not come to the point where letters are sent.
pub(crate) struct NotOpen {
    pub(crate) trouble: Trouble,
    /// Opportunistic TLS was in the way; the same server may take letters without it.
    pub(crate) plain_may_help: bool,
}

impl Connection {
    /// Connects, greets, encrypts and authenticates.
    pub(crate) async fn open(dial: Dial<'_>, watch: Watch<'_>) -> Result<Self, NotOpen> {
        let not_open = |trouble| NotOpen { trouble, plain_may_help: false };
        let stream = connect(&dial.address, dial.times.connect)
            .await
            .map_err(|error| not_open(Trouble::connect(&dial.peer, &error)))?;
        watch(Line::Connected(&dial.peer));
        let tls_mode = dial.session.tls;
        let session = if dial.transcript {
            ClientSession::with_transcript(dial.session, Instant::now())
        } else {
            ClientSession::new(dial.session, Instant::now())
        };
        let mut connection = Self {
            stream,
            session,
            peer: dial.peer,
            name: dial.name,
            address: dial.address,
            policy: dial.policy,
            plain_because: dial.plain_because,
            tls: dial.tls.clone(),
            resumed: false,
            distrusted: false,
            handshake_time: dial.times.tls,
            outbox: Vec::new(),
            inbox: vec![0; 4096].into(),
            heard: false,
            write_failed: false,
        };
        loop {
            match connection.step(watch).await {
                Step::Ready => return Ok(connection),
                Step::Closed(closed) => {
                    if let Closed::Refused { reply, .. } = &closed {
                        watch(Line::Refused { by: &connection.peer, reply });
                    }
                    let plain_may_help =
                        tls_mode == TlsMode::Opportunistic && is_about_tls(&closed, connection.session.tls().is_some());
                    let trouble = connection.trouble(&closed);
                    return Err(NotOpen { trouble, plain_may_help });
                }
                // Without a letter neither is said.
                Step::NeedBody | Step::Done(_) => {}
            }
        }
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    pub(crate) fn session(&self) -> &ClientSession {
        &self.session
    }

    /// The server was found by MX records of `domain`. One that has the domain's own name was named by the sender.
    pub(crate) fn found_by_mx_of(&mut self, domain: &str) {
        let own = self.name.as_ref().is_some_and(|name| name.to_str().eq_ignore_ascii_case(domain));
        if !own {
            self.session.distrust_name();
            self.distrusted = true;
        }
    }

    /// Letters follow that came here by another rule.
    pub(crate) fn set_policy(&mut self, policy: TlsPolicy) {
        self.policy = policy;
    }

    /// What the record says of the line: `TLSv1.3 TLS_AES_256_GCM_SHA384 verified; level=opportunistic by default`. Empty
    /// where TLS is out of the question.
    pub(crate) fn tls_words(&self) -> String {
        match (self.session.tls(), &self.address) {
            (_, Address::Unix(_)) => String::new(),
            (Some(tls), _) => tls_words(tls, self.resumed, &self.policy),
            (None, _) => plain_words(self.plain_because.as_deref(), self.session.capabilities(), &self.policy),
        }
    }

    /// The certificate is good for the name that the server goes by.
    pub(crate) fn is_verified(&self) -> bool {
        self.session.tls().is_some_and(|tls| tls.verified.is_ok())
    }

    pub(crate) fn meets(&self, policy: &TlsPolicy) -> bool {
        policy.is_met(self.session.tls().is_some(), self.is_verified())
    }

    /// RFC 8689 §4.2.1: what a letter with REQUIRETLS needs of a server.
    pub(crate) fn takes_requiretls(&self) -> bool {
        self.is_verified() && !self.distrusted && self.session.capabilities().is_some_and(|offered| offered.requiretls)
    }

    /// The name that its certificate is to have.
    pub(crate) fn server(&self) -> String {
        self.name.as_ref().map(|name| name.to_str().into_owned()).unwrap_or_default()
    }

    /// Where the server is; `None` for a socket of this machine.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// Why no letter can be sent on it.
    pub(crate) fn trouble(&self, closed: &Closed) -> Trouble {
        let tls = match (self.session.tls(), closed) {
            (None, Closed::TlsFailed(why)) => format!("none: the handshake failed: {why}; {}", self.policy),
            // Before EHLO nothing is known of it.
            (None, _) if self.session.capabilities().is_none() => String::new(),
            _ => self.tls_words(),
        };
        Trouble::closed(&self.peer, closed, tls, &self.policy)
    }

    /// Letters on this connection go by DATA from now on.
    pub(crate) fn forgo_bdat(&mut self) {
        self.session.forgo_bdat();
    }

    /// Whether the server has said anything since the last letter was begun.
    pub(crate) fn heard(&self) -> bool {
        self.heard
    }

    /// Sends one letter. `Err`: the connection ended without a word on the recipients.
    pub(crate) async fn deliver(
        &mut self,
        message: Message,
        content: impl Into<Content<'_>>,
        watch: Watch<'_>,
    ) -> Result<Delivery, Closed> {
        let content = content.into();
        self.heard = false;
        self.session.deliver(Instant::now(), message);
        loop {
            let mut step = self.step(watch).await;
            if step == Step::NeedBody {
                step = match self.give(content, watch).await {
                    Some(step) => step,
                    None => continue,
                };
            }
            match step {
                Step::Done(delivery) => return Ok(delivery),
                Step::Closed(closed) => return Err(closed),
                Step::Ready | Step::NeedBody => {}
            }
        }
    }

    /// Gives the session the letter, piece by piece; memory holds one of them. Stops where the session has come to a
    /// result before the end.
    async fn give(&mut self, content: Content<'_>, watch: Watch<'_>) -> Option<Step> {
        let mut pieces = content.pieces();
        loop {
            match pieces.next().await {
                Ok(Some(piece)) => self.session.handle_body(Instant::now(), &piece),
                Ok(None) => break,
                // A store that gives less than it promised must not have half a letter taken for a whole one.
                Err(error) => {
                    tracing::error!(%error, offset = pieces.offset(), "letter cannot be read to its end");
                    self.session.handle_body_failed(Instant::now());
                    return None;
                }
            }
            if !pieces.is_at_end()
                && let Some(step) = self.between_pieces(watch).await
            {
                return Some(step);
            }
        }
        self.session.handle_body_end(Instant::now());
        None
    }

    /// Writes what has gathered, and hears what the server says meanwhile: it may refuse a large letter long before its end.
    async fn between_pieces(&mut self, watch: Watch<'_>) -> Option<Step> {
        if let Some(step) = self.drain(watch).await {
            return Some(step);
        }
        // A piece may be small, as the trace fields are; it then waits for the next.
        if !self.outbox.is_empty() && !self.write_failed {
            return None;
        }
        if self.write_failed {
            self.last_words().await;
        } else {
            self.receive_ready().await;
        }
        self.drain(watch).await
    }

    /// After a letter: whether the connection can take another.
    pub(crate) async fn settle(&mut self, watch: Watch<'_>) -> Result<(), Closed> {
        loop {
            match self.step(watch).await {
                Step::Ready => return Ok(()),
                Step::Closed(closed) => return Err(closed),
                Step::NeedBody | Step::Done(_) => {}
            }
        }
    }

    /// Waits, on a connection that nothing is sent on, until the server speaks or closes it: either way it is over.
    pub(crate) async fn gone(&mut self) {
        let _ = self.stream.read(&mut self.inbox).await;
    }

    /// Says QUIT and awaits the answer for a while.
    pub(crate) async fn quit(mut self, watch: Watch<'_>) {
        self.session.quit(Instant::now());
        while !matches!(self.step(watch).await, Step::Closed(_)) {}
        let _ = timeout(LAST_WORDS, self.stream.shutdown()).await;
    }

    /// Does what the session says until it wants something that is not the line's.
    async fn step(&mut self, watch: Watch<'_>) -> Step {
        loop {
            if let Some(step) = self.drain(watch).await {
                return step;
            }
            self.receive().await;
        }
    }

    /// The same, but `None` where input has to be awaited. What is to be written may still lie in the outbox.
    async fn drain(&mut self, watch: Watch<'_>) -> Option<Step> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.gather(bytes).await,
                Output::Event(Event::Command(line)) => watch(Line::Sent(&line)),
                Output::Event(Event::Reply(reply)) => watch(Line::Received(&reply)),
                Output::Wait(_) => return None,
                Output::StartTls => {
                    self.write_out().await;
                    self.start_tls(watch).await;
                }
                Output::Ready => return Some(Step::Ready),
                Output::NeedBody => return Some(Step::NeedBody),
                Output::Done(delivery) => return Some(Step::Done(delivery)),
                Output::Closed(closed) => {
                    self.write_out().await;
                    return Some(Step::Closed(closed));
                }
            }
        }
    }

    async fn gather(&mut self, bytes: Vec<u8>) {
        // A large piece is written as it is and not copied behind a small one.
        if bytes.len() >= GATHER {
            self.write_out().await;
        }
        if self.outbox.is_empty() {
            self.outbox = bytes;
        } else {
            self.outbox.extend_from_slice(&bytes);
        }
        if self.outbox.len() >= GATHER {
            self.write_out().await;
        }
    }

    /// Writes what has gathered. A server that says something while it takes nothing is heard: else both sides might wait
    /// for each other, and a refusal would come to light only when time is up.
    async fn write_out(&mut self) {
        let bytes = std::mem::take(&mut self.outbox);
        let until = self.session.deadline().into();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() && !self.write_failed {
            match timeout_at(until, self.write_or_hear(rest)).await {
                Ok(Moved::Out(Ok(n))) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
                Ok(Moved::In(Ok(n))) if n > 0 => {
                    self.heard_octets(n);
                    // The session is over: what is left to be written is not wanted any more.
                    self.write_failed = self.session.stage() == Stage::Quit;
                }
                Ok(Moved::Out(_)) => self.write_failed = true,
                Ok(Moved::In(_)) => {
                    self.write_failed = true;
                    self.session.handle_eof(Instant::now());
                }
                Err(_) => {
                    self.write_failed = true;
                    self.session.handle_timeout(Instant::now());
                }
            }
        }
        if !bytes.is_empty() && !self.write_failed {
            self.write_failed = !matches!(timeout_at(until, self.stream.flush()).await, Ok(Ok(())));
        }
    }

    /// Writes some of it; reads only where nothing can be written.
    fn write_or_hear(&mut self, bytes: &[u8]) -> impl Future<Output = Moved> {
        let (stream, inbox) = (&mut self.stream, &mut self.inbox);
        poll_fn(move |cx| {
            if let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, bytes) {
                return Poll::Ready(Moved::Out(written));
            }
            let mut buffer = ReadBuf::new(inbox);
            let read = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
            read.map(|read| Moved::In(read.map(|()| buffer.filled().len())))
        })
    }

    /// One read, or the session's deadline.
    async fn receive(&mut self) {
        self.write_out().await;
        if self.write_failed {
            return self.last_words().await;
        }
        let until = self.session.deadline().into();
        match timeout_at(until, self.stream.read(&mut self.inbox)).await {
            Err(_) => self.session.handle_timeout(Instant::now()),
            Ok(Ok(0) | Err(_)) => self.session.handle_eof(Instant::now()),
            Ok(Ok(n)) => self.heard_octets(n),
        }
    }

    /// What has come already, without waiting.
    async fn receive_ready(&mut self) {
        let (stream, inbox) = (&mut self.stream, &mut self.inbox);
        let came = poll_fn(|cx| {
            let mut buffer = ReadBuf::new(inbox);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(read) => Poll::Ready(Some(read.map(|()| buffer.filled().len()))),
                Poll::Pending => Poll::Ready(None),
            }
        });
        match came.await {
            None => {}
            Some(Ok(0) | Err(_)) => self.session.handle_eof(Instant::now()),
            Some(Ok(n)) => self.heard_octets(n),
        }
    }

    fn heard_octets(&mut self, n: usize) {
        self.heard = true;
        if let Some(bytes) = self.inbox.get(..n) {
            self.session.handle_input(Instant::now(), bytes);
        }
    }

    /// The line is broken outwards: what the server said before that, then its end.
    async fn last_words(&mut self) {
        match timeout(LAST_WORDS, self.stream.read(&mut self.inbox)).await {
            Ok(Ok(n)) if n > 0 => self.heard_octets(n),
            _ => self.session.handle_eof(Instant::now()),
        }
    }

    async fn start_tls(&mut self, watch: Watch<'_>) {
        match self.handshake().await {
            Ok(info) => {
                watch(Line::Tls(&info));
                self.session.handle_tls(Instant::now(), info);
            }
            Err(why) => self.session.handle_tls_failed(Instant::now(), why),
        }
    }

    async fn handshake(&mut self) -> Result<TlsInfo, String> {
        let (stream, name) = match (std::mem::replace(&mut self.stream, Stream::Gone), self.name.clone()) {
            (Stream::Tcp(stream), Some(name)) => (stream, name),
            _ => return Err("there is no name to verify it by".into()),
        };
        let trust = self.policy.trust();
        let port = self.address().map_or(0, |address| address.port());
        let connector = TlsConnector::from(self.tls.config(trust, port));
        let stream = match timeout(self.handshake_time, connector.connect(name.clone(), stream)).await {
            Err(_) => return Err("the handshake took too long".into()),
            Ok(Err(error)) => return Err(handshake_words(&error)),
            Ok(Ok(stream)) => stream,
        };
        let info = self.tls.info(stream.get_ref().1, &name);
        self.resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        // A session that is resumed is not verified by the handshake; what was good may have expired since.
        if let (Trust::Verified, Err(why)) = (trust, &info.verified) {
            return Err(format!("the certificate is not good: {why}"));
        }
        self.stream = Stream::Tls(Box::new(stream));
        Ok(info)
    }
}

/// Whether a session ended by the attempt to encrypt it. A server that dislikes our side of TLS 1.3 may say so only when
/// we have begun to speak, so the EHLO after it belongs to that too.
fn is_about_tls(closed: &Closed, encrypted: bool) -> bool {
    match closed {
        Closed::TlsFailed(_) => true,
        Closed::Disconnected(Stage::Ehlo) => encrypted,
        Closed::Refused { stage, .. }
        | Closed::Timeout(stage)
        | Closed::Disconnected(stage)
        | Closed::Protocol { stage, .. } => *stage == Stage::StartTls,
        _ => false,
    }
}

/// The next piece of a letter. What is not in memory is read where blocking does no harm.
pub(crate) async fn read_piece(body: &Body, offset: u64) -> io::Result<Bytes> {
    if body.in_memory() {
        return body.read_at(offset, PIECE);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || body.read_at(offset, PIECE)).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}
