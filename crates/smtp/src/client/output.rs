//! What a session hands to its driver, and what it is given.

use std::time::Instant;

use crate::address::Mailbox;
use crate::envelope::{MailParams, RcptParams};
use crate::path::ReversePath;
use crate::reply::Reply;

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
    /// Nothing to do until input comes or this time is reached.
    Wait(Instant),
    /// The last output; said again as often as it is asked for.
    Closed(Closed),
}

/// One line of the dialog. Only where [`ClientSession::with_transcript`] asked for it; in the order of the wire.
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
    /// Also: between letters.
    Mail,
    Rcpt,
    /// From DATA to the last octet of the letter.
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
