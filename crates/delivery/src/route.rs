//! Where a recipient's letter goes: from the configuration alone, without asking anybody.
//!
//! The order: a local domain; the route for exactly this domain; the route for the nearest domain above it; the route for
//! `*`; the DNS. Letters that go the same way share a [`Site`], and with it connections and limits.
//!
//! # Invariants
//! - Two recipients have one site only if they have one next hop: same server, same user, same TLS.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use queue::Site;
use smtp::client::{Credentials, TlsMode};
use smtp::server::Protocol;
use smtp::{AddressLiteral, Domain, Host, Mailbox};

use crate::config::{Config, ConfigError, Endpoint, LocalDomain, LocalTarget, Route, RouteDomain, RouteTarget};

/// The next step of a letter.
#[derive(Clone, Debug, PartialEq)]
pub enum NextHop {
    /// The mailbox of each recipient below this folder.
    Maildir(Arc<Path>),
    /// This one Maildir, whoever the recipient is.
    Catch(Arc<Path>),
    /// A server that the configuration names.
    Relay(Arc<Relay>),
    /// The servers that the DNS names for this domain.
    Mx(Domain),
    /// The recipient's own address literal (RFC 5321 §4.1.3).
    Literal(IpAddr),
}

/// A server that the configuration names, and how to speak with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    pub to: Server,
    pub protocol: Protocol,
    pub tls: TlsMode,
    /// Under [`TlsMode::StartTls`] and [`TlsMode::Implicit`]: the certificate must be good.
    pub verify: bool,
    /// The name the certificate must have; by default the host's.
    pub tls_name: Option<String>,
    pub credentials: Option<Login>,
    pub insecure_allow_plaintext_auth: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    Tcp(Endpoint),
    Unix(PathBuf),
}

/// User and password; comparable, so that routes can be.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    pub user: String,
    pub password: smtp::Secret,
}

impl Login {
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials { user: self.user.clone(), password: self.password.clone() }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) site: Site,
    pub(crate) hop: NextHop,
}

pub(crate) type Relays = HashMap<Site, Arc<Relay>>;

/// The routes of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Router {
    exact: HashMap<Domain, Target>,
    below: HashMap<Domain, Target>,
    any: Option<Way>,
    limits: HashMap<Site, usize>,
    default_limit: usize,
    /// The servers that the configuration names.
    pub(crate) relays: Relays,
}

#[derive(Clone, Debug)]
pub(crate) enum Target {
    Way(Way),
    Mx,
}

