//! What one entry says of limits, read: the shipped one makes stricter, the operator's is taken as it is.

use super::{Entry, SiteLimits, TlsNeed};
use crate::Rate;
use crate::shaping::config::Limits;

/// Two entries of the same name.
#[derive(Debug, Default)]
pub(super) struct Level {
    shipped: Says,
    own: Says,
}

/// One entry's figures, in general and for single addresses of ours.
#[derive(Debug, Default)]
struct Says {
    all: Figures,
    from: Vec<(String, Figures)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    connections: Option<u32>,
    letters_per_connection: Option<u32>,
    recipients_per_transaction: Option<u32>,
    rate: Option<Rate>,
    tls: Option<TlsNeed>,
}

impl Level {
    pub fn of(shipped: Option<&Entry>, own: Option<&Entry>) -> Self {
        Self { shipped: shipped.map(Says::of).unwrap_or_default(), own: own.map(Says::of).unwrap_or_default() }
    }

    pub fn apply(&self, source: &str, limits: &mut SiteLimits) {
        self.shipped.of_source(source).for_each(|figures| figures.tighten(limits));
        self.own.of_source(source).for_each(|figures| figures.set(limits));
    }

    /// The level of TLS, and whether the operator asked for it.
    pub fn tls(&self, source: &str) -> Option<(TlsNeed, bool)> {
        let last = |says: &Says| says.of_source(source).filter_map(|figures| figures.tls).last();
        last(&self.own).map(|need| (need, true)).or_else(|| last(&self.shipped).map(|need| (need, false)))
    }

    pub fn recipients(&self, source: &str) -> Option<u32> {
        let last = |says: &Says| says.of_source(source).filter_map(|figures| figures.recipients_per_transaction).last();
        last(&self.own).or_else(|| last(&self.shipped))
    }
}

impl Says {
    fn of(entry: &Entry) -> Self {
        let from = entry.from.iter().map(|(source, limits)| (source.clone(), Figures::of(limits))).collect();
        Self { all: Figures::of(&entry.own()), from }
    }

    /// The general ones first.
    fn of_source(&self, source: &str) -> impl Iterator<Item = &Figures> {
        let own = self.from.iter().filter(move |(name, _)| name == source).map(|(_, figures)| figures);
        std::iter::once(&self.all).chain(own)
    }
}

impl Figures {
    /// What is no rate was refused when the entry was checked.
    fn of(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            letters_per_connection: limits.letters_per_connection,
            recipients_per_transaction: limits.recipients_per_transaction,
            rate: limits.rate.as_deref().and_then(|rate| rate.parse().ok()),
            tls: limits.tls,
        }
    }

    fn set(&self, limits: &mut SiteLimits) {
        limits.connections = self.connections.unwrap_or(limits.connections);
        limits.letters_per_connection = self.letters_per_connection.unwrap_or(limits.letters_per_connection);
        limits.recipients_per_transaction =
            self.recipients_per_transaction.unwrap_or(limits.recipients_per_transaction);
        limits.rate = self.rate.or(limits.rate);
    }

    fn tighten(&self, limits: &mut SiteLimits) {
        let least = |limit: &mut u32, own: Option<u32>| *limit = own.map_or(*limit, |own| own.min(*limit));
        least(&mut limits.connections, self.connections);
        least(&mut limits.letters_per_connection, self.letters_per_connection);
        least(&mut limits.recipients_per_transaction, self.recipients_per_transaction);
        limits.rate = match (limits.rate, self.rate) {
            (Some(limit), Some(own)) => Some(limit.stricter(own)),
            (limit, own) => limit.or(own),
        };
    }
}
