//! The time that a reply names: "try again in 5 minutes", "Greylisted for 300 seconds", "come back in 00:05:00".
//!
//! Servers that greylist often say when they will take the letter. Trying earlier is in vain, much later is a delay for
//! nothing. What is named here is the peer's wish; how far it is followed is the caller's matter.
//!
//! # Invariants
//! - A number counts only with a unit of time (or as hours:minutes:seconds) and only behind a word that asks for
//!   patience, in the same sentence: limits ("50 letters in 1 hour"), codes and years are no waits.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;
use std::time::Duration;

use regex::{Captures, Regex, RegexBuilder};

use crate::{LOOKED_AT, front};

/// Words that ask for patience, then no digit and no end of a sentence, then a time.
const WAIT: &str = r"\b(?:(?:re)?try|re-try|again|come back|wait|gr[ea]y-?list(?:ed|ing)?|resend|resubmit|reconnect|erneut|nochmals?|warten|wiederholen|wieder|versuchen|r[ée]essay(?:er|ez)|patient(?:er|ez)|attend(?:re|ez)|renvoy(?:er|ez))\b[^0-9.;!?(]{0,24}?(?:\b(?<h>\d{1,3}):(?<m>[0-5]\d):(?<s>[0-5]\d)\b|\b(?:(?<half>half an hour)|(?:an?|one|einer?|une) (?<one>second|minute|hour|day|sekunde|seconde|stunde|heure|tag|jour)|(?<n>\d{1,7})(?:\s?(?:-|to|bis|à)\s?(?<to>\d{1,7}))?\s?(?<unit>s|secs?|seconds?|sekunden?|secondes?|m|mins?|minutes?|minuten?|h|hrs?|hours?|stunden?|heures?|d|days?|tage?n?|jours?)\b))";

/// What may follow: "1 hour and 30 minutes".
const MORE: &str = r"^(?:\s|,|and\b|und\b|et\b){0,6}(?<n>\d{1,7})\s?(?<unit>s|secs?|seconds?|sekunden?|secondes?|m|mins?|minutes?|minuten?)\b";

/// What must not follow: the time lies behind us, or is a limit's.
const PAST: &str = r"^\s?(?:ago\b|old\b|timeout\b|window\b)";

struct Patterns {
    wait: Regex,
    more: Regex,
    past: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let build = |text: &str| RegexBuilder::new(text).case_insensitive(true).build().ok();
    Some(Patterns { wait: build(WAIT)?, more: build(MORE)?, past: build(PAST)? })
});

/// The time after which a reply's text asks to try again; `None` where it names none.
pub fn named_wait(text: &str) -> Option<Duration> {
    let patterns = PATTERNS.as_ref()?;
    let text = front(text, LOOKED_AT);
    patterns.wait.captures_iter(text).find_map(|found| {
        let rest = text.get(found.get(0)?.end()..)?;
        (!patterns.past.is_match(rest)).then(|| wait_of(&found, rest, &patterns.more)).flatten()
    })
}

fn wait_of(found: &Captures<'_>, rest: &str, more: &Regex) -> Option<Duration> {
    let number = |name: &str| found.name(name).and_then(|n| n.as_str().parse::<u64>().ok());
    if found.name("half").is_some() {
        return Some(Duration::from_secs(1800));
    }
    if let (Some(h), Some(m), Some(s)) = (number("h"), number("m"), number("s")) {
        return Some(Duration::from_secs(h * 3600 + m * 60 + s));
    }
    if let Some(one) = found.name("one") {
        return Some(Duration::from_secs(unit(one.as_str())));
    }
    // "5 to 10 minutes" is over after ten.
    let count = number("n")?.max(number("to").unwrap_or(0));
    let mut seconds = count.saturating_mul(unit(found.name("unit")?.as_str()));
    if let Some(next) = more.captures(rest) {
        let count: u64 = next.name("n")?.as_str().parse().ok()?;
        seconds = seconds.saturating_add(count.saturating_mul(unit(next.name("unit")?.as_str())));
    }
    Some(Duration::from_secs(seconds))
}

/// Seconds of a unit, by its first letter; all units of [`WAIT`] but `Stunde` differ in it.
fn unit(name: &str) -> u64 {
    let name = name.to_ascii_lowercase();
    match name.as_bytes().first() {
        Some(b's') if name.starts_with("st") => 3600,
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        _ => 86_400,
    }
}
