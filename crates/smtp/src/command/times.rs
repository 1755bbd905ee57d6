//! The parameters of MAIL that say when and how soon: BY=, HOLDFOR=, HOLDUNTIL=, MT-PRIORITY=.

use super::refusal;
use crate::datetime;
use crate::envelope::{ByMode, DeliverBy, Hold};
use crate::extension::FutureRelease;
use crate::reply::Reply;

/// RFC 2852 §4: `by-value = by-time ";" by-mode [by-trace]`, `by-time = ["-" / "+"] 1*9digit`.
pub(super) fn by(value: &str) -> Option<DeliverBy> {
    let (time, how) = value.split_once(';')?;
    let digits = time.strip_prefix(['-', '+']).unwrap_or(time);
    let seconds: i64 = number(digits)?.try_into().ok()?;
    let (mode, trace) = match how.as_bytes() {
        [mode] => (mode, false),
        [mode, b'T' | b't'] => (mode, true),
        _ => return None,
    };
    let mode = match mode.to_ascii_uppercase() {
        b'R' => ByMode::Return,
        b'N' => ByMode::Notify,
        _ => return None,
    };
    let seconds = if time.starts_with('-') { -seconds } else { seconds };
    // What was due before it came can be told of, and not delivered in time.
    (mode == ByMode::Notify || seconds > 0).then_some(DeliverBy { seconds, mode, trace })
}

/// RFC 2852 §2: the least time binds letters that go back at its end.
pub(super) fn by_within(by: DeliverBy, least: u32) -> Result<(), Reply> {
    if by.mode == ByMode::Return && by.seconds < i64::from(least) { Err(refusal::by_too_soon(least)) } else { Ok(()) }
}

/// RFC 4865 §4: `future-release-interval`, one to nine digits, the first no zero.
pub(super) fn hold_for(value: &str) -> Option<Hold> {
    number(value).filter(|_| !value.starts_with('0')).map(Hold::For)
}

/// RFC 4865 §4 with its erratum 2040: a `date-time` of RFC 3339 §5.6.
pub(super) fn hold_until(value: &str) -> Option<Hold> {
    datetime::parse(value).map(Hold::Until)
}

/// RFC 4865 §4: no longer than was offered.
pub(super) fn hold_within(hold: Hold, offered: FutureRelease) -> Result<(), Reply> {
    let far = match hold {
        Hold::For(seconds) => seconds > offered.longest,
        Hold::Until(time) => time > offered.latest,
    };
    if far { Err(refusal::hold_too_far(offered.longest)) } else { Ok(()) }
}

/// RFC 6710 §5.1: `priority-value = (["-"] NZDIGIT) / "0"`.
pub(super) fn priority(value: &str) -> Option<i8> {
    let digit = |octet: u8| i8::try_from(octet - b'0').ok();
    match *value.as_bytes() {
        [octet @ b'0'..=b'9'] => digit(octet),
        [b'-', octet @ b'1'..=b'9'] => digit(octet).map(|digit| -digit),
        _ => None,
    }
}

fn number(digits: &str) -> Option<u64> {
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
