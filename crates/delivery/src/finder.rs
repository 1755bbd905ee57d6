//! Domain → the site that its letters belong to, and the servers that take them: remembered for a while.
//!
//! # How it is used
//! [`Finder::known`] answers at once and from memory alone, for the scheduler; [`Finder::learn`] takes what the DNS said
//! ([`crate::mx::resolve`]). Time comes in as a value.
//!
//! # Invariants
//! - What is remembered is used no longer than [`LIFE`] (where the DNS failed: [`LIFE_OF_TROUBLE`]).
//! - At most [`MOST_DOMAINS`] domains are in memory; those asked for least recently are forgotten first.
//!
//! # Limits
//! - The resolver tells no TTL, so that every answer lives equally long.
//! - "Least recently" is known by two generations: a domain that nobody asked for in a whole one is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deliverability::Shaping;
use queue::{Site, Via};

use crate::mx::{Plan, Unroutable};
use crate::site;

/// How long an answer is used.
pub(crate) const LIFE: Duration = Duration::from_secs(300);
/// How long "the DNS did not answer" is used.
pub(crate) const LIFE_OF_TROUBLE: Duration = Duration::from_secs(30);
/// An attempt asks again about trouble that is older: somebody may have mended the DNS and wants to see it work.
const JUST_NOW: Duration = Duration::from_secs(2);
/// Domains that are remembered at most.
pub(crate) const MOST_DOMAINS: usize = 50_000;

/// The servers of a domain, or why there are none.
pub(crate) type Servers = Result<Arc<Plan>, Arc<Unroutable>>;

/// What is known of a domain.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) site: Site,
    pub(crate) via: Via,
    pub(crate) servers: Servers,
    asked: Instant,
    until: Instant,
}

impl Known {
    /// Whether an attempt may rely on it.
    pub(crate) fn serves_an_attempt(&self, now: Instant) -> bool {
        self.servers.is_ok() || now.saturating_duration_since(self.asked) < JUST_NOW
    }
}

/// What is known of all domains that letters went to lately.
#[derive(Debug)]
pub(crate) struct Finder {
    cache: Mutex<Cache>,
}

impl Default for Finder {
    fn default() -> Self {
        Self::with_room_for(MOST_DOMAINS)
    }
}

impl Finder {
    fn with_room_for(domains: usize) -> Self {
        let generation = (domains / 2).max(1);
        Self { cache: Mutex::new(Cache { generation, ..Cache::default() }) }
    }

    /// What is known of this domain now.
    pub(crate) fn known(&self, domain: &str, now: Instant) -> Option<Known> {
        self.lock().get(domain, now).filter(|known| now < known.until)
    }

    /// Remembers what the DNS said.
    pub(crate) fn learn(&self, shaping: &Shaping, domain: &str, said: Result<Plan, Unroutable>, now: Instant) -> Known {
        let life = if said.as_ref().is_err_and(Unroutable::is_transient) { LIFE_OF_TROUBLE } else { LIFE };
        let mut cache = self.lock();
        let (site, via) = match &said {
            Ok(plan) => site::of_servers(shaping, domain, &plan.names),
            Err(_) => site::of_nobody(domain),
        };
        // The same words in one place: 100,000 domains have few sites.
        let (site, via) = match cache.get(domain, now) {
            Some(before) if (&before.site, &before.via) == (&site, &via) => (before.site, before.via),
            _ => (site, via),
        };
        let servers = said.map(Arc::new).map_err(Arc::new);
        let known = Known { site, via, servers, asked: now, until: now + life };
        cache.put(domain.into(), known.clone(), now);
        known
    }

    /// None of the servers that are remembered could be reached: the domain may have others by now.
    pub(crate) fn forget(&self, domain: &str) {
        self.lock().remove(domain);
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two generations; what is asked for moves into the young one.
#[derive(Debug, Default)]
struct Cache {
    /// Domains of one generation.
    generation: usize,
    turned: Option<Instant>,
    young: HashMap<Box<str>, Known>,
    old: HashMap<Box<str>, Known>,
}

impl Cache {
    fn get(&mut self, domain: &str, now: Instant) -> Option<Known> {
        if let Some(known) = self.young.get(domain) {
            return Some(known.clone());
        }
        let (domain, known) = self.old.remove_entry(domain)?;
        self.put(domain, known.clone(), now);
        Some(known)
    }

    fn put(&mut self, domain: Box<str>, known: Known, now: Instant) {
        let turned = *self.turned.get_or_insert(now);
        let full = self.young.len() >= self.generation && !self.young.contains_key(&domain);
        if full || now.saturating_duration_since(turned) >= LIFE {
            self.old = std::mem::take(&mut self.young);
            self.turned = Some(now);
        }
        self.old.remove(&domain);
        self.young.insert(domain, known);
    }

    fn remove(&mut self, domain: &str) {
        self.young.remove(domain);
        self.old.remove(domain);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests;
