//! From a next hop to an open connection: which addresses, in what order, with what TLS.
//!
//! Every candidate is tried until one takes letters. A server that refuses the connection, the greeting or EHLO, be it
//! with 4yz or 5yz, is passed over for the next one (RFC 5321 §5.1: the list is worked through until a delivery
//! succeeds); when all have been, the most telling trouble is what the letter is deferred with.
//!
//! Opportunistic TLS that fails is followed by the same server without TLS, at once (RFC 7435 §3: some protection when
//! possible, else none), and for a while the next connections begin there. A server that does not meet a stricter level is
//! passed over like one that does not answer.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use deliverability::Shaping;
use dns::Resolver;
use queue::{Lane, Timestamp};
use rustls::pki_types::ServerName;
use smtp::client::{ClientConfig, TlsMode};
use smtp::server::Protocol;
use smtp::{AddressLiteral, Host, Reply};

use crate::Mailboxes;
use crate::config::{Config, Endpoint, IpVersions};
use crate::dead::DeadServers;
use crate::dial::{Address, Dial};
use crate::drive::{Connection, Watch};
use crate::finder::Finder;
use crate::mx::{self, Unroutable};
use crate::outcome::{OURSELVES, Trouble};
use crate::place::Way;
use crate::route::{NextHop, Relay, Router, Server};
use crate::shaper::Shaper;
use crate::tls::Tls;
use crate::tls_memory::TlsMemory;
use crate::tls_policy::{self, Next, TlsPolicy, TlsWish};

/// One configuration with all that is made from it; attempts hold on to the one they began with.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) hostname: Host,
    pub(crate) listening: Vec<SocketAddr>,
    pub(crate) router: Router,
    pub(crate) tls: Tls,
    pub(crate) tls_memory: Arc<TlsMemory>,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) mailboxes: Arc<dyn Mailboxes>,
    pub(crate) finder: Finder,
    pub(crate) dead: DeadServers,
    pub(crate) shaping: Arc<Shaping>,
    pub(crate) shaper: Arc<Shaper>,
}

impl State {
    /// A connection of this lane on which letters for this next hop may be sent. `passed`: servers that have said not now to this letter.
    pub(crate) async fn open(
        &self,
        lane: &Lane,
        way: &Way,
        passed: &[String],
        wish: TlsWish,
        watch: Watch<'_>,
    ) -> Result<Connection, Trouble> {
        let hop = &way.hop;
        match hop {
            NextHop::Relay(relay) => first_open(self.relay_dials(relay).await?, &self.dead, watch).await,
            NextHop::Mx(domain) => {
                let plan = match &way.servers {
                    Some(Ok(plan)) => plan,
                    Some(Err(why)) => return Err(Trouble::unroutable(why)),
                    None => return Err(Trouble::ours(Reply::new(451, (4, 4, 4), "its servers were not looked up"))),
                };
                let addresses = plan.addresses(&mut mx::random_below).into_iter();
                let dials = addresses.map(|(name, ip)| self.mx_dial(hop, lane, name, ip, wish));
                let dials = dials.filter(|dial| !passed.contains(&dial.peer)).collect();
                let opened = first_open(dials, &self.dead, watch).await;
                if opened.as_ref().is_err_and(|trouble| trouble.unreached) {
                    self.finder.forget(domain.as_ascii());
                }
                opened
            }
            NextHop::Literal(ip) => {
                if mx::is_us(&self.listening, self.config.mx_port, *ip) {
                    return Err(Trouble::unroutable(&Unroutable::LoopsToUs(AddressLiteral(*ip).to_string())));
                }
                if !self.config.allow_loopback_mx && !mx::is_reachable(*ip) {
                    return Err(Trouble::unroutable(&Unroutable::OnlyLoopback(AddressLiteral(*ip).to_string())));
                }
                first_open(vec![self.mx_dial(hop, lane, &ip.to_string(), *ip, wish)], &self.dead, watch).await
            }
            NextHop::Maildir(_) | NextHop::Catch(_) => {
                Err(Trouble::ours(Reply::new(451, (4, 3, 5), "a mailbox is not reached by a connection")))
            }
        }
    }

    /// How well letters for this next hop must be protected on the way to this server.
    pub(crate) fn tls_policy(&self, hop: &NextHop, lane: &Lane, server: &str) -> TlsPolicy {
        self.tls_policy_for(hop, lane, server, TlsWish::None)
    }

