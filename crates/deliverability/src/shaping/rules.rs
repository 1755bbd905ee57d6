//! Rules: one set of patterns per entry, so that a reply that matches none is let go in one pass. The set is compiled when
//! the first reply is looked at.
//!
//! # Limits
//! [`RULES_MOST`] rules per entry; a pattern's program is at most 256 KiB, what it remembers of its work 64 KiB.

use std::sync::OnceLock;
use std::time::Duration;

use regex::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::config::{RuleConfig, fault, rate, require};
use super::{Problem, ShapingError, SiteLimits, THRESHOLD_MOST};
use crate::Rate;
use crate::units::{UnitError, parse_duration};

pub const RULES_MOST: usize = 200;

const PATTERN_MOST: usize = 256 * 1024;

const CACHE_MOST: usize = 64 * 1024;

/// What a rule lays over the limits of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overlay {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letters_per_connection: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

impl Overlay {
    /// Makes limits stricter, never wider.
    pub(crate) fn apply(&self, until: u64, limits: &mut SiteLimits) {
        let least = |limit: &mut u32, own: Option<u32>| *limit = own.map_or(*limit, |own| own.min(*limit));
        least(&mut limits.connections, self.connections);
        least(&mut limits.letters_per_connection, self.letters_per_connection);
        limits.rate = match (limits.rate, self.rate) {
            (Some(limit), Some(own)) => Some(limit.stricter(own)),
            (limit, own) => limit.or(own),
        };
        if self.suspend {
            limits.suspended_until = limits.suspended_until.max(Some(until));
        }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// `provider.google/unusual-rate`.
    pub name: String,
    pub threshold: Option<Rate>,
    pub overlay: Overlay,
    pub lasts: Duration,
    pub reason: String,
}

/// The rules of one entry.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    patterns: Vec<Box<str>>,
    /// `None`: it cannot be compiled, which the check of the patterns would have found.
    set: OnceLock<Option<RegexSet>>,
}

impl Rules {
    pub fn of(entry: &[&str], configs: &[RuleConfig]) -> Result<Self, ShapingError> {
        let mut rules = Self::default();
        for config in configs.iter().filter(|config| !config.off) {
            let (rule, pattern) = read(entry, config)?;
            rules.rules.push(rule);
            rules.patterns.push(pattern.into());
        }
        Ok(rules)
    }

    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    #[cfg(test)]
    pub fn is_compiled(&self) -> bool {
        self.set.get().is_some()
    }

    /// The rules that match, in the order in which they were written.
    pub fn matching(&self, reply: &str) -> impl Iterator<Item = &Rule> {
        let matching = self.set().map(|set| set.matches(reply));
        matching.into_iter().flatten().filter_map(|at| self.rules.get(at))
    }

    /// Most entries have no rules of their own, which costs nothing.
    fn set(&self) -> Option<&RegexSet> {
        if self.rules.is_empty() {
            return None;
        }
        self.set.get_or_init(|| compile(&self.patterns).ok()).as_ref()
    }
}

/// What is wrong with an operator's rules; each pattern is compiled for it, and let go again.
pub(super) fn check_rules(entry: &[&str], configs: &[RuleConfig]) -> Result<(), ShapingError> {
    require(configs.len() <= RULES_MOST, entry, Problem::ManyRules)?;
    for (index, config) in configs.iter().enumerate() {
        let at = [entry, &["automation", &config.name]].concat();
        let before = configs.iter().take(index);
        require(before.into_iter().all(|other| other.name != config.name), &at, Problem::Twice)?;
        if !config.off {
            let (_, pattern) = read(entry, config)?;
            compile(&[pattern]).map_err(|e| fault(&at, Problem::Pattern(e.to_string())))?;
        }
    }
    Ok(())
}

fn compile(patterns: &[impl AsRef<str>]) -> Result<RegexSet, regex::Error> {
    let most = PATTERN_MOST.saturating_mul(patterns.len());
    let mut set = RegexSetBuilder::new(patterns);
    set.case_insensitive(true).size_limit(most).dfa_size_limit(CACHE_MOST).build()
}

fn read<'c>(entry: &[&str], config: &'c RuleConfig) -> Result<(Rule, &'c str), ShapingError> {
    let at = &[entry, &["automation", &config.name]].concat();
    require(!config.name.is_empty(), at, Problem::Missing("name"))?;
    let action = &config.action;
    let overlay = Overlay {
        rate: rate(at, action.rate.as_deref())?,
        connections: action.connections,
        letters_per_connection: action.letters_per_connection,
        suspend: action.suspend,
    };
    require(overlay != Overlay::default(), at, Problem::NoAction)?;
    require(overlay.connections != Some(0), at, Problem::Zero("connections"))?;
    require(overlay.letters_per_connection != Some(0), at, Problem::Zero("letters_per_connection"))?;
    let pattern = config.r#match.as_deref().ok_or_else(|| fault(at, Problem::Missing("match")))?;
    let name = format!("{}/{}", entry.join("."), config.name);
    let (threshold, lasts) = (threshold(at, config)?, lasts(at, config)?);
    Ok((Rule { name, threshold, overlay, lasts, reason: config.reason.clone() }, pattern))
}

fn threshold(at: &[&str], config: &RuleConfig) -> Result<Option<Rate>, ShapingError> {
    let Some(text) = &config.threshold else { return Ok(None) };
    let threshold: Rate = text.parse().map_err(|e| fault(at, Problem::BadThreshold(text.clone(), e)))?;
    require(threshold.count() <= THRESHOLD_MOST, at, Problem::Threshold)?;
    Ok(Some(threshold))
}

fn lasts(at: &[&str], config: &RuleConfig) -> Result<Duration, ShapingError> {
    let text = config.r#for.as_deref().ok_or_else(|| fault(at, Problem::Missing("for")))?;
    let lasts = parse_duration(text).map_err(|e| fault(at, Problem::Lasts(e)))?;
    require(!lasts.is_zero(), at, Problem::Lasts(UnitError::Zero))?;
    Ok(lasts)
}
