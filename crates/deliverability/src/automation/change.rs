//! A change of limits, as it is recorded and told.

use std::fmt;

use super::state::InForce;
use crate::rate::span_in_words;
use crate::shaping::Overlay;

/// What happened to the limits of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// They are stricter from now on, until [`Change::until`].
    Begun,
    /// They are as before: its time is over.
    Healed,
    /// They are as before: an operator said so.
    Ended,
}

/// One change, with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub site: String,
    /// Our address from which it happened; empty where there is only one.
    pub source: String,
    pub what: What,
    /// What the rule lays over the limits.
    pub limits: Overlay,
    pub since: u64,
    /// In the milliseconds of the caller's clock.
    pub until: u64,
    /// `provider.google/unusual-rate`.
    pub rule: String,
    /// Why, in plain words, as the rule has it.
    pub reason: String,
    /// The front of the reply that caused it: `code enhanced text`.
    pub reply: String,
    /// Which server said it.
    pub by: String,
}

impl Change {
    pub(super) fn begun(site: &str, source: &str, cause: &InForce) -> Self {
        Self::new(site, source, What::Begun, cause.clone())
    }

    pub(super) fn healed(site: &str, source: &str, cause: InForce) -> Self {
        Self::new(site, source, What::Healed, cause)
    }

    pub(super) fn ended(site: &str, source: &str, cause: InForce) -> Self {
        Self::new(site, source, What::Ended, cause)
    }

    fn new(site: &str, source: &str, what: What, cause: InForce) -> Self {
        let InForce { rule, overlay, since, until, reason, reply, by } = cause;
        Self {
            site: site.to_owned(),
            source: source.to_owned(),
            what,
            limits: overlay,
            since,
            until,
            rule,
            reason,
            reply,
            by,
        }
    }
}

/// `google.com from source a: 10 letters a minute for 30 minutes, because: 421 4.7.28 …`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.site)?;
        if !self.source.is_empty() {
            write!(f, " from source {}", self.source)?;
        }
        write!(f, ": {}", self.limits)?;
        match self.what {
            What::Begun => {
                let lasts = span_in_words(self.until.saturating_sub(self.since));
                write!(f, " for {lasts}, because: {}", self.reply)
            }
            What::Healed => write!(f, " no longer: the time of the rule {} is over", self.rule),
            What::Ended => write!(f, " no longer: an operator has ended what the rule {} had begun", self.rule),
        }
    }
}

/// `1 connection, 10 letters a minute`
impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u32, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let parts = [
            self.suspend.then(|| "no letters".to_owned()),
            self.connections.map(|count| counted(count, "connection")),
            self.letters_per_connection.map(|count| format!("{} per connection", counted(count, "letter"))),
            self.rate.map(crate::Rate::in_words),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}
