//! The back door: letters leave here, to the next server, to an LMTP server, or into a mailbox on this machine.
//!
//! # How it is used
//! ```text
//! let delivery = Arc::new(Delivery::new(setup)?);     // it is also the queue's `Sites`
//! tokio::spawn(delivery::run(queue, delivery.clone(), stop));
//! delivery.reload(setup)?;                            // later, with a new configuration
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | what an operator writes: routes, local domains, limits, times |
//! | [`route`] | recipient → next hop, from the configuration alone |
//! | [`mx`] | domain → servers, from the DNS |
//! | `finder`, `site`, `place`, `search` | domain → site, remembered for a while; many domains have one |
//! | `shaper` | what each site takes now: `[shaping]`, and what its replies have changed of it |
//! | `dead`, `weather` | servers that could not be reached lately; what an attempt says of its site |
//! | `redirect` | the way that an operator sends a letter, in place of its recipients' own |
//! | `explain` | all of that in words, for one address |
//! | `connect`, `dial`, `drive`, `stream`, `tls` | next hop → open connection; the client session over a real line |
//! | [`tls_policy`], `tls_memory` | how well a line must be protected and by which rule; where TLS failed lately |
//! | `worker`, `kept`, `remote`, `transaction`, `local` | letters meet connections and mailboxes |
//! | [`outcome`] | what a reply means for a recipient |
//! | [`maildir`] | mailboxes on this machine |
//! | [`send`] | one letter to one server, without a queue |
//!
//! # Invariants
//! - A letter fails for good only by a server's 5yz to the letter itself, by the DNS saying that nobody takes the domain's
//!   mail, or by a mail loop. Everything else defers it.
//! - No password is ever logged, sent without TLS (unless told to), or shown by `Debug`.
//!
//! # Limits
//! - One source address, no MTA-STS, no DANE: a server found by MX is as trustworthy as the DNS is, so a letter that came
//!   with REQUIRETLS goes only to a server that the configuration or the address itself names.

pub mod config;
mod connect;
mod content;
mod dead;
mod dial;
mod drive;
mod explain;
mod finder;
mod kept;
mod local;
pub mod maildir;
pub mod mx;
mod needs;
pub mod outcome;
mod place;
mod redirect;
mod remote;
pub mod route;
mod search;
pub mod send;
mod shaper;
mod site;
mod stream;
mod tls;
mod tls_memory;
pub mod tls_policy;
mod transaction;
mod weather;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
pub use deliverability::shaping::shipped_text;
pub use deliverability::{Shaping, ShapingConfig, ShapingError};
use dns::Resolver;
use queue::{Lane, Letter, Limits, Place, Recipient, Site, Sites, Timestamp};
use rustls::RootCertStore;
use smtp::{Host, Mailbox, Reply};

pub use config::{Config, ConfigError};
pub use drive::Line;
pub use explain::{ChangeExplained, Explained, LimitsExplained, ServerExplained, TlsExplained, TroubleExplained};
pub use outcome::Trouble;
pub use redirect::BadRedirect;
pub use send::{SendTo, Sent, send_one};
pub use worker::run;

use connect::State;
use route::Router;
use shaper::Shaper;

/// Who has a mailbox here. Asked before a letter is put into a Maildir: letters of this machine itself were not asked about
/// at any door, and a mailbox may be gone since.
pub trait Mailboxes: Send + Sync + fmt::Debug {
    /// May block.
    ///
    /// # Errors
    /// The reply to give: 550 where nobody is there, 4yz where that cannot be found out now.
    fn check(&self, recipient: &Mailbox) -> Result<(), Reply>;
}

/// Every name of a local domain is a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Everybody;

impl Mailboxes for Everybody {
    fn check(&self, _recipient: &Mailbox) -> Result<(), Reply> {
        Ok(())
    }
}

/// What the program gives.
#[derive(Clone, Debug)]
pub struct Setup {
    pub config: Config,
    /// What we call ourselves in EHLO, and what MX records are compared with.
    pub hostname: Host,
    /// Where this server listens itself, so that it does not deliver to itself. May be unspecified (`0.0.0.0:25`); the
    /// machine's own addresses are then better given too.
    pub listening: Vec<SocketAddr>,
    pub resolver: Arc<dyn Resolver>,
    /// Whose certificates are trusted on the way out.
    pub authorities: Arc<RootCertStore>,
    pub mailboxes: Arc<dyn Mailboxes>,
    /// What each provider takes, the operator's own words among it.
    pub shaping: Arc<Shaping>,
    /// Where what replies have changed of that is kept over a restart. Counts for [`Delivery::new`] only.
    pub shaping_file: Option<PathBuf>,
}

impl Setup {
    fn state(self) -> Result<State, ConfigError> {
        let Self { config, hostname, listening, resolver, authorities, mailboxes, shaping, shaping_file: _ } = self;
        config.check()?;
        let router = Router::new(&config)?;
        let tls = tls::Tls::new(authorities).map_err(|error| ConfigError::Tls(error.to_string()))?;
        let (finder, dead) = (finder::Finder::default(), dead::DeadServers::default());
        let (tls_memory, shaper) = Default::default();
        Ok(State {
            config,
            hostname,
            listening,
            router,
            tls,
            tls_memory,
            resolver,
            mailboxes,
            finder,
            dead,
            shaping,
            shaper,
        })
    }
}

/// The back door with its current configuration; shared by all workers.
pub struct Delivery {
    state: ArcSwap<State>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("state", &self.state.load()).finish_non_exhaustive()
    }
}

impl Delivery {
    /// # Errors
    /// The operator's fault: the configuration contradicts itself, or a password or an authority cannot be used.
    pub fn new(setup: Setup) -> Result<Self, ConfigError> {
        let file = setup.shaping_file.clone();
        let mut state = setup.state()?;
        state.shaper = Arc::new(Shaper::open(file, Timestamp::now()));
        Ok(Self { state: ArcSwap::from_pointee(state) })
    }

    /// Takes a new configuration: the next attempts use it, those that run are not disturbed.
    ///
    /// # Errors
    /// As [`Delivery::new`]; the old configuration then stays.
    pub fn reload(&self, setup: Setup) -> Result<(), ConfigError> {
        let mut state = setup.state()?;
        {
            let before = self.state.load();
            (state.tls_memory, state.shaper) = (before.tls_memory.clone(), before.shaper.clone());
        }
        self.state.store(Arc::new(state));
        Ok(())
    }

    /// Where a letter to this address would go now; for `gatepost` to explain.
    pub fn route(&self, recipient: &Mailbox) -> (Site, route::NextHop) {
        self.state.load().router.route(recipient)
    }

    /// What an operator writes as the new way of letters, in the words that the queue keeps.
    ///
    /// # Errors
    /// It is no target, or names a route that is not there.
    pub fn redirect_target(&self, text: &str) -> Result<String, BadRedirect> {
        self.state.load().router.redirect_target(text)
    }

    fn state(&self) -> Arc<State> {
        self.state.load_full()
    }
}

impl Sites for Delivery {
    fn place_of(&self, _: &Letter, recipient: &Recipient, redirect: Option<&str>) -> Place {
        self.state.load().place_of(&recipient.address, redirect)
    }

    fn limits(&self, lane: &Lane) -> Limits {
        self.state.load().lane_limits(lane, Timestamp::now())
    }

    fn why(&self, lane: &Lane) -> Option<String> {
        explain::rules_in_force(&self.state.load(), lane)
    }
}

#[cfg(test)]
mod tests;
