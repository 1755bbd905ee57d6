//! Names: what a mail server asks of the DNS, behind a trait that the rest of the house calls.
//!
//! The adapter to a real resolver lives with the program; [`Zone`] is the fake for tests: a literal table, with failures
//! as data.
//!
//! # Invariants
//! - "There is no such record" ([`Answer::None`]) and "I could not find out" ([`DnsError`]) never look alike: the first
//!   may bounce a letter, the second only defers it.

mod name;
#[cfg(test)]
mod tests;
mod zone;

use std::fmt;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::Pin;

pub use name::{canonical, reverse_name};
pub use zone::Zone;

/// One MX record (RFC 5321 §5.1). A null MX (RFC 7505) is the exchange `.` and has the empty name here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mx {
    pub preference: u16,
    /// Lower case, without the trailing dot.
    pub exchange: String,
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    Records(Vec<T>),
    /// The name exists and has no such record (NODATA).
    NoRecord,
    /// The name does not exist (NXDOMAIN).
    NoName,
}

/// The DNS could not be asked, or would not say: SERVFAIL, a time-out, a refusal. Trying later may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DNS lookup of {name}: {what}")]
pub struct DnsError {
    pub name: String,
    /// For a person: `the server timed out`, `SERVFAIL`.
    pub what: String,
}

pub type Lookup<'a, T> = Pin<Box<dyn Future<Output = Result<Answer<T>, DnsError>> + Send + 'a>>;

/// Who answers. Names are ASCII (A-labels) without the trailing dot.
pub trait Resolver: Send + Sync + fmt::Debug {
    fn mx<'a>(&'a self, name: &'a str) -> Lookup<'a, Mx>;
    fn ipv4<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr>;
    fn ipv6<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr>;
    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, String>;
    /// The names of an address (reverse lookup).
    fn ptr(&self, address: std::net::IpAddr) -> Lookup<'_, String>;
}
