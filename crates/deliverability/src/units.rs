//! Durations, sizes and shares as a configuration writes them: `"90s"`, `"2h"`, `"25MB"`, `"20%"`.
//!
//! Used by the `Config` of every room: `#[serde(with = "queue::units::duration")] pub timeout: Duration` (the queue passes
//! these on).
//!
//! | module | type | examples |
//! |---|---|---|
//! | [`duration`] | [`Duration`] | `"250ms"`, `"0s"`, `"5m"`, `"1h30m"`, `"5d"` |
//! | [`positive_duration`] | [`Duration`] | the same, but not zero |
//! | [`durations`] | `Vec<Duration>` | `["0s", "2m"]` |
//! | [`optional_duration`], [`optional_positive_duration`] | `Option<Duration>` | as above; leave the key out for none |
//! | [`optional_durations`] | `Option<Vec<Duration>>` | as above |
//! | [`size`] | `u64`, octets | `"0"`, `"512B"`, `"64KiB"`, `"25MB"`, `"1GB"` |
//! | [`optional_size`] | `Option<u64>` | as above |
//! | [`percent`], [`optional_percent`] | `u8`, `Option<u8>` | `"20%"` |
//!
//! # Invariants
//! - A number without a unit is an error (zero aside): nobody has to remember which unit was meant.
//! - What is written here is read back as the same value.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// Why a text is no duration, size or share. The words are meant for the person who wrote the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("`{0}` has no unit; write for example \"{0}s\", \"{0}m\", \"{0}h\" or \"{0}d\"")]
    NoTimeUnit(String),
    #[error("`{0}` has no unit; write for example \"{0}KB\", \"{0}MB\" or \"{0}GB\"")]
    NoSizeUnit(String),
    #[error("`{0}` is not a unit of time; there are ms, s, m (minutes), h, d and w")]
    BadTimeUnit(String),
    #[error("`{0}` is not a unit of size; there are B, KB, MB, GB, TB (1000) and KiB, MiB, GiB, TiB (1024)")]
    BadSizeUnit(String),
    #[error("`{0}` does not begin with a number")]
    NoNumber(String),
    #[error("`{0}` is too large")]
    TooLarge(String),
    #[error("`{0}` is not a share; write for example \"20%\" (0 to 100)")]
    BadPercent(String),
    #[error("it must be longer than 0s")]
    Zero,
}

const TIME_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads `"5d"`, `"1h30m"`, `"250ms"`; `"0"` needs no unit.
///
/// # Errors
/// The operator's fault, in words for them.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let too_large = || UnitError::TooLarge(text.to_owned());
    let mut rest = text;
    let mut total: u64 = 0;
    loop {
        let (number, unit, after) = number_and_unit(rest, text)?;
        if unit.is_empty() {
            return Err(UnitError::NoTimeUnit(rest.to_owned()));
        }
        let scale = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
        let scale = scale.ok_or_else(|| UnitError::BadTimeUnit(unit.to_owned()))?;
        let part = number.checked_mul(scale).ok_or_else(too_large)?;
        total = total.checked_add(part).ok_or_else(too_large)?;
        rest = after;
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

/// Reads `"25MB"`, `"64KiB"`, `"512B"`; `"0"` needs no unit. `K`, `M`, `G` alone and lower case are read as well.
///
/// # Errors
/// The operator's fault, in words for them.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    if text == "0" {
        return Ok(0);
    }
    let (number, unit, rest) = number_and_unit(text, text)?;
    if unit.is_empty() {
        return Err(UnitError::NoSizeUnit(text.to_owned()));
    }
    let bad = || UnitError::BadSizeUnit(format!("{unit}{rest}"));
    if !rest.is_empty() {
        return Err(bad());
    }
    let same = |name: &str| {
        name.eq_ignore_ascii_case(unit) || (unit.len() == 1 && name.len() == 2 && name[..1].eq_ignore_ascii_case(unit))
    };
    let scale = SIZE_UNITS.iter().find(|(name, _)| same(name)).map(|(_, scale)| *scale).ok_or_else(bad)?;
    number.checked_mul(scale).ok_or_else(|| UnitError::TooLarge(text.to_owned()))
}

/// Reads `"20%"`.
///
/// # Errors
/// The operator's fault, in words for them.
pub fn parse_percent(text: &str) -> Result<u8, UnitError> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<u8>().ok());
    number.filter(|share| *share <= 100).ok_or_else(|| UnitError::BadPercent(text.to_owned()))
}

