//! Points of time as FUTURERELEASE writes them: `date-time` of RFC 3339 §5.6, to the second.

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
const DAY: i64 = 86_400;

/// Seconds since 1970-01-01 UTC. `None`: no such time, or one before 1970. Fractions of a second are dropped; a leap second
/// is the one after it.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let clock = rest.strip_prefix(['T', 't'])?;
    let (year, month, day) = triple(date, b'-', 4)?;
    let (hour, minute, second) = triple(clock.get(..8)?, b':', 2)?;
    let last = days_in(year, month)?;
    if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = offset(fraction(clock.get(8..)?)?)?;
    let local = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    u64::try_from(local - offset).ok()
}

/// The same, in UTC. Years beyond 9999 have no form there: the last second before them stands for all.
pub(crate) fn write(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX).min(253_402_300_799);
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Three numbers of two digits, the first of `first` digits, with `mark` between.
fn triple(text: &str, mark: u8, first: usize) -> Option<(i64, i64, i64)> {
    let marked = |at: usize| text.as_bytes().get(at) == Some(&mark);
    if !marked(first) || !marked(first + 3) {
        return None;
    }
    Some((digits(text.get(..first)?)?, digits(text.get(first + 1..first + 3)?)?, digits(text.get(first + 4..)?)?))
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
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
    fits.then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of them.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - EPOCH
}

/// The reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = (from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
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
