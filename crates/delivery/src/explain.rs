//! Where a letter to an address would go now, in words: for `gatepost route`.

use queue::Verdict;
use serde::Serialize;
use smtp::client::TlsMode;
use smtp::server::Protocol;
use smtp::{AddressLiteral, Host, Mailbox};

use crate::Delivery;
use crate::config::RouteDomain;
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
    /// Connections at once, at most.
    pub connections: usize,
    /// `None` where the letter stays on this machine.
    pub tls: Option<String>,
    /// Why no letter can be sent there now.
    pub trouble: Option<TroubleExplained>,
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
        let (servers, trouble) = match servers(&state, &way).await {
            Ok(servers) => (servers, None),
            Err(trouble) => (Vec::new(), Some(trouble_words(&trouble))),
        };
        Explained {
            route: route_words(&state, recipient),
            next_hop: hop_words(&way.hop),
            connections: state.router.limit(&way.site),
            tls: tls_words(&way.hop),
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

fn tls_words(hop: &NextHop) -> Option<String> {
    let (tls, verify) = match hop {
        NextHop::Maildir(_) | NextHop::Catch(_) => return None,
        NextHop::Relay(relay) => (relay.tls, relay.verify),
        NextHop::Mx(_) | NextHop::Literal(_) => (TlsMode::Opportunistic, false),
    };
    let words = match (tls, verify) {
        (TlsMode::None, _) => "none",
        (TlsMode::Opportunistic, _) => "opportunistic: where it is offered and works, with any certificate",
        (TlsMode::StartTls, true) => "STARTTLS required, the certificate verified",
        (TlsMode::StartTls, false) => "STARTTLS required, with any certificate",
        (TlsMode::Implicit, true) => "from the first octet, the certificate verified",
        (TlsMode::Implicit, false) => "from the first octet, with any certificate",
    };
    Some(words.to_owned())
}
