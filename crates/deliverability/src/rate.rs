//! How many in a time: `100/s`, `1/min`, `10000/h`, `500/day`.
//!
//! # Limits
//! A rate's number is whole, at least 1 and at most 1,000,000,000.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const NUMBER_MOST: u64 = 1_000_000_000;

/// So many in a time: letters, or matches of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: u32,
    per: Per,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Per {
    Second,
    Minute,
    Hour,
    Day,
}

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no rate; write a number and a time, such as \"100/s\", \"10/min\", \"5/h\" or \"500/day\"")]
pub struct RateError;

impl Rate {
    pub const fn per_second(count: u32) -> Self {
        Self { count, per: Per::Second }
    }

    pub const fn per_minute(count: u32) -> Self {
        Self { count, per: Per::Minute }
    }

    pub const fn per_hour(count: u32) -> Self {
        Self { count, per: Per::Hour }
    }

    /// How many in [`Self::window`].
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The time in which they may be.
    pub const fn window(self) -> Duration {
        match self.per {
            Per::Second => Duration::from_secs(1),
            Per::Minute => Duration::from_secs(60),
            Per::Hour => Duration::from_secs(3600),
            Per::Day => Duration::from_secs(86_400),
        }
    }

    /// The one of the two that lets fewer through.
    pub fn stricter(self, other: Self) -> Self {
        if self.per_day() <= other.per_day() { self } else { other }
    }

    fn per_day(self) -> u64 {
        u64::from(self.count) * (86_400 / self.window().as_secs())
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, per) = text.split_once('/').ok_or(RateError)?;
        let per = match per.trim() {
            "s" | "sec" | "second" => Per::Second,
            "m" | "min" | "minute" => Per::Minute,
            "h" | "hr" | "hour" => Per::Hour,
            "d" | "day" => Per::Day,
            _ => return Err(RateError),
        };
        let count = number(count.trim()).and_then(|count| u32::try_from(count).ok()).ok_or(RateError)?;
        Ok(Self { count, per })
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

/// As it is written in the configuration.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => "s",
            Per::Minute => "min",
            Per::Hour => "h",
            Per::Day => "day",
        };
        write!(f, "{}/{per}", self.count)
    }
}

impl Rate {
    /// For people: "10 letters a minute".
    pub fn in_words(self) -> String {
        let per = match self.per {
            Per::Second => "a second",
            Per::Minute => "a minute",
            Per::Hour => "an hour",
            Per::Day => "a day",
        };
        format!("{} {} {per}", self.count, if self.count == 1 { "letter" } else { "letters" })
    }
}

/// For people: the biggest unit that divides it.
pub(crate) fn span_in_words(milliseconds: u64) -> String {
    let seconds = milliseconds.div_ceil(1000);
    let (count, unit) = match seconds {
        s if s >= 86_400 && s % 86_400 == 0 => (s / 86_400, "day"),
        s if s >= 3600 && s % 3600 == 0 => (s / 3600, "hour"),
        s if s >= 60 && s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|n| (1..=NUMBER_MOST).contains(n))
}
