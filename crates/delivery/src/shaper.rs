//! What each site takes now: the configuration's limits, those of `[shaping]`, and what replies have changed of them.
//!
//! # How it is used
//! The scheduler asks [`State::lane_limits`] for each lane, a connection [`State::site_limits`] for itself; who chooses a
//! source asks [`State::rests_until`]. An attempt has an [`Ear`], which looks at each refusal; what it was told afterwards
//! goes to [`tell`]. `tend` heals, and keeps the state in a file.
//!
//! # Invariants
//! - While nothing is in force, nobody takes a lock; a refusal that matches no rule takes none either.
//! - The lock is never held while the queue is told: the queue asks for limits under its own.
//! - What is in force outlives a reload, and a restart where there is a file.
//!
//! # Limits
//! See [`deliverability::automation`]. Matches that are counted but have not yet led to a change are kept over a restart
//! only if the program was stopped in order.

mod ear;
mod file;
mod tend;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deliverability::automation::State as Remembered;
use deliverability::{Automation, Change, Shaping, SiteLimits};
use queue::{Lane, Limits, Queue, Rate, Site, Source, Suspended, Suspension, Timestamp};
use smtp::Reply;
use tokio::sync::Notify;

use crate::Delivery;
use crate::connect::State;
use crate::route::is_named;

pub(crate) use ear::{Ear, Told, tell};
pub(crate) use tend::run;

/// The automation, shared by all who ask and all who are told. One for the life of the process.
#[derive(Debug, Default)]
pub(crate) struct Shaper {
    automation: Mutex<Automation>,
    /// Changes in force.
    in_force: AtomicUsize,
    /// Another one for each change, so that who keeps limits knows that they are old.
    version: AtomicU64,
    changed: Notify,
    file: Option<PathBuf>,
}

impl Shaper {
    /// Goes on where the last life of the process stopped. Blocks.
    pub(crate) fn open(file: Option<PathBuf>, now: Timestamp) -> Self {
        let remembered = file.as_deref().map(file::read).unwrap_or_default();
        let mut automation = Automation::resume(remembered);
        automation.handle_clock_back(now.0);
        let in_force = AtomicUsize::new(automation.count_in_force());
        Self { automation: Mutex::new(automation), in_force, file, ..Self::default() }
    }

