//! What a session asks of policy at each phase, and what policy may answer.

use crate::address::Host;
use crate::envelope::{MailParams, RcptParams};
use crate::path::{ForwardPath, ReversePath};
use crate::reply::Reply;
use crate::sasl::ScramVerifier;
use crate::secret::Secret;

/// One question at a time; the session goes on when it has its [`Answer`].
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Before the greeting.
    Connect,
    /// EHLO, HELO or LHLO.
    Helo {
        host: Host,
        extended: bool,
    },
    Auth(AuthQuestion),
    Mail {
        from: ReversePath,
        params: MailParams,
    },
    Rcpt {
        to: ForwardPath,
        params: RcptParams,
    },
    /// DATA, or the first BDAT: may the letter come? Its [`Body`](super::Output::Body) follows.
    Data,
    /// The letter is complete. [`Answer::Accept`] means: it is durable.
    Message,
    Vrfy(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum AuthQuestion {
    /// PLAIN or LOGIN: is this the password? `Accept` authenticates.
    Password { authcid: String, password: Secret },
    /// SCRAM: the verifier of this account. Answer with [`Answer::Scram`]; for an unknown one with a made-up verifier
    /// that stays the same for the name (RFC 5802 §9), so that nobody learns which accounts exist.
    ScramVerifier { authcid: String },
    /// SCRAM: the client has proved its password. `Accept` authenticates.
    ScramProved { authcid: String },
}

/// What policy says. A [`Reply`] takes effect by its severity: 2yz accepts, 4yz and 5yz refuse.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Go on, with the session's own words.
    Accept,
    Reply(Reply),
    /// Say it and close. Used for 421.
    Close(Reply),
    /// Only to [`AuthQuestion::ScramVerifier`].
    Scram(ScramVerifier),
    /// Only to [`Question::Message`] in LMTP: one for each accepted recipient, in their order (RFC 2033 §4.2).
    PerRecipient(Vec<Reply>),
}
