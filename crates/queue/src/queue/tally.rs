//! The queue in groups, by site, domain, sender or state: how many letters wait there, since when, until when, and what was
//! said last. And the lanes as operators see them.
//!
//! # How it is used
//! [`Queue::tally`] looks at so many letters and says where to go on; who asks adds the pages up with [`Group::merge`]. So a
//! queue of a million is told piece by piece, and the server keeps no more than one piece.
//!
//! # Limits
//! - Each letter is read from where it lies, outside the lock, some microseconds each: a million take some seconds. What
//!   moves meanwhile is counted where it is seen.
//! - A letter to two sites is counted at both.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::inner::Inner;
use super::suspensions::Suspension;
use super::{Last, Queue};
use crate::letter::{QueueId, Timestamp};
use crate::schedule::Bound;

mod builder;

pub(crate) use builder::Builder;

/// What letters are put together by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Site,
    Domain,
    Sender,
    State,
}

/// Letters that have something in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The site, the domain, the sender (`<>` for reports) or the state.
    pub name: String,
    /// The egress source, where the group is a site; empty for the default one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// `name` is a domain whose site is not known just now: the DNS is asked when a letter is due.
    #[serde(default)]
    pub unplaced: bool,
    pub letters: usize,
    pub recipients: usize,
    /// Letters on the calendar, ready for a connection, being tried, held, suspended.
    pub waiting: usize,
    pub ready: usize,
    pub trying: usize,
    pub held: usize,
    pub suspended: usize,
    /// When the oldest came.
    pub oldest: Option<Timestamp>,
    /// When the first of the waiting is tried.
    pub next: Option<Timestamp>,
    /// The newest words said about any of them.
    pub last: Option<Last>,
    /// What these words mean, where that is known.
    pub meaning: Option<String>,
    /// Of one that is suspended.
    pub suspension: Option<Suspension>,
    /// The one lane that all go to, by site and source.
    pub lane: Option<(String, String)>,
}

/// A piece of the queue in groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// In no order.
    pub groups: Vec<Group>,
    /// Letters looked at.
    pub seen: usize,
    /// There are more after this one.
    pub after: Option<QueueId>,
}

/// What a lane does, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneReport {
    pub site: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Jobs that wait for a connection, and those being tried.
    pub ready: usize,
    pub running: usize,
    /// Connections that are open, that may be now, and that the configuration allows.
    pub open: usize,
    pub allowed: usize,
    pub limit: usize,
    /// Letters in so many milliseconds.
    pub rate: Option<(u32, u64)>,
    /// Attempts begun since the lane is known; it is forgotten some minutes after its last letter.
    pub begun: u64,
    pub bound: Bound,
    /// Which rules changed its limits, and the replies that had them do so.
    pub rule: Option<String>,
    pub suspension: Option<Suspension>,
}

/// The whole at one moment, from memory alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    pub at: Timestamp,
    pub letters: usize,
    /// Letters with a recipient that is ready or being tried.
    pub active: usize,
    /// Connections outward, those of them with a letter in hand, and how many there may be.
    pub connections: usize,
    pub busy: usize,
    pub connections_most: usize,
    /// Jobs that wait for the DNS.
    pub searching: usize,
    /// Since the start.
    pub received: u64,
    pub delivered: u64,
    pub lanes: Vec<LaneReport>,
}

impl Queue {
    /// Groups of the letters after `filter.after` that fit the filter; looks at so many. Reads the disk: blocks.
    pub fn tally(&self, by: By, filter: &Filter, most: usize) -> Tally {
        let mut ids = self.inner.lock().scheduler.ids_after(filter.after);
        // Not under the lock: there may be a million.
        ids.sort_unstable();
        let more = ids.len() > most;
        ids.truncate(most);
        let mut builder = Builder::new(by, Arc::clone(&self.inner.lock().suspensions), Some(&*self.inner.sites));
        ids.iter().for_each(|id| self.inner.tally_one(*id, filter, &mut builder));
        Tally { groups: builder.groups(), seen: ids.len(), after: ids.last().copied().filter(|_| more) }
    }

    /// What the lanes do now: at most so many, the busiest first where there are more.
    pub fn overview(&self, most: usize) -> Overview {
        let now = Timestamp::now();
        let mut lanes = self.lanes();
        if lanes.len() > most {
            lanes.sort_unstable_by_key(|lane| std::cmp::Reverse((lane.running, lane.ready)));
            lanes.truncate(most);
        }
        let (counters, census) = (self.counters(), self.census());
        let (connections_most, searching, suspensions) = {
            let state = self.inner.lock();
            (state.scheduler.most_workers(), state.scheduler.searching(), Arc::clone(&state.suspensions))
        };
        let report = |status: crate::LaneStatus| LaneReport {
            rule: self.inner.sites.why(&status.lane),
            suspension: suspensions.of_lane(&status.lane, now).cloned(),
            site: status.lane.site.0.to_string(),
            source: status.lane.source.0.to_string(),
            ready: status.ready,
            running: status.running,
            open: status.open,
            allowed: status.allowed,
            limit: status.limit,
            rate: status.rate.map(|rate| (rate.letters, u64::try_from(rate.per.as_millis()).unwrap_or(u64::MAX))),
            begun: status.begun,
            bound: status.bound,
        };
        Overview {
            at: now,
            letters: census.waiting + census.active,
            active: census.active,
            connections: census.workers,
            busy: census.busy,
            connections_most,
            searching,
            received: counters.received.get(),
            delivered: counters.delivered.get(),
            lanes: lanes.into_iter().map(report).collect(),
        }
    }
}

impl Inner {
    fn tally_one(&self, id: QueueId, filter: &Filter, builder: &mut Builder<'_>) {
        let Ok(loaded) = self.at_hand_or_load(id) else { return };
        let (ready, running) = self.lock().scheduler.out_of(id);
        if self.matches(filter, &loaded, self.standing(&loaded, &ready, &running).0) {
            builder.add(&loaded.letter, &loaded.course, &ready, &running);
        }
    }
}

impl Group {
    /// Adds what another piece of the queue says of the same group.
    pub fn merge(&mut self, other: Self) {
        let counts = [
            (&mut self.letters, other.letters),
            (&mut self.recipients, other.recipients),
            (&mut self.waiting, other.waiting),
            (&mut self.ready, other.ready),
            (&mut self.trying, other.trying),
            (&mut self.held, other.held),
            (&mut self.suspended, other.suspended),
        ];
        counts.into_iter().for_each(|(own, other)| *own += other);
        self.oldest = earlier(self.oldest, other.oldest);
        self.next = earlier(self.next, other.next);
        let at = |last: &Option<Last>| last.as_ref().map(|last| last.at);
        if at(&other.last) > at(&self.last) {
            (self.last, self.meaning) = (other.last, other.meaning);
        }
        self.suspension = self.suspension.take().or(other.suspension);
        self.lane = self.lane.take().filter(|lane| other.lane.as_ref() == Some(lane));
        self.unplaced &= other.unplaced;
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
