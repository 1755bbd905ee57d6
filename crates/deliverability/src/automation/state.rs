//! What is remembered of each site: what is in force, and when rules with a threshold matched.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::Change;
use crate::shaping::{Overlay, Rule};

/// All that [`super::Automation`] remembers. It can be written and read with serde; what it holds has no other use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// By site, then by source.
    sites: BTreeMap<String, BTreeMap<String, SiteState>>,
}

/// Of one site and one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SiteState {
    pub in_force: Vec<InForce>,
    /// By the rule's name, the times of its last matches, oldest first; never more than its threshold.
    counts: BTreeMap<String, VecDeque<u64>>,
}

/// A rule that has acted and is not yet healed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InForce {
    pub rule: String,
    pub overlay: Overlay,
    pub since: u64,
    pub until: u64,
    pub reason: String,
    pub reply: String,
    pub by: String,
}

impl SiteState {
    /// Counts a match of the rule; whether its threshold is reached, after which it counts anew.
    pub fn reached(&mut self, now: u64, rule: &Rule) -> bool {
        let Some(threshold) = rule.threshold else { return true };
        let most = usize::try_from(threshold.count()).unwrap_or(usize::MAX);
        if most <= 1 {
            return true;
        }
        let window = u64::try_from(threshold.window().as_millis()).unwrap_or(u64::MAX);
        let times = self.counts.entry(rule.name.clone()).or_default();
        times.push_back(now);
        while times.len() > most || times.front().is_some_and(|first| now.saturating_sub(*first) >= window) {
            times.pop_front();
        }
        let reached = times.len() >= most;
        if reached {
            self.counts.remove(&rule.name);
        }
        reached
    }
}

impl State {
    /// Pairs of site and source.
    pub fn len(&self) -> usize {
        self.sites.values().map(BTreeMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    pub(super) fn get(&self, site: &str, source: &str) -> Option<&SiteState> {
        self.sites.get(site)?.get(source)
    }

    pub(super) fn place(&mut self, site: &str, source: &str) -> &mut SiteState {
        self.sites.entry(site.to_owned()).or_default().entry(source.to_owned()).or_default()
    }

    /// When the first of what is in force ends.
    pub(super) fn next(&self) -> Option<u64> {
        self.sites
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(|place| &place.in_force)
            .map(|change| change.until)
            .min()
    }

    pub(super) fn count_in_force(&self) -> usize {
        self.sites.values().flat_map(BTreeMap::values).map(|place| place.in_force.len()).sum()
    }

    pub(super) fn set_back(&mut self, now: u64) {
        for change in self.sites.values_mut().flat_map(BTreeMap::values_mut).flat_map(|place| &mut place.in_force) {
            change.until -= change.since.saturating_sub(now).min(change.until);
            change.since = change.since.min(now);
        }
    }

    /// Takes out what is over by now.
    pub(super) fn heal(&mut self, now: u64) -> Vec<Change> {
        let mut healed = Vec::new();
        for (site, sources) in &mut self.sites {
            for (source, place) in sources.iter_mut() {
                let over = place.in_force.extract_if(.., |change| change.until <= now);
                healed.extend(over.map(|change| Change::healed(site, source, change)));
            }
        }
        self.forget_empty();
        healed
    }

    /// Takes out all that is in force and counted at these pairs of site and source.
    pub(super) fn end(&mut self, wanted: impl Fn(&str, &str) -> bool) -> Vec<Change> {
        let mut ended = Vec::new();
        for (site, sources) in &mut self.sites {
            for (source, place) in sources.iter_mut().filter(|(source, _)| wanted(site, source)) {
                let SiteState { in_force, .. } = std::mem::take(place);
                ended.extend(in_force.into_iter().map(|change| Change::ended(site, source, change)));
            }
        }
        self.forget_empty();
        ended
    }

    /// What is in force anywhere.
    pub(super) fn in_force(&self) -> impl Iterator<Item = Change> {
        self.sites.iter().flat_map(|(site, sources)| {
            let all = sources.iter().flat_map(|(source, place)| place.in_force.iter().map(move |one| (source, one)));
            all.map(move |(source, change)| Change::begun(site, source, change))
        })
    }

    /// Forgets the pairs where nothing is in force: what was counted there is lost.
    pub(super) fn forget_counts(&mut self) {
        for sources in self.sites.values_mut() {
            sources.retain(|_, place| !place.in_force.is_empty());
        }
        self.forget_empty();
    }

    fn forget_empty(&mut self) {
        for sources in self.sites.values_mut() {
            sources.retain(|_, place| !(place.in_force.is_empty() && place.counts.is_empty()));
        }
        self.sites.retain(|_, sources| !sources.is_empty());
    }
}
