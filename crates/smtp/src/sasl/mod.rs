//! SASL (RFC 4422): PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802, 7677, 9266), both sides, without I/O.
//!
//! # How it is used
//! The server's session starts a [`ServerExchange`] at AUTH and does what each [`Step`] says; the client's session asks a
//! [`ClientExchange`] for its responses. Both speak in plain octets: [`encode_base64`] and [`decode_base64`] stand between
//! them and the wire.
//!
//! # Invariants
//! - A password and all that is derived from one is a [`Secret`]; no error names any of it.
//! - An authorization identity other than the authenticated one is refused: nobody acts for another.
//! - What depends on a secret is compared in constant time.
//!
//! # Limits
//! Names have at most 255 octets, passwords 1,024. A client computes no more than [`MAX_ITERATIONS`] rounds for a server,
//! and answers none that asks for fewer than [`MIN_ITERATIONS`].

mod client;
mod scram;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::reply::Reply;
use crate::secret::Secret;
use crate::tls::TlsInfo;

pub use client::ClientExchange;
pub use scram::{BadVerifier, MAX_ITERATIONS, MIN_ITERATIONS, ScramVerifier};
pub use server::{ServerExchange, Step};

/// A mechanism that is offered or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    Plain,
    Login,
    ScramSha256,
    ScramSha256Plus,
}

/// There is no such mechanism here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authentication mechanism is not known; known are PLAIN, LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS")]
pub struct UnknownMechanism;

/// Why an exchange ended without a proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    // The peer misbehaved.
    #[error("the response is not base64")]
    BadBase64,
    #[error("the response does not have the form of its mechanism")]
    Malformed,
    #[error("the user name or password is empty, too long, not UTF-8 or has control characters")]
    BadText,
    // The peer asks for what is not to be had.
    #[error("acting for another user is not possible; leave the authorization identity empty")]
    ForeignIdentity,
    #[error("this channel binding is not supported here")]
    UnsupportedBinding,
    // The proof failed; perhaps somebody stands between.
    #[error("the channel binding is not that of this connection")]
    WrongBinding,
    #[error("the peer did not see that channel binding was offered; something between may have removed it")]
    Downgraded,
    #[error("the nonce is not the one of this exchange")]
    WrongNonce,
    #[error("the password is wrong")]
    WrongProof,
    #[error("the server did not prove that it knows the password")]
    ServerUnproved,
    #[error("the server refused: {0}")]
    ServerRefused(String),
    #[error("the server asks for {0} rounds of hashing, which is outside of 4096 to 1000000")]
    BadIterations(u32),
    // Local trouble, and our own mistakes.
    #[error("the system gives no random numbers")]
    NoRandomness,
    #[error("the stored verifier is damaged")]
    DamagedVerifier,
    #[error("the exchange is over, or waits for something else")]
    OutOfOrder,
}

impl SaslError {
    /// What the client is told (RFC 4954 §4.2 and §6). Which of name, password and binding was wrong is not said.
    pub fn reply(&self) -> Reply {
        match self {
            Self::BadBase64 => Reply::new(501, (5, 5, 2), "the response is not valid base64"),
            Self::Malformed | Self::BadText => {
                Reply::new(501, (5, 5, 2), "the response does not have the form of its mechanism")
            }
            Self::UnsupportedBinding | Self::Downgraded => Reply::new(
                535,
                (5, 7, 8),
                "the channel binding does not fit; use SCRAM-SHA-256 without -PLUS, or look for a proxy between",
            ),
            Self::NoRandomness | Self::DamagedVerifier | Self::OutOfOrder => {
                Reply::new(454, (4, 7, 0), "authentication is not possible now; try again later")
            }
            _ => Reply::new(535, (5, 7, 8), "the user name or password is wrong"),
        }
    }
}

impl Mechanism {
    /// The name in EHLO and AUTH.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    /// The strongest that both sides have; `offered` is what EHLO said. PLAIN and LOGIN show the password to whoever
    /// listens: they are taken under TLS, or where `plaintext` allows it without.
    pub fn choose(offered: &[String], tls: Option<&TlsInfo>, plaintext: bool) -> Option<Self> {
        let usable = |mechanism: &Self| match mechanism {
            Self::ScramSha256Plus => tls.is_some_and(can_bind),
            Self::ScramSha256 => true,
            Self::Plain | Self::Login => tls.is_some() || plaintext,
        };
        [Self::ScramSha256Plus, Self::ScramSha256, Self::Plain, Self::Login]
            .into_iter()
            .filter(usable)
            .find(|mechanism| offered.iter().any(|name| name.eq_ignore_ascii_case(mechanism.name())))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(text: &str) -> Result<Self, UnknownMechanism> {
        [Self::Plain, Self::Login, Self::ScramSha256, Self::ScramSha256Plus]
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(text))
            .ok_or(UnknownMechanism)
    }
}

/// Whether SCRAM-…-PLUS can be offered or used on this connection.
pub fn can_bind(tls: &TlsInfo) -> bool {
    tls.exporter.is_some() || tls.end_point.is_some()
}

/// One response or challenge for the wire (RFC 4954 §4).
pub fn encode_base64(message: &[u8]) -> String {
    STANDARD.encode(message)
}

/// One response or challenge from the wire. Strict: the canonical padding, no white space, no stray bits. A lone `=`,
/// which an initial response uses for the empty one (RFC 4954 §4), is for [`decode_initial`].
pub fn decode_base64(line: &[u8]) -> Result<Vec<u8>, SaslError> {
    STANDARD.decode(line).map_err(|_| SaslError::BadBase64)
}

/// RFC 4954 §4: an initial response that is empty is sent as a single equals sign.
pub fn decode_initial(line: &[u8]) -> Result<Vec<u8>, SaslError> {
    match line {
        b"=" => Ok(Vec::new()),
        _ => decode_base64(line),
    }
}

const LONGEST_NAME: usize = 255;
const LONGEST_PASSWORD: usize = 1024;

/// A user name as it is compared and looked up. Spaces beyond ASCII become the common one and control characters are
/// refused, as by RFC 8265; composing (NFC) is left to the clients, which type what they typed when it was set.
pub fn prepare_name(text: &[u8]) -> Result<String, SaslError> {
    prepare(text, LONGEST_NAME)
}

/// A password as it is hashed and compared (RFC 8265 §4.2.2, without NFC). Use it wherever a password is set, too.
pub fn prepare_password(text: &[u8]) -> Result<Secret, SaslError> {
    prepare(text, LONGEST_PASSWORD).map(Secret::new)
}

fn prepare(text: &[u8], longest: usize) -> Result<String, SaslError> {
    let text = std::str::from_utf8(text).map_err(|_| SaslError::BadText)?;
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.is_empty() || text.len() > longest || text.contains(forbidden) {
        return Err(SaslError::BadText);
    }
    Ok(text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect())
}
