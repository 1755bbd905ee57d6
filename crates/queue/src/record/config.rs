//! The records' part of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units;

/// The records of each letter's life: when a file of them is put away, and how long it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsConfig {
    /// Size at which the file is put away and a new one begun.
    #[serde(with = "units::size")]
    pub max_size: u64,
    /// Age of its first line at which it is put away, whatever its size.
    #[serde(with = "units::positive_duration")]
    pub max_age: Duration,
    /// Files that were put away are packed with gzip.
    pub compress: bool,
    /// How many files that were put away are kept.
    pub keep: usize,
    /// How long they are kept.
    #[serde(with = "units::positive_duration")]
    pub keep_for: Duration,
    /// How large all of them together may be; the oldest are deleted first.
    #[serde(with = "units::size")]
    pub keep_size: u64,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self {
            max_size: 256 << 20,
            max_age: Duration::from_secs(24 * 3600),
            compress: true,
            keep: 100,
            keep_for: Duration::from_secs(30 * 24 * 3600),
            keep_size: 2 << 30,
        }
    }
}