    fn is_calm(&self) -> bool {
        self.in_force.load(Ordering::Acquire) == 0
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The limits with all that is in force laid over them.
    pub(crate) fn limits(&self, now: Timestamp, lane: &Lane, base: SiteLimits) -> SiteLimits {
        if self.is_calm() { base } else { self.lock().limits(now.0, &lane.site.0, &lane.source.0, base) }
    }

    pub(crate) fn rests_until(&self, now: Timestamp, site: &Site, source: &Source) -> Option<Timestamp> {
        if self.is_calm() {
            return None;
        }
        self.lock().suspended_until(now.0, &site.0, &source.0).map(Timestamp)
    }

    /// What is in force, for whom it is shown.
    pub(crate) fn in_force(&self, now: Timestamp, lane: &Lane) -> Vec<Change> {
        if self.is_calm() { Vec::new() } else { self.lock().in_force(now.0, &lane.site.0, &lane.source.0) }
    }

    /// A server of the lane's site refused something.
    fn heard(&self, shaping: &Shaping, now: Timestamp, lane: &Lane, by: &str, reply: &Reply) -> Vec<Change> {
        let matches = shaping.examine(&lane.site.0, reply);
        if matches.is_empty() {
            return Vec::new();
        }
        let mut automation = self.lock();
        let changes = automation.handle_matches(now.0, &lane.site.0, &lane.source.0, by, &matches);
        self.note(&automation, &changes);
        changes
    }

    /// What has healed by now.
    fn heal(&self, now: Timestamp) -> Vec<Change> {
        let mut automation = self.lock();
        let changes = automation.handle_time(now.0);
        self.note(&automation, &changes);
        changes
    }

    /// An operator ends what is in force there.
    fn end(&self, wanted: impl Fn(&str, &str) -> bool) -> Vec<Change> {
        let mut automation = self.lock();
        let changes = automation.handle_end(wanted);
        self.note(&automation, &changes);
        changes
    }

    fn set_clock_back(&self, now: Timestamp) {
        self.lock().handle_clock_back(now.0);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_calm() { None } else { self.lock().next_change(now.0).map(Timestamp) }
    }

    fn remembered(&self) -> Remembered {
        self.lock().state().clone()
    }

    fn note(&self, automation: &Automation, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        self.in_force.store(automation.count_in_force(), Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Automation> {
        self.automation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    /// Sites that a rule has suspended, as an operator's suspensions are shown.
    pub fn suspended_by_rules(&self) -> Vec<Suspension> {
        let (state, now) = (self.state(), Timestamp::now());
        if state.shaper.is_calm() {
            return Vec::new();
        }
        let changes = state.shaper.lock().all_in_force(now.0);
        changes.into_iter().filter(|change| change.limits.suspend).map(suspension).collect()
    }

    /// An operator ends what rules have changed at a site, or from a source; `None`: everywhere. Gives what was in force, once
    /// for each site.
    pub fn end_rules(&self, queue: &Queue, of: Option<&Suspended>) -> Vec<Suspension> {
        let wanted = |site: &str, source: &str| match of {
            None => true,
            Some(Suspended::Site(name)) => name.eq_ignore_ascii_case(site),
            Some(Suspended::Source(name)) => name == source || (name == "default" && source.is_empty()),
            Some(Suspended::Domain(_) | Suspended::Sender(_)) => false,
        };
        let changes = self.state().shaper.end(wanted);
        let told: Vec<Told> = changes.into_iter().map(|change| Told { change, reply: None }).collect();
        tell(queue, &told);
        let mut ended: Vec<Suspension> = told.into_iter().map(|told| suspension(told.change)).collect();
        ended.dedup_by(|one, other| one.of == other.of);
        ended
    }
}

/// A change in the form of an operator's word.
fn suspension(change: Change) -> Suspension {
    let reason = format!("rule {}: {}; {} said: {}", change.rule, change.limits, change.by, change.reply);
    let (since, until) = (Timestamp(change.since), Some(Timestamp(change.until)));
    Suspension { of: Suspended::Site(change.site), reason, since, until }
}

impl State {
    /// What may be done at this site from this source, now.
    pub(crate) fn site_limits(&self, lane: &Lane, now: Timestamp) -> SiteLimits {
        let few = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let base = SiteLimits {
            connections: few(self.router.limit(&lane.site)),
            letters_per_connection: self.config.letters_per_connection,
            recipients_per_transaction: few(self.config.recipients_per_transaction),
            rate: None,
            suspended_until: None,
        };
        let (site, source) = (&*lane.site.0, &*lane.source.0);
        let limits = if is_named(&lane.site) {
            self.shaping.limits_of_named(base, site, source)
        } else {
            self.shaping.limits(base, site, source)
        };
        self.shaper.limits(now, lane, limits)
    }

    /// The same in the scheduler's words.
    pub(crate) fn lane_limits(&self, lane: &Lane, now: Timestamp) -> Limits {
        let limits = self.site_limits(lane, now);
        Limits {
            connections: limits.connections as usize,
            rate: limits.rate.map(|rate| Rate { letters: rate.count(), per: rate.window() }),
            rests_until: limits.suspended_until.map(Timestamp),
        }
    }

    /// A site that has refused this source takes nothing from it before; `None` where it may be used.
    pub(crate) fn rests_until(&self, site: &Site, source: &Source, now: Timestamp) -> Option<Timestamp> {
        self.shaper.rests_until(now, site, source)
    }

    /// Whether domains that share their servers may have different rules.
    pub(crate) fn has_domain_rules(&self) -> bool {
        !self.config.tls.domain.is_empty() || self.shaping.has_domains()
    }
}
