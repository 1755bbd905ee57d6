//! Bytes between a socket and a [`ServerSession`], and the session's questions to [`Policy`].
//!
//! # Invariants
//! - A connection that waits holds no buffer: it is read into one of its thread's, when there is something to read.
//! - Replies go out before anything that takes time is begun: a hash, a sync, a delay.
//! - 250 for a letter is said after the queue has it on disk.
//!
//! # Limits
//! A reply must be taken within `limits.command_timeout`; a handshake done within `limits.handshake_timeout`. When the server
//! stops, a letter under way has [`DRAIN`].

mod input;
mod opening;
mod wire;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queue::Draft;
use smtp::server::{Answer, AuthQuestion, Event, Output, Question, ServerConfig, ServerSession};
use smtp::{Reply, Severity};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::admission::Place;
use crate::config::{Listener, Profile};
use crate::policy::{Policy, Slow};
use crate::shared::Shared;
use input::{Input, Waiting};
use opening::Opening;
use wire::Wire;

/// How long a letter that is being received may go on after the server was told to stop.
pub const DRAIN: Duration = Duration::from_secs(30);

/// How long a client is given to read our last words.
const LINGER: Duration = Duration::from_secs(2);

/// What a new connection brings along.
pub(crate) struct Visit {
    pub(crate) listener: Arc<Listener>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("closed")]
    Closed,
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
    #[error("TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("stopped")]
    Stopped,
}

struct Connection {
    wire: Wire,
    session: ServerSession,
    policy: Policy,
    shared: Arc<Shared>,
    profile: Profile,
    waiting: Waiting,
    draft: Text,
    /// The name of a SCRAM exchange that is going on.
    scram: Option<String>,
    farewell: bool,
    /// The letter was let go; the reply that says why is still to come.
    abandoned: bool,
    letters: u32,
    refused: u32,
}

/// The letter that is coming in.
enum Text {
    None,
    Draft(Draft),
    /// It could not be stored; the rest of it is let go by.
    Failed(io::Error),
}

/// Serves one connection to its end.
pub(crate) async fn receive(mut stream: TcpStream, mut visit: Visit) {
    let _ = stream.set_nodelay(true);
    let client = match opening::client(&mut stream, visit.peer, &visit.listener).await {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(balancer = %visit.peer, %error, "no PROXY header from a network that must send one");
            return;
        }
    };
    let most = visit.listener.limits.connections_per_client.unwrap_or(visit.shared.limits.connections_per_client);
    if let Err(crowded) = visit.place.belongs_to(client.ip(), most) {
        let reply = crate::listen::crowded_reply(&visit.shared, crowded);
        tracing::info!(client = %client.ip(), listener = visit.listener.name(), %reply, "connection refused");
        // On a port with TLS from the first byte nobody would understand it.
        if visit.listener.tls() != crate::config::Tls::Implicit {
            say_and_close(Wire::Plain(stream), &reply).await;
        }
        return;
    }
    let begun = Instant::now();
    let name = visit.listener.name().to_owned();
    match Box::pin(open(stream, &visit, client)).await {
        Ok(Some(connection)) => {
            let place = visit.place;
            converse(connection, client, begun, &name).await;
            drop(place);
        }
        Ok(None) => {}
        Err(error) => tracing::info!(listener = name, client = %client.ip(), %error, "connection failed"),
    }
}

/// PROXY is done: TLS where it comes first, and the session.
async fn open(stream: TcpStream, visit: &Visit, client: SocketAddr) -> Result<Option<Connection>, End> {
    let (shared, listener) = (&visit.shared, &visit.listener);
    let now = Instant::now;
    let (wire, session) = match opening::look(&stream, listener, shared).await? {
        Opening::Plain => (Wire::Plain(stream), ServerSession::new(Arc::clone(&visit.config), now())),
        Opening::Tls { expected } => {
            if !expected {
                tracing::info!(
                    listener = listener.name(),
                    client = %client.ip(),
                    "the client began with TLS on a port with STARTTLS and is served so"
                );
            }
            let shaken = opening::handshake(stream, shared, tickets(listener.profile)).await;
            let (stream, info) = shaken.map_err(End::Handshake)?;
            let session = ServerSession::with_tls(Arc::clone(&visit.config), now(), info);
            (Wire::Tls(Box::new(stream)), session)
        }
        Opening::WrongMode => {
            let reply = Reply::new(421, (4, 7, 0), "").with_text(format!(
                "{} this port speaks TLS from the first byte; use implicit TLS here, or port 587 with STARTTLS",
                shared.hostname
            ));
            tracing::info!(listener = listener.name(), client = %client.ip(), %reply, "connection refused");
            say_and_close(Wire::Plain(stream), &reply).await;
            return Ok(None);
        }
        Opening::Closed => return Ok(None),
    };
    Ok(Some(Connection {
        wire,
        session,
        policy: Policy::new(Arc::clone(listener), Arc::clone(shared), client.ip()),
        shared: Arc::clone(shared),
        profile: listener.profile,
        waiting: Waiting::new(visit.stopping.clone()),
        draft: Text::None,
        scram: None,
        farewell: false,
        abandoned: false,
        letters: 0,
        refused: 0,
    }))
}

