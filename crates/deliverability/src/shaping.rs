//! What each provider takes: limits by site, and the rules that change them when a reply asks for it.
//!
//! The figures are data (`data/shaping.toml`, with date and source). An operator's own `[shaping]` table has the same
//! shape and is merged over it: `[shaping.default]`, `[shaping.provider."google"]`, `[shaping.site."mx1.example.net"]`,
//! `[shaping.domain."example.com"]`, and for one address of ours `[shaping.provider."google".from."a"]`.
//! The later of these says more: default, provider, site, domain; within each, `from` last. A rule of the operator with
//! the name of a shipped one takes its place; `off = true` takes it away.
//!
//! # Invariants
//! - What was built is whole: each pattern is compiled, each provider has a site and MX suffixes, no limit is zero.
//! - A destination belongs to a provider only when **all** its MX hosts do, so a backup elsewhere is not overlooked.

mod config;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

pub use config::{ActionConfig, Entry, Limits, RuleConfig, ShapingConfig};
pub use rules::{Overlay, RULES_MOST};
pub(crate) use rules::{Rule, Rules};

use crate::Rate;
use crate::units::UnitError;

const SHIPPED: &str = include_str!("../data/shaping.toml");

/// What TLS a site needs, before what MTA-STS or DANE ask beyond it.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteLimits {
    pub connections: u32,
    pub letters_per_connection: u32,
    pub recipients_per_transaction: u32,
    /// `None`: as fast as it goes.
    pub rate: Option<Rate>,
    pub tls: TlsNeed,
    /// Nothing is to be sent before, in the milliseconds that [`crate::Automation`] was given.
    pub suspended_until: Option<u64>,
}

impl Default for SiteLimits {
    fn default() -> Self {
        Self {
            connections: 10,
            letters_per_connection: 100,
            recipients_per_transaction: 100,
            rate: None,
            tls: TlsNeed::Opportunistic,
            suspended_until: None,
        }
    }
}

