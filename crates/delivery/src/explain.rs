//! Where a letter to an address would go now, in words: for `gatepost route`.

use deliverability::{Change, SiteLimits};
use queue::{Lane, Timestamp, Verdict};
use serde::Serialize;
use smtp::client::TlsMode;
use smtp::server::Protocol;
use smtp::{AddressLiteral, Host, Mailbox};

use crate::Delivery;
use crate::config::{RouteDomain, TlsLevel};
use crate::connect::{State, addresses_of};
use crate::finder::Servers;
use crate::outcome::Trouble;
use crate::place::Way;
use crate::route::{NextHop, Relay, Server};

/// What would be done with a letter to one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Which line of the configuration decides: `the route for *`, `no route: the DNS decides`.
    pub route: String,
    /// `the SMTP server smtp.example.net:587 as shop`.
    pub next_hop: String,
    /// What shares its limits and connections.
    pub site: String,
    /// Best first; none where the letter stays on this machine.
    pub servers: Vec<ServerExplained>,
    /// Our own address that it would leave from; `None`: the default one.
    pub source: Option<String>,
    /// Connections at once, at most.
    pub connections: u32,
    /// What the site takes beside that; `None` where the letter stays on this machine.
    pub limits: Option<LimitsExplained>,
    /// Rules that are in force there because of a reply.
    pub changes: Vec<ChangeExplained>,
    /// `None` where the letter stays on this machine.
    pub tls: Option<TlsExplained>,
    /// Why no letter can be sent there now.
    pub trouble: Option<TroubleExplained>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitsExplained {
    pub letters_per_connection: u32,
    pub recipients_per_transaction: u32,
    /// `10/min`; `None`: as fast as it goes.
    pub rate: Option<String>,
    /// Nothing is sent there before (RFC 3339).
    pub suspended_until: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeExplained {
    /// `provider.google/unusual-rate`.
    pub rule: String,
    /// `10 letters a minute`.
    pub limits: String,
    pub since: String,
    pub until: String,
    /// In the words of the rule.
    pub reason: String,
    /// The front of the reply that caused it.
    pub reply: String,
    /// Which server said it.
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TlsExplained {
    pub words: String,
    /// `[shaping.provider] google, shipped`.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerExplained {
    pub name: String,
    /// Of its MX record; lower is better.
    pub preference: Option<u16>,
    pub addresses: Vec<String>,
    pub port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TroubleExplained {
    /// The reply that the letter's sender would see.
    pub reply: String,
    /// It would be tried again; else the letter goes back to its sender at once.
    pub is_transient: bool,
}

impl Delivery {
    /// Where a letter to this address would go now. Asks the DNS; connects to nobody.
    pub async fn explain(&self, recipient: &Mailbox) -> Explained {
        let state = self.state();
        let way = state.way_to(recipient, None).await;
        let (lane, now) = (Lane::of(way.site.clone()), Timestamp::now());
        let limits = state.site_limits(&lane, now);
        let stays = matches!(way.hop, NextHop::Maildir(_) | NextHop::Catch(_));
        let (servers, trouble) = match servers(&state, &way).await {
            Ok(servers) => (servers, None),
            Err(trouble) => (Vec::new(), Some(trouble_words(&trouble))),
        };
        Explained {
            route: route_words(&state, recipient),
            next_hop: hop_words(&way.hop),
            source: Some(lane.source.0.to_string()).filter(|source| !source.is_empty()),
            connections: limits.connections,
            limits: (!stays).then(|| limits_words(&limits, state.rests_until(&lane.site, &lane.source, now))),
            changes: state.shaper.in_force(now, &lane).into_iter().map(change_words).collect(),
            tls: tls_words(&state, &way, &lane),
            site: way.site.0.to_string(),
            servers,
            trouble,
        }
    }
}

async fn servers(state: &State, way: &Way) -> Result<Vec<ServerExplained>, Trouble> {
    let port = state.config.mx_port;
    Ok(match &way.hop {
        NextHop::Maildir(_) | NextHop::Catch(_) => Vec::new(),
        NextHop::Literal(ip) => vec![server(&AddressLiteral(*ip).to_string(), &[ip], Some(port))],
        NextHop::Mx(_) => by_mx(way.servers.as_ref(), port)?,
        NextHop::Relay(relay) => match &relay.to {
            Server::Unix(path) => vec![server::<String>(&path.display().to_string(), &[], None)],
            Server::Tcp(endpoint) => {
                let addresses = addresses_of(&*state.resolver, endpoint, state.config.ip).await?;
                vec![server(&endpoint.host.to_string(), &addresses, Some(endpoint.port))]
            }
        },
    })
}

fn by_mx(servers: Option<&Servers>, port: u16) -> Result<Vec<ServerExplained>, Trouble> {
    let plan = match servers {
        Some(Ok(plan)) => plan,
        Some(Err(why)) => return Err(Trouble::unroutable(why)),
        None => return Ok(Vec::new()),
    };
    let explained = plan.hosts.iter().map(|host| ServerExplained {
        preference: Some(host.preference),
        ..server(&host.name, &host.addresses, Some(port))
    });
    Ok(explained.collect())
}

fn server<A: ToString>(name: &str, addresses: &[A], port: Option<u16>) -> ServerExplained {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    ServerExplained { name: name.to_owned(), preference: None, addresses, port }
}

fn trouble_words(trouble: &Trouble) -> TroubleExplained {
    TroubleExplained { reply: trouble.reply.to_string(), is_transient: trouble.verdict != Verdict::Failed }
}

/// The first of local domain, exact route, nearest route above, `*`: as [`crate::route::Router`] has it.
fn route_words(state: &State, recipient: &Mailbox) -> String {
    let config = &state.config;
    let by = |wanted: RouteDomain| {
        let route = config.route.iter().find(|route| route.domain == wanted)?;
        Some(format!("the route for {}", route.domain))
    };
    let named = match &recipient.host {
        Host::Literal(_) => None,
        Host::Domain(domain) => {
            if config.local.iter().any(|local| local.domain == *domain) {
                return format!("the local domain {domain}");
            }
            let above = std::iter::successors(Some(domain.as_ascii()), |name| Some(name.split_once('.')?.1)).skip(1);
            by(RouteDomain::Exact(domain.clone()))
                .or_else(|| above.filter_map(|name| name.parse().ok()).find_map(|name| by(RouteDomain::Below(name))))
        }
    };
    named.or_else(|| by(RouteDomain::Any)).unwrap_or_else(|| "no route: the DNS decides".to_owned())
}

fn limits_words(limits: &SiteLimits, suspended_until: Option<Timestamp>) -> LimitsExplained {
    LimitsExplained {
        letters_per_connection: limits.letters_per_connection,
        recipients_per_transaction: limits.recipients_per_transaction,
        rate: limits.rate.map(|rate| rate.to_string()),
        suspended_until: suspended_until.map(|until| until.to_string()),
    }
}

/// `rule provider.google/unusual-rate after "421 4.7.28 …"`, for each change that is in force.
pub(crate) fn rules_in_force(state: &State, lane: &Lane) -> Option<String> {
    /// Characters of a reply that are enough to know it by.
    const ENOUGH: usize = 100;
    let changes = state.shaper.in_force(Timestamp::now(), lane);
    let words = |change: &Change| {
        let reply: String = change.reply.chars().take(ENOUGH).collect();
        let cut = if reply.len() < change.reply.len() { "…" } else { "" };
        format!("rule {} after \"{reply}{cut}\"", change.rule)
    };
    let words: Vec<String> = changes.iter().map(words).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn change_words(change: Change) -> ChangeExplained {
    let Change { limits, since, until, rule, reason, reply, by, .. } = change;
    let (since, until) = (Timestamp(since).to_string(), Timestamp(until).to_string());
    ChangeExplained { rule, limits: limits.to_string(), since, until, reason, reply, by }
}

fn hop_words(hop: &NextHop) -> String {
    match hop {
        NextHop::Maildir(root) => format!("the recipient's mailbox below {}", root.display()),
        NextHop::Catch(folder) => format!("the one mailbox {}", folder.display()),
        NextHop::Relay(relay) => relay_words(relay),
        NextHop::Mx(domain) => format!("the mail servers that the DNS names for {domain}"),
        NextHop::Literal(ip) => format!("the server at {}", AddressLiteral(*ip)),
    }
}

fn relay_words(relay: &Relay) -> String {
    let to = match &relay.to {
        Server::Tcp(endpoint) => endpoint.to_string(),
        Server::Unix(path) => path.display().to_string(),
    };
    let user = relay.credentials.as_ref().map(|login| format!(" as {}", login.user)).unwrap_or_default();
    let protocol = match relay.protocol {
        Protocol::Smtp => "SMTP",
        Protocol::Lmtp => "LMTP",
    };
    format!("the {protocol} server {to}{user}")
}

/// What lines to the best server must be, and who says so.
fn tls_words(state: &State, way: &Way, lane: &Lane) -> Option<TlsExplained> {
    let best = match &way.servers {
        Some(Ok(plan)) => plan.names.first().map(String::as_str),
        _ => None,
    };
    let policy = match &way.hop {
        NextHop::Maildir(_) | NextHop::Catch(_) => return None,
        hop => state.tls_policy(hop, lane, best.unwrap_or_default()),
    };
    let at_once = matches!(&way.hop, NextHop::Relay(relay) if relay.tls == TlsMode::Implicit);
    let words = match (policy.level, at_once) {
        (TlsLevel::None, _) => "none",
        (TlsLevel::Opportunistic, _) => "opportunistic: where it is offered and works, any certificate",
        (TlsLevel::Verified, false) => "verified: STARTTLS, with a certificate that is good for the name",
        (TlsLevel::Verified, true) => "verified: from the first octet, with a certificate that is good for the name",
        (TlsLevel::Required, false) => "required: STARTTLS, any certificate",
        (TlsLevel::Required, true) => "required: from the first octet, any certificate",
    };
    Some(TlsExplained { words: words.to_owned(), why: policy.why })
}
