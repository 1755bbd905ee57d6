//! Servers whose opportunistic handshake failed lately, and that take letters without: the next letter goes plain at once.
//!
//! # Invariants
//! - A server is remembered only after it took a connection without TLS: a line that is down teaches nothing about TLS.
//! - Nothing but opportunistic mail looks here. What asks for more is never sent plain by what is remembered.
//! - Never more than [`MOST`] servers; beyond that, what would be forgotten first goes.
//!
//! # Limits
//! - Lost at a restart: the first letter then tries the handshake again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue::Timestamp;

/// How long the first failure is remembered; each further one twice as long as the one before.
const FIRST: Duration = Duration::from_secs(3600);
const LONGEST: Duration = Duration::from_secs(3 * 24 * 3600);
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct TlsMemory {
    failed: Mutex<HashMap<SocketAddr, Failed>>,
}

#[derive(Debug)]
struct Failed {
    until: Timestamp,
    wait: Duration,
    why: String,
}

impl TlsMemory {
    /// Why this server is to be spoken with in plain now.
    pub(crate) fn plain(&self, server: &SocketAddr, now: Timestamp) -> Option<String> {
        let failed = self.lock();
        let found = failed.get(server).filter(|failed| now < failed.until)?;
        Some(format!("the handshake failed before (remembered until {}): {}", found.until, found.why))
    }

    /// The handshake failed, and without it letters go.
    pub(crate) fn remember(&self, server: SocketAddr, why: &str, now: Timestamp) {
        let mut failed = self.lock();
        let wait = failed.get(&server).map_or(FIRST, |before| (before.wait * 2).min(LONGEST));
        if failed.len() >= MOST
            && !failed.contains_key(&server)
            && let Some(first) = failed.iter().min_by_key(|(_, entry)| entry.until.0).map(|(first, _)| *first)
        {
            failed.remove(&first);
        }
        failed.insert(server, Failed { until: now.after(wait), wait, why: why.into() });
    }

    /// It worked, or the server wants nothing but TLS.
    pub(crate) fn forget(&self, server: &SocketAddr) {
        self.lock().remove(server);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
