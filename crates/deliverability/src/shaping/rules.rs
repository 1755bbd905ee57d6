//! Rules, compiled: one set of patterns per entry, so that a reply that matches none is let go in one pass.
//!
//! # Limits
//! [`RULES_MOST`] rules per entry; a pattern's program is at most 256 KiB.

use std::time::Duration;

use regex::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::config::{RuleConfig, fault, rate, require};
use super::{Problem, ShapingError, SiteLimits, THRESHOLD_MOST};
use crate::Rate;
use crate::units::parse_span;

pub const RULES_MOST: usize = 200;

const PATTERN_MOST: usize = 256 * 1024;

/// What a rule lays over the limits of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overlay {
    pub rate: Option<Rate>,
    pub connections: Option<u32>,
    pub letters_per_connection: Option<u32>,
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    patterns: RegexSet,
    rules: Vec<Rule>,
}

impl Rules {
    pub fn compile(entry: &str, configs: &[RuleConfig]) -> Result<Self, ShapingError> {
        require(configs.len() <= RULES_MOST, entry, Problem::ManyRules)?;
        let mut rules: Vec<Rule> = Vec::with_capacity(configs.len());
        let mut patterns = Vec::with_capacity(configs.len());
        for config in configs.iter().filter(|config| !config.off) {
            let at = format!("{entry}.automation.{}", config.name);
            let rule = read(&at, &format!("{entry}/{}", config.name), config)?;
            require(rules.iter().all(|other| other.name != rule.name), &at, Problem::Twice)?;
            let pattern = config.pattern.as_deref().ok_or_else(|| fault(&at, Problem::Missing("match")))?;
            set(&[pattern]).map_err(|e| fault(&at, Problem::Pattern(e.to_string())))?;
            patterns.push(pattern);
            rules.push(rule);
        }
        let patterns = set(&patterns).map_err(|e| fault(entry, Problem::Pattern(e.to_string())))?;
        Ok(Self { patterns, rules })
    }

    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The rules that match, in the order in which they were written.
    pub fn matching(&self, reply: &str) -> impl Iterator<Item = &Rule> {
        // An empty set costs nothing; most sites have no rules of their own.
        self.patterns.matches(reply).into_iter().filter_map(|at| self.rules.get(at))
    }
}

fn set(patterns: &[&str]) -> Result<RegexSet, regex::Error> {
    let most = PATTERN_MOST.saturating_mul(patterns.len().max(1));
    RegexSetBuilder::new(patterns).case_insensitive(true).size_limit(most).build()
}

fn read(at: &str, name: &str, config: &RuleConfig) -> Result<Rule, ShapingError> {
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
    let threshold = rate(at, config.threshold.as_deref())?;
    require(threshold.is_none_or(|threshold| threshold.count() <= THRESHOLD_MOST), at, Problem::Threshold)?;
    let lasts = config.lasts.as_deref().ok_or_else(|| fault(at, Problem::Missing("for")))?;
    let lasts = parse_span(lasts).map_err(|e| fault(at, Problem::Unit(lasts.to_owned(), e)))?;
    Ok(Rule { name: name.to_owned(), threshold, overlay, lasts, reason: config.reason.clone() })
}
