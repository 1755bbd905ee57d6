//! The `[shaping]` table as it is written, its merge and its checks. Rates and durations stay texts until [`super::Rules`]
//! and [`Limits::apply`] read them, so that an error can name the entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Problem, ShapingError, SiteLimits, TlsNeed};
use crate::Rate;

/// The whole table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShapingConfig {
    /// For every site.
    pub default: Entry,
    /// By the provider's name; `mx` and `site` say what belongs to it.
    pub provider: BTreeMap<String, Entry>,
    /// By the site's name, for one destination or one provider's site.
    pub site: BTreeMap<String, Entry>,
    /// By the domain of the recipients.
    pub domain: BTreeMap<String, Entry>,
}

/// One entry of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entry {
    /// When the figures were looked up.
    pub date: Option<String>,
    /// Where they were found.
    pub source: Option<String>,
    /// Of a provider: the name under which its destinations share their limits.
    pub site: Option<String>,
    /// Of a provider: suffixes of its MX hosts.
    pub mx: Vec<String>,
    /// Connections at the same time.
    pub connections: Option<u32>,
    /// Letters over one connection.
    pub letters_per_connection: Option<u32>,
    /// Recipients of one letter in one transaction.
    pub recipients_per_transaction: Option<u32>,
    /// Letters per time, such as `"100/s"`, `"10/min"`, `"10000/h"`.
    pub rate: Option<String>,
    /// `none`, `opportunistic`, `required` or `verified`.
    pub tls: Option<TlsNeed>,
    /// Other limits for one of our addresses, by its name.
    pub from: BTreeMap<String, Limits>,
    /// What replies change.
    pub automation: Vec<RuleConfig>,
}

/// The limits of an entry, for one of our addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub connections: Option<u32>,
    pub letters_per_connection: Option<u32>,
    pub recipients_per_transaction: Option<u32>,
    pub rate: Option<String>,
    pub tls: Option<TlsNeed>,
}

/// A rule: a reply that matches, so often, changes this, for so long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    pub name: String,
    /// A regular expression on `code enhanced-code text`, without regard to case.
    #[serde(rename = "match")]
    pub pattern: Option<String>,
    /// Acts when it matched so often in that time, such as `"5/h"`; at once without it.
    pub threshold: Option<String>,
    pub action: ActionConfig,
    /// How long the change lasts, such as `"30min"`.
    #[serde(rename = "for")]
    pub lasts: Option<String>,
    /// In plain words, for the operator.
    pub reason: String,
    /// Takes away the shipped rule of this name.
    pub off: bool,
}

/// What a rule changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActionConfig {
    pub rate: Option<String>,
    pub connections: Option<u32>,
    pub letters_per_connection: Option<u32>,
    pub suspend: bool,
}

impl ShapingConfig {
    pub(super) fn merged(&self, user: &Self) -> Self {
        let mut merged = self.clone();
        let mut user = user.clone();
        user.lower_names();
        merged.default.merge(user.default);
        for (into, from) in
            [(&mut merged.provider, user.provider), (&mut merged.site, user.site), (&mut merged.domain, user.domain)]
        {
            for (name, entry) in from {
                into.entry(name).or_default().merge(entry);
            }
        }
        merged
    }

