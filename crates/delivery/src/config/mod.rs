//! What the back door is told: routes, local domains, limits and times.
//!
//! All of it may change while the program runs: [`Delivery::reload`](crate::Delivery::reload) takes a new [`Config`],
//! and each attempt uses the one that is current when it begins.
//!
//! # Invariants
//! - What is parsed here is checked here: a target, a domain, a time that makes no sense never gets past loading.
//! - A password is read from a file or from the environment, never written in the configuration; no `Debug` shows it.

mod secret;
mod target;
mod text;
mod times;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use smtp::Domain;
use smtp::client::TlsMode;

pub use secret::SecretError;
pub(crate) use secret::{from_env as password_from_env, from_file as password_from_file};
pub use target::{BadTarget, Endpoint, LocalTarget, RouteDomain, RouteTarget};
pub use times::Times;
pub use tls::{RuleName, TlsLevel, TlsRules};

/// The way out: `[delivery]`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Domains whose mailboxes are here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<LocalDomain>,
    /// Where the mail of other domains goes. The most specific domain wins; without a route the DNS decides (MX).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<Route>,
    /// Folder of the local mailboxes: `<maildir_root>/<domain>/<user>/`. Needed where a local domain says `maildir`.
    pub maildir_root: Option<PathBuf>,
    /// What parts a user from a tag: the letters for `ann+news` lie in the mailbox `ann`. Empty: nothing does.
    pub subaddress: String,
    /// The port of servers found by MX. Anything but 25 is for tests.
    pub mx_port: u16,
    /// Deliver to servers found by MX at loopback and unspecified addresses. They are never a real destination: a domain
    /// whose MX says `127.0.0.1` takes no mail, and would have us talk to ourselves. For tests on one machine.
    pub allow_loopback_mx: bool,
    /// IP versions to connect by: `both`, `ipv4` or `ipv6`.
    pub ip: IpVersions,
    /// Connections that may be open to one site (a set of MX hosts, a route or an LMTP server) at once, where neither a route
    /// nor `[shaping]` says otherwise.
    pub connections_per_site: usize,
    /// Letters that are written to local mailboxes at once.
    pub maildir_writers: usize,
    /// Letters sent on one connection before it is closed and a new one made, where `[shaping]` does not say otherwise.
    pub letters_per_connection: u32,
    /// Recipients in one transaction, if neither the server (RFC 9422 RCPTMAX) nor `[shaping]` says otherwise.
    pub recipients_per_transaction: usize,
    /// How long a connection without a letter to send stays open.
    #[serde(with = "queue::units::duration")]
    pub idle: Duration,
    /// How old a connection may grow before the next letter gets a new one.
    #[serde(with = "queue::units::duration")]
    pub connection_age: Duration,
    /// Send commands without awaiting each reply where the server offers PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// Send letters by BDAT where the server offers CHUNKING (RFC 3030).
    pub chunking: bool,
    /// How well the lines to other servers must be protected.
    pub tls: TlsRules,
    /// How long to wait for what.
    pub timeout: Times,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            local: Vec::new(),
            route: Vec::new(),
            maildir_root: None,
            subaddress: "+".into(),
            mx_port: 25,
            allow_loopback_mx: false,
            ip: IpVersions::Both,
            connections_per_site: 20,
            maildir_writers: 4,
            letters_per_connection: 1000,
            recipients_per_transaction: 100,
            idle: Duration::from_secs(5),
            connection_age: Duration::from_secs(300),
            pipelining: true,
            chunking: true,
            tls: TlsRules::default(),
            timeout: Times::default(),
        }
    }
}

impl Config {
    /// What no single field can tell.
    pub fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            (self.connections_per_site, "connections_per_site"),
            (self.maildir_writers, "maildir_writers"),
            (self.letters_per_connection as usize, "letters_per_connection"),
            (self.recipients_per_transaction, "recipients_per_transaction"),
            (usize::from(self.mx_port), "mx_port"),
        ];
        if let Some((_, key)) = counts.into_iter().find(|(count, _)| *count == 0) {
            return Err(ConfigError::Zero(key));
        }
        let both = |route: &&Route| route.tls == Some(RouteTls::Verified) && route.insecure_skip_verify;
        match self.route.iter().find(both) {
            Some(route) => Err(ConfigError::VerifiedAndNot(route.domain.to_string())),
            None => Ok(()),
        }
    }
}

/// One local domain: `[[delivery.local]]`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalDomain {
    #[serde(with = "text::as_text")]
    pub domain: Domain,
    /// `maildir` (below `maildir_root`), `maildir:/folder`, `lmtp:host:port` or `lmtp:/path/of/socket`.
    #[serde(default, with = "text::as_text")]
    pub to: LocalTarget,
}