impl Router {
    /// # Errors
    /// The configuration contradicts itself, or a password cannot be read.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut router = Self { default_limit: config.connections_per_site.max(1), ..Self::default() };
        let mut relays = HashMap::new();
        for local in &config.local {
            let way = router.local_way(config, local, &mut relays)?;
            if router.exact.insert(local.domain.clone(), Target::Way(way)).is_some() {
                return Err(ConfigError::LocalTwice(local.domain.to_string()));
            }
        }
        for route in &config.route {
            let target = router.target(config, route, &mut relays)?;
            router.insert(config, route, target)?;
        }
        router.relays = relays;
        Ok(router)
    }

    /// The site and the next hop of this recipient. Where only the DNS knows the site, it is the domain's own.
    pub fn route(&self, recipient: &Mailbox) -> (Site, NextHop) {
        self.way_of(recipient).map_or_else(|| by_dns(&recipient.host), |way| (way.site.clone(), way.hop.clone()))
    }

    /// The same of a letter that an operator may have sent another way.
    pub(crate) fn route_by(&self, recipient: &Mailbox, redirect: Option<&str>) -> (Site, NextHop) {
        match redirect.and_then(|to| self.redirected(to)) {
            None => self.route(recipient),
            Some(Target::Way(way)) => (way.site, way.hop),
            Some(Target::Mx) => by_dns(&recipient.host),
        }
    }

    /// The site of this recipient.
    ///
    /// # Errors
    /// The DNS has to be asked about this domain.
    pub(crate) fn configured<'a>(&self, recipient: &'a Mailbox, redirect: Option<&str>) -> Result<Site, &'a Domain> {
        let site = match redirect.and_then(|to| self.redirected(to)) {
            None => self.way_of(recipient).map(|way| way.site.clone()),
            Some(Target::Way(way)) => Some(way.site),
            Some(Target::Mx) => None,
        };
        match (site, &recipient.host) {
            (Some(site), _) => Ok(site),
            (None, Host::Domain(domain)) => Err(domain),
            (None, Host::Literal(AddressLiteral(ip))) => Ok(literal_site(*ip)),
        }
    }

    fn way_of(&self, recipient: &Mailbox) -> Option<&Way> {
        match &recipient.host {
            Host::Domain(domain) => match self.target_of(domain) {
                Some(Target::Way(way)) => Some(way),
                Some(Target::Mx) => None,
                None => self.any.as_ref(),
            },
            Host::Literal(_) => self.any.as_ref(),
        }
    }

    /// Workers that a site may have.
    pub fn limit(&self, site: &Site) -> usize {
        self.limits.get(site).copied().unwrap_or(self.default_limit)
    }

    /// The route of exactly this name, where there is one.
    pub(crate) fn route_for(&self, domain: &RouteDomain) -> Option<Target> {
        match domain {
            RouteDomain::Exact(domain) => self.exact.get(domain).cloned(),
            RouteDomain::Below(domain) => self.below.get(domain).cloned(),
            RouteDomain::Any => self.any.clone().map(Target::Way),
        }
    }

    fn target_of(&self, domain: &Domain) -> Option<&Target> {
        if let Some(target) = self.exact.get(domain) {
            return Some(target);
        }
        if self.below.is_empty() {
            return None;
        }
        let mut name = domain.as_ascii();
        while let Some((_, parent)) = name.split_once('.') {
            if let Some(target) = parent.parse::<Domain>().ok().and_then(|parent| self.below.get(&parent)) {
                return Some(target);
            }
            name = parent;
        }
        None
    }

    fn local_way(&mut self, config: &Config, local: &LocalDomain, relays: &mut Relays) -> Result<Way, ConfigError> {
        let below = |root: &Path| Way { site: maildir_site("maildir", root), hop: NextHop::Maildir(root.into()) };
        let way = match &local.to {
            LocalTarget::Maildir => match &config.maildir_root {
                Some(root) => below(root),
                None => return Err(ConfigError::NoMaildirRoot(local.domain.to_string())),
            },
            LocalTarget::MaildirAt(root) => below(root),
            LocalTarget::Lmtp(endpoint) => return Ok(lmtp_way(Server::Tcp(endpoint.clone()), relays)),
            LocalTarget::LmtpUnix(path) => return Ok(lmtp_way(Server::Unix(path.clone()), relays)),
        };
        self.limits.insert(way.site.clone(), config.maildir_writers.max(1));
        Ok(way)
    }

    fn target(&mut self, config: &Config, route: &Route, relays: &mut Relays) -> Result<Target, ConfigError> {
        let login = login_of(route)?;
        let to = match &route.to {
            RouteTarget::Mx | RouteTarget::Catch(_) => {
                if let Some(key) = only_for_servers(route) {
                    return Err(ConfigError::NotForThisTarget(route.domain.to_string(), key));
                }
                let RouteTarget::Catch(folder) = &route.to else { return Ok(Target::Mx) };
                let way = Way { site: maildir_site("catch", folder), hop: NextHop::Catch(folder.as_path().into()) };
                self.limits.insert(way.site.clone(), config.maildir_writers.max(1));
                return Ok(Target::Way(way));
            }
            RouteTarget::Smtp(endpoint) | RouteTarget::Lmtp(endpoint) => Server::Tcp(endpoint.clone()),
            RouteTarget::LmtpUnix(path) => Server::Unix(path.clone()),
        };
        let lmtp = !matches!(route.to, RouteTarget::Smtp(_));
        let relay = Relay {
            to,
            protocol: if lmtp { Protocol::Lmtp } else { Protocol::Smtp },
            tls: route.tls_mode(),
            verify: !route.insecure_skip_verify,
            tls_name: route.tls_name.clone(),
            credentials: login,
            insecure_allow_plaintext_auth: route.insecure_allow_plaintext_auth,
        };
        let way = shared_way(relay, relays);
        if let Some(connections) = route.connections {
            self.limits.insert(way.site.clone(), connections.max(1));
        }
        Ok(Target::Way(way))
    }

    fn insert(&mut self, config: &Config, route: &Route, target: Target) -> Result<(), ConfigError> {
        let twice = match &route.domain {
            RouteDomain::Exact(domain) if config.local.iter().any(|local| local.domain == *domain) => {
                return Err(ConfigError::LocalAndRoute(domain.to_string()));
            }
            RouteDomain::Exact(domain) => self.exact.insert(domain.clone(), target).is_some(),
            RouteDomain::Below(domain) => self.below.insert(domain.clone(), target).is_some(),
            RouteDomain::Any => match target {
                Target::Way(way) => self.any.replace(way).is_some(),
                Target::Mx => false,
            },
        };
        if twice { Err(ConfigError::RouteTwice(route.domain.to_string())) } else { Ok(()) }
    }
}

