//! The names that an administrator writes, checked when they are read.

use std::fmt;
use std::str::FromStr;

use smtp::address::AddressError;
use smtp::{Domain, Host, LocalPart, Mailbox};

/// A domain of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(pub Domain);

/// What stands before the `@`, as its owner knows it: without quotes. Equal whatever the case.
#[derive(Clone, Debug)]
pub struct LocalName(pub LocalPart);

/// A whole address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(pub Mailbox);

/// Where an alias leads: `alice` in the same domain, or `bob@example.net`.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Here(LocalName),
    Address(Mailbox),
}

/// A name in the configuration that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("`{text}` is not a domain name: {why}")]
    Domain { text: String, why: AddressError },
    #[error("`{text}` is not a name for a mailbox: {why}")]
    Local { text: String, why: AddressError },
    #[error("`{0}` holds an @: write only what stands before it")]
    Whole(String),
    #[error("`{text}` is not an address: {why}")]
    Address { text: String, why: AddressError },
}

impl Target {
    /// The address meant, for an alias of `domain`.
    pub fn in_domain(&self, domain: &Domain) -> Mailbox {
        match self {
            Self::Here(name) => Mailbox { local: name.0.clone(), host: Host::Domain(domain.clone()) },
            Self::Address(mailbox) => mailbox.clone(),
        }
    }
}

impl LocalName {
    /// The form that is compared.
    pub fn folded(&self) -> Box<str> {
        super::fold(self.0.as_str())
    }
}

impl PartialEq for LocalName {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}
impl Eq for LocalName {}
impl PartialOrd for LocalName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for LocalName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl FromStr for DomainName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self).map_err(|why| NameError::Domain { text: text.to_owned(), why })
    }
}

impl FromStr for LocalName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('@') {
            return Err(NameError::Whole(text.to_owned()));
        }
        LocalPart::from_dequoted(text).map(Self).map_err(|why| NameError::Local { text: text.to_owned(), why })
    }
}

impl FromStr for Address {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self).map_err(|why| NameError::Address { text: text.to_owned(), why })
    }
}

impl FromStr for Target {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('@') { Ok(Self::Address(text.parse::<Address>()?.0)) } else { Ok(Self::Here(text.parse()?)) }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(name) => name.fmt(f),
            Self::Address(mailbox) => mailbox.fmt(f),
        }
    }
}

crate::config::text_serde!(DomainName);
crate::config::text_serde!(LocalName);
crate::config::text_serde!(Address);
crate::config::text_serde!(Target);
