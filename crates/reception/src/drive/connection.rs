//! One connection: the session's outputs are done, its questions answered.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use queue::Draft;
use smtp::server::{Answer, AuthQuestion, Event, Output, Question, ServerSession};
use smtp::{Reply, Severity};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::input::{self, Input, Waiting};
use super::wire::Wire;
use super::{Visit, opening};
use crate::admission::Tally;
use crate::config::Profile;
use crate::policy::{Policy, Slow};
use crate::shared::Shared;

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("closed")]
    Closed,
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
    #[error("TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("stopped")]
    Stopped,
}

pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) session: ServerSession,
    policy: Policy,
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    profile: Profile,
    waiting: Waiting,
    draft: Text,
    /// The name of a SCRAM exchange that is going on.
    scram: Option<String>,
    /// The last word was our own goodbye: nothing is unread.
    pub(super) farewell: bool,
    /// The letter was let go; the reply that says why is still to come.
    abandoned: bool,
    pub(super) letters: u32,
    pub(super) refused: u32,
}

/// The letter that is coming in.
enum Text {
    None,
    Draft(Draft),
    /// It could not be stored; the rest of it is let go by.
    Failed(io::Error),
}

impl Connection {
    pub(super) fn new(wire: Wire, session: ServerSession, visit: &Visit, client: IpAddr) -> Self {
        Self {
            wire,
            session,
            policy: Policy::new(Arc::clone(&visit.listener), Arc::clone(&visit.shared), client),
            shared: Arc::clone(&visit.shared),
            tally: Arc::clone(&visit.tally),
            profile: visit.listener.profile,
            waiting: Waiting::new(visit.stopping.clone(), visit.shared.drain),
            draft: Text::None,
            scram: None,
            farewell: false,
            abandoned: false,
            letters: 0,
            refused: 0,
        }
    }

    /// Does what the session says, to the end.
    pub(super) async fn run(&mut self) -> Result<End, End> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(bytes) => self.transmit(&bytes).await?,
                Output::Wait(until) => {
                    if let Some(end) = self.wait(until).await? {
                        return Ok(end);
                    }
                }
                Output::Ask(question) => self.ask(question).await?,
                Output::Body(chunk) => {
                    self.store(&chunk);
                    self.session.handle_stored(Instant::now());
                }
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
        let draft = std::mem::replace(&mut self.draft, Text::None);
        if let Text::Draft(draft) = &draft
            && let Err(refused) = self.policy.may_send_text(self.session.authenticated(), || beginning(draft))
        {
            if let Answer::Reply(reply) | Answer::Close(reply) = &refused {
                self.policy.letter_refused(reply, self.session.authenticated());
            }
            return refused;
        }
        let reply = match draft {
            Text::Draft(draft) => match self.policy.letter(&self.session) {
                Some(letter) => match self.shared.queue.submit(letter, draft).await {
                    Ok(id) => {
                        self.letters += 1;
                        self.tally.received.add();
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
        let shaken = opening::handshake(stream, &self.shared, self.profile).await;
        let (stream, info) = shaken.map_err(|error| unshaken(&self.tally, error))?;
        self.tally.encrypted(&info);
        self.wire = Wire::Tls(Box::new(stream));
        self.session.handle_tls(Instant::now(), info);
        Ok(())
    }
}

/// A handshake that came to nothing.
pub(super) fn unshaken(tally: &Tally, error: io::Error) -> End {
    tally.tls_failed.add();
    End::Handshake(error)
}

/// Something that may wait for the disk. On a runtime with one thread there is no other to go on meanwhile.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// As much as a header usually has.
fn beginning(draft: &Draft) -> Vec<u8> {
    const HEADER: usize = 64 << 10;
    blocking(|| draft.read_at(0, HEADER)).map(|text| text.to_vec()).unwrap_or_default()
}

fn our_fault() -> Reply {
    tracing::error!("a letter came to its end that had not begun");
    Reply::new(451, (4, 3, 0), "something went wrong here; try again later")
}
