//! The growing interval: when a deferred recipient is tried again, and when we give up.
//!
//! # Invariants
//! - Pure: the same letter and count give the same interval, so that tests and restarts agree.
//!
//! - A first attempt that is to be made at once is made at once; every other wait is moved at random, so that a burst that
//!   was deferred together does not come back together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::letter::{Letter, QueueId, Timestamp};
use crate::units;

#[cfg(test)]
mod tests;

/// RFC 5321 §4.5.4.1: soon at first, then rarer, for four to five days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// What to wait before the first attempt, before the second, and so on.
    #[serde(with = "units::durations")]
    pub intervals: Vec<Duration>,
    /// What to wait before each attempt after those.
    #[serde(with = "units::positive_duration")]
    pub then: Duration,
    /// How far each wait is moved at random, to either side.
    #[serde(with = "units::percent")]
    pub jitter: u8,
    /// A wait that a server names ("try again in 5 minutes") is kept instead, but at least this one.
    #[serde(with = "units::positive_duration")]
    pub named_least: Duration,
    /// And at most this one.
    #[serde(with = "units::positive_duration")]
    pub named_most: Duration,
    /// A letter that was not delivered for so long is given back to its sender.
    #[serde(with = "units::positive_duration")]
    pub give_up: Duration,
    /// The same for letters from `<>`, which nobody waits for.
    #[serde(with = "units::positive_duration")]
    pub give_up_reports: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Self {
            intervals: [0, 2, 5, 10, 20, 40, 60, 120].map(minutes).to_vec(),
            then: minutes(180),
            jitter: 20,
            named_least: minutes(1),
            named_most: minutes(240),
            give_up: minutes(5 * 24 * 60),
            give_up_reports: minutes(24 * 60),
        }
    }
}

impl RetryPolicy {
    /// What to wait before the next attempt, when `attempts` have been made.
    pub fn interval(&self, id: QueueId, attempts: u32) -> Duration {
        match self.intervals.get(attempts as usize) {
            Some(interval) if interval.is_zero() => Duration::ZERO,
            Some(interval) => self.jittered(*interval, id, attempts),
            None => self.jittered(self.then, id, attempts),
        }
    }

    /// When the next attempt is due, seen from `now`.
    pub fn next_attempt(&self, id: QueueId, attempts: u32, now: Timestamp) -> Timestamp {
        now.after(self.interval(id, attempts))
    }

    /// The same, where the server named a wait. A server that names a short one for ever does not keep us from waiting
    /// longer: once the intervals are used up, it can only ask for more.
    pub fn next_attempt_after(&self, named: Option<Duration>, id: QueueId, attempts: u32, now: Timestamp) -> Timestamp {
        let usual = self.interval(id, attempts);
        let Some(named) = named else { return now.after(usual) };
        let named = named.min(self.named_most).max(self.named_least);
        now.after(if (attempts as usize) < self.intervals.len() { named } else { named.max(usual) })
    }

    /// No attempt is due later than so long after the one before: what seems to be was planned while the clock was wrong.
    pub fn longest(&self) -> Duration {
        let longest = self.intervals.iter().copied().fold(self.then.max(self.named_most), Duration::max);
        longest.saturating_mul(2).max(Duration::from_secs(3600))
    }

    /// When we give up on this letter: so long after it was released, or when it must have been delivered.
    pub fn expiry(&self, letter: &Letter) -> Timestamp {
        let ours = letter.release().after(if letter.from.is_null() { self.give_up_reports } else { self.give_up });
        letter.deadline().map_or(ours, |deadline| deadline.min(ours))
    }

    fn jittered(&self, wait: Duration, id: QueueId, attempts: u32) -> Duration {
        let span = 2 * u64::from(self.jitter.min(100));
        // In thousandths of a percent, so that letters of one burst do not fall into a few classes.
        let share = mix(id.0 ^ (u64::from(attempts) << 48)) % (span * 1000 + 1);
        let factor = 100_000 - u64::from(self.jitter.min(100)) * 1000 + share;
        let millis = u128::from(factor) * wait.as_millis() / 100_000;
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(1))
    }
}

/// Another schedule for one site or one domain. What is left out is as in `[queue.retry]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryOverride {
    /// What to wait before the first attempt, before the second, and so on. The first counts where a letter comes in: it is
    /// that of `[queue.retry]`.
    #[serde(with = "units::optional_durations", skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Vec<Duration>>,
    /// What to wait before each attempt after those.
    #[serde(with = "units::optional_positive_duration", skip_serializing_if = "Option::is_none")]
    pub then: Option<Duration>,
    /// How far each wait is moved at random, to either side.
    #[serde(with = "units::optional_percent", skip_serializing_if = "Option::is_none")]
    pub jitter: Option<u8>,
    /// How long a letter is tried before its sender gets it back.
    #[serde(with = "units::optional_positive_duration", skip_serializing_if = "Option::is_none")]
    pub give_up: Option<Duration>,
    /// The same for letters from `<>`.
    #[serde(with = "units::optional_positive_duration", skip_serializing_if = "Option::is_none")]
    pub give_up_reports: Option<Duration>,
}

impl RetryOverride {
    /// The whole schedule: this, and the rest as in `base`.
    pub fn over(&self, base: &RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            intervals: self.intervals.as_ref().unwrap_or(&base.intervals).clone(),
            then: self.then.unwrap_or(base.then),
            jitter: self.jitter.unwrap_or(base.jitter),
            give_up: self.give_up.unwrap_or(base.give_up),
            give_up_reports: self.give_up_reports.unwrap_or(base.give_up_reports),
            ..*base
        }
    }
}

impl RetryOverride {
    /// Whether it names a time after which a letter is given up.
    pub(crate) fn gives_up(&self) -> bool {
        self.give_up.is_some() || self.give_up_reports.is_some()
    }
}

/// SplitMix64's finisher: spreads identifiers that differ in few bits.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
