//! What each provider takes: limits by site, and the rules that change them when a reply asks for it.
//!
//! The figures are data (`data/shaping.toml`, with date and source). An operator's own `[shaping]` table has the same
//! shape and is merged over it: `[shaping.default]`, `[shaping.provider."google"]`, `[shaping.site."mx1.example.net"]`,
//! `[shaping.domain."example.com"]`, and for one address of ours `[shaping.provider."google".from."a"]`.
//! The later of these says more: default, provider, site, domain; within each, `from` last. What is shipped only makes
//! limits stricter; what the operator wrote is taken as it is. A rule of the operator with the name of a shipped one takes
//! its place; `off = true` takes it away.
//!
//! # Invariants
//! - What was built is whole: each of the operator's patterns has been compiled once, each provider has a site and MX
//!   suffixes, no limit is zero.
//! - Patterns are compiled when the first reply of their site is examined: a server that meets no refusals of a provider
//!   does not pay for its rules.
//! - A destination belongs to a provider only when **all** its MX hosts do, so a backup elsewhere is not overlooked.

mod config;
mod error;
mod level;
mod rules;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

pub use config::{ActionConfig, Entry, Limits, RuleConfig, ShapingConfig};
pub use error::{Problem, ShapingError};
pub use rules::{Overlay, RULES_MOST};
pub(crate) use rules::{Rule, Rules};

use crate::{LOOKED_AT, Rate, front};
use config::{fault, require};
use level::Level;
use smtp::Reply;

const SHIPPED: &str = include_str!("../data/shaping.toml");

/// What TLS a site needs, before what MTA-STS or DANE ask beyond it. The later is the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsNeed {
    /// Never.
    None,
    /// Where it is offered.
    Opportunistic,
    /// Always; the certificate may be anybody's.
    Required,
    /// Always, with a certificate that is valid for the name.
    Verified,
}

/// What may be done at one site from one of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteLimits {
    pub connections: u32,
    pub letters_per_connection: u32,
    pub recipients_per_transaction: u32,
    /// `None`: as fast as it goes.
    pub rate: Option<Rate>,
    /// Nothing is to be sent before, in the milliseconds that [`crate::Automation`] was given.
    pub suspended_until: Option<u64>,
}

/// A level of TLS that an entry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsAsked {
    pub need: TlsNeed,
    /// Which entry: `[shaping.provider] google, shipped`.
    pub why: String,
    /// The operator wrote it.
    pub own: bool,
}

/// A rule's threshold counts no further: each count is a time that is kept.
pub const THRESHOLD_MOST: u32 = 1000;

/// Limits and rules, ready to be asked. Shared; a reload makes a new one.
#[derive(Debug)]
pub struct Shaping {
    default: Level,
    provider: HashMap<String, Provider>,
    site: HashMap<String, Level>,
    domain: HashMap<String, Level>,
    /// Suffix of an MX host, lower case, to the provider's name.
    suffixes: HashMap<String, String>,
    /// Site key to the provider's name.
    sites: HashMap<String, String>,
    rules: RuleSets,
}

#[derive(Debug)]
struct Provider {
    site: String,
    level: Level,
}

/// The rules of a site are its own and its provider's; everybody's where none of these matches.
#[derive(Debug, Default)]
struct RuleSets {
    default: Rules,
    provider: HashMap<String, Rules>,
    site: HashMap<String, Rules>,
}

/// The rules that a reply matches, to be handed to [`crate::Automation`]. Finding them takes no lock.
#[derive(Debug)]
pub struct Matches<'s> {
    pub(crate) rules: Vec<&'s Rule>,
    /// `code enhanced text`, the front of it.
    pub(crate) text: String,
}

