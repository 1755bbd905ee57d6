//! What the queue counts of itself: a few relaxed additions a letter, read by whoever shows figures.
//!
//! # Invariants
//! - Counters only grow, and begin at 0 with the process. Readers may see one a moment before another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::record::Event;

/// Since the start of the process.
#[derive(Debug)]
pub struct Counters {
    /// Letters taken, our own reports included.
    pub received: Count,
    /// What attempts came to, by recipient.
    pub delivered: Count,
    pub deferred: Count,
    pub failed: Count,
    pub expired: Count,
    /// Changes of what a site takes, by a rule on its replies; and how many of these are over.
    pub shaping_begun: Count,
    pub shaping_over: Count,
    /// From 250 to the recipient's delivery.
    pub latency: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            received: Count::default(),
            delivered: Count::default(),
            deferred: Count::default(),
            failed: Count::default(),
            expired: Count::default(),
            shaping_begun: Count::default(),
            shaping_over: Count::default(),
            latency: Histogram::new(LATENCY),
        }
    }
}

impl Counters {
    /// What became of one recipient; `age` is the letter's.
    pub(crate) fn settled(&self, event: Event, age: Duration) {
        match event {
            Event::Delivered => {
                self.delivered.add();
                self.latency.observe(age);
            }
            Event::Deferred => self.deferred.add(),
            Event::Failed => self.failed.add(),
            Event::Expired => self.expired.add(),
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// From at once to the last day of the retries.
const LATENCY: [u64; BUCKETS] = [
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    7_200_000_000,
    43_200_000_000,
    432_000_000_000,
];
/// From a fast SSD to a disk in trouble.
pub(crate) const SYNC: [u64; BUCKETS] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

const BUCKETS: usize = 16;

/// Times by how long they were.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds in microseconds, ascending.
    bounds: [u64; BUCKETS],
    counts: [AtomicU64; BUCKETS],
    above: AtomicU64,
    micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(bounds: [u64; BUCKETS]) -> Self {
        Self { bounds, counts: Default::default(), above: AtomicU64::new(0), micros: AtomicU64::new(0) }
    }

    pub fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let at = self.bounds.partition_point(|bound| *bound < micros);
        self.counts.get(at).unwrap_or(&self.above).fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// Upper bound in seconds (the last is infinite) and how many times lie below it and above the bound before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().chain([&self.above]).map(|count| count.load(Relaxed)))
    }

    /// All times together, in seconds.
    pub fn sum(&self) -> f64 {
        self.micros.load(Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_in_the_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::new(SYNC);
        for micros in [0, 50, 51, 30_000_000, 30_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let filled: Vec<(f64, u64)> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.00005, 2), (0.0001, 1), (30.0, 1), (f64::INFINITY, 1)]);
        assert!((histogram.sum() - 60.000_102).abs() < 1e-9);
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [LATENCY, SYNC] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
