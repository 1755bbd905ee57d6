//! What guessing passwords costs: a growing delay, and in the end no logins from there for a while.
//!
//! A value: the time goes in. Each address, network and account has a level that rises by one with each failure and sinks
//! evenly, by its limit in one window.
//!
//! # Invariants
//! - An account is slowed, never locked: failures elsewhere do not keep its owner out.
//!
//! # Limits
//! At most [`MOST`] levels are kept; what has sunk to nothing is forgotten first, then anything.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::LoginLimits;
use crate::network::IpNetwork;

const MOST: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Throttle {
    levels: HashMap<Key, Level>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Address(IpNetwork),
    Network(IpNetwork),
    /// A hash of the name, so that a password typed as a name is not kept.
    Account(u64),
}

#[derive(Clone, Copy, Debug)]
struct Level {
    height: f64,
    at: Instant,
}

impl Throttle {
    /// Whether logins from this client are not taken now, and for how long.
    pub(super) fn blocked(&self, limits: &LoginLimits, client: IpAddr, now: Instant) -> Option<Duration> {
        let waits = places(client).map(|key| {
            let limit = f64::from(limit_of(limits, key));
            let over = self.height(limits, key, now) - limit + 1.0;
            // It is let in again when it has sunk to one below the limit.
            (over > 0.0).then(|| limits.window.mul_f64((over / limit.max(1.0)).min(1.0)))
        });
        waits.into_iter().flatten().max()
    }

    /// A login failed: how long its reply must wait.
    pub(super) fn failed(&mut self, limits: &LoginLimits, client: IpAddr, account: &str, now: Instant) -> Duration {
        self.make_room(limits, now);
        let account = Key::Account(self.hasher.hash_one(crate::directory::fold(account)));
        let [address, network] = places(client);
        let mut highest: f64 = 0.0;
        for key in [address, network, account] {
            let height = self.height(limits, key, now) + 1.0;
            self.levels.insert(key, Level { height, at: now });
            // A whole network has many users: their slips together slow nobody.
            if !matches!(key, Key::Network(_)) {
                highest = highest.max(height);
            }
        }
        let doublings = (highest - 1.0).clamp(0.0, 30.0);
        limits.delay.mul_f64(doublings.exp2()).min(limits.longest_delay)
    }

    fn height(&self, limits: &LoginLimits, key: Key, now: Instant) -> f64 {
        let Some(level) = self.levels.get(&key) else { return 0.0 };
        let passed = now.saturating_duration_since(level.at).as_secs_f64();
        let sunk = passed / limits.window.as_secs_f64().max(1.0) * f64::from(limit_of(limits, key));
        (level.height - sunk).max(0.0)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    fn make_room(&mut self, limits: &LoginLimits, now: Instant) {
        if self.levels.len() + 3 <= MOST {
            return;
        }
        let sunk: Vec<Key> = self.levels.keys().filter(|key| self.height(limits, **key, now) <= 0.0).copied().collect();
        for key in sunk {
            self.levels.remove(&key);
        }
        if self.levels.len() + 3 > MOST {
            let mut kept = 0;
            self.levels.retain(|_, _| {
                kept += 1;
                kept <= MOST / 2
            });
        }
    }
}

fn places(client: IpAddr) -> [Key; 2] {
    let client = client.to_canonical();
    let (address, network) = if client.is_ipv4() { (32, 24) } else { (64, 48) };
    [Key::Address(IpNetwork::of(client, address)), Key::Network(IpNetwork::of(client, network))]
}

fn limit_of(limits: &LoginLimits, key: Key) -> u32 {
    match key {
        Key::Network(_) => limits.failures_per_network,
        Key::Address(_) | Key::Account(_) => limits.failures_per_address,
    }
}