    /// The same for a letter whose sender has a wish.
    pub(crate) fn tls_policy_for(&self, hop: &NextHop, lane: &Lane, server: &str, wish: TlsWish) -> TlsPolicy {
        let rules = if wish == TlsWish::Optional { tls_policy::by_own_rules } else { tls_policy::by_rules };
        let by_rules = |domain: &str| {
            let next = Next { domain, mx: server, site: &lane.site.0, source: &lane.source.0 };
            rules(&self.config.tls, &self.shaping, &next)
        };
        match hop {
            NextHop::Mx(domain) => by_rules(domain.as_ascii()),
            NextHop::Relay(relay) => TlsPolicy::named(relay.tls, relay.verify, "the route"),
            NextHop::Literal(_) | NextHop::Maildir(_) | NextHop::Catch(_) => by_rules(""),
        }
    }

    /// Whether recipients that are reached by the same servers have the same rule: only then they share a transaction.
    pub(crate) fn same_rule(&self, lane: &Lane, one: &NextHop, other: &NextHop) -> bool {
        !self.has_domain_rules() || one == other || self.tls_policy(one, lane, "") == self.tls_policy(other, lane, "")
    }

    /// A server named by the DNS.
    fn mx_dial(&self, hop: &NextHop, lane: &Lane, name: &str, ip: IpAddr, wish: TlsWish) -> Dial<'_> {
        let policy = self.tls_policy_for(hop, lane, name, wish);
        let session = ClientConfig {
            ehlo: self.hostname.clone(),
            protocol: Protocol::Smtp,
            tls: policy.mode(),
            auth: None,
            insecure_allow_plaintext_auth: false,
            pipelining: self.config.pipelining,
            chunking: self.config.chunking,
            timeouts: self.config.timeout.session(),
        };
        let address = SocketAddr::new(ip, self.config.mx_port);
        Dial {
            peer: peer_words(name, address),
            address: Address::Tcp(address),
            name: server_name(name),
            policy,
            plain_because: None,
            memory: (wish != TlsWish::Required).then_some(&*self.tls_memory),
            session,
            tls: &self.tls,
            times: &self.config.timeout,
            transcript: dialog_is_logged(),
        }
    }

    async fn relay_dials(&self, relay: &Relay) -> Result<Vec<Dial<'_>>, Trouble> {
        let session = ClientConfig {
            ehlo: self.hostname.clone(),
            protocol: relay.protocol,
            tls: relay.tls,
            auth: relay.credentials.as_ref().map(|login| login.credentials()),
            insecure_allow_plaintext_auth: relay.insecure_allow_plaintext_auth,
            pipelining: self.config.pipelining,
            chunking: self.config.chunking,
            timeouts: self.config.timeout.session(),
        };
        let endpoint = match &relay.to {
            Server::Unix(path) => return Ok(vec![self.unix_dial(path, session)]),
            Server::Tcp(endpoint) => endpoint,
        };
        let name = name_of(endpoint, relay.tls_name.as_deref());
        let policy = TlsPolicy::named(relay.tls, relay.verify, "the route");
        let host = endpoint.host.to_string();
        let dial = |ip| {
            let address = SocketAddr::new(ip, endpoint.port);
            Dial {
                peer: peer_words(&host, address),
                address: Address::Tcp(address),
                name: server_name(&name),
                policy: policy.clone(),
                plain_because: None,
                memory: Some(&self.tls_memory),
                session: session.clone(),
                tls: &self.tls,
                times: &self.config.timeout,
                transcript: dialog_is_logged(),
            }
        };
        Ok(addresses_of(&*self.resolver, endpoint, self.config.ip).await?.into_iter().map(dial).collect())
    }

    fn unix_dial(&self, path: &Path, session: ClientConfig) -> Dial<'_> {
        Dial {
            peer: path.display().to_string(),
            address: Address::Unix(path.into()),
            name: None,
            policy: TlsPolicy::named(TlsMode::None, true, "the route"),
            plain_because: None,
            memory: None,
            session,
            tls: &self.tls,
            times: &self.config.timeout,
            transcript: dialog_is_logged(),
        }
    }
}

/// The dialog goes to the log at DEBUG; making the lines costs something, so they are made only then.
fn dialog_is_logged() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