/// One route: `[[delivery.route]]`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `example.net`, `.example.net` for every domain below it, or `*` for all that no other route names.
    #[serde(with = "text::as_text")]
    pub domain: RouteDomain,
    /// `host:port` of a server that takes the mail on, `lmtp:host:port`, `lmtp:/path/of/socket`, `mx` for what the DNS
    /// says, or `catch:/folder`: one Maildir that every letter ends in, so that nothing leaves the machine.
    #[serde(with = "text::as_text")]
    pub to: RouteTarget,
    /// `none`, `opportunistic` (STARTTLS where offered, any certificate), `verified` (STARTTLS, certificate verified; a
    /// route may call it `required`, too) or `implicit` (TLS from the first byte, certificate verified). By default
    /// `implicit` on port 465, `verified` where there is a user, else `opportunistic`; `none` for LMTP.
    pub tls: Option<RouteTls>,
    /// The name that the certificate must have, where it is not the host in `to`.
    pub tls_name: Option<String>,
    /// Take any certificate with `required` and `implicit` too; the record then says `level=required`. Anyone on the way can then read and change the mail.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// Authenticate as this user.
    pub user: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    pub password_env: Option<String>,
    /// Send the password without TLS. Only for a server on this machine or behind an encrypted line.
    #[serde(default)]
    pub insecure_allow_plaintext_auth: bool,
    /// Connections at once by this route, where `connections_per_site` does not suit it.
    pub connections: Option<usize>,
}

impl Route {
    /// A route with nothing but its two ends.
    pub fn new(domain: RouteDomain, to: RouteTarget) -> Self {
        Self {
            domain,
            to,
            tls: None,
            tls_name: None,
            insecure_skip_verify: false,
            user: None,
            password_file: None,
            password_env: None,
            insecure_allow_plaintext_auth: false,
            connections: None,
        }
    }

    /// What TLS this route uses, defaults applied.
    pub fn tls_mode(&self) -> TlsMode {
        match (self.tls, &self.to) {
            (Some(tls), _) => tls.mode(),
            (None, RouteTarget::Smtp(to)) if to.port == 465 => TlsMode::Implicit,
            (None, RouteTarget::Smtp(_)) if self.user.is_some() => TlsMode::StartTls,
            (None, RouteTarget::Smtp(_) | RouteTarget::Mx) => TlsMode::Opportunistic,
            (None, RouteTarget::Lmtp(_) | RouteTarget::LmtpUnix(_) | RouteTarget::Catch(_)) => TlsMode::None,
        }
    }
}

/// How a route is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteTls {
    None,
    Opportunistic,
    /// As `Verified`: what it has meant since there are routes.
    Required,
    Verified,
    Implicit,
}

impl RouteTls {
    fn mode(self) -> TlsMode {
        match self {
            Self::None => TlsMode::None,
            Self::Opportunistic => TlsMode::Opportunistic,
            Self::Required | Self::Verified => TlsMode::StartTls,
            Self::Implicit => TlsMode::Implicit,
        }
    }
}

/// By which IP versions servers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpVersions {
    Both,
    Ipv4,
    Ipv6,
}

impl IpVersions {
    pub(crate) fn v4(self) -> bool {
        self != Self::Ipv6
    }
    pub(crate) fn v6(self) -> bool {
        self != Self::Ipv4
    }
}

/// A configuration that reads well and cannot work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("the local domain {0} is there twice")]
    LocalTwice(String),
    #[error("the route for {0} is there twice")]
    RouteTwice(String),
    #[error("{0} is a local domain and has a route; take one of them out")]
    LocalAndRoute(String),
    #[error("the local domain {0} says `maildir`, but there is no `maildir_root`")]
    NoMaildirRoot(String),
    #[error("the route for {0} names a user; it needs `password_file` or `password_env`")]
    NoPassword(String),
    #[error("the route for {0} has a password and no `user`")]
    NoUser(String),
    #[error("the route for {0} has both `password_file` and `password_env`; take one of them out")]
    TwoPasswords(String),
    #[error(
        "the route for {0} would show its password to whoever is in between: say `tls = \"required\"` or \"implicit\" \
         (or, for a server on this machine, `insecure_allow_plaintext_auth = true`)"
    )]
    UnprotectedPassword(String),
    #[error("the route for {0} has `{1}`, which only means something with `to = \"host:port\"`")]
    NotForThisTarget(String, &'static str),
    #[error("the route for {0} says `tls = \"verified\"` and `insecure_skip_verify`; take one of them out")]
    VerifiedAndNot(String),
    #[error("the password of the route for {route}: {why}")]
    Password { route: String, why: SecretError },
    #[error("`{0}` must be at least 1")]
    Zero(&'static str),
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

#[cfg(test)]
mod tests;
