//! Where a recipient's letter belongs now: the configuration first, then what is known of the domain.
//!
//! [`State::place`] answers from memory, for the scheduler; [`State::find`] asks the DNS where memory does not know.

use std::time::{Duration, Instant};

use dns::DnsError;
use smtp::Domain;

use crate::connect::State;
use crate::finder::Known;
use crate::mx::{self, Planner, Unroutable};

/// A domain whose servers cannot be found out in this time is in trouble, however patient the resolver is.
const SEARCH_TIME: Duration = Duration::from_secs(60);

impl State {
    /// The servers of this domain and its site; from memory, or else from the DNS.
    pub(crate) async fn find(&self, domain: &Domain) -> Known {
        let (name, now) = (domain.as_ascii(), Instant::now());
        if let Some(known) = self.finder.known(name, now).filter(|known| known.serves_an_attempt(now)) {
            return known;
        }
        let planner = Planner {
            domain,
            hostname: &self.hostname,
            listening: &self.listening,
            port: self.config.mx_port,
            allow_loopback: self.config.allow_loopback_mx,
            ip: self.config.ip,
        };
        let said = tokio::time::timeout(SEARCH_TIME, mx::resolve(&*self.resolver, &planner)).await;
        let said = said.unwrap_or_else(|_| Err(too_slow(name)));
        self.finder.learn(name, said, Instant::now())
    }
}

fn too_slow(domain: &str) -> Unroutable {
    Unroutable::Dns(DnsError { name: domain.into(), what: "no answer came in time".into() })
}
