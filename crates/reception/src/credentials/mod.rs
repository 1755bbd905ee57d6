//! Accounts: names, passwords that nobody can read, and the addresses that they may send from.

use std::path::{Path, PathBuf};

use smtp::Secret;

use crate::config::Passwords;

/// An account as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub addresses: Vec<AddressPattern>,
    pub enabled: bool,
    /// Milliseconds since 1970.
    pub created: u64,
}

/// What an account may send from: `alice@example.org`, `*@example.org`, or `*` (anything, the null sender too: for servers
/// that relay through us).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AddressPattern {
    Mailbox(smtp::Mailbox),
    Domain(smtp::Domain),
    Any,
}

/// The accounts in `state.db`. Cheap to clone; also used by the command line, while the server runs.
#[derive(Clone)]
pub struct AccountStore {}

/// Checks passwords; one for the whole program.
pub struct Verifier {}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is already an account `{0}`")]
    Exists(String),
    #[error("there is no account `{0}`")]
    Unknown(String),
    #[error("{path}: {why}", path = .path.display())]
    Database { path: PathBuf, why: String },
}

impl AccountStore {
    /// Opens or makes the file; checks it and brings its tables up to date.
    pub fn open(_path: &Path, _passwords: &Passwords) -> Result<Self, StoreError> {
        unreachable!()
    }
    pub fn add(&self, _name: &str, _password: &Secret, _addresses: &[AddressPattern]) -> Result<(), StoreError> {
        unreachable!()
    }
    pub fn list(&self) -> Result<Vec<Account>, StoreError> {
        unreachable!()
    }
    pub fn set_password(&self, _name: &str, _password: &Secret) -> Result<(), StoreError> {
        unreachable!()
    }
    pub fn set_enabled(&self, _name: &str, _enabled: bool) -> Result<(), StoreError> {
        unreachable!()
    }
    pub fn set_addresses(&self, _name: &str, _addresses: &[AddressPattern]) -> Result<(), StoreError> {
        unreachable!()
    }
    pub fn remove(&self, _name: &str) -> Result<(), StoreError> {
        unreachable!()
    }
}

impl Verifier {
    /// Starts the threads that hash.
    pub fn new(_store: AccountStore, _passwords: &Passwords) -> std::io::Result<Self> {
        unreachable!()
    }
}

/// A new password that can be read out and typed: four groups of five small letters and digits, about 100 bits.
pub fn generate_password() -> Secret {
    unreachable!()
}

impl std::fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mailbox(mailbox) => mailbox.fmt(f),
            Self::Domain(domain) => write!(f, "*@{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl std::str::FromStr for AddressPattern {
    type Err = smtp::address::AddressError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => Ok(Self::Any),
            _ => match text.strip_prefix("*@") {
                Some(domain) => domain.parse().map(Self::Domain),
                None => text.parse().map(Self::Mailbox),
            },
        }
    }
}
