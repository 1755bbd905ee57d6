//! The fake: a table of names with their records and failures.
//!
//! # How it is used
//! ```
//! # use dns::Zone;
//! let zone = Zone::new()
//!     .mx("example.com", 10, "mx.example.com")
//!     .a("mx.example.com", [127, 0, 0, 1])
//!     .null_mx("nomail.example")
//!     .servfail("broken.example")
//!     .timeout("slow.example");
//! ```
//!
//! # Invariants
//! - A name that was given any record exists, and so do the names above it (RFC 8020): what it lacks is
//!   [`Answer::NoRecord`]. Every other name is [`Answer::NoName`].
//! - A failure of a name is a failure of every question about it, and of no other name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Answer, DnsError, Lookup, Mx, Resolver, canonical, reverse_name};

/// A resolver that answers from what it was told.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: BTreeMap<String, Records>,
}

#[derive(Clone, Debug, Default)]
struct Records {
    mx: Vec<Mx>,
    ipv4: Vec<Ipv4Addr>,
    ipv6: Vec<Ipv6Addr>,
    txt: Vec<String>,
    ptr: Vec<String>,
    fails: Option<&'static str>,
}

impl Zone {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn mx(self, name: &str, preference: u16, exchange: &str) -> Self {
        self.with(name, |records| records.mx.push(Mx { preference, exchange: canonical(exchange) }))
    }

    /// RFC 7505: the domain takes no mail.
    pub fn null_mx(self, name: &str) -> Self {
        self.mx(name, 0, ".")
    }

    pub fn a(self, name: &str, address: impl Into<Ipv4Addr>) -> Self {
        self.with(name, |records| records.ipv4.push(address.into()))
    }

    pub fn aaaa(self, name: &str, address: impl Into<Ipv6Addr>) -> Self {
        self.with(name, |records| records.ipv6.push(address.into()))
    }

    pub fn txt(self, name: &str, text: &str) -> Self {
        self.with(name, |records| records.txt.push(text.to_owned()))
    }

    pub fn ptr(self, address: impl Into<IpAddr>, name: &str) -> Self {
        self.with(&reverse_name(address.into()), |records| records.ptr.push(canonical(name)))
    }

    /// The name exists and has no record.
    pub fn empty(self, name: &str) -> Self {
        self.with(name, |_| ())
    }

    /// Every question about the name fails: its servers answer SERVFAIL.
    pub fn servfail(self, name: &str) -> Self {
        self.with(name, |records| records.fails = Some("SERVFAIL"))
    }

    /// Every question about the name fails: its servers do not answer. Nobody waits for it.
    pub fn timeout(self, name: &str) -> Self {
        self.with(name, |records| records.fails = Some("the server timed out"))
    }

    fn with(mut self, name: &str, change: impl FnOnce(&mut Records)) -> Self {
        change(self.names.entry(canonical(name)).or_default());
        self
    }

    fn answer<T: Clone>(&self, name: &str, which: impl Fn(&Records) -> &Vec<T>) -> Result<Answer<T>, DnsError> {
        let name = canonical(name);
        match self.names.get(&name) {
            Some(Records { fails: Some(what), .. }) => Err(DnsError { name, what: (*what).to_owned() }),
            Some(records) if !which(records).is_empty() => Ok(Answer::Records(which(records).clone())),
            Some(_) => Ok(Answer::NoRecord),
            None if self.has_below(&name) => Ok(Answer::NoRecord),
            None => Ok(Answer::NoName),
        }
    }

    /// An empty non-terminal exists (RFC 8020 §2).
    fn has_below(&self, name: &str) -> bool {
        self.names.keys().any(|known| known.strip_suffix(name).is_some_and(|below| below.ends_with('.')))
    }
}

fn ready<'a, T: Send + 'a>(answer: Result<Answer<T>, DnsError>) -> Lookup<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl Resolver for Zone {
    fn mx<'a>(&'a self, name: &'a str) -> Lookup<'a, Mx> {
        ready(self.answer(name, |records| &records.mx))
    }

    fn ipv4<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv4Addr> {
        ready(self.answer(name, |records| &records.ipv4))
    }

    fn ipv6<'a>(&'a self, name: &'a str) -> Lookup<'a, Ipv6Addr> {
        ready(self.answer(name, |records| &records.ipv6))
    }

    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, String> {
        ready(self.answer(name, |records| &records.txt))
    }

    fn ptr(&self, address: IpAddr) -> Lookup<'_, String> {
        ready(self.answer(&reverse_name(address), |records| &records.ptr))
    }
}
