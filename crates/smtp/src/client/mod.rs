//! The client's side of a connection, as a value.
//!
//! Two machines over one list of expected replies: a sender that writes commands as far as the peer allows
//! (all of MAIL, RCPT …, DATA at once under PIPELINING), and a receiver that reads the replies in the order of the list.
//!
//! # How it is used
//! ```text
//! let mut session = ClientSession::new(config, now);          // the connection is open
//! loop {
//!     match session.poll_output() {
//!         Transmit(b)    => write b,
//!         StartTls       => handshake; session.handle_tls(now, info) | session.handle_tls_failed(now, why)
//!         Ready          => session.deliver(now, message) | session.quit(now)
//!         NeedBody       => session.handle_body(now, bytes)… then session.handle_body_end(now)
//!         Done(delivery) => one reply per recipient; then Ready, or Closed
//!         Event(e)       => log it,
//!         Wait(until)    => read: session.handle_input | handle_eof | handle_timeout
//!         Closed(why)    => close the connection
//!     }
//! }
//! ```
//!
//! # Invariants
//! - Octets that came behind the 220 to STARTTLS are an error; what was offered before TLS is forgotten (RFC 3207 §4.2).
//! - A password goes only over TLS, unless [`ClientConfig::insecure_allow_plaintext_auth`].
//! - For any octets in the letter, what is written has no bare CR or LF, every leading dot is stuffed, the first included.
//! - Replies are hostile input: a line and a reply have limits, control characters never leave here, and one that nothing
//!   asked for ends the session.
//! - Each letter given gets one [`Output::Done`] with one reply for each recipient, however the session ends; a reply
//!   that a recipient has is never replaced. Whoever has none when the session ends gets words of our own, all transient.
//!
//! # Limits
//! - An 8-bit letter goes as it is to a peer without 8BITMIME; there is no conversion.
//! - BDAT is used under PIPELINING only, so that no chunk waits for the reply to another, and not in LMTP; a letter in
//!   BINARYMIME is collected into one chunk there.
//! - At most 100 commands wait for their replies.

mod auth;
mod body;
mod by;
mod letter;
mod output;
mod params;
mod receiver;
mod sender;
mod session;
#[cfg(test)]
mod tests;
mod words;

pub use by::{ByNext, deliver_by};
pub use output::{Closed, Delivery, Event, Message, Output, RecipientReply, Stage};
pub use session::ClientSession;

use std::time::Duration;

use crate::address::Host;
use crate::secret::Secret;
use crate::server::Protocol;

/// How a connection is made; one per next hop.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// What we call ourselves in EHLO.
    pub ehlo: Host,
    pub protocol: Protocol,
    pub tls: TlsMode,
    pub auth: Option<Credentials>,
    /// AUTH without TLS. For tests on loopback and for lines that are encrypted otherwise.
    pub insecure_allow_plaintext_auth: bool,
    pub pipelining: bool,
    /// Use BDAT where the peer offers CHUNKING.
    pub chunking: bool,
    pub timeouts: ClientTimeouts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Never.
    None,
    /// STARTTLS where it is offered.
    Opportunistic,
    /// STARTTLS, or no letter.
    StartTls,
    /// From the first byte: [`Output::StartTls`] comes first, unless `handle_tls` was told before it was asked for.
    Implicit,
}

#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
}

/// RFC 5321 §4.5.3.2.
#[derive(Clone, Debug)]
pub struct ClientTimeouts {
    pub greeting: Duration,
    pub ehlo: Duration,
    pub mail: Duration,
    pub rcpt: Duration,
    pub data_start: Duration,
    pub data_block: Duration,
    pub data_end: Duration,
    pub quit: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Self {
            greeting: minutes(5),
            ehlo: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data_start: minutes(2),
            data_block: minutes(3),
            data_end: minutes(10),
            quit: Duration::from_secs(10),
        }
    }
}
