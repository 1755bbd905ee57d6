//! The queue's part of the configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smtp::{Host, Mailbox};

use crate::letter::{Letter, Timestamp};
use crate::record::RecordsConfig;
use crate::retry::{RetryOverride, RetryPolicy};
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
    /// Another schedule for all that goes to one site, by its name: `[queue.retry_site."google.com"]`.
    pub retry_site: BTreeMap<String, RetryOverride>,
    /// Another schedule for one recipient domain: `[queue.retry_domain."example.com"]`. It goes before its site's.
    pub retry_domain: BTreeMap<String, RetryOverride>,
    /// What a sender is told before a letter is given back.
    pub reports: Reports,
    /// Connections outward, over all sites.
    pub workers: usize,
    /// Connections that a site gets before anything is known of it. Success makes them more, up to the site's limit;
    /// trouble makes them fewer.
    pub initial_connections: usize,
    /// Free space on the disk below which no letter is taken; half as much again as the letter itself is added.
    /// Below half of it no records are written either.
    #[serde(with = "units::size")]
    pub min_free: u64,
    /// Memory for the text of fresh letters, so that they need not be read from the disk.
    #[serde(with = "units::size")]
    pub hot_memory: u64,
    /// Filled in by the program: a section of its own.
    #[serde(skip)]
    pub records: RecordsConfig,
}

/// What a sender is told before a letter is given back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reports {
    /// A sender whose letter waits so long is told so, once.
    #[serde(with = "units::positive_duration")]
    pub delay_after: Duration,
    /// Who is told so: `local` (who logged in, programs on this machine), `all` or `none`. With `all`, strangers are told
    /// too, and a forged sender gets reports about letters that it never wrote.
    pub delay_for: DelayFor,
}

/// Who is told that a letter has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DelayFor {
    Local,
    All,
    None,
}

impl Default for Reports {
    fn default() -> Self {
        Self { delay_after: Duration::from_secs(4 * 3600), delay_for: DelayFor::Local }
    }
}

impl Reports {
    /// Whether the sender of this letter is told of a delay, where it asked for nothing else.
    pub fn tells_delay(&self, letter: &Letter) -> bool {
        let origin = &letter.origin;
        // Without a client it was left by a program on this machine.
        let local = || origin.user.is_some() || origin.client.is_none_or(|client| client.to_canonical().is_loopback());
        !letter.from.is_null()
            && match self.delay_for {
                DelayFor::Local => local(),
                DelayFor::All => true,
                DelayFor::None => false,
            }
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            host_name: "localhost".to_owned(),
            retry: RetryPolicy::default(),
            retry_site: BTreeMap::new(),
            retry_domain: BTreeMap::new(),
            reports: Reports::default(),
            workers: 500,
            initial_connections: 5,
            min_free: 64_000_000,
            hot_memory: 64 << 20,
            records: RecordsConfig::default(),
        }
    }
}

impl QueueConfig {
    /// The schedule for this recipient at this site: its domain's over its site's over the general one.
    pub fn retry_for(&self, site: &str, recipient: &Mailbox) -> Cow<'_, RetryPolicy> {
        if self.retry_site.is_empty() && self.retry_domain.is_empty() {
            return Cow::Borrowed(&self.retry);
        }
        let domain = match &recipient.host {
            Host::Domain(domain) => domain.as_ascii(),
            Host::Literal(_) => "",
        };
        let mut policy = Cow::Borrowed(&self.retry);
        for found in [named(&self.retry_site, site), named(&self.retry_domain, domain)].into_iter().flatten() {
            policy = Cow::Owned(found.over(&policy));
        }
        policy
    }

    /// When a recipient is given up. Where its site is not known, the longest time that it may have counts.
    pub(super) fn give_up_at(&self, letter: &Letter, site: Option<&str>, recipient: &Mailbox) -> Timestamp {
        let sure = self.retry_for(site.unwrap_or_default(), recipient).expiry(letter);
        if site.is_some() || self.retry_site.is_empty() {
            return sure;
        }
        let possible = self.retry_site.keys().map(|site| self.retry_for(site, recipient).expiry(letter));
        possible.fold(sure, Timestamp::max)
    }

    /// No attempt is due later than so long after the one before, whatever the schedule: see [`RetryPolicy::longest`].
    pub fn longest_wait(&self) -> Duration {
        let others = self.retry_site.values().chain(self.retry_domain.values());
        others.map(|other| other.over(&self.retry).longest()).fold(self.retry.longest(), Duration::max)
    }
}

/// The tables are small, and asked only where a letter was deferred.
fn named<'a>(table: &'a BTreeMap<String, RetryOverride>, name: &str) -> Option<&'a RetryOverride> {
    table.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, found)| found)
}
