//! The targets of routes and local domains, as they are written: `host:port`, `lmtp:/run/lmtp`, `maildir`, `catch:/folder`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use smtp::{AddressLiteral, Domain, Host};

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    #[error("`{0}` has no port; write host:port, such as smtp.example.net:587")]
    NoPort(String),
    #[error("`{0}` is no port; it is a number from 1 to 65535")]
    BadPort(String),
    #[error("`{0}` is neither a host name nor an IP address (an IPv6 address stands in brackets: [2001:db8::1]:25)")]
    BadHost(String),
    #[error("`{0}` is no absolute path")]
    RelativePath(String),
    #[error("`{0}` is not known here; a local domain goes to maildir, maildir:/folder, lmtp:host:port or lmtp:/socket")]
    NotLocal(String),
    #[error("`{0}` is no domain; write example.net, .example.net for all below it, or *")]
    BadDomain(String),
    #[error("`{0}` is no name for a rule; write example.net, or .example.net for all below it")]
    BadRuleName(String),
}

/// A host and a port to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub host: Host,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Domain(domain) => write!(f, "{}:{}", domain.as_ascii(), self.port),
            Host::Literal(AddressLiteral(IpAddr::V4(ip))) => write!(f, "{ip}:{}", self.port),
            Host::Literal(AddressLiteral(IpAddr::V6(ip))) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => (host, port),
            _ => return Err(BadTarget::NoPort(text.into())),
        };
        let port = match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(BadTarget::BadPort(port.into())),
        };
        Ok(Self { host: host_of(host)?, port })
    }
}

/// A name, an IPv4 address as it is, or any address in brackets.
fn host_of(text: &str) -> Result<Host, BadTarget> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = match bare {
        Some(inside) => Some(inside.parse::<IpAddr>().map_err(|_| BadTarget::BadHost(text.into()))?),
        None => text.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4),
    };
    match address {
        Some(ip) => Ok(Host::Literal(AddressLiteral(ip))),
        None => text.parse::<Domain>().map(Host::Domain).map_err(|_| BadTarget::BadHost(text.into())),
    }
}

fn path_of(text: &str) -> Result<PathBuf, BadTarget> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(BadTarget::RelativePath(text.into())) }
}

/// Where the letters of a local domain go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalTarget {
    /// `<maildir_root>/<domain>/<user>/`.
    #[default]
    Maildir,
    /// The same below a folder of its own.
    MaildirAt(PathBuf),
    Lmtp(Endpoint),
    LmtpUnix(PathBuf),
}

impl FromStr for LocalTarget {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        match text.split_once(':') {
            None if text == "maildir" => Ok(Self::Maildir),
            Some(("maildir", path)) => path_of(path).map(Self::MaildirAt),
            Some(("lmtp", path)) if path.starts_with('/') => path_of(path).map(Self::LmtpUnix),
            Some(("lmtp", endpoint)) => endpoint.parse().map(Self::Lmtp),
            _ => Err(BadTarget::NotLocal(text.into())),
        }
    }
}

impl fmt::Display for LocalTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maildir => f.write_str("maildir"),
            Self::MaildirAt(path) => write!(f, "maildir:{}", path.display()),
            Self::Lmtp(endpoint) => write!(f, "lmtp:{endpoint}"),
            Self::LmtpUnix(path) => write!(f, "lmtp:{}", path.display()),
        }
    }
}

/// Where the letters of a route go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    Smtp(Endpoint),
    Lmtp(Endpoint),
    LmtpUnix(PathBuf),
    /// What the DNS says; for exceptions from a wider route.
    Mx,
    /// One Maildir for all of them.
    Catch(PathBuf),
}

impl FromStr for RouteTarget {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        match text.split_once(':') {
            None if text == "mx" => Ok(Self::Mx),
            // A host may be called catch or lmtp; then what follows is a port.
            Some(("catch", path)) if path.parse::<u16>().is_err() => path_of(path).map(Self::Catch),
            Some(("lmtp", path)) if path.starts_with('/') => path_of(path).map(Self::LmtpUnix),
            Some(("lmtp", endpoint)) if endpoint.parse::<u16>().is_err() => endpoint.parse().map(Self::Lmtp),
            _ => text.parse().map(Self::Smtp),
        }
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(endpoint) => endpoint.fmt(f),
            Self::Lmtp(endpoint) => write!(f, "lmtp:{endpoint}"),
            Self::LmtpUnix(path) => write!(f, "lmtp:{}", path.display()),
            Self::Mx => f.write_str("mx"),
            Self::Catch(path) => write!(f, "catch:{}", path.display()),
        }
    }
}

/// Which domains a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteDomain {
    /// This one.
    Exact(Domain),
    /// Every domain below it, itself not among them.
    Below(Domain),
    /// Every domain that nothing else names, address literals too.
    Any,
}

impl FromStr for RouteDomain {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = |_| BadTarget::BadDomain(text.into());
        match (text, text.strip_prefix('.')) {
            ("*", _) => Ok(Self::Any),
            (_, Some(parent)) => parent.parse().map(Self::Below).map_err(bad),
            _ => text.parse().map(Self::Exact).map_err(bad),
        }
    }
}

impl fmt::Display for RouteDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(domain) => domain.fmt(f),
            Self::Below(domain) => write!(f, ".{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}
