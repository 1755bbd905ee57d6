//! A connection that is kept between letters: what is the same for all letters on it, and how long it is good.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deliverability::SiteLimits;
use queue::{Lane, Recipient, RecipientOutcome, Timestamp, Verdict, Via};
use smtp::Reply;
use smtp::client::Closed;
use smtp::server::Protocol;

use crate::connect::State;
use crate::drive::{Connection, Line};
use crate::outcome::{OURSELVES, Trouble, verdict};
use crate::place::Way;
use crate::route::NextHop;
use crate::shaper::Ear;
use crate::tls_policy::TlsWish;

/// A connection between letters, with what is the same for all letters on it.
pub(crate) struct Kept {
    pub(crate) connection: Connection,
    state: Arc<State>,
    pub(crate) via: Via,
    opened: Instant,
    /// That were begun on it.
    pub(crate) letters: u32,
    /// `mx1.example.net [192.0.2.1]:25`.
    pub(crate) by: String,
    tls: String,
    /// The server is one that the configuration names.
    configured: bool,
    pub(crate) protocol: Protocol,
    hop: NextHop,
    /// It was opened for a letter that does with less than the rules ask for.
    relaxed: bool,
    lane: Lane,
    /// What the site takes, as of this version of the shaper.
    limits: (u64, SiteLimits),
}

impl Kept {
    /// `passed`, `wish`: as [`State::open`] has them.
    pub(crate) async fn open(ear: &mut Ear<'_>, way: &Way, passed: &[String], wish: TlsWish) -> Result<Self, Trouble> {
        let (state, lane) = (ear.state(), ear.lane());
        let mut watch = |line: Line<'_>| {
            ear.line(&line);
            trace(line);
        };
        let mut connection = state.open(lane, way, passed, wish, &mut watch).await?;
        let hop = &way.hop;
        if let NextHop::Mx(domain) = hop {
            connection.found_by_mx_of(domain.as_ascii());
        }
        let by = connection.peer().to_owned();
        let tls = connection.tls_words();
        tracing::debug!(peer = by, tls, "connection open");
        Ok(Self {
            connection,
            state: state.clone(),
            via: way.via.clone(),
            opened: Instant::now(),
            letters: 0,
            by,
            tls,
            configured: matches!(hop, NextHop::Relay(_)),
            protocol: match hop {
                NextHop::Relay(relay) => relay.protocol,
                _ => Protocol::Smtp,
            },
            hop: hop.clone(),
            relaxed: wish == TlsWish::Optional,
            lane: lane.clone(),
            limits: (state.shaper.version(), state.site_limits(lane, Timestamp::now())),
        })
    }

    /// Whether a letter for this next hop may go on this connection, which another may have opened: domains that share their
    /// servers need not share their rules.
    pub(crate) fn suits(&mut self, hop: &NextHop, wish: TlsWish) -> bool {
        if wish == TlsWish::Required && self.letters > 0 && !self.connection.takes_requiretls() {
            return false;
        }
        let (NextHop::Mx(domain), NextHop::Mx(before)) = (hop, &self.hop) else { return true };
        if domain == before && (!self.relaxed || wish == TlsWish::Optional) {
            return true;
        }
        let policy = self.state.tls_policy_for(hop, &self.lane, &self.connection.server(), wish);
        if !self.connection.meets(&policy) {
            return false;
        }
        self.relaxed = wish == TlsWish::Optional;
        self.connection.found_by_mx_of(domain.as_ascii());
        self.connection.set_policy(policy);
        (self.tls, self.hop) = (self.connection.tls_words(), hop.clone());
        true
    }

    /// Whether the next letter should have a new connection.
    pub(crate) fn is_spent(&mut self, current: &Arc<State>) -> bool {
        !Arc::ptr_eq(&self.state, current)
            || self.letters >= self.limits().letters_per_connection
            || self.connection.session().letters_left() == Some(0)
            || self.opened.elapsed() >= self.state.config.connection_age
    }

    fn limits(&mut self) -> SiteLimits {
        let version = self.state.shaper.version();
        if self.limits.0 != version {
            self.limits = (version, self.state.site_limits(&self.lane, Timestamp::now()));
        }
        self.limits.1
    }

    pub(crate) fn idle(&self) -> Duration {
        self.state.config.idle
    }

    /// Returns when the server ends a connection on which nothing happens.
    pub(crate) fn gone(&mut self) -> impl Future<Output = ()> {
        self.connection.gone()
    }

    pub(crate) async fn quit(self) {
        self.connection.quit(&mut trace).await;
    }

    /// How many of these go into one transaction. RFC 9422 §4: RCPTMAX, or our own limit for the site or their domains.
    pub(crate) fn most_recipients(&mut self, waiting: &VecDeque<(usize, &Recipient)>) -> usize {
        let theirs = self.connection.session().recipients_max().unwrap_or(usize::MAX);
        let mut ours = self.limits().recipients_per_transaction;
        let shaping = &self.state.shaping;
        if shaping.has_domains() {
            let domains = waiting.iter().map(|(_, recipient)| recipient.address.host.to_string());
            let own = domains.filter_map(|domain| shaping.recipients_of(&domain, &self.lane.source.0));
            ours = own.min().unwrap_or(ours);
        }
        theirs.min(ours as usize).max(1).min(waiting.len())
    }

    /// One recipient's. `ours`: the words are our own.
    pub(crate) fn outcome(&self, reply: Reply, ours: bool) -> RecipientOutcome {
        let verdict = match verdict(&reply, self.configured) {
            Verdict::Delivered => self.reaches(),
            Verdict::Failed if self.wants_the_tls_that_failed(&reply) => {
                // The next attempt tries the handshake again, however lately it failed.
                if let Some(server) = self.connection.address() {
                    self.state.tls_memory.forget(&server);
                }
                Verdict::Deferred
            }
            other => other,
        };
        let (reply, by) = if ours {
            // Our own words say which server they are about.
            let text = format!("{} ({})", reply.text(), self.by);
            (reply.with_text(text), OURSELVES.into())
        } else {
            (reply, self.by.clone())
        };
        RecipientOutcome { verdict, reply, by, tls: self.tls.clone() }
    }

    /// RFC 3207 §4: 530, "Must issue a STARTTLS command first", from a server whose STARTTLS has just failed. That is the
    /// connection's trouble and not the letter's.
    fn wants_the_tls_that_failed(&self, reply: &Reply) -> bool {
        let session = self.connection.session();
        let offered = session.capabilities().is_some_and(|offered| offered.starttls);
        reply.code.as_u16() == 530 && offered && session.tls().is_none()
    }

    /// What it means that this server has a letter (RFC 3461 §5.2.2).
    fn reaches(&self) -> Verdict {
        let capabilities = self.connection.session().capabilities();
        match (capabilities.is_some_and(|offered| offered.dsn), self.protocol) {
            (true, _) => Verdict::PassedOn,
            (false, Protocol::Lmtp) => Verdict::Delivered,
            (false, _) => Verdict::Relayed,
        }
    }

    pub(crate) fn trouble(&self, closed: &Closed) -> Trouble {
        self.connection.trouble(closed)
    }
}

/// The dialog goes to the log, for those who want it.
pub(crate) fn trace(line: Line<'_>) {
    match line {
        Line::Connected(peer) => tracing::debug!(peer, "connected"),
        Line::Sent(command) => tracing::debug!(command, "sent"),
        Line::Received(reply) => tracing::debug!(%reply, "received"),
        // The line before was the same.
        Line::Refused { .. } => {}
        Line::Tls(tls) => tracing::debug!(protocol = tls.protocol, cipher = tls.cipher, "tls"),
    }
}
