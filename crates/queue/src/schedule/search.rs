//! Jobs whose site only the DNS knows: they wait here, by domain, until somebody has found it out.

use std::sync::Arc;
use std::time::Duration;

use super::{Dispatch, Job, Scheduler};
use crate::letter::Timestamp;
use crate::queue::{Lane, Site, Source, Via};

/// When a search that was given up without an answer is asked for again.
const SEARCH_AGAIN: Duration = Duration::from_secs(10);
/// What a domain may always have in memory.
const FEW: usize = 4;

impl Scheduler {
    pub(super) fn seek(&mut self, domain: Arc<str>, source: Source, job: Job) {
        let jobs = self.searching.entry(Arc::clone(&domain)).or_default();
        if jobs.is_empty() {
            self.outbox.push_back(Dispatch::Search { domain });
        }
        jobs.push((source, job));
    }

    /// Whether one more letter may wait for this domain: of many letters in memory, a few of each.
    pub(super) fn may_seek(&self, domain: &str) -> bool {
        self.has_room() || self.searching.get(domain).is_none_or(|jobs| jobs.len() < FEW)
    }

    /// The site of this domain is known: what waits for it becomes ready, each from its own source.
    pub fn handle_found(&mut self, domain: &str, site: &Site, via: &Via) {
        for (source, job) in self.searching.remove(domain).unwrap_or_default() {
            // Dropped or expired meanwhile: nobody wants it any more.
            if self.out.get(&job.id).is_some_and(|out| out.wants(&job)) {
                let lane = Lane { site: site.clone(), source };
                if self.has_room_in(&lane, job.flow) {
                    self.push_ready(lane, Job { via: via.clone(), ..job });
                } else {
                    self.put_back_behind(&lane, &job);
                }
            }
        }
    }

    /// A search was given up. It is asked for again after a while, if anybody still waits for it.
    pub fn handle_unsearched(&mut self, domain: &str) {
        if let Some((domain, _)) = self.searching.get_key_value(domain) {
            self.search_again.insert((self.now.after(SEARCH_AGAIN), Arc::clone(domain)));
        }
    }

    pub(super) fn search_again(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.search_again.first()
            && *at <= now
        {
            let Some((_, domain)) = self.search_again.pop_first() else { return };
            if self.searching.contains_key(&domain) {
                self.outbox.push_back(Dispatch::Search { domain });
            }
        }
    }

    /// Jobs that wait until the site of their domain is found. Those of letters that were dropped meanwhile are counted.
    pub fn searching(&self) -> usize {
        self.searching.values().map(Vec::len).sum()
    }
}
