//! `gatepost.toml`: the rooms' own configurations put together, read, checked, and shown with the line at fault.
//!
//! Each room owns the types of its part. Here are only the parts that belong to no room, and what can be checked only
//! where all parts are seen together.

mod check;
mod load;
pub mod problem;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use delivery::config::Route;
use reception::config::{Domains, Limits, Listener, Passwords, Relay};
use serde::{Deserialize, Serialize};

pub use load::{Loaded, load, parse, read};

/// The annotated sample; a test holds it against the types.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The whole file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    #[serde(default)]
    pub tls: Tls,
    #[serde(default)]
    pub listener: Vec<Listener>,
    #[serde(default)]
    pub domains: Domains,
    #[serde(default)]
    pub relay: Relay,
    #[serde(default)]
    pub route: Vec<Route>,
    #[serde(default)]
    pub delivery: delivery::Config,
    #[serde(default)]
    pub shaping: delivery::ShapingConfig,
    #[serde(default)]
    pub queue: queue::QueueConfig,
    #[serde(default)]
    pub records: queue::RecordsConfig,
    #[serde(default)]
    pub metrics: api::Config,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub passwords: Passwords,
    #[serde(default)]
    pub dns: Dns,
    #[serde(default)]
    pub log: Log,
}

/// Who we are and where our files lie.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The full name of this host, as other servers see it: in the greeting, in EHLO, in Received.
    pub hostname: HostName,
    /// Queue, accounts, records and local mailboxes lie below this folder. One server at a time may use it.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// How long letters under way may take to finish when the server stops.
    #[serde(default = "default_drain", with = "queue::units::duration")]
    pub drain: Duration,
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("/var/lib/gatepost")
}

fn default_drain() -> Duration {
    Duration::from_secs(30)
}

/// A domain name, written as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(pub smtp::Domain);

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let domain = text.parse().map_err(|error| {
            serde::de::Error::custom(format!("`{text}` is no host name: {error}; write for example mx.example.org"))
        })?;
        Ok(Self(domain))
    }
}

impl Serialize for HostName {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// Certificates that we show, and authorities that we believe.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates; the first is shown to who asks for no name or for an unknown one.
    pub certificate: Vec<Certificate>,
    /// Files of authorities (PEM) trusted outward, beside those of the system.
    pub trust: Vec<PathBuf>,
}

/// A certificate chain and its key, as PEM files. Read again when they change.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The certificate with its intermediates, the leaf first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Who answers our questions about names.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Resolvers, as address and port. When left out: those of the system.
    #[serde(with = "servers", skip_serializing_if = "Vec::is_empty")]
    pub server: Vec<SocketAddr>,
    /// How long one of them may take.
    #[serde(with = "queue::units::duration")]
    pub timeout: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self { server: Vec::new(), timeout: Duration::from_secs(5) }
    }
}

/// What is written to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` (the dialogs too) or `trace`.
    pub level: Level,
    /// One line of JSON for each event instead of text.
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, json: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// One resolver or a list of them; a port of 53 need not be written.
mod servers {
    use std::net::{IpAddr, SocketAddr};

    use reception::config::OneOrMany;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
        let texts = OneOrMany::<String>::deserialize(from)?;
        texts.0.iter().map(|text| one(text).map_err(D::Error::custom)).collect()
    }

    fn one(text: &str) -> Result<SocketAddr, String> {
        text.parse::<SocketAddr>()
            .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
            .map_err(|_| format!("`{text}` is no address; write 192.0.2.1 or 127.0.0.1:5353 or [::1]:53"))
    }

    pub fn serialize<S: Serializer>(servers: &[SocketAddr], to: S) -> Result<S::Ok, S::Error> {
        servers.serialize(to)
    }
}

/// What the back door is told: its own part, the routes, and the local domains with where their letters are put.
pub fn delivery_config(config: &Config) -> delivery::Config {
    let mut out = config.delivery.clone();
    out.route = config.route.clone();
    out.maildir_root.get_or_insert_with(|| config.server.data_dir.join("mail"));
    out.local = config
        .domains
        .local
        .iter()
        .map(|(name, local)| delivery::config::LocalDomain {
            domain: name.0.clone(),
            to: local.deliver.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
        .collect();
    out
}
