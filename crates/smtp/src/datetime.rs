//! Points of time as FUTURERELEASE writes them: `date-time` of RFC 3339 §5.6, to the second.

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// Seconds since 1970-01-01 UTC. `None`: no such time, or one before 1970. Fractions of a second are dropped; a leap second
/// is the one after it.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let clock = rest.strip_prefix(['T', 't'])?;
    let (year, month, day) = triple(date, b'-', 4)?;
    let (hour, minute, second) = triple(clock.get(..8)?, b':', 2)?;
    if second > 60 {
        return None;
    }
    let offset = offset(fraction(clock.get(8..)?)?)?;
    let minutes = DateTime::new(year, short(month)?, short(day)?, short(hour)?, short(minute)?, 0, 0).ok()?;
    let local = minutes.duration_since(EPOCH).as_secs() + i64::from(second);
    u64::try_from(local - offset).ok()
}

/// The same, in UTC. Years beyond 9999 have no form there: the last second before them stands for all.
pub(crate) fn write(seconds: u64) -> String {
    let since = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let last = date(9999, 12, 31).at(23, 59, 59, 0);
    format!("{}Z", EPOCH.checked_add(since).unwrap_or(last))
}

/// Three numbers of two digits, the first of `first` digits, with `mark` between.
fn triple(text: &str, mark: u8, first: usize) -> Option<(i16, i16, i16)> {
    let marked = |at: usize| text.as_bytes().get(at) == Some(&mark);
    if !marked(first) || !marked(first + 3) {
        return None;
    }
    Some((digits(text.get(..first)?)?, digits(text.get(first + 1..first + 3)?)?, digits(text.get(first + 4..)?)?))
}

fn digits(text: &str) -> Option<i16> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn short(number: i16) -> Option<i8> {
    i8::try_from(number).ok()
}

/// What is behind a fraction of a second, if there is one.
fn fraction(text: &str) -> Option<&str> {
    let Some(rest) = text.strip_prefix('.') else { return Some(text) };
    let end = rest.bytes().position(|b| !b.is_ascii_digit())?;
    if end == 0 { None } else { rest.get(end..) }
}

/// `Z` or `+hh:mm`, in seconds east of Greenwich.
fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, minute) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hour)?, digits(minute)?);
    let fits = hour.len() == 2 && minute.len() == 2 && hours <= 23 && minutes <= 59;
    fits.then_some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_read_as_it_was_written(seconds in 0u64..253_402_300_800) {
            prop_assert_eq!(parse(&write(seconds)), Some(seconds));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}", like in "[0-9T:.Zz+-]{0,30}") {
            let _ = (parse(&text), parse(&like));
        }
    }

    #[test]
    fn known_times_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2027-01-15T08:00:00Z", 1_800_000_000),
            ("2027-01-15t08:00:00.999z", 1_800_000_000),
            ("2027-01-15T10:30:00+02:30", 1_800_000_000),
            ("2024-02-29T23:59:60Z", 1_709_251_200),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        assert_eq!(write(1_800_000_000), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2027-01-15",
            "2027-01-15T08:00:00",
            "2027-01-15 08:00:00Z",
            "2027-02-29T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-01-32T00:00:00Z",
            "2027-01-15T24:00:00Z",
            "2027-01-15T08:60:00Z",
            "2027-01-15T08:00:61Z",
            "2027-01-15T08:00:00.Z",
            "2027-01-15T08:00:00+0200",
            "2027-01-15T08:00:00+24:00",
            "1969-12-31T23:59:59Z",
            "2027-01-15T08:00:00Zx",
            "+027-01-15T08:00:00Z",
            "2027-01-15T08:00:00ü",
            "2027-01-1üT08:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
