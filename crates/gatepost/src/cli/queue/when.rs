//! Times as people write them, and as they are shown: in the zone of this machine.

use jiff::civil::{DateTime, Time};
use jiff::{Timestamp as Instant, ToSpan, ZonedDateTime};
use queue::Timestamp;

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time; write 14:05, 2026-11-24T14:05, or with a zone 2026-11-24T14:05Z")]
pub struct NoTime(String);

/// A time of day is its next one.
pub fn parse(text: &str) -> Result<Timestamp, NoTime> {
    at(text, &ZonedDateTime::now()).ok_or_else(|| NoTime(text.to_owned()))
}

fn at(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Instant>() {
        return stamp(instant);
    }
    let zone = now.time_zone();
    if let Ok(time) = text.parse::<Time>()
        && !text.contains(['T', ' ', 't'])
    {
        let today = now.date().to_datetime(time).to_zoned_datetime(zone.clone()).ok()?;
        let next = if today > *now { today } else { today.checked_add(1.day()).ok()? };
        return stamp(next.timestamp());
    }
    stamp(text.parse::<DateTime>().ok()?.to_zoned_datetime(zone.clone()).ok()?.timestamp())
}

fn stamp(instant: Instant) -> Option<Timestamp> {
    u64::try_from(instant.as_millisecond()).ok().map(Timestamp)
}

/// `14:05`, or on another day `2026-11-24 14:05`.
pub fn shown(at: Timestamp) -> String {
    in_zone(at, &ZonedDateTime::now())
}

fn in_zone(at: Timestamp, now: &ZonedDateTime) -> String {
    let instant = i64::try_from(at.0).ok().and_then(|millis| Instant::from_millisecond(millis).ok());
    let Some(instant) = instant else { return "never".to_owned() };
    let at = instant.to_zoned_datetime(now.time_zone().clone());
    let form = if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_meant_and_shown_as_it_was_written() {
        let now: ZonedDateTime = "2026-11-24T13:00[UTC]".parse().unwrap();
        let read = |text: &str| at(text, &now).map(|at| in_zone(at, &now));
        for (text, meant) in [
            ("14:05", "14:05"),
            ("12:00", "2026-11-25 12:00"),
            ("13:00", "2026-11-25 13:00"),
            ("2026-11-24T14:05", "14:05"),
            ("2026-11-24 14:05:30", "14:05"),
            ("2026-11-24T14:05+02:00", "12:05"),
            ("2026-12-01T00:00:00Z", "2026-12-01 00:00"),
            ("2026-12-01", "2026-12-01 00:00"),
        ] {
            assert_eq!(read(text).as_deref(), Some(meant), "{text}");
        }
        for wrong in ["", "soon", "25:00", "1960-01-01T00:00Z", "14:05 tomorrow"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(parse("soon").is_err());
        assert_eq!(in_zone(Timestamp(u64::MAX), &now), "never");
    }
}
