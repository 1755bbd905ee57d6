//! How well the line to one server must be protected, and which rule says so.
//!
//! # How it is used
//! [`decide`] asks one [`Source`] after the other; the first that has something to say about the [`Next`] server decides.
//! It is asked anew for each connection and touches nothing: what DANE or MTA-STS publish for a domain will be looked up
//! before, and be sources of their own between what the operator wrote and the default.
//!
//! # Invariants
//! - Every [`TlsPolicy`] names the rule that it comes from, in words that an operator finds again in the configuration.

use std::collections::BTreeMap;
use std::fmt;

use deliverability::Shaping;
use queue::Letter;
use smtp::client::TlsMode;

use crate::config::{RuleName, TlsLevel, TlsRules};
use crate::tls::Trust;

/// A level, and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPolicy {
    pub level: TlsLevel,
    /// `[delivery.tls.domain] example.com`, `the route`, `default`.
    pub why: String,
}

/// `level=verified by [delivery.tls.domain] example.com`.
impl fmt::Display for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level={} by {}", self.level, self.why)
    }
}

impl TlsPolicy {
    /// What a server that somebody has named is spoken with.
    pub(crate) fn named(mode: TlsMode, verify: bool, why: &str) -> Self {
        let level = match mode {
            TlsMode::None => TlsLevel::None,
            TlsMode::Opportunistic => TlsLevel::Opportunistic,
            TlsMode::StartTls | TlsMode::Implicit if verify => TlsLevel::Verified,
            TlsMode::StartTls | TlsMode::Implicit => TlsLevel::Required,
        };
        Self { level, why: why.into() }
    }

    /// What the session does, where the server is spoken with by STARTTLS.
    pub(crate) fn mode(&self) -> TlsMode {
        match self.level {
            TlsLevel::None => TlsMode::None,
            TlsLevel::Opportunistic => TlsMode::Opportunistic,
            TlsLevel::Required | TlsLevel::Verified => TlsMode::StartTls,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        if self.level == TlsLevel::Verified { Trust::Verified } else { Trust::Any }
    }

    /// Whether a line that is protected so far may carry letters under this policy.
    pub(crate) fn is_met(&self, encrypted: bool, verified: bool) -> bool {
        match self.level {
            TlsLevel::None | TlsLevel::Opportunistic => true,
            TlsLevel::Required => encrypted,
            TlsLevel::Verified => encrypted && verified,
        }
    }
}

/// What the sender of a letter has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsWish {
    None,
    /// REQUIRETLS: TLS is tried even where it failed lately.
    Required,
    /// `TLS-Required: No`.
    Optional,
}

impl TlsWish {
    /// RFC 8689 §4.1: with REQUIRETLS the field is not heard.
    pub(crate) fn of(letter: &Letter) -> Self {
        match (letter.params.requiretls, letter.tls_optional) {
            (true, _) => Self::Required,
            (false, true) => Self::Optional,
            (false, false) => Self::None,
        }
    }
}

/// A server that the DNS named.
#[derive(Clone, Copy, Debug)]
pub struct Next<'a> {
    /// The recipient's; empty for an address literal. Lower case.
    pub domain: &'a str,
    /// The name of the server.
    pub mx: &'a str,
    /// Where it belongs, and from which of our addresses it is spoken with.
    pub site: &'a str,
    pub source: &'a str,
}

/// Somebody who may have a say.
pub trait Source {
    fn policy(&self, next: &Next<'_>) -> Option<TlsPolicy>;
}

/// The first of the sources that says something; opportunistic where none does.
pub fn decide(sources: &[&dyn Source], next: &Next<'_>) -> TlsPolicy {
    let first = sources.iter().find_map(|source| source.policy(next));
    first.unwrap_or_else(|| TlsPolicy { level: TlsLevel::Opportunistic, why: "default".into() })
}

/// What the operator wrote and what is known of the provider, in their order.
pub fn by_rules(rules: &TlsRules, shaping: &Shaping, next: &Next<'_>) -> TlsPolicy {
    decide(&[&ByDomain(rules), &ByMx(rules), &ByShaping(rules, shaping), &ByDefault(rules)], next)
}

/// The same for a letter whose sender wants it to arrive rather than to be kept back (RFC 8689 §4.2.2): what others publish or
/// know of the server is passed over, what the operator wrote stays.
pub fn by_own_rules(rules: &TlsRules, shaping: &Shaping, next: &Next<'_>) -> TlsPolicy {
    decide(&[&ByDomain(rules), &ByMx(rules), &ByOwnShaping(rules, shaping), &ByDefault(rules), &ByLetter], next)
}

struct ByDomain<'a>(&'a TlsRules);
struct ByMx<'a>(&'a TlsRules);
struct ByShaping<'a>(&'a TlsRules, &'a Shaping);
struct ByOwnShaping<'a>(&'a TlsRules, &'a Shaping);
struct ByDefault<'a>(&'a TlsRules);
struct ByLetter;

impl Source for ByDomain<'_> {
    fn policy(&self, next: &Next<'_>) -> Option<TlsPolicy> {
        let names = std::iter::once(next.domain).chain(below(next.domain));
        found(&self.0.domain, "domain", names)
    }
}

impl Source for ByMx<'_> {
    fn policy(&self, next: &Next<'_>) -> Option<TlsPolicy> {
        if self.0.mx.is_empty() {
            return None;
        }
        let mx = next.mx.trim_end_matches('.').to_ascii_lowercase();
        // A name says more than what is below the same name.
        let above = below(&mx).flat_map(|dotted| [dotted, dotted.get(1..).unwrap_or_default()]);
        found(&self.0.mx, "mx", std::iter::once(mx.as_str()).chain(above))
    }
}

impl Source for ByShaping<'_> {
    fn policy(&self, next: &Next<'_>) -> Option<TlsPolicy> {
        let asked = self.1.tls(self.0.default.into(), next.site, next.source, next.domain)?;
        Some(TlsPolicy { level: asked.need.into(), why: asked.why })
    }
}

impl Source for ByOwnShaping<'_> {
    fn policy(&self, next: &Next<'_>) -> Option<TlsPolicy> {
        let asked = self.1.tls(self.0.default.into(), next.site, next.source, next.domain).filter(|asked| asked.own)?;
        Some(TlsPolicy { level: asked.need.into(), why: asked.why })
    }
}

impl Source for ByLetter {
    fn policy(&self, _next: &Next<'_>) -> Option<TlsPolicy> {
        Some(TlsPolicy { level: TlsLevel::Opportunistic, why: "TLS-Required: No".into() })
    }
}

impl Source for ByDefault<'_> {
    fn policy(&self, _next: &Next<'_>) -> Option<TlsPolicy> {
        (self.0.default != TlsLevel::Opportunistic)
            .then(|| TlsPolicy { level: self.0.default, why: "[delivery.tls] default".into() })
    }
}

/// `.b.example`, then `.example`, of `a.b.example`.
fn below(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').filter_map(|(at, _)| name.get(at..))
}

fn found<'a>(
    table: &BTreeMap<RuleName, TlsLevel>,
    key: &str,
    mut names: impl Iterator<Item = &'a str>,
) -> Option<TlsPolicy> {
    let (name, level) = names.find_map(|name| table.get_key_value(name))?;
    Some(TlsPolicy { level: *level, why: format!("[delivery.tls.{key}] {}", name.as_str()) })
}

#[cfg(test)]
mod tests;
