//! Replies that change the limits of a site for a time.
//!
//! ```ignore
//! let matches = shaping.examine(site, &reply);                                               // a refusal came
//! for change in automation.handle_matches(now_ms, site, source, by, &matches) { record(&change); }
//! for change in automation.handle_time(now_ms) { record(&change); }                          // what has healed
//! let limits = automation.limits(now_ms, site, source, shaping.limits(base, site, source));
//! let wake = automation.next_change(now_ms);
//! ```
//!
//! A rule without a threshold acts at once; with one, when it matched so often in a sliding window. While it is in force
//! the replies to letters that were under way change nothing more; once half of its time is over, it may be renewed.
//! Several rules in force at one site make the strictest of each limit.
//!
//! # Invariants
//! - Limits are only ever made stricter here, and only until the time that the
//!   [`Change`] named.
//! - Each change that is told is told again when it has healed.
//!
//! # Limits
//! [`SITES_MOST`] pairs of site and source with something to remember; replies of further ones change nothing and are
//! counted by [`Automation::ignored`]. Per pair one change per rule, and per rule as many times as its threshold counts to.

mod change;
mod state;
#[cfg(test)]
mod tests;

pub use change::{Change, What};
pub use state::State;
use state::{InForce, SiteState};

use crate::front;
use crate::shaping::{Matches, Rule, SiteLimits};

/// Pairs of site and source that are remembered.
pub const SITES_MOST: usize = 10_000;

/// Octets of the causing reply that a change keeps.
pub const REPLY_MOST: usize = 256;

/// Milliseconds between two sweeps for room.
const SWEEP_PAUSE: u64 = 60_000;

/// Watches replies, changes limits, lets them heal.
#[derive(Debug, Default)]
pub struct Automation {
    state: State,
    /// Pairs in `state`; counting them anew for each reply would be dear.
    places: usize,
    /// No change ends before it; `None`: none is in force.
    next: Option<u64>,
    /// When what is over was last swept out to make room.
    swept: Option<u64>,
    ignored: u64,
}

impl Automation {
    /// Goes on where another life of the process stopped.
    pub fn resume(state: State) -> Self {
        let (places, next) = (state.len(), state.next());
        Self { state, places, next, swept: None, ignored: 0 }
    }

    /// What is in force and counted, to be kept over a restart.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Replies that matched a rule but found no room.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// A reply that matched came from a site (`by` names its server), to a letter or a connection from this source.
    pub fn handle_matches(
        &mut self,
        now: u64,
        site: &str,
        source: &str,
        by: &str,
        matches: &Matches<'_>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for rule in &matches.rules {
            if !self.make_room(now, site, source, &mut changes) {
                self.ignored = self.ignored.saturating_add(1);
                break;
            }
            let place = self.state.place(site, source);
            if let Some(begun) = apply_rule(place, now, rule, by, &matches.text) {
                self.next = Some(self.next.map_or(begun.until, |next| next.min(begun.until)));
                changes.push(Change::begun(site, source, &begun));
            }
        }
        changes
    }

    /// Whether there is room for this pair, for which it then counts; sweeps out what is over, at most once a minute.
    fn make_room(&mut self, now: u64, site: &str, source: &str, changes: &mut Vec<Change>) -> bool {
        if self.state.get(site, source).is_some() {
            return true;
        }
        if self.places >= SITES_MOST && self.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP_PAUSE) {
            self.swept = Some(now);
            changes.extend(self.state.heal(now));
            self.state.forget_counts();
            (self.places, self.next) = (self.state.len(), self.state.next());
        }
        let room = self.places < SITES_MOST;
        self.places += usize::from(room);
        room
    }

    /// What has healed by now. Cheap while nothing has.
    pub fn handle_time(&mut self, now: u64) -> Vec<Change> {
        if self.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        let healed = self.state.heal(now);
        (self.places, self.next) = (self.state.len(), self.state.next());
        healed
    }

    /// The clock was set back to `now`: what began later begins now, and lasts no longer for it.
    pub fn handle_clock_back(&mut self, now: u64) {
        self.state.set_back(now);
        self.next = self.state.next();
    }

    /// An operator ends what is in force, and what is counted, at these pairs of site and source.
    pub fn handle_end(&mut self, wanted: impl Fn(&str, &str) -> bool) -> Vec<Change> {
        let ended = self.state.end(wanted);
        (self.places, self.next) = (self.state.len(), self.state.next());
        ended
    }

    /// What is in force anywhere, for whom it is shown.
    pub fn all_in_force(&self, now: u64) -> Vec<Change> {
        self.state.in_force().filter(|change| change.until > now).collect()
    }

    /// When [`Self::handle_time`] has something to do.
    pub fn next_change(&self, now: u64) -> Option<u64> {
        self.next.map(|next| next.max(now))
    }

    /// The limits with all that is in force laid over them.
    pub fn limits(&self, now: u64, site: &str, source: &str, mut base: SiteLimits) -> SiteLimits {
        if let Some(place) = self.state.get(site, source) {
            for change in place.in_force.iter().filter(|change| change.until > now) {
                change.overlay.apply(change.until, &mut base);
            }
        }
        base
    }

    /// Nothing is to be sent to the site from the source before; `None` where it may be.
    pub fn suspended_until(&self, now: u64, site: &str, source: &str) -> Option<u64> {
        let place = self.state.get(site, source)?;
        let suspended = place.in_force.iter().filter(|change| change.overlay.suspend && change.until > now);
        suspended.map(|change| change.until).max()
    }

    /// Changes in force, healed ones that nobody was told of among them.
    pub fn count_in_force(&self) -> usize {
        self.state.count_in_force()
    }

    /// What is in force at a site from a source, for whom it is shown.
    pub fn in_force(&self, now: u64, site: &str, source: &str) -> Vec<Change> {
        let place = self.state.get(site, source).into_iter().flat_map(|place| &place.in_force);
        place.filter(|change| change.until > now).map(|change| Change::begun(site, source, change)).collect()
    }
}

/// Counts the match; what the rule brought in force, where it did.
fn apply_rule(place: &mut SiteState, now: u64, rule: &Rule, by: &str, text: &str) -> Option<InForce> {
    let lasts = u64::try_from(rule.lasts.as_millis()).unwrap_or(u64::MAX);
    let old = place.in_force.iter().position(|change| change.rule == rule.name);
    if old.and_then(|at| place.in_force.get(at)).is_some_and(|old| old.until.saturating_sub(now) > lasts / 2) {
        return None;
    }
    if !place.reached(now, rule) {
        return None;
    }
    let begun = InForce {
        rule: rule.name.clone(),
        overlay: rule.overlay.clone(),
        since: now,
        until: now.saturating_add(lasts),
        reason: rule.reason.clone(),
        reply: front(text, REPLY_MOST).to_owned(),
        by: front(by, REPLY_MOST).to_owned(),
    };
    match old.and_then(|at| place.in_force.get_mut(at)) {
        Some(old) => *old = begun.clone(),
        None => place.in_force.push(begun.clone()),
    }
    Some(begun)
}