/// Tickets are off where servers come: some abort on them, and they have nothing to resume.
fn tickets(profile: Profile) -> bool {
    profile != Profile::Relay
}

async fn converse(mut connection: Connection, client: SocketAddr, begun: Instant, listener: &str) {
    let end = match connection.run().await {
        Ok(end) | Err(end) => end,
    };
    tracing::info!(
        listener,
        client = %client.ip(),
        helo = connection.session.helo().map(tracing::field::display),
        user = connection.session.authenticated(),
        tls = connection.session.tls().map(|tls| tls.protocol),
        letters = connection.letters,
        refused = connection.refused,
        ms = begun.elapsed().as_millis() as u64,
        %end,
        "session ended"
    );
    if matches!(end, End::Closed | End::Stopped) {
        linger(connection.wire, connection.farewell).await;
    }
}

impl Connection {
    async fn run(&mut self) -> Result<End, End> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.transmit(&bytes).await?,
                Output::Wait(until) => {
                    if let Some(end) = self.wait(until).await? {
                        return Ok(end);
                    }
                }
                Output::Ask(question) => self.ask(question).await?,
                Output::Body(chunk) => self.store(&chunk),
                Output::Abandon => {
                    self.draft = Text::None;
                    self.abandoned = true;
                }
                Output::Event(event) => self.note(event).await,
                Output::StartTls => Box::pin(self.start_tls()).await?,
                Output::Close => return Ok(End::Closed),
            }
        }
    }

    async fn wait(&mut self, until: Instant) -> Result<Option<End>, End> {
        match input::next(&mut self.wire, &mut self.session, &mut self.waiting, until).await {
            Input::Handled => {}
            Input::Eof => self.session.handle_eof(Instant::now()),
            Input::Timeout => self.session.handle_timeout(Instant::now()),
            Input::Lost(error) => return Err(End::Lost(error)),
            Input::Stopping => self.session.handle_shutdown(Instant::now(), self.stopping_reply()),
            Input::Drained => {
                let mut bytes = Vec::new();
                self.stopping_reply().write(&mut bytes);
                self.transmit(&bytes).await?;
                return Ok(Some(End::Stopped));
            }
        }
        Ok(None)
    }

    fn stopping_reply(&self) -> Reply {
        Reply::new(421, (4, 3, 2), "").with_text(format!("{} is stopping; try again in a moment", self.shared.hostname))
    }

    async fn transmit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.farewell = bytes.starts_with(b"221");
        // Nearly always the kernel takes a reply at once.
        let rest = match &self.wire {
            Wire::Plain(stream) => match stream.try_write(bytes) {
                Ok(written) => bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => bytes,
                Err(error) => return Err(error),
            },
            Wire::Tls(_) | Wire::Gone => bytes,
        };
        if rest.is_empty() {
            return Ok(());
        }
        let wire = &mut self.wire;
        let work = async {
            wire.write_all(rest).await?;
            wire.flush().await
        };
        timeout(self.shared.limits.command_timeout, work).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Replies that wait go out before something that takes time.
    async fn flush(&mut self) -> io::Result<()> {
        match self.session.flush() {
            Some(bytes) => self.transmit(&bytes).await,
            None => Ok(()),
        }
    }

    async fn ask(&mut self, question: Question) -> Result<(), End> {
        let user = self.session.authenticated();
        let answer = match question {
            Question::Connect | Question::Helo { .. } => Answer::Accept,
            Question::Mail { from, params } => self.policy.mail(&from, &params, user),
            Question::Rcpt { to, .. } => self.policy.rcpt(&to, user),
            Question::Data => {
                self.draft = Text::Draft(self.shared.queue.draft());
                self.abandoned = false;
                Answer::Accept
            }
            Question::Vrfy(_) => Answer::Accept,
            Question::Auth(question) => {
                self.flush().await?;
                Box::pin(self.authenticate(question)).await
            }
            Question::Message => {
                self.flush().await?;
                Box::pin(self.submit()).await
            }
        };
        self.session.handle_answer(Instant::now(), answer);
        Ok(())
    }

    async fn authenticate(&mut self, question: AuthQuestion) -> Answer {
        self.scram = match &question {
            AuthQuestion::ScramVerifier { authcid } => Some(authcid.clone()),
            AuthQuestion::Password { .. } | AuthQuestion::ScramProved { .. } => None,
        };
        let Slow { answer, delay } = self.policy.auth(question).await;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        answer
    }

    fn store(&mut self, chunk: &[u8]) {
        let Text::Draft(draft) = &mut self.draft else { return };
        // A draft that is not in memory any more may have to wait for the disk.
        let written = if draft.as_slice().is_some() { draft.write(chunk) } else { blocking(|| draft.write(chunk)) };
        if let Err(error) = written {
            tracing::error!(%error, "a letter could not be stored");
            self.draft = Text::Failed(error);
        }
    }

    async fn submit(&mut self) -> Answer {
        let reply = match std::mem::replace(&mut self.draft, Text::None) {
            Text::Draft(draft) => match self.policy.letter(&self.session) {
                Some(letter) => match self.shared.queue.submit(letter, draft).await {
                    Ok(id) => {
                        self.letters += 1;
                        Reply::new(250, (2, 0, 0), "").with_text(format!("queued as {id}"))
                    }
                    Err(refusal) => refusal.reply(),
                },
                None => our_fault(),
            },
            Text::Failed(error) if error.kind() == io::ErrorKind::StorageFull => queue::Refusal::NoSpace.reply(),
            Text::Failed(error) => queue::Refusal::Spool(error.to_string()).reply(),
            Text::None => our_fault(),
        };
        if !reply.is_positive() {
            self.policy.letter_refused(&reply, self.session.authenticated());
        }
        match self.profile {
            // RFC 2033 §4.2: one for each recipient.
            Profile::Lmtp => Answer::PerRecipient(vec![reply; self.policy.recipients()]),
            _ => Answer::Reply(reply),
        }
    }

    async fn note(&mut self, event: Event) {
        match event {
            Event::Command(line) => tracing::debug!(client = %self.policy.client(), line, "command"),
            Event::Reply(reply) => {
                tracing::debug!(client = %self.policy.client(), %reply, "reply");
                if matches!(reply.severity(), Severity::Transient | Severity::Permanent) {
                    self.refusal(&reply).await;
                }
            }
            Event::Misbehaved(what) => tracing::info!(client = %self.policy.client(), what, "the client misbehaved"),
        }
    }

    async fn refusal(&mut self, reply: &Reply) {
        self.refused += 1;
        if std::mem::take(&mut self.abandoned) {
            self.policy.letter_refused(reply, self.session.authenticated());
        }
        // Whether SCRAM's proof was right only the session knows.
        if let Some(name) = self.scram.take() {
            let delay = self.policy.auth_failed(&name, reply);
            tokio::time::sleep(delay).await;
        }
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        let Wire::Plain(stream) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            return Err(End::Handshake(io::ErrorKind::Unsupported.into()));
        };
        let shaken = opening::handshake(stream, &self.shared, tickets(self.profile)).await;
        let (stream, info) = shaken.map_err(End::Handshake)?;
        self.wire = Wire::Tls(Box::new(stream));
        self.session.handle_tls(Instant::now(), info);
        Ok(())
    }
}

