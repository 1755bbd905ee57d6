//! One account.

use std::fmt;
use std::str::FromStr;

use smtp::address::AddressError;
use smtp::{Domain, Host, Mailbox, ReversePath};

use crate::directory::fold;

/// An account as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What its owner logs in with; capital and small letters are the same.
    pub name: String,
    pub addresses: Vec<AddressPattern>,
    /// Whether it may log in. Its mailboxes go on taking letters.
    pub enabled: bool,
    /// Milliseconds since 1970.
    pub created: u64,
}

/// What an account may send from: `alice@example.org`, `*@example.org`, or `*`: anything, the null sender too, for servers
/// that relay through us.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AddressPattern {
    Mailbox(Mailbox),
    Domain(Domain),
    Any,
}

impl Account {
    /// Whether this account may name `from` in MAIL FROM.
    pub fn owns(&self, from: &ReversePath) -> bool {
        self.addresses.iter().any(|pattern| match from {
            ReversePath::Null => *pattern == AddressPattern::Any,
            ReversePath::Mailbox(mailbox) => pattern.matches(mailbox),
        })
    }
}

impl AddressPattern {
    pub fn matches(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Mailbox(own) => own.host == mailbox.host && fold(own.local.as_str()) == fold(mailbox.local.as_str()),
            Self::Domain(domain) => matches!(&mailbox.host, Host::Domain(host) if host == domain),
            Self::Any => true,
        }
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(mailbox) => mailbox.fmt(f),
            Self::Domain(domain) => write!(f, "*@{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl FromStr for AddressPattern {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text {
            "*" => Ok(Self::Any),
            _ => match text.strip_prefix("*@") {
                Some(domain) => domain.parse().map(Self::Domain),
                None => text.parse().map(Self::Mailbox),
            },
        }
    }
}