/// A number, the letters after it, and what follows.
fn number_and_unit<'a>(text: &'a str, whole: &str) -> Result<(u64, &'a str, &'a str), UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, after) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NoNumber(whole.to_owned()));
    }
    let number = number.parse().map_err(|_| UnitError::TooLarge(whole.to_owned()))?;
    let after = after.trim_start();
    let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
    let (unit, rest) = after.split_at(end);
    Ok((number, unit, rest.trim_start()))
}

/// As [`parse_duration`] reads it: the largest units first.
pub fn write_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    // Weeks are read but not written: "5d" and "14d" are what mail people say.
    for (unit, scale) in TIME_UNITS.into_iter().skip(1) {
        if rest >= scale {
            text.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// As [`parse_size`] reads it: the largest unit that divides it.
pub fn write_size(size: u64) -> String {
    let unit =
        SIZE_UNITS.into_iter().filter(|(_, scale)| size >= *scale && size.is_multiple_of(*scale)).max_by_key(|u| u.1);
    unit.map_or_else(|| "0".to_owned(), |(name, scale)| format!("{}{name}", size / scale))
}

macro_rules! with_module {
    ($(#[$doc:meta])* $name:ident, $ty:ty, $expecting:literal, $read:expr, $write:expr) => {
        $(#[$doc])*
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;

            /// # Errors
            /// Where the text is no such value.
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(input: D) -> Result<$ty, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $ty;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$ty, E> {
                        $read(text).map_err(E::custom)
                    }
                }
                input.deserialize_str(Visitor)
            }

            /// # Errors
            /// Only the serializer's own.
            pub fn serialize<S: serde::Serializer>(value: &$ty, output: S) -> Result<S::Ok, S::Error> {
                output.serialize_str(&$write(*value))
            }
        }
    };
}

with_module!(
    /// `"2m"`, for serde's `with`.
    duration, Duration, "a duration with its unit, such as \"30s\", \"5m\" or \"2h\"", parse_duration, write_duration
);
with_module!(
    /// `"2m"`, not zero, for serde's `with`.
    positive_duration, Duration, "a duration with its unit, such as \"30s\", \"5m\" or \"2h\"",
    |text| parse_duration(text).and_then(|d| if d.is_zero() { Err(UnitError::Zero) } else { Ok(d) }), write_duration
);
with_module!(
    /// `"25MB"`, for serde's `with`.
    size, u64, "a size with its unit, such as \"512KB\", \"25MB\" or \"1GB\"", parse_size, write_size
);
with_module!(
    /// `"20%"`, for serde's `with`.
    percent, u8, "a share such as \"20%\"", parse_percent, |share| format!("{share}%")
);

/// `["0s", "2m"]`, for serde's `with`.
pub mod durations {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Duration;

    #[derive(Serialize, Deserialize)]
    struct Item(#[serde(with = "super::duration")] Duration);

    /// # Errors
    /// Where one of the texts is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<Item>::deserialize(input)?.into_iter().map(|item| item.0).collect())
    }

    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(value: &[Duration], output: S) -> Result<S::Ok, S::Error> {
        output.collect_seq(value.iter().copied().map(Item))
    }
}

macro_rules! optional_module {
    ($(#[$doc:meta])* $name:ident, $inner:literal, $ty:ty) => {
        $(#[$doc])*
        pub mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize, Deserialize)]
            struct Item(#[serde(with = $inner)] $ty);

            /// # Errors
            /// Where the text is no such value.
            pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<$ty>, D::Error> {
                Ok(Option::<Item>::deserialize(input)?.map(|item| item.0))
            }

            /// # Errors
            /// Only the serializer's own.
            #[allow(clippy::clone_on_copy)]
            pub fn serialize<S: Serializer>(value: &Option<$ty>, output: S) -> Result<S::Ok, S::Error> {
                value.clone().map(Item).serialize(output)
            }
        }
    };
}

optional_module!(
    /// `"2m"` or absent, for serde's `with` (add `default`).
    optional_duration, "super::duration", super::Duration
);
optional_module!(
    /// `"25MB"` or absent, for serde's `with` (add `default`).
    optional_size, "super::size", u64
);
optional_module!(
    /// `"2m"`, not zero, or absent, for serde's `with` (add `default`).
    optional_positive_duration, "super::positive_duration", super::Duration
);
optional_module!(
    /// `"20%"` or absent, for serde's `with` (add `default`).
    optional_percent, "super::percent", u8
);
optional_module!(
    /// `["0s", "2m"]` or absent, for serde's `with` (add `default`).
    optional_durations, "super::durations", Vec<super::Duration>
);