/// What a session of this listener is like.
pub(crate) fn session_config(listener: &Listener, shared: &Shared) -> ServerConfig {
    use crate::config::{Auth, BareNewlines, Mechanism, Tls};
    use smtp::sasl::Mechanism as Sasl;
    let mechanism = |mechanism: &Mechanism| match mechanism {
        Mechanism::ScramSha256Plus => Sasl::ScramSha256Plus,
        Mechanism::ScramSha256 => Sasl::ScramSha256,
        Mechanism::Plain => Sasl::Plain,
        Mechanism::Login => Sasl::Login,
    };
    let all = [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
    let offered = listener.mechanisms.as_deref().unwrap_or(&all);
    let (tls, auth) = (listener.tls(), listener.auth());
    ServerConfig {
        hostname: shared.hostname.clone(),
        protocol: match listener.profile {
            Profile::Lmtp => smtp::server::Protocol::Lmtp,
            _ => smtp::server::Protocol::Smtp,
        },
        starttls: shared.tls.is_some() && matches!(tls, Tls::Starttls | Tls::Required),
        require_tls: tls == Tls::Required,
        auth: if auth == Auth::Off { Vec::new() } else { offered.iter().map(mechanism).collect() },
        require_auth: auth == Auth::Required,
        dsn: listener.dsn.unwrap_or(listener.profile != Profile::Relay),
        chunking: listener.chunking.unwrap_or(true),
        smtputf8: listener.smtputf8.unwrap_or(true),
        bare_newline: match listener.bare_newlines {
            Some(BareNewlines::Normalize) => smtp::server::BareNewline::Normalize,
            Some(BareNewlines::Reject) | None => smtp::server::BareNewline::Reject,
        },
        limits: shared.limits.session(&listener.limits),
    }
}

/// Something that may wait for the disk. On a runtime with one thread there is no other to go on meanwhile.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn our_fault() -> Reply {
    tracing::error!("a letter came to its end that had not begun");
    Reply::new(451, (4, 3, 0), "something went wrong here; try again later")
}

async fn say_and_close(mut wire: Wire, reply: &Reply) {
    let mut bytes = Vec::new();
    reply.write(&mut bytes);
    if matches!(timeout(LINGER, wire.write_all(&bytes)).await, Ok(Ok(()))) {
        linger(wire, false).await;
    }
}

/// Closes so that our last words arrive: data that is left unread would make the system reset the connection and take them
/// back.
async fn linger(mut wire: Wire, farewell: bool) {
    let close = async {
        wire.shutdown().await?;
        if !farewell && let Wire::Plain(stream) = &mut wire {
            for _ in 0..64 {
                stream.readable().await?;
                match input::discard(stream) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
        io::Result::Ok(())
    };
    // Whatever goes wrong now, the connection is over.
    let _ = timeout(LINGER, close).await;
}
