//! Where a recipient's letter belongs now: the configuration first, then what is known of the domain.
//!
//! [`State::place_of`] answers from memory alone, for the scheduler; [`State::way_to`] asks the DNS where memory does not
//! know, for an attempt. Both look into the same memory, so that an attempt finds its letter where the scheduler put it.

use std::time::{Duration, Instant};

use dns::DnsError;
use queue::{Lane, Place, Site, Source, Via};
use smtp::{Domain, Mailbox};

use crate::connect::State;
use crate::finder::{Known, Servers};
use crate::mx::{self, Planner, Unroutable};
use crate::route::NextHop;
use crate::site;

/// A domain whose servers cannot be found out in this time is in trouble, however patient the resolver is.
const SEARCH_TIME: Duration = Duration::from_secs(60);

/// How a recipient is reached, decided for one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) site: Site,
    /// Recipients with the same may share a transaction, and letters for them a connection.
    pub(crate) via: Via,
    pub(crate) hop: NextHop,
    /// Of [`NextHop::Mx`].
    pub(crate) servers: Option<Servers>,
}

impl Way {
    /// Whether other servers than these stand behind the same site: their trouble is not the site's.
    pub(crate) fn is_one_of_many(&self) -> bool {
        self.servers.is_some() && !self.via.0.starts_with(&*self.site.0)
    }
}

impl State {
    /// Where the letter belongs, as far as that is known.
    pub(crate) fn place_of(&self, recipient: &Mailbox, redirect: Option<&str>) -> Place {
        let domain = match self.router.configured(recipient, redirect) {
            Ok(site) => return Lane::of(site).into(),
            Err(domain) => domain.as_ascii(),
        };
        match self.finder.known(domain, Instant::now()) {
            Some(Known { site, via, .. }) => Place::Lane { lane: Lane::of(site), via },
            None => Place::Unknown { domain: domain.into(), source: Source::default() },
        }
    }

    /// How the recipient is reached now.
    pub(crate) async fn way_to(&self, recipient: &Mailbox, redirect: Option<&str>) -> Way {
        match self.router.route_by(recipient, redirect) {
            (_, NextHop::Mx(domain)) => {
                let Known { site, via, servers, .. } = self.find(&domain).await;
                Way { site, via, hop: NextHop::Mx(domain), servers: Some(servers) }
            }
            (site, hop) => Way { site, via: Via::default(), hop, servers: None },
        }
    }

    /// Where letters for this domain go, for the scheduler that does not know.
    pub(crate) async fn search(&self, domain: &str) -> (Site, Via) {
        match domain.parse::<Domain>() {
            Ok(domain) => {
                let Known { site, via, .. } = self.find(&domain).await;
                (site, via)
            }
            Err(_) => site::of_nobody(domain),
        }
    }

    /// The servers of this domain and its site; from memory, or else from the DNS.
    async fn find(&self, domain: &Domain) -> Known {
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
        self.finder.learn(&self.shaping, name, said, Instant::now())
    }
}

fn too_slow(domain: &str) -> Unroutable {
    Unroutable::Dns(DnsError { name: domain.into(), what: "no answer came in time".into() })
}
