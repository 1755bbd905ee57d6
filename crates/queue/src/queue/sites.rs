//! What the queue asks the router: where letters go, and what limits hold there.
//!
//! # Invariants
//! - Nothing here waits: what only the DNS knows is a [`Place::Unknown`], and asked for by a [`Search`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::inner::Inner;
use crate::letter::{Letter, Recipient, Timestamp};

/// Where letters meet the same limits: a key that the router gives.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(pub Arc<str>);

/// An egress source's name; "" is the default.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(pub Arc<str>);

/// Letters with the same `Via` may share a connection and a transaction; "" where a site has only one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Via(pub Arc<str>);

/// A ready queue: letters of one source for one site. Windows, rates and workers are counted by it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    pub site: Site,
    pub source: Source,
}

/// Where a recipient's letter goes, as far as it is known without asking the DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Lane {
        lane: Lane,
        via: Via,
    },
    /// The DNS has to be asked first: see [`Queue::next_search`](super::Queue::next_search).
    Unknown {
        domain: Arc<str>,
        source: Source,
    },
}

/// What the router allows a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that may be open at once, at most.
    pub connections: usize,
    pub rate: Option<Rate>,
    /// Suspended by a rule until then: no connection is opened.
    pub rests_until: Option<Timestamp>,
}

impl Limits {
    pub fn connections(connections: usize) -> Self {
        Self { connections, rate: None, rests_until: None }
    }
}

/// So many letters in so long, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub letters: u32,
    pub per: Duration,
}

/// What a worker met at its site, one of these for each attempt; see [`Worker::weather`](super::Worker::weather).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It was reached. Refusals of single letters or recipients are fine weather.
    Fine,
    /// 421, 4yz to the greeting, EHLO or MAIL, or the connection broke.
    Trouble,
    /// No server could be reached.
    Dead,
}

/// What the queue asks the router; decided anew at each attempt.
pub trait Sites: Send + Sync + fmt::Debug {
    /// `redirect` is what an operator said of this letter: the way to go in place of the recipient's own.
    fn place_of(&self, letter: &Letter, recipient: &Recipient, redirect: Option<&str>) -> Place;
    fn limits(&self, lane: &Lane) -> Limits;

    /// For operators: which rules changed the limits of this lane, and after which replies.
    fn why(&self, _lane: &Lane) -> Option<String> {
        None
    }
}

/// A domain whose site is to be found out. Answered by [`Queue::found`](super::Queue::found); dropped without that, it is
/// asked for again after a while.
pub struct Search {
    pub domain: Arc<str>,
    pub(super) inner: Arc<Inner>,
}

impl Drop for Search {
    fn drop(&mut self) {
        self.inner.unsearched(&self.domain);
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Lane {
    /// The lane of the default source.
    pub fn of(site: Site) -> Self {
        Self { site, source: Source::default() }
    }
}

impl From<Lane> for Place {
    fn from(lane: Lane) -> Self {
        Self::Lane { lane, via: Via::default() }
    }
}

/// One for all: defaults are frequent, and should not allocate.
fn nothing() -> Arc<str> {
    static NOTHING: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from(""));
    Arc::clone(&NOTHING)
}

impl Default for Source {
    fn default() -> Self {
        Self(nothing())
    }
}

impl Default for Via {
    fn default() -> Self {
        Self(nothing())
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.source.0 {
            "" => write!(f, "{:?}", self.site),
            source => write!(f, "{:?} from {source}", self.site),
        }
    }
}