/// The addresses of a server that somebody has named.
pub(crate) async fn addresses_of(
    resolver: &dyn Resolver,
    endpoint: &Endpoint,
    ip: IpVersions,
) -> Result<Vec<IpAddr>, Trouble> {
    let domain = match &endpoint.host {
        Host::Literal(AddressLiteral(ip)) => return Ok(vec![*ip]),
        Host::Domain(domain) => domain,
    };
    // Not of one domain among many: all that goes by this server waits for its name.
    let lost = |error| Trouble { unroutable: false, ..Trouble::unroutable(&Unroutable::Dns(error)) };
    let addresses = mx::addresses(resolver, domain.as_ascii(), ip).await.map_err(lost)?;
    if addresses.is_empty() {
        // The name is the operator's, not the sender's: a mistake there can be mended, so nothing is bounced.
        let text = format!("the server {domain} that this mail is routed to has no address in the DNS");
        return Err(Trouble::ours(Reply::new(451, (4, 4, 4), "").with_text(text)));
    }
    Ok(addresses)
}

/// The name that a certificate must have.
pub(crate) fn name_of(endpoint: &Endpoint, given: Option<&str>) -> String {
    match (given, &endpoint.host) {
        (Some(name), _) => name.into(),
        (None, Host::Domain(domain)) => domain.as_ascii().into(),
        (None, Host::Literal(AddressLiteral(ip))) => ip.to_string(),
    }
}

pub(crate) fn server_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

/// `mx1.example.net [192.0.2.1]:25`; `[192.0.2.1]:25` where the address is all there is.
pub(crate) fn peer_words(name: &str, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    if name.trim_matches(['[', ']']).trim_start_matches("IPv6:") == ip.to_string() {
        format!("[{ip}]:{port}")
    } else {
        format!("{name} [{ip}]:{port}")
    }
}

/// Tries one after the other; those that could not be reached lately come last.
pub(crate) async fn first_open(
    mut dials: Vec<Dial<'_>>,
    dead: &DeadServers,
    watch: Watch<'_>,
) -> Result<Connection, Trouble> {
    let mut told: Option<Trouble> = None;
    let now = Instant::now();
    dials.sort_by_cached_key(|dial| dial.address.socket().is_some_and(|server| dead.is_resting(server, now)));
    let mut reached = false;
    for dial in dials {
        let server = dial.address.socket();
        match open_or_plain(dial, watch).await {
            Ok(connection) => {
                server.into_iter().for_each(|server| dead.answered(server));
                return Ok(connection);
            }
            Err(trouble) => {
                match server {
                    Some(server) if trouble.unreached => dead.failed(server, Instant::now()),
                    Some(server) => dead.answered(server),
                    None => {}
                }
                reached |= !trouble.unreached;
                tracing::debug!(by = trouble.by, reply = %trouble.reply, "server passed over");
                if told.as_ref().is_none_or(|before| tells(before) == 0 || tells(&trouble) > tells(before)) {
                    told = Some(trouble);
                }
            }
        }
    }
    let none = || Trouble::ours(Reply::new(451, (4, 4, 4), "there is no server to connect to"));
    let told = told.unwrap_or_else(none);
    Err(Trouble { unreached: told.unreached && !reached, ..told })
}

/// What a server said tells more than that its TLS is not good enough, and that more than that it did not answer.
fn tells(trouble: &Trouble) -> u8 {
    if trouble.by != OURSELVES { 2 } else { u8::from(trouble.is_of_tls()) }
}

async fn open_or_plain(mut dial: Dial<'_>, watch: Watch<'_>) -> Result<Connection, Trouble> {
    if let Some((memory, server)) = dial.remembered()
        && let Some(why) = memory.plain(&server, Timestamp::now())
    {
        dial.plain_because = Some(why);
        dial.session.tls = TlsMode::None;
    }
    let first = match Connection::open(dial.clone(), watch).await {
        Ok(connection) => {
            if let Some((memory, server)) = dial.remembered()
                && connection.session().tls().is_some()
            {
                memory.forget(&server);
            }
            return Ok(connection);
        }
        Err(not_open) => not_open,
    };
    if !first.plain_may_help {
        return Err(first.trouble);
    }
    tracing::info!(peer = dial.peer, reply = %first.trouble.reply, "opportunistic tls failed, going on without");
    dial.session.tls = TlsMode::None;
    let why = first.trouble.reply.text().to_owned();
    dial.plain_because = Some(format!("the handshake failed: {why}"));
    let connection = Connection::open(dial.clone(), watch).await.map_err(|not_open| not_open.trouble)?;
    if let Some((memory, server)) = dial.remembered() {
        memory.remember(server, &why, Timestamp::now());
    }
    Ok(connection)
}