/// Where only the DNS knows the site, it is the domain's own.
fn by_dns(host: &Host) -> (Site, NextHop) {
    match host {
        Host::Domain(domain) => (site(format!("mx:{}", domain.as_ascii())), NextHop::Mx(domain.clone())),
        Host::Literal(AddressLiteral(ip)) => (literal_site(*ip), NextHop::Literal(*ip)),
    }
}

fn site(key: String) -> Site {
    Site(key.into())
}

/// Whether the configuration names this site: only then it begins like that.
pub(crate) fn is_named(site: &Site) -> bool {
    ["smtp:", "lmtp:", "maildir:", "catch:"].iter().any(|kind| site.0.starts_with(kind))
}

fn literal_site(ip: IpAddr) -> Site {
    site(format!("mx:[{ip}]"))
}

pub(crate) fn maildir_site(kind: &str, folder: &Path) -> Site {
    site(format!("{kind}:{}", folder.display()))
}

fn lmtp_way(to: Server, relays: &mut Relays) -> Way {
    let relay = Relay {
        to,
        protocol: Protocol::Lmtp,
        tls: TlsMode::None,
        verify: true,
        tls_name: None,
        credentials: None,
        insecure_allow_plaintext_auth: false,
    };
    shared_way(relay, relays)
}

/// Routes to one server in one manner are one site; to one server in different manners, different ones.
fn shared_way(relay: Relay, relays: &mut Relays) -> Way {
    let key = key_of(&relay);
    let mut site = site(key.clone());
    let mut number = 2;
    while relays.get(&site).is_some_and(|other| **other != relay) {
        site = Site(format!("{key}#{number}").into());
        number += 1;
    }
    let relay = relays.entry(site.clone()).or_insert_with(|| Arc::new(relay)).clone();
    Way { site, hop: NextHop::Relay(relay) }
}

pub(crate) fn key_of(relay: &Relay) -> String {
    let kind = match relay.protocol {
        Protocol::Smtp => "smtp",
        Protocol::Lmtp => "lmtp",
    };
    let user = relay.credentials.as_ref().map(|login| format!("{}@", login.user)).unwrap_or_default();
    match &relay.to {
        Server::Tcp(endpoint) => format!("{kind}:{user}{endpoint}"),
        Server::Unix(path) => format!("{kind}:{user}{}", path.display()),
    }
}

fn login_of(route: &Route) -> Result<Option<Login>, ConfigError> {
    let name = || route.domain.to_string();
    let (user, password) = match (&route.user, &route.password_file, &route.password_env) {
        (None, None, None) => return Ok(None),
        (None, ..) => return Err(ConfigError::NoUser(name())),
        (Some(_), None, None) => return Err(ConfigError::NoPassword(name())),
        (Some(_), Some(_), Some(_)) => return Err(ConfigError::TwoPasswords(name())),
        (Some(user), Some(file), None) => (user, crate::config::password_from_file(file)),
        (Some(user), None, Some(variable)) => (user, crate::config::password_from_env(variable)),
    };
    // Opportunistic TLS is no protection from who sits in between: it takes any certificate, and none.
    if matches!(route.tls_mode(), TlsMode::None | TlsMode::Opportunistic) && !route.insecure_allow_plaintext_auth {
        return Err(ConfigError::UnprotectedPassword(name()));
    }
    let password = password.map_err(|why| ConfigError::Password { route: name(), why })?;
    Ok(Some(Login { user: user.clone(), password }))
}

/// The first key of this route that needs a server in `to`.
fn only_for_servers(route: &Route) -> Option<&'static str> {
    let keys = [
        (route.tls.is_some(), "tls"),
        (route.tls_name.is_some(), "tls_name"),
        (route.insecure_skip_verify, "insecure_skip_verify"),
        (route.user.is_some(), "user"),
        (route.insecure_allow_plaintext_auth, "insecure_allow_plaintext_auth"),
        (route.connections.is_some(), "connections"),
    ];
    keys.into_iter().find_map(|(set, key)| set.then_some(key))
}

#[cfg(test)]
mod tests;