impl Matches<'_> {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Shaping {
    /// What is shipped with the program.
    ///
    /// # Errors
    /// None but a fault in our own data, which a test would have found.
    pub fn shipped() -> Result<Self, ShapingError> {
        Self::new(&ShapingConfig::default())
    }

    /// What is shipped with the program, and an operator's own table merged over it.
    ///
    /// # Errors
    /// What is wrong with the operator's table, and where.
    pub fn new(own: &ShapingConfig) -> Result<Self, ShapingError> {
        let mut shipped = shipped_config()?;
        shipped.lower_names();
        let mut own = own.clone();
        own.lower_names();
        own.check()?;
        let merged = shipped.merged(&own);
        let (mut suffixes, mut sites, mut provider) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (name, entry) in &merged.provider {
            let problem = |problem| fault(&["provider", name], problem);
            require(!entry.mx.is_empty(), &["provider", name], Problem::Missing("mx"))?;
            let site = entry.site.clone().ok_or_else(|| problem(Problem::Missing("site")))?;
            if let Some(other) = sites.insert(site.clone(), name.clone()) {
                return Err(problem(Problem::SiteTaken(site, other)));
            }
            suffixes.extend(entry.mx.iter().map(|suffix| (suffix.clone(), name.clone())));
            let level = Level::of(shipped.provider.get(name), own.provider.get(name));
            provider.insert(name.clone(), Provider { site, level });
        }
        let levels = |entries: &BTreeMap<String, Entry>| {
            entries.iter().map(|(name, entry)| (name.clone(), Level::of(None, Some(entry)))).collect()
        };
        let rules = RuleSets {
            default: Rules::of(&["default"], &merged.default.automation)?,
            provider: all_rules("provider", &merged.provider)?,
            site: all_rules("site", &merged.site)?,
        };
        let default = Level::of(Some(&shipped.default), Some(&own.default));
        Ok(Self { default, provider, site: levels(&own.site), domain: levels(&own.domain), suffixes, sites, rules })
    }

    /// The site of the provider to which all these MX hosts belong.
    pub fn provider_of(&self, mx_hosts: &[&str]) -> Option<&str> {
        let (first, rest) = mx_hosts.split_first()?;
        let provider = self.provider_of_host(first)?;
        let all = rest.iter().all(|host| self.provider_of_host(host).is_some_and(|other| other == provider));
        all.then(|| self.provider.get(provider).map(|provider| provider.site.as_str())).flatten()
    }

    /// Whether this is the site of a provider.
    pub fn is_provider(&self, site: &str) -> bool {
        self.sites.contains_key(site)
    }

    /// The longest suffix wins: `olc.protection.outlook.com` before `outlook.com`.
    fn provider_of_host(&self, host: &str) -> Option<&str> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let mut rest = host.as_str();
        loop {
            if let Some(provider) = self.suffixes.get(rest) {
                return Some(provider);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    /// The limits of a site that the DNS names, from one of our addresses (`source`, empty where there is only one).
    /// `base` is what holds where no entry says anything. What is shipped only makes it stricter; what the operator wrote
    /// is taken as it is. The names of sites are matched without regard to case.
    pub fn limits(&self, base: SiteLimits, site: &str, source: &str) -> SiteLimits {
        let mut limits = base;
        self.default.apply(source, &mut limits);
        let site = lower(site);
        if let Some(provider) = self.provider_at(&site) {
            provider.1.level.apply(source, &mut limits);
        }
        self.apply_site(&site, source, &mut limits);
        limits
    }

    /// The same of a site that the configuration names, such as `smtp:relay.example:25`: only what is said of this one.
    pub fn limits_of_named(&self, base: SiteLimits, site: &str, source: &str) -> SiteLimits {
        let mut limits = base;
        self.apply_site(&lower(site), source, &mut limits);
        limits
    }

    fn apply_site(&self, site: &str, source: &str, limits: &mut SiteLimits) {
        if let Some((_, level)) = of_site(site, |name| self.site.get_key_value(name)) {
            level.apply(source, limits);
        }
    }

    /// Recipients of one domain in one transaction, where an entry says something of that domain.
    pub fn recipients_of(&self, domain: &str, source: &str) -> Option<u32> {
        self.domain_at(domain)?.1.recipients(source)
    }

    /// The TLS that letters for a domain need at a site, where an entry says something: the domain's, the site's, the
    /// provider's, the default. What is shipped never weakens `base`.
    pub fn tls(&self, base: TlsNeed, site: &str, source: &str, domain: &str) -> Option<TlsAsked> {
        let site = lower(site);
        let levels = [
            self.domain_at(domain).map(|(name, level)| ("domain", name, level)),
            of_site(&site, |name| self.site.get_key_value(name)).map(|(name, level)| ("site", name.as_str(), level)),
            self.provider_at(&site).map(|(name, provider)| ("provider", name, &provider.level)),
            Some(("default", "", &self.default)),
        ];
        levels.into_iter().flatten().find_map(|(kind, name, level)| {
            let (need, own) = level.tls(source)?;
            let space = if name.is_empty() { "" } else { " " };
            let why = format!("[shaping.{kind}]{space}{name}{}", if own { "" } else { ", shipped" });
            (own || need > base).then_some(TlsAsked { need, why, own })
        })
    }

    /// Whether anything is said of single domains.
    pub fn has_domains(&self) -> bool {
        !self.domain.is_empty()
    }

    fn provider_at(&self, site: &str) -> Option<(&str, &Provider)> {
        let name = self.sites.get(site)?;
        self.provider.get(name).map(|provider| (name.as_str(), provider))
    }

    fn domain_at(&self, domain: &str) -> Option<(&str, &Level)> {
        // Most configurations have none.
        if self.domain.is_empty() {
            return None;
        }
        self.domain.get_key_value(&*lower(domain)).map(|(name, level)| (name.as_str(), level))
    }

    /// The rules that a reply from a site matches; none for what is no refusal.
    pub fn examine(&self, site: &str, reply: &Reply) -> Matches<'_> {
        if !(reply.is_transient() || reply.is_permanent()) {
            return Matches { rules: Vec::new(), text: String::new() };
        }
        let mut text = String::new();
        // Lines of a reply are broken anywhere, with or without a space at their ends.
        for word in front(&reply.to_string(), LOOKED_AT).split_whitespace() {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(word);
        }
        Matches { rules: self.matching(site, &text).collect(), text }
    }

    /// The rules of a site that match a reply (`code enhanced text`).
    fn matching<'s>(&'s self, site: &str, reply: &str) -> impl Iterator<Item = &'s Rule> {
        let site = lower(site);
        let own = of_site(&site, |name| self.rules.site.get(name));
        let provider = self.sites.get(&*site).and_then(|name| self.rules.provider.get(name));
        let mut near = own.into_iter().chain(provider).flat_map(move |rules| rules.matching(reply)).peekable();
        // What is known of this very site says more than what is true of most.
        let default = near.peek().is_none().then(|| self.rules.default.matching(reply));
        near.chain(default.into_iter().flatten())
    }
}

