//! Why no more is sent to a site just now, in plain words.

use queue::{Bound, Group, LaneReport, Timestamp};

use super::{next, suspend, when};

/// The reason of a group: what an operator said, the limit that binds, or the time.
pub fn of_group(group: &Group, lane: Option<&LaneReport>, connections_most: usize, now: Timestamp) -> String {
    if let Some(suspension) = group.suspension.as_ref().filter(|_| group.suspended > 0) {
        return suspend::words(suspension);
    }
    let bound = lane.filter(|_| group.ready > 0).and_then(|lane| of_lane(lane, connections_most, now));
    match group {
        _ if let Some(bound) = bound => bound,
        Group { ready: 1.., unplaced: true, .. } => "waits for the DNS to say where it goes".to_owned(),
        Group { ready: 1.., lane: None, .. } => {
            "ready, at more than one site: `gatepost queue` says what keeps each".to_owned()
        }
        Group { trying: 1.., .. } => "being tried now".to_owned(),
        Group { ready: 1.., .. } => "about to go".to_owned(),
        Group { waiting: 1.., .. } => format!("next try {}", next(now, group.next)),
        Group { held: 1.., next: Some(end), .. } => {
            format!("held by an operator, the first until {}", when::shown(*end))
        }
        _ => "held by an operator".to_owned(),
    }
}

/// Which limit of a lane binds; `None`: nothing waits there, or it is about to go.
pub fn of_lane(lane: &LaneReport, connections_most: usize, now: Timestamp) -> Option<String> {
    let connections = |count: usize| match count {
        1 => "the only connection".to_owned(),
        count => format!("all {count} connections"),
    };
    let words = match lane.bound {
        Bound::Nothing => return None,
        Bound::Connections => format!("{} in use", connections(lane.limit)),
        Bound::Window => format!("{} in use that they seem to bear", connections(lane.allowed)),
        Bound::Rate => rate(lane).unwrap_or_else(|| "its rate".to_owned()),
        Bound::Resting { until } => format!("rests until {}", when::shown(until)),
        Bound::Dead { until } => format!("no answer from there; looks again {}", next(now, Some(until))),
        Bound::Probing => "no answer from there; one connection looks whether it is back".to_owned(),
        Bound::WorkersOfAll => format!("{} outward in use elsewhere", connections(connections_most)),
        Bound::Suspended { until } => match (&lane.suspension, until) {
            (Some(suspension), _) => return Some(suspend::words(suspension)),
            (None, Some(until)) => format!("suspended until {}", when::shown(until)),
            (None, None) => "suspended".to_owned(),
        },
    };
    // Rules change what is allowed; a dead site, or too few connections in all, have other causes.
    let by_rule = matches!(lane.bound, Bound::Connections | Bound::Window | Bound::Rate | Bound::Resting { .. });
    Some(match &lane.rule {
        Some(rule) if by_rule => format!("{words}: {rule}"),
        _ => words,
    })
}

/// `rate 60/min`.
pub fn rate(lane: &LaneReport) -> Option<String> {
    let (letters, per) = lane.rate?;
    let per = match per {
        1_000 => "s".to_owned(),
        60_000 => "min".to_owned(),
        3_600_000 => "h".to_owned(),
        86_400_000 => "day".to_owned(),
        other => format!("{:.1}s", other as f64 / 1_000.0),
    };
    Some(format!("rate {letters}/{per}"))
}

#[cfg(test)]
mod tests;
