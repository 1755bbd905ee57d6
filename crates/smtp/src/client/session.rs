//! The session itself.

use std::time::Instant;

use super::ClientConfig;
use crate::address::Mailbox;
use crate::envelope::{MailParams, RcptParams};
use crate::extension::Capabilities;
use crate::path::ReversePath;
use crate::reply::Reply;
use crate::tls::TlsInfo;

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Output {
    Transmit(Vec<u8>),
    StartTls,
    /// A letter may be given, or the session ended. Said once each time.
    Ready,
    /// The peer awaits the letter: give it piece by piece.
    NeedBody,
    Done(Delivery),
    Event(Event),
    Wait(Instant),
    Closed(Closed),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// One command line as sent, AUTH redacted.
    Command(String),
    Reply(Reply),
}

/// One letter for one next hop.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub from: ReversePath,
    /// `size` is the letter's length in octets; SIZE=, BODY=, SMTPUTF8, RET=, ENVID= go out only where the peer offers them.
    pub params: MailParams,
    pub recipients: Vec<(Mailbox, RcptParams)>,
}

/// What became of it: one entry per recipient of the [`Message`], in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub recipients: Vec<RecipientReply>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecipientReply {
    pub stage: Stage,
    pub reply: Reply,
}

/// Where in the dialog something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Connect,
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    EndOfData,
    Quit,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Closed {
    /// We said QUIT.
    #[error("closed by us")]
    Quit,
    /// The peer refused the whole session at this stage.
    #[error("refused at {stage:?}: {reply}")]
    Refused { stage: Stage, reply: Reply },
    #[error("no reply in time at {0:?}")]
    Timeout(Stage),
    #[error("the connection was closed at {0:?}")]
    Disconnected(Stage),
    #[error("the server does not offer STARTTLS")]
    TlsNotOffered,
    #[error("the TLS handshake failed: {0}")]
    TlsFailed(String),
    #[error("the server offers no AUTH mechanism that can be used")]
    AuthNotOffered,
    #[error("AUTH is not sent without TLS")]
    AuthNeedsTls,
    /// The peer broke the protocol; the text says how.
    #[error("protocol error at {stage:?}: {what}")]
    Protocol { stage: Stage, what: &'static str },
}

pub struct ClientSession {
    config: ClientConfig,
}

impl ClientSession {
    pub fn new(config: ClientConfig, _now: Instant) -> Self {
        Self { config }
    }
    pub fn poll_output(&mut self) -> Output {
        unimplemented!("{}", self.config.pipelining)
    }
    pub fn handle_input(&mut self, _now: Instant, _bytes: &[u8]) {
        unimplemented!()
    }
    pub fn handle_eof(&mut self, _now: Instant) {
        unimplemented!()
    }
    pub fn handle_tls(&mut self, _now: Instant, _tls: TlsInfo) {
        unimplemented!()
    }
    pub fn handle_tls_failed(&mut self, _now: Instant, _why: String) {
        unimplemented!()
    }
    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }
    /// After [`Output::Ready`].
    pub fn deliver(&mut self, _now: Instant, _message: Message) {
        unimplemented!()
    }
    /// After [`Output::NeedBody`]; as often as there are pieces. Drain the output between large pieces.
    pub fn handle_body(&mut self, _now: Instant, _bytes: &[u8]) {
        unimplemented!()
    }
    pub fn handle_body_end(&mut self, _now: Instant) {
        unimplemented!()
    }
    /// The letter cannot be read to its end (a broken disk): the session must not let the peer take half of it for whole.
    /// It closes without an end of data; every recipient gets 451 4.3.0 of our own.
    pub fn handle_body_failed(&mut self, _now: Instant) {
        unimplemented!()
    }
    /// QUIT, from [`Output::Ready`].
    pub fn quit(&mut self, _now: Instant) {
        unimplemented!()
    }
    /// What the peer offered, once there was an EHLO; after TLS, what it offered there.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        unimplemented!()
    }
    pub fn tls(&self) -> Option<&TlsInfo> {
        unimplemented!()
    }
    /// Letters that the peer has answered on this connection.
    pub fn letters(&self) -> u32 {
        unimplemented!()
    }
}
