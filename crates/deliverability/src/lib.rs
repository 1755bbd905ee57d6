//! Our good name: how fast a provider wants its letters, what its replies mean, and what they change.
//!
//! | module | what it holds |
//! |---|---|
//! | [`shaping`] | [`Shaping`]: limits and rules per provider, shipped as data, with an operator's own merged over them |
//! | [`automation`] | [`Automation`]: replies that change the limits for a time, and the healing afterwards |
//! | [`class`] | [`classify`]: what a refusal is about, whom it concerns, what to do |
//! | [`wait`] | [`named_wait`]: the time that a reply names ("try again in 5 minutes") |
//! | [`rate`] | [`Rate`]: so many in a time |
//! | [`units`] | durations, sizes and shares, as the configuration of every room writes them |
//!
//! ```ignore
//! let shaping = Shaping::new(&config)?;
//! let site = shaping.provider_of(&["alt1.gmail-smtp-in.l.google.com"]);          // Some("google.com")
//! let mut automation = Automation::default();
//! let matches = shaping.examine("google.com", &reply);
//! for change in automation.handle_matches(now_ms, "google.com", "", by, &matches) { record(&change); }
//! let limits = automation.limits(now_ms, "google.com", "", shaping.limits(base, "google.com", ""));
//! ```
//!
//! # Invariants
//! - No clock, disk, socket or global: the time comes in as milliseconds of any clock that does not run backwards far.
//! - Whatever a peer replies, nothing here panics, and no more than the limits named in [`automation`] is kept.

pub mod automation;
pub mod class;
pub mod rate;
pub mod shaping;
pub mod units;
pub mod wait;

pub use automation::{Automation, Change, State, What};
pub use class::{Action, Class, Kind, Scope, classify};
pub use rate::Rate;
pub use shaping::{Matches, Shaping, ShapingConfig, ShapingError, SiteLimits, TlsAsked, TlsNeed};

pub use wait::named_wait;

/// Octets of a reply that are looked at; all texts that mean something are far shorter.
const LOOKED_AT: usize = 2048;

/// The front of a text, at most so many octets, cut between characters.
fn front(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}
