//! The queue's part of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::retry::RetryPolicy;
use crate::units;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Filled in by the program: the data folder.
    #[serde(skip)]
    pub data_dir: PathBuf,
    /// Filled in by the program: our own name, for reports.
    #[serde(skip)]
    pub host_name: String,
    /// When a deferred letter is tried again, and when it is given back.
    pub retry: RetryPolicy,
    /// Connections outward, over all sites.
    pub workers: usize,
    /// Free space on the disk below which no letter is taken; half as much again as the letter itself is added.
    /// Below half of it no records are written either.
    #[serde(with = "units::size")]
    pub min_free: u64,
    /// Memory for the text of fresh letters, so that they need not be read from the disk.
    #[serde(with = "units::size")]
    pub hot_memory: u64,
    /// Size at which the file of records is put away and a new one begun; ten are kept.
    #[serde(with = "units::size")]
    pub records_max: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            host_name: "localhost".to_owned(),
            retry: RetryPolicy::default(),
            workers: 500,
            min_free: 64_000_000,
            hot_memory: 64 << 20,
            records_max: 256 << 20,
        }
    }
}
