//! How many connections there are, in all and from each client, and whether there is memory for more.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use queue::counters::Count;
use smtp::TlsInfo;

use crate::network::IpNetwork;

/// Counts connections. One for the whole program; it outlives reloads.
#[derive(Debug, Default)]
pub struct Admission {
    state: Mutex<State>,
    /// By the listener's name.
    tallies: Mutex<BTreeMap<String, Arc<Tally>>>,
}

#[derive(Debug, Default)]
struct State {
    all: u32,
    clients: HashMap<IpNetwork, u32>,
    memory: Option<(Instant, u64)>,
}

/// What happened at one listener since the start of the process.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that were accepted.
    pub connections: Count,
    /// Connections that got 421, for want of a place or of memory.
    pub crowded: Count,
    pub tls12: Count,
    pub tls13: Count,
    /// Handshakes that failed.
    pub tls_failed: Count,
    /// Letters that were answered 250.
    pub received: Count,
    /// Senders, recipients and letters that were refused.
    pub refused: Count,
    /// Logins that failed.
    pub auth_failed: Count,
}

impl Tally {
    pub(crate) fn encrypted(&self, tls: &TlsInfo) {
        match tls.protocol {
            "TLSv1.3" => self.tls13.add(),
            _ => self.tls12.add(),
        }
    }
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    client: Option<IpNetwork>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    #[error("too many connections")]
    All,
    #[error("too many connections from this client")]
    Client,
    #[error("too little free memory")]
    Memory,
}

/// How long a look at the memory is good for.
const MEMORY_AGE: Duration = Duration::from_secs(1);

impl Admission {
    /// One more connection, where `most` allows it.
    ///
    /// # Errors
    /// [`Crowded::All`].
    pub fn enter(self: &Arc<Self>, most: u32) -> Result<Place, Crowded> {
        let mut state = self.lock();
        if state.all >= most {
            return Err(Crowded::All);
        }
        state.all += 1;
        Ok(Place { admission: Arc::clone(self), client: None })
    }

    /// What is counted of the listener of this name; begun with the first question.
    pub fn tally(&self, listener: &str) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        match tallies.get(listener) {
            Some(tally) => Arc::clone(tally),
            None => Arc::clone(tallies.entry(listener.to_owned()).or_default()),
        }
    }

    /// All listeners that were ever served, by name.
    pub fn tallies(&self) -> Vec<(String, Arc<Tally>)> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.iter().map(|(name, tally)| (name.clone(), Arc::clone(tally))).collect()
    }

    /// Connections at this moment.
    pub fn connections(&self) -> u32 {
        self.lock().all
    }

    /// Whether the system has at least this much memory left. What cannot be found out counts as enough.
    ///
    /// # Errors
    /// [`Crowded::Memory`].
    pub fn memory(&self, least: u64) -> Result<(), Crowded> {
        if least == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut state = self.lock();
        let free = match state.memory {
            Some((at, free)) if now.saturating_duration_since(at) < MEMORY_AGE => free,
            _ => {
                let free = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
                let free = free.unwrap_or(u64::MAX);
                state.memory = Some((now, free));
                free
            }
        };
        if free < least { Err(Crowded::Memory) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts this connection to its client, once. IPv6 clients are counted by /64: it costs nothing to have 2^64 addresses.
    ///
    /// # Errors
    /// [`Crowded::Client`].
    pub fn belongs_to(&mut self, client: IpAddr, most: u32) -> Result<(), Crowded> {
        if self.client.is_some() {
            return Ok(());
        }
        let client = client.to_canonical();
        let network = IpNetwork::of(client, if client.is_ipv4() { 32 } else { 64 });
        let mut state = self.admission.lock();
        let count = state.clients.entry(network).or_default();
        if *count >= most {
            if *count == 0 {
                state.clients.remove(&network);
            }
            return Err(Crowded::Client);
        }
        *count += 1;
        self.client = Some(network);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.all = state.all.saturating_sub(1);
        let Some(client) = self.client else { return };
        if let Some(count) = state.clients.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.clients.remove(&client);
            }
        }
    }
}

/// `MemAvailable` of /proc/meminfo, in octets.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_given_back_when_dropped() {
        let admission = Arc::new(Admission::default());
        let mut first = admission.enter(1).unwrap();
        first.belongs_to(ip("192.0.2.1"), 1).unwrap();
        assert_eq!(admission.enter(1).unwrap_err(), Crowded::All);
        drop(first);
        let mut again = admission.enter(1).unwrap();
        again.belongs_to(ip("192.0.2.1"), 1).unwrap();
        drop(again);
        assert_eq!(admission.connections(), 0);
        assert!(admission.lock().clients.is_empty());
    }

    #[test]
    fn a_client_is_one_ipv4_address_or_one_ipv6_network_of_64() {
        let admission = Arc::new(Admission::default());
        let mut places: Vec<Place> = (0..5).map(|_| admission.enter(10).unwrap()).collect();
        places[0].belongs_to(ip("192.0.2.1"), 1).unwrap();
        places[1].belongs_to(ip("192.0.2.2"), 1).unwrap();
        assert_eq!(places[2].belongs_to(ip("::ffff:192.0.2.2"), 1).unwrap_err(), Crowded::Client);
        places[3].belongs_to(ip("2001:db8::1"), 1).unwrap();
        assert_eq!(places[4].belongs_to(ip("2001:db8::2"), 1).unwrap_err(), Crowded::Client);
    }

    #[test]
    fn available_memory_is_read_and_compared() {
        assert_eq!(available("MemTotal: 8 kB\nMemAvailable:     2048 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(available("MemTotal: 8 kB\n"), None);
        let admission = Admission::default();
        admission.lock().memory = Some((Instant::now(), 1000));
        assert_eq!(admission.memory(1001), Err(Crowded::Memory));
        assert_eq!(admission.memory(1000), Ok(()));
        assert_eq!(admission.memory(0), Ok(()));
    }
}
