//! The session itself.

use std::sync::Arc;
use std::time::Instant;

use super::{Answer, Question, ServerConfig};
use crate::address::Host;
use crate::envelope::{MailParams, RcptParams};
use crate::path::{ForwardPath, ReversePath};
use crate::reply::Reply;
use crate::tls::TlsInfo;

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
    /// One reply as sent.
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

pub struct ServerSession {
    config: Arc<ServerConfig>,
}

impl ServerSession {
    /// A new connection: the first output is `Ask(Connect)`.
    pub fn new(config: Arc<ServerConfig>, now: Instant) -> Self {
        let _ = now;
        Self { config }
    }
    /// The same for a connection that begins with TLS (port 465); call before the first output.
    pub fn with_tls(config: Arc<ServerConfig>, now: Instant, tls: TlsInfo) -> Self {
        let _ = tls;
        Self::new(config, now)
    }
    pub fn poll_output(&mut self) -> Output {
        unimplemented!("{}", self.config.require_auth)
    }
    /// Replies that wait to be transmitted, for a driver that has to wait for an answer.
    pub fn flush(&mut self) -> Option<Vec<u8>> {
        unimplemented!()
    }
    pub fn handle_input(&mut self, _now: Instant, _bytes: &[u8]) {
        unimplemented!()
    }
    /// The peer has closed its side.
    pub fn handle_eof(&mut self, _now: Instant) {
        unimplemented!()
    }
    pub fn handle_answer(&mut self, _now: Instant, _answer: Answer) {
        unimplemented!()
    }
    /// The handshake asked for by [`Output::StartTls`] is done. (When it failed: close.)
    pub fn handle_tls(&mut self, _now: Instant, _tls: TlsInfo) {
        unimplemented!()
    }
    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }
    /// The server is stopping: a session between letters says this 421 reply and closes at once; one that is
    /// receiving a letter finishes it first.
    pub fn handle_shutdown(&mut self, _now: Instant, _reply: Reply) {
        unimplemented!()
    }
    pub fn transaction(&self) -> Option<&Transaction> {
        unimplemented!()
    }
    pub fn tls(&self) -> Option<&TlsInfo> {
        unimplemented!()
    }
    pub fn helo(&self) -> Option<&Host> {
        unimplemented!()
    }
    /// The account that authenticated, as it named itself.
    pub fn authenticated(&self) -> Option<&str> {
        unimplemented!()
    }
    /// The word for the `with` clause of Received (RFC 3848, RFC 6531 §4.3): ESMTPS, UTF8SMTPSA, LMTP …
    pub fn protocol_word(&self) -> &'static str {
        unimplemented!()
    }
}
