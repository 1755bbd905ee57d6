//! Addresses as types (RFC 5321 §4.1.2 and §4.1.3, RFC 6531 §3.3).
//!
//! Parsing is strict: what the grammar of a command line allows and nothing of RFC 5322's comments and white space.
//! Whether a session may use characters beyond ASCII is the session's question: see [`Mailbox::is_ascii`].
//!
//! # Invariants
//! - A [`LocalPart`] is held dequoted, so `"user"@d` and `user@d` are one address; `Display` quotes where it must.
//! - A [`Domain`] compares by its A-label form in lower case, so `xn--…` and its U-label are one domain.
//! - No value holds a control character, and none is longer than RFC 5321 §4.5.3.1 allows (64, 255).
//! - What `Display` writes, `FromStr` reads back to an equal value.
//!
//! # Limits
//! The 256 octets of a whole path (RFC 5321 §4.5.3.1.3) are the command parser's to count: they include the brackets.

mod domain;
mod literal;
mod local_part;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use domain::Domain;
pub use literal::AddressLiteral;
pub use local_part::LocalPart;

/// What may stand behind `@`, and what HELO may name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Domain(Domain),
    Literal(AddressLiteral),
}

/// `local-part@domain`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    pub local: LocalPart,
    pub host: Host,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("there is no @ in it")]
    NoAt,
    #[error("the local part is empty")]
    EmptyLocal,
    #[error("the local part is longer than 64 octets")]
    LongLocal,
    #[error("the local part has a character that needs quoting or is not allowed")]
    BadLocal,
    #[error("the domain is empty or not a domain name")]
    BadDomain,
    #[error("the domain is longer than 255 octets")]
    LongDomain,
    #[error("the address literal is not an IP address")]
    BadLiteral,
    #[error("it has characters beyond ASCII, which need SMTPUTF8")]
    NeedsSmtpUtf8,
}

impl Host {
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }
}

impl From<Domain> for Host {
    fn from(domain: Domain) -> Self {
        Self::Domain(domain)
    }
}

impl From<AddressLiteral> for Host {
    fn from(literal: AddressLiteral) -> Self {
        Self::Literal(literal)
    }
}

impl FromStr for Host {
    type Err = AddressError;

    /// RFC 5321 §4.1.1.1: `( Domain / address-literal )`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.starts_with('[') {
            true => text.parse().map(Self::Literal),
            false => text.parse().map(Self::Domain),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(literal) => literal.fmt(f),
        }
    }
}

impl Mailbox {
    pub fn new(local: LocalPart, host: impl Into<Host>) -> Self {
        Self { local, host: host.into() }
    }

    /// Whether it can be sent without SMTPUTF8. A U-label alone can: its A-label is sent.
    pub fn is_ascii(&self) -> bool {
        self.local.as_str().is_ascii()
    }

    /// The address as a command carries it. Without SMTPUTF8 the domain goes as A-labels; whether the local part can go
    /// at all is for [`Mailbox::is_ascii`] to say first.
    pub fn wire(&self, smtputf8: bool) -> impl fmt::Display + '_ {
        Wire { mailbox: self, smtputf8 }
    }
}

struct Wire<'a> {
    mailbox: &'a Mailbox,
    smtputf8: bool,
}

impl fmt::Display for Wire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mailbox.host {
            Host::Domain(domain) if !self.smtputf8 => write!(f, "{}@{}", self.mailbox.local, domain.as_ascii()),
            _ => self.mailbox.fmt(f),
        }
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    /// RFC 5321 §4.1.2: `Mailbox = Local-part "@" ( Domain / address-literal )`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let at = local_part::end(text).ok_or(AddressError::NoAt)?;
        let (local, host) = text.split_at(at);
        let host = host.strip_prefix('@').ok_or(AddressError::BadLocal)?;
        Ok(Self { local: local.parse()?, host: host.parse()? })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.host)
    }
}
