//! How well the line to the next server is protected: `[delivery.tls]`.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use deliverability::TlsNeed;

use super::{BadTarget, RouteDomain};

/// What must hold of a line before a letter goes over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsLevel {
    /// No TLS, even where it is offered.
    None,
    /// TLS where it is offered and works, any certificate; else none.
    #[default]
    Opportunistic,
    /// TLS, any certificate; without it the letter waits.
    Required,
    /// TLS, and a certificate of a known authority for the server's name; without it the letter waits.
    Verified,
}

impl From<TlsNeed> for TlsLevel {
    fn from(need: TlsNeed) -> Self {
        match need {
            TlsNeed::None => Self::None,
            TlsNeed::Opportunistic => Self::Opportunistic,
            TlsNeed::Required => Self::Required,
            TlsNeed::Verified => Self::Verified,
        }
    }
}

impl From<TlsLevel> for TlsNeed {
    fn from(level: TlsLevel) -> Self {
        match level {
            TlsLevel::None => Self::None,
            TlsLevel::Opportunistic => Self::Opportunistic,
            TlsLevel::Required => Self::Required,
            TlsLevel::Verified => Self::Verified,
        }
    }
}

impl fmt::Display for TlsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Verified => "verified",
        })
    }
}

/// TLS to servers that are found by the DNS; one that a route names is spoken with as the route says. The first of these
/// that is there decides: the recipient's domain, the nearest domain above it, the server's name, the nearest name above
/// it, what `[shaping]` says of the domain, the site or its provider (what is shipped weakens nothing), the default. Levels: `none`, `opportunistic`, `required` (any certificate) and `verified` (a certificate of a known
/// authority for the server's name; that name itself is as trustworthy as the DNS).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsRules {
    /// Where nothing below says otherwise: `opportunistic` falls back to no TLS where a handshake fails, and remembers
    /// that for this server: an hour, and twice as long each time, up to three days.
    pub default: TlsLevel,
    /// By the recipient's domain: `"example.com" = "verified"`; `".example.net"` is for every domain below it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub domain: BTreeMap<RuleName, TlsLevel>,
    /// By the name of the server that the MX record gives: `"google.com" = "required"` is for it and every name below it,
    /// `".google.com"` only for those below.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mx: BTreeMap<RuleName, TlsLevel>,
}

/// `example.com`, or `.example.com` for all below it; in lower case, A-labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleName(String);

impl RuleName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RuleName {
    type Error = BadTarget;

    fn try_from(text: String) -> Result<Self, BadTarget> {
        match text.parse() {
            Ok(RouteDomain::Exact(domain)) => Ok(Self(domain.as_ascii().into())),
            Ok(RouteDomain::Below(domain)) => Ok(Self(format!(".{}", domain.as_ascii()))),
            Ok(RouteDomain::Any) | Err(_) => Err(BadTarget::BadRuleName(text)),
        }
    }
}

impl From<RuleName> for String {
    fn from(name: RuleName) -> Self {
        name.0
    }
}

impl Borrow<str> for RuleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