    /// Names of the DNS are compared in lower case and without a final dot.
    pub(super) fn lower_names(&mut self) {
        for names in [&mut self.site, &mut self.domain] {
            *names = std::mem::take(names).into_iter().map(|(name, entry)| (lower(&name), entry)).collect();
        }
        for provider in self.provider.values_mut() {
            provider.site = provider.site.take().map(|site| lower(&site));
            for suffix in &mut provider.mx {
                *suffix = lower(suffix.trim_start_matches('.'));
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), ShapingError> {
        self.default.check("default", false)?;
        for (name, entry) in &self.provider {
            entry.check(&format!("provider.{name}"), true)?;
        }
        for (name, entry) in &self.site {
            entry.check(&format!("site.{name}"), false)?;
        }
        for (name, entry) in &self.domain {
            let at = format!("domain.{name}");
            entry.check(&at, false)?;
            // A reply is counted by site: which domain it was about may be several.
            require(entry.automation.is_empty(), &at, Problem::Misplaced("automation"))?;
        }
        Ok(())
    }
}

impl Entry {
    fn merge(&mut self, user: Self) {
        fn over<T>(into: &mut Option<T>, from: Option<T>) {
            if from.is_some() {
                *into = from;
            }
        }
        over(&mut self.date, user.date);
        over(&mut self.source, user.source);
        over(&mut self.site, user.site);
        if !user.mx.is_empty() {
            self.mx = user.mx;
        }
        over(&mut self.connections, user.connections);
        over(&mut self.letters_per_connection, user.letters_per_connection);
        over(&mut self.recipients_per_transaction, user.recipients_per_transaction);
        over(&mut self.rate, user.rate);
        over(&mut self.tls, user.tls);
        self.from.extend(user.from);
        self.automation.retain(|shipped| user.automation.iter().all(|own| own.name != shipped.name));
        self.automation.extend(user.automation.into_iter().filter(|rule| !rule.off));
    }

    fn own(&self) -> Limits {
        Limits {
            connections: self.connections,
            letters_per_connection: self.letters_per_connection,
            recipients_per_transaction: self.recipients_per_transaction,
            rate: self.rate.clone(),
            tls: self.tls,
        }
    }

    fn check(&self, at: &str, provider: bool) -> Result<(), ShapingError> {
        if provider {
            let suffixes = !self.mx.is_empty() && self.mx.iter().all(|suffix| !suffix.is_empty());
            require(suffixes, at, Problem::Missing("mx"))?;
        } else {
            require(self.mx.is_empty(), at, Problem::Misplaced("mx"))?;
            require(self.site.is_none(), at, Problem::Misplaced("site"))?;
        }
        self.own().check(at)?;
        self.from.iter().try_for_each(|(source, limits)| limits.check(&format!("{at}.from.{source}")))
    }

    pub(super) fn apply(&self, source: &str, limits: &mut SiteLimits) {
        self.own().apply(limits);
        if let Some(own) = self.from.get(source) {
            own.apply(limits);
        }
    }
}

impl Limits {
    fn check(&self, at: &str) -> Result<(), ShapingError> {
        for (name, value) in [
            ("connections", self.connections),
            ("letters_per_connection", self.letters_per_connection),
            ("recipients_per_transaction", self.recipients_per_transaction),
        ] {
            require(value != Some(0), at, Problem::Zero(name))?;
        }
        rate(at, self.rate.as_deref()).map(drop)
    }

    fn apply(&self, limits: &mut SiteLimits) {
        limits.connections = self.connections.unwrap_or(limits.connections);
        limits.letters_per_connection = self.letters_per_connection.unwrap_or(limits.letters_per_connection);
        limits.recipients_per_transaction =
            self.recipients_per_transaction.unwrap_or(limits.recipients_per_transaction);
        limits.tls = self.tls.unwrap_or(limits.tls);
        limits.rate = self.rate.as_deref().and_then(|rate| rate.parse().ok()).or(limits.rate);
    }
}

pub(super) fn rate(at: &str, text: Option<&str>) -> Result<Option<Rate>, ShapingError> {
    let read = |text: &str| text.parse().map_err(|e| fault(at, Problem::Unit(text.to_owned(), e)));
    text.map(read).transpose()
}

pub(super) fn require(holds: bool, at: &str, problem: Problem) -> Result<(), ShapingError> {
    if holds { Ok(()) } else { Err(fault(at, problem)) }
}

pub(super) fn fault(at: &str, problem: Problem) -> ShapingError {
    ShapingError::Entry { entry: at.to_owned(), problem }
}

fn lower(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
