//! The growing interval: when a deferred recipient is tried again, and when we give up.
//!
//! # Invariants
//! - Pure: the same letter and count give the same interval, so that tests and restarts agree.
//!
//! # Limits
//! - The jitter spreads only the long tail (`then`). Earlier steps are spread by the attempts themselves.

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
    /// How far `then` is moved at random, to either side.
    #[serde(with = "units::percent")]
    pub jitter: u8,
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
            give_up: minutes(5 * 24 * 60),
            give_up_reports: minutes(2 * 24 * 60),
        }
    }
}

impl RetryPolicy {
    /// What to wait before the next attempt, when `attempts` have been made.
    pub fn interval(&self, id: QueueId, attempts: u32) -> Duration {
        match self.intervals.get(attempts as usize) {
            Some(interval) => *interval,
            None => self.jittered(id, attempts),
        }
    }

    /// When the next attempt is due, seen from `now`.
    pub fn next_attempt(&self, id: QueueId, attempts: u32, now: Timestamp) -> Timestamp {
        now.after(self.interval(id, attempts))
    }

    /// No attempt is due later than so long after the one before: what seems to be was planned while the clock was wrong.
    pub fn longest(&self) -> Duration {
        self.intervals.iter().copied().fold(self.then.saturating_mul(2), Duration::max).max(Duration::from_secs(3600))
    }

    /// When we give up on this letter.
    pub fn expiry(&self, letter: &Letter) -> Timestamp {
        letter.arrived.after(if letter.from.is_null() { self.give_up_reports } else { self.give_up })
    }

    fn jittered(&self, id: QueueId, attempts: u32) -> Duration {
        let span = 2 * u64::from(self.jitter.min(100));
        // In thousandths of a percent, so that letters of one burst do not fall into a few classes.
        let share = mix(id.0 ^ (u64::from(attempts) << 48)) % (span * 1000 + 1);
        let factor = 100_000 - u64::from(self.jitter.min(100)) * 1000 + share;
        let millis = u128::from(factor) * self.then.as_millis() / 100_000;
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(1))
    }
}

/// SplitMix64's finisher: spreads identifiers that differ in few bits.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
