//! The `[shaping]` table as it is written, its merge and its checks. Rates and durations stay texts until [`super::Rules`]
//! and [`super::level`] read them, so that an error can name the entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::check_rules;
use super::{Problem, ShapingError, TlsNeed, lower};
use crate::Rate;

/// What sites take, and what their replies change of it, beyond what `[delivery]` says of all. Figures and rules for large
/// providers are shipped (`gatepost config shaping` prints them); what stands here is laid over them. The later of these
/// says more: default, provider, site, domain. Shipped figures only make those of `[delivery]` stricter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShapingConfig {
    /// For every site that is found by the DNS; its rules are for those of routes as well, where none of
    /// the site's or its provider's matches the reply.
    pub default: Entry,
    /// By the provider's name, such as `google`, or one of your own; `mx` and `site` say what belongs to it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub provider: BTreeMap<String, Entry>,
    /// By the site's name as `gatepost route` shows it, or by one of its MX hosts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub site: BTreeMap<String, Entry>,
    /// By the domain of the recipients: only `tls` and `recipients_per_transaction`, since a site has many domains.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub domain: BTreeMap<String, Entry>,
}

/// One entry: `[shaping.default]`, `[shaping.provider.google]`, `[shaping.site."mx1.example.net"]` or
/// `[shaping.domain."example.com"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entry {
    /// When the figures were looked up; for readers.
    pub date: Option<String>,
    /// Where they were found; for readers.
    pub source: Option<String>,
    /// Of a provider: the name under which its destinations share their limits.
    pub site: Option<String>,
    /// Of a provider: suffixes of its MX hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mx: Vec<String>,
    /// Connections at the same time.
    pub connections: Option<u32>,
    /// Letters over one connection.
    pub letters_per_connection: Option<u32>,
    /// Recipients of one letter in one transaction.
    pub recipients_per_transaction: Option<u32>,
    /// Letters per time, such as `"100/s"`, `"10/min"`, `"10000/h"`.
    pub rate: Option<String>,
    /// `none`, `opportunistic`, `required` or `verified`; `[delivery.tls]` by domain or server goes before it.
    pub tls: Option<TlsNeed>,
    /// Other limits for one egress source, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<String, Limits>,
    /// Rules: what replies change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
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

/// A rule: a reply that matches, so often, changes the limits of its site, for so long; then they heal by themselves. One with
/// the name of a shipped rule takes its place. Each change is a record that says which reply caused it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// Under which records show it.
    pub name: String,
    /// A regular expression on `code enhanced-code text`, without regard to case.
    pub r#match: Option<String>,
    /// Acts when it matched so often in that time, such as `"5/h"`; at once without it.
    pub threshold: Option<String>,
    /// What it changes.
    pub action: ActionConfig,
    /// How long the change lasts, such as `"30min"`.
    pub r#for: Option<String>,
    /// In plain words, for the operator.
    pub reason: String,
    /// Takes away the shipped rule of this name.
    pub off: bool,
}

/// What a rule changes; limits are only ever made stricter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActionConfig {
    /// Letters per time, such as `"10/min"`.
    pub rate: Option<String>,
    /// Connections at the same time.
    pub connections: Option<u32>,
    /// Letters over one connection.
    pub letters_per_connection: Option<u32>,
    /// Nothing is sent.
    pub suspend: bool,
}

impl ShapingConfig {
    pub(super) fn merged(&self, user: &Self) -> Self {
        let (mut merged, user) = (self.clone(), user.clone());
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

    pub(super) fn lower_names(&mut self) {
        for names in [&mut self.site, &mut self.domain] {
            *names =
                std::mem::take(names).into_iter().map(|(name, entry)| (lower(&name).into_owned(), entry)).collect();
        }
        for provider in self.provider.values_mut() {
            provider.site = provider.site.take().map(|site| lower(&site).into_owned());
            for suffix in &mut provider.mx {
                *suffix = lower(suffix.trim_start_matches('.')).into_owned();
            }
        }
    }

    /// What is wrong with an operator's table, seen by itself.
    pub(super) fn check(&self) -> Result<(), ShapingError> {
        self.default.check(&["default"], false)?;
        for (name, entry) in &self.provider {
            entry.check(&["provider", name], true)?;
        }
        for (name, entry) in &self.site {
            entry.check(&["site", name], false)?;
        }
        self.domain.iter().try_for_each(|(name, entry)| {
            entry.check(&["domain", name], false)?;
            entry.check_domain(&["domain", name])
        })
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

    pub(super) fn own(&self) -> Limits {
        Limits {
            connections: self.connections,
            letters_per_connection: self.letters_per_connection,
            recipients_per_transaction: self.recipients_per_transaction,
            rate: self.rate.clone(),
            tls: self.tls,
        }
    }

    fn check(&self, at: &[&str], provider: bool) -> Result<(), ShapingError> {
        if provider {
            require(self.mx.iter().all(|suffix| !suffix.is_empty()), at, Problem::Missing("mx"))?;
        } else {
            require(self.mx.is_empty(), at, Problem::OnlyProviders("mx"))?;
            require(self.site.is_none(), at, Problem::OnlyProviders("site"))?;
        }
        self.own().check(at)?;
        self.from.iter().try_for_each(|(source, limits)| limits.check(&[at, &["from", source]].concat()))?;
        check_rules(at, &self.automation)
    }

    /// Letters for one domain share a site with others: only what concerns a single transaction can be said of it.
    fn check_domain(&self, at: &[&str]) -> Result<(), ShapingError> {
        require(self.automation.is_empty(), at, Problem::OnlySites("automation"))?;
        self.own().check_domain(at)?;
        self.from.iter().try_for_each(|(source, limits)| limits.check_domain(&[at, &["from", source]].concat()))
    }
}

impl Limits {
    fn check(&self, at: &[&str]) -> Result<(), ShapingError> {
        for (name, value) in [
            ("connections", self.connections),
            ("letters_per_connection", self.letters_per_connection),
            ("recipients_per_transaction", self.recipients_per_transaction),
        ] {
            require(value != Some(0), at, Problem::Zero(name))?;
        }
        rate(at, self.rate.as_deref()).map(drop)
    }

    fn check_domain(&self, at: &[&str]) -> Result<(), ShapingError> {
        require(self.connections.is_none(), at, Problem::OnlySites("connections"))?;
        require(self.letters_per_connection.is_none(), at, Problem::OnlySites("letters_per_connection"))?;
        require(self.rate.is_none(), at, Problem::OnlySites("rate"))
    }
}

pub(super) fn rate(at: &[&str], text: Option<&str>) -> Result<Option<Rate>, ShapingError> {
    let read = |text: &str| text.parse().map_err(|e| fault(at, Problem::Rate(text.to_owned(), e)));
    text.map(read).transpose()
}

pub(super) fn require(holds: bool, at: &[&str], problem: Problem) -> Result<(), ShapingError> {
    if holds { Ok(()) } else { Err(fault(at, problem)) }
}

pub(super) fn fault(at: &[&str], problem: Problem) -> ShapingError {
    ShapingError::Entry { path: at.iter().map(|&key| key.to_owned()).collect(), problem }
}