/// What is wrong with a shaping table; `entry` names the place: `provider.google`, `provider.google.automation.busy`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapingError {
    #[error("shaping.{entry}: {problem}")]
    Entry { entry: String, problem: Problem },
    #[error("the shipped shaping table cannot be read: {0}")]
    Shipped(String),
}

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{0:?} {1}")]
    Unit(String, UnitError),
    #[error("`match` is no regular expression: {0}")]
    Pattern(String),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` has no place here")]
    Misplaced(&'static str),
    #[error("`{0}` must be at least 1; to send nothing, suspend the site")]
    Zero(&'static str),
    #[error("`action` says nothing; give it rate, connections, letters_per_connection or suspend")]
    NoAction,
    #[error("the name is used twice")]
    Twice,
    #[error("the site {0:?} belongs to the provider {1:?} already")]
    SiteTaken(String, String),
    #[error("there are more than {RULES_MOST} rules")]
    ManyRules,
    #[error("`threshold` counts to at most {THRESHOLD_MOST}")]
    Threshold,
}

/// A rule's threshold counts no further: each count is a time that is kept.
pub const THRESHOLD_MOST: u32 = 1000;

/// Limits and rules, ready to be asked. Shared; a reload makes a new one.
#[derive(Clone, Debug)]
pub struct Shaping {
    config: ShapingConfig,
    /// Suffix of an MX host, lower case, to the provider's name.
    suffixes: HashMap<String, String>,
    /// Site key to the provider's name.
    sites: HashMap<String, String>,
    rules: RuleSets,
}

/// The rules of a site are its own, its provider's and everybody's, in this order.
#[derive(Clone, Debug, Default)]
struct RuleSets {
    default: Rules,
    provider: HashMap<String, Rules>,
    site: HashMap<String, Rules>,
}

impl Shaping {
    /// What is shipped with the program.
    ///
    /// # Errors
    /// None but a fault in our own data, which a test would have found.
    pub fn shipped() -> Result<Self, ShapingError> {
        let config = toml::from_str(SHIPPED).map_err(|e| ShapingError::Shipped(e.to_string()))?;
        Self::build(config)
    }

    /// The same with an operator's own table merged over it.
    ///
    /// # Errors
    /// What is wrong with the operator's table, and where.
    pub fn with(&self, user: &ShapingConfig) -> Result<Self, ShapingError> {
        Self::build(self.config.merged(user))
    }

    fn build(mut config: ShapingConfig) -> Result<Self, ShapingError> {
        config.lower_names();
        config.check()?;
        let (mut suffixes, mut sites) = (HashMap::new(), HashMap::new());
        for (name, provider) in &config.provider {
            let problem = |problem| ShapingError::Entry { entry: format!("provider.{name}"), problem };
            let site = provider.site.clone().ok_or_else(|| problem(Problem::Missing("site")))?;
            if let Some(other) = sites.insert(site.clone(), name.clone()) {
                return Err(problem(Problem::SiteTaken(site, other)));
            }
            suffixes.extend(provider.mx.iter().map(|suffix| (suffix.clone(), name.clone())));
        }
        let rules = RuleSets {
            default: Rules::compile("default", &config.default.automation)?,
            provider: compile_all("provider", &config.provider)?,
            site: compile_all("site", &config.site)?,
        };
        Ok(Self { config, suffixes, sites, rules })
    }

    /// The site of the provider to which all these MX hosts belong.
    pub fn provider_of(&self, mx_hosts: &[&str]) -> Option<&str> {
        let (first, rest) = mx_hosts.split_first()?;
        let provider = self.provider_of_host(first)?;
        let all = rest.iter().all(|host| self.provider_of_host(host).is_some_and(|other| other == provider));
        all.then(|| self.config.provider.get(provider)?.site.as_deref()).flatten()
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

    /// The limits of a site, from one of our addresses (`source`, empty where there is only one), for letters to one
    /// domain where that is known. The names of sites and domains are matched without regard to case.
    pub fn limits(&self, site: &str, source: &str, domain: Option<&str>) -> SiteLimits {
        let mut limits = SiteLimits::default();
        self.config.default.apply(source, &mut limits);
        let site = site.to_ascii_lowercase();
        if let Some(provider) = self.sites.get(&site).and_then(|name| self.config.provider.get(name)) {
            provider.apply(source, &mut limits);
        }
        if let Some(entry) = of_site(&site, |name| self.config.site.get(name)) {
            entry.apply(source, &mut limits);
        }
        let domain = domain.map(|domain| domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase());
        if let Some(entry) = domain.and_then(|domain| self.config.domain.get(&domain)) {
            entry.apply(source, &mut limits);
        }
        limits
    }

    /// The rules of a site that match a reply (`code enhanced text`).
    pub(crate) fn matching<'s>(&'s self, site: &str, reply: &'s str) -> impl Iterator<Item = &'s Rule> {
        let site = site.to_ascii_lowercase();
        let own = of_site(&site, |name| self.rules.site.get(name));
        let provider = self.sites.get(&site).and_then(|name| self.rules.provider.get(name));
        own.into_iter().chain(provider).chain([&self.rules.default]).flat_map(move |rules| rules.matching(reply))
    }
}

/// What is said of a site by its whole name, or else of the first of its hosts (`mx1.example.net,mx2.example.net`).
fn of_site<T>(site: &str, get: impl Fn(&str) -> Option<T>) -> Option<T> {
    get(site).or_else(|| site.split(',').find_map(get))
}

fn compile_all(kind: &str, entries: &BTreeMap<String, Entry>) -> Result<HashMap<String, Rules>, ShapingError> {
    let ruled = entries.iter().filter(|(_, entry)| !entry.automation.is_empty());
    ruled
        .map(|(name, entry)| Ok((name.clone(), Rules::compile(&format!("{kind}.{name}"), &entry.automation)?)))
        .collect()
}
