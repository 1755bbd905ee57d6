//! Addresses as types (RFC 5321 §4.1.2 and §4.1.3, RFC 6531 §3.3).
//!
//! # Invariants
//! - A [`LocalPart`] is held dequoted, so `"user"@d` and `user@d` are one address; `Display` quotes where it must.
//! - A [`Domain`] compares by its A-label form in lower case, so `xn--…` and its U-label are one domain.
//! - No value holds a control character, and none is longer than RFC 5321 §4.5.3.1 allows (64, 255).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// The part before the last `@`, dequoted. Compared octet by octet: its case belongs to the receiving host (RFC 5321 §2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalPart(Box<str>);

/// A domain name, in lower case and without a trailing dot.
#[derive(Clone, Debug)]
pub struct Domain {
    /// A-labels; what DNS is asked and what comparison sees.
    ascii: Box<str>,
    /// U-labels, where the peer wrote them.
    unicode: Option<Box<str>>,
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressLiteral(pub IpAddr);

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

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.ascii == other.ascii
    }
}
impl Eq for Domain {}
impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ascii.hash(state);
    }
}
impl PartialOrd for Domain {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Domain {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ascii.cmp(&other.ascii)
    }
}

impl fmt::Display for AddressLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "[{ip}]"),
            IpAddr::V6(ip) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

impl LocalPart {
    /// The local part itself, as the owner of the mailbox knows it: dequoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From a text that is already dequoted. Refuses control characters, the empty one and more than 64 octets.
    pub fn from_dequoted(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::EmptyLocal);
        }
        if text.len() > 64 {
            return Err(AddressError::LongLocal);
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(AddressError::BadLocal);
        }
        Ok(Self(text.into()))
    }
}

impl Domain {
    /// The name that the DNS is asked: A-labels, lower case, no trailing dot.
    pub fn as_ascii(&self) -> &str {
        &self.ascii
    }

    pub fn is_ascii(&self) -> bool {
        self.unicode.is_none()
    }
}

impl fmt::Display for Domain {
    /// As the peer wrote it: U-labels where it used them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.unicode.as_deref().unwrap_or(&self.ascii))
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

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.host)
    }
}

impl fmt::Display for LocalPart {
    /// Dot-string where it can be, else a quoted string (RFC 5321 §4.1.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
        if self.0.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext)) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

/// Parsing is strict: what RFC 5321 §4.1.2 (and RFC 6531 §3.3 where U-labels or UTF-8 local parts are met) allows.
/// Whether a session may use characters beyond ASCII is the session's question: see [`Mailbox::is_ascii`].
impl std::str::FromStr for Domain {
    type Err = AddressError;
    fn from_str(_text: &str) -> Result<Self, AddressError> {
        unimplemented!()
    }
}
impl std::str::FromStr for LocalPart {
    type Err = AddressError;
    /// As written: quoted or not.
    fn from_str(_text: &str) -> Result<Self, AddressError> {
        unimplemented!()
    }
}
impl std::str::FromStr for Host {
    type Err = AddressError;
    fn from_str(_text: &str) -> Result<Self, AddressError> {
        unimplemented!()
    }
}
impl std::str::FromStr for Mailbox {
    type Err = AddressError;
    fn from_str(_text: &str) -> Result<Self, AddressError> {
        unimplemented!()
    }
}

impl Mailbox {
    /// Whether it can be sent without SMTPUTF8. A U-label alone can: its A-label is sent.
    pub fn is_ascii(&self) -> bool {
        self.local.0.is_ascii()
    }
}
