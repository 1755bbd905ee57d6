//! What each lane is doing, and which limit keeps it from doing more: for operators.

use serde::{Deserialize, Serialize};

use super::{NEVER, Scheduler};
use crate::letter::Timestamp;
use crate::queue::{Lane, Rate};

/// One lane: what waits, what runs, what is allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneStatus {
    pub lane: Lane,
    /// Jobs that wait for a worker.
    pub ready: usize,
    /// Jobs that are being tried.
    pub running: usize,
    /// Workers (connections).
    pub open: usize,
    /// Connections that the site seems to bear.
    pub window: usize,
    /// Connections that may be open now.
    pub allowed: usize,
    /// Attempts that were begun since it is known.
    pub begun: u64,
    /// Connections that the router allows.
    pub limit: usize,
    pub rate: Option<Rate>,
    pub bound: Bound,
}

/// Why no more is sent there just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Bound {
    /// Nothing waits, or it is about to go.
    Nothing,
    /// All connections that the router allows are in use.
    Connections,
    /// All connections that the site seems to bear are in use.
    Window,
    Rate,
    /// An operator has suspended the site or the source; `None`: until it is resumed.
    Suspended {
        until: Option<Timestamp>,
    },
    /// A rule has suspended the site.
    Resting {
        until: Timestamp,
    },
    /// The site is dead; one worker looks at it again then.
    Dead {
        until: Timestamp,
    },
    /// The site was dead; one worker looks whether it is back.
    Probing,
    /// All workers there may be have work elsewhere.
    WorkersOfAll,
}

impl Scheduler {
    /// All lanes that have letters, workers or a past, in order. For operators: looks at each lane.
    pub fn lanes(&self, now: Timestamp) -> Vec<LaneStatus> {
        let status = |(lane, queue): (&Lane, &super::LaneQueue)| LaneStatus {
            lane: lane.clone(),
            ready: queue.ready.len() + queue.behind.as_ref().map_or(0, |behind| behind.len()),
            running: queue.busy,
            open: queue.open,
            window: queue.pace.window(),
            limit: queue.pace.limit(),
            allowed: queue.pace.allowed(now),
            begun: queue.begun,
            rate: queue.pace.limits.rate,
            bound: queue.bound(now),
        };
        let mut lanes: Vec<_> = self.lanes.iter().map(status).collect();
        lanes.sort_unstable_by(|a, b| a.lane.cmp(&b.lane));
        lanes
    }
}

impl super::LaneQueue {
    fn bound(&self, now: Timestamp) -> Bound {
        let pace = &self.pace;
        let suspended = pace.suspended_until(now).map(|until| Some(until).filter(|until| *until != NEVER));
        match (pace.rests_until(now), pace.dead_until()) {
            _ if self.ready.is_empty() && self.behind.is_none() => Bound::Nothing,
            _ if let Some(until) = suspended => Bound::Suspended { until },
            (Some(until), _) => Bound::Resting { until },
            (_, Some(until)) if until > now => Bound::Dead { until },
            (_, Some(_)) => Bound::Probing,
            _ if self.starved => Bound::WorkersOfAll,
            _ if pace.letters(now) == 0 => Bound::Rate,
            _ if self.open < pace.allowed(now) => Bound::Nothing,
            _ if pace.window() < pace.limit() => Bound::Window,
            _ => Bound::Connections,
        }
    }
}
