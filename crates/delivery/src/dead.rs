//! Servers that could not be reached lately: they are tried last, so that a dead first MX costs one time-out and not one
//! for each letter.
//!
//! # Invariants
//! - A server is never left out because of what is remembered here.
//! - At most [`MOST_SERVERS`] are remembered, each for at most [`LONGEST`] after its pause.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a server is tried last after its first failure; doubled by each that follows.
const FIRST: Duration = Duration::from_secs(300);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// Servers that are remembered at most.
const MOST_SERVERS: usize = 10_000;

/// The memory, shared by all attempts.
#[derive(Debug, Default)]
pub(crate) struct DeadServers {
    servers: Mutex<HashMap<SocketAddr, Rest>>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    pause: Duration,
}

impl DeadServers {
    /// Whether this server had better be tried after the others.
    pub(crate) fn is_resting(&self, server: SocketAddr, now: Instant) -> bool {
        self.lock().get(&server).is_some_and(|rest| now < rest.until)
    }

    /// The server could not be reached.
    pub(crate) fn failed(&self, server: SocketAddr, now: Instant) {
        let mut servers = self.lock();
        let pause = match servers.get(&server) {
            // Several connections found out at the same time.
            Some(rest) if now < rest.until => return,
            Some(rest) => rest.pause.saturating_mul(2).min(LONGEST),
            None => FIRST,
        };
        if servers.len() >= MOST_SERVERS {
            servers.retain(|_, rest| now < rest.until);
        }
        if servers.len() < MOST_SERVERS || servers.contains_key(&server) {
            servers.insert(server, Rest { until: now + pause, pause });
        }
    }

    /// The server has answered.
    pub(crate) fn answered(&self, server: SocketAddr) {
        let mut servers = self.lock();
        if !servers.is_empty() {
            servers.remove(&server);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Rest>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
