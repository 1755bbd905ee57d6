//! Dates as letters carry them: `Mon, 23 Nov 2026 21:49:26 +0000` (RFC 5322 §3.3).
//!
//! # Limits
//! Always in UTC: the reader's program converts, and a server's zone is nobody's business. A time past the year 9999 is
//! written as the last second of it.

use jiff::Timestamp;
use jiff::tz::Offset;

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Appends the date of so many milliseconds since 1970-01-01 UTC.
pub fn write(ms: u64, out: &mut Vec<u8>) {
    let timestamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let at = Offset::UTC.to_datetime(timestamp.unwrap_or(Timestamp::MAX));
    out.extend_from_slice(nth(&DAYS, at.weekday().to_monday_zero_offset()));
    out.extend_from_slice(b", ");
    two_digits(at.day(), out);
    out.push(b' ');
    out.extend_from_slice(nth(&MONTHS, at.month() - 1));
    out.push(b' ');
    // The year has four digits from 1970 to 9999.
    two_digits((at.year() / 100) as i8, out);
    two_digits((at.year() % 100) as i8, out);
    for (before, number) in [(b' ', at.hour()), (b':', at.minute()), (b':', at.second())] {
        out.push(before);
        two_digits(number, out);
    }
    out.extend_from_slice(b" +0000");
}

/// The same as a text.
pub fn format(ms: u64) -> String {
    let mut out = Vec::with_capacity(32);
    write(ms, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn nth(names: &[&'static [u8]], index: i8) -> &'static [u8] {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
}

fn two_digits(number: i8, out: &mut Vec<u8>) {
    let number = number.unsigned_abs();
    out.extend_from_slice(&[b'0' + number / 10 % 10, b'0' + number % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_rfc5322() {
        assert_eq!(format(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(format(1_795_470_566_999), "Mon, 23 Nov 2026 21:49:26 +0000");
        assert_eq!(format(951_782_399_000), "Mon, 28 Feb 2000 23:59:59 +0000");
        assert_eq!(format(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(format(253_402_207_199_000), "Thu, 30 Dec 9999 21:59:59 +0000");
    }

    #[test]
    fn a_time_out_of_range_is_no_panic() {
        assert_eq!(format(u64::MAX), "Thu, 30 Dec 9999 22:00:00 +0000");
    }
}
