//! The server's side of a connection, as a value: bytes and answers in, replies and questions out.
//!
//! # How it is used
//! ```text
//! let mut session = ServerSession::new(config, now);
//! loop {
//!     match session.poll_output() {
//!         Ask(question) => session.handle_answer(now, answer_of(question)),   // may await; see `flush`
//!         Body(chunk)   => draft.write(chunk); session.handle_stored(now)
//!         Abandon       => drop(draft),
//!         Transmit(b)   => write b to the peer,
//!         StartTls      => do the handshake; session.handle_tls(now, info) or close
//!         Event(e)      => log it,
//!         Wait(until)   => read: session.handle_input(now, bytes) | handle_eof(now) | handle_timeout(now)
//!         Close         => close the connection
//!     }
//! }
//! ```
//! [`Output::Ask`] comes before the replies that are still to be transmitted, so that a whole pipelined group is
//! answered in one write. A driver that has to wait for an answer writes [`ServerSession::flush`] first.
//!
//! While [`ServerSession::wants_input`] is false the driver leaves what comes in the network's buffers. Behind EOF what
//! came before it is still answered, then [`Output::Close`] follows; a letter that was begun is abandoned.
//!
//! # What is decided here
//! - Only CR LF ends a command. A line with a CR or LF alone gets one 500 5.5.2 at once, and is passed over up to its
//!   CR LF: it is never run and never taken for two lines.
//! - A peer that talks before the greeting is served; [`Event::Misbehaved`] says so.
//! - A first command of another protocol (GET, POST, a TLS ClientHello, anything that begins with no letter) gets 421.
//! - Octets in clear behind STARTTLS get 554 and the end of the connection.
//! - A BDAT line whose size cannot be read ends the connection behind its 501, since the chunk's end is unknown. Any
//!   other refused chunk is passed over first; later ones get 503 until RSET or EHLO. In LMTP a last chunk, refused or
//!   not, is answered once for each accepted recipient, behind a failed chunk too, and not at all where there are none
//!   (RFC 2033 §4.3).
//! - A letter's deadlines count the time of the peer only, not that which the driver takes to store it.
//! - A letter that is refused is read to its true end; the reply does not depend on how its octets were cut.
//! - What counts as junk and as an error is forgotten with each letter that is accepted. Recipients that policy refuses
//!   are errors of strangers, not of those who have authenticated, up to as many as a letter may have.
//!
//! # Invariants
//! - While a question is open, input is buffered and nothing is acted upon.
//! - There is one [`Transaction`]; it is replaced whole at RSET, EHLO, STARTTLS, every end of data and every failed BDAT.
//! - Only CR LF `.` CR LF ends data (RFC 5321 §4.1.1.4).
//! - Octets that arrived behind STARTTLS are never acted upon (RFC 3207 §4.2).
//! - AUTH is neither offered nor accepted without TLS.
//!
//! # Limits
//! All in [`ServerLimits`]; each has a reply of its own.

mod answer;
mod auth;
mod dispatch;
mod input;
mod letter;
mod limits;
mod offer;
mod phase;
mod question;
mod receive;
mod replies;
mod session;
#[cfg(test)]
mod tests;

pub use limits::ServerLimits;
pub use question::{Answer, AuthQuestion, Question};
pub use session::{Event, Output, ServerSession, Transaction};

use std::time::SystemTime;

use crate::address::Host;
use crate::sasl::Mechanism;

/// How a session behaves; one per listener, shared by its connections.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Our name in the greeting and in the reply to EHLO.
    pub hostname: Host,
    pub protocol: Protocol,
    /// Offer STARTTLS while there is no TLS.
    pub starttls: bool,
    /// Without TLS, MAIL gets 530 5.7.0 (RFC 3207 §4).
    pub require_tls: bool,
    /// Mechanisms offered, under TLS only; empty: AUTH is not offered.
    pub auth: Vec<Mechanism>,
    /// Before AUTH, MAIL gets 530 5.7.0 (RFC 4954 §6).
    pub require_auth: bool,
    /// Offer DSN (RFC 3461) only to authenticated peers, or to all.
    pub dsn: bool,
    pub chunking: bool,
    pub smtputf8: bool,
    pub bare_newline: BareNewline,
    pub limits: ServerLimits,
    /// The time of day, which HOLDUNTIL= is measured against.
    pub clock: fn() -> SystemTime,
}

/// SMTP, or LMTP (RFC 2033): LHLO instead of EHLO, one reply per recipient after the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    Lmtp,
}

/// What a CR or LF standing alone in a letter gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNewline {
    /// The letter is read to its true end and refused: 550 5.6.11.
    Reject,
    /// It becomes CR LF; it never counts towards the end of data. For old clients on private networks.
    Normalize,
}