/// What is shipped, as it would stand in an operator's file: below `[shaping]`, with the comments on where it comes from.
pub fn shipped_text() -> String {
    let mut text = String::with_capacity(SHIPPED.len() + 1024);
    for line in SHIPPED.lines() {
        let brackets = line.bytes().take_while(|octet| *octet == b'[').count();
        let (head, rest) = line.split_at(brackets);
        text.push_str(head);
        text.push_str(if brackets > 0 { "shaping." } else { "" });
        text.push_str(rest);
        text.push('\n');
    }
    text
}

fn shipped_config() -> Result<ShapingConfig, ShapingError> {
    toml::from_str(SHIPPED).map_err(|e| ShapingError::Shipped(e.to_string()))
}

/// What is said of a site by its whole name, or else of the first of its hosts (`mx1.example.net,mx2.example.net`).
fn of_site<T>(site: &str, get: impl Fn(&str) -> Option<T>) -> Option<T> {
    get(site).or_else(|| site.split(',').find_map(get))
}

fn all_rules(kind: &str, entries: &BTreeMap<String, Entry>) -> Result<HashMap<String, Rules>, ShapingError> {
    let ruled = entries.iter().filter(|(_, entry)| !entry.automation.is_empty());
    ruled.map(|(name, entry)| Ok((name.clone(), Rules::of(&[kind, name], &entry.automation)?))).collect()
}

/// Names of the DNS are compared in lower case and without a final dot; mostly they come like that.
fn lower(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|octet| octet.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}
