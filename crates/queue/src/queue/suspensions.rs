//! What an operator has suspended: a site, an egress source, a recipient domain, a sender; and the file that remembers it.
//!
//! The file is `<data_dir>/suspensions.json`, written anew at each change.
//!
//! # Invariants
//! - The file is the old one or the new one, whenever the process or the power goes: written aside, synced, renamed, synced.
//! - Names are compared without case, as they are kept.
//!
//! # Limits
//! - At most [`MOST`] at once: whoever would suspend more should hold letters, or stop the server.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use smtp::{Domain, Host, Mailbox, ReversePath};

use super::Lane;
use crate::letter::{Letter, Recipient, Timestamp};
use crate::schedule::RecipientSet;

const FILE: &str = "suspensions.json";
const MOST: usize = 1_000;

/// What is suspended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "of", content = "name", rename_all = "snake_case")]
pub enum Suspended {
    /// What goes to this site, as the router names it.
    Site(String),
    /// What would leave from this egress source; `default` where no source is configured.
    Source(String),
    /// Recipients in this domain.
    Domain(String),
    /// Letters from this address, from all of `@example.com`, or `<>` for reports.
    Sender(String),
}

/// An operator's word that something is not to be tried: letters are taken, and expire, but no attempt begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    #[serde(flatten)]
    pub of: Suspended,
    pub reason: String,
    pub since: Timestamp,
    /// It ends by itself then.
    pub until: Option<Timestamp>,
}

/// Why something cannot be suspended or resumed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SuspendError {
    #[error("`{0}` is no domain; write example.com")]
    NoDomain(String),
    #[error("`{0}` is no sender; write name@example.com, @example.com for all of a domain, or <> for reports")]
    NoSender(String),
    #[error("a name is missing")]
    NoName,
    #[error("there are {MOST} suspensions already; resume some, or hold letters")]
    TooMany,
    #[error("that time has passed already")]
    Past,
    #[error("{file} cannot be written: {error}")]
    File { file: String, error: io::Error },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    suspensions: Vec<Suspension>,
}

/// All that are in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspensions(BTreeMap<Suspended, Suspension>);

impl Suspended {
    /// As it is kept and compared.
    ///
    /// # Errors
    /// It names nothing.
    pub fn normal(self) -> Result<Self, SuspendError> {
        let plain = |name: String| match name.trim() {
            "" => Err(SuspendError::NoName),
            name => Ok(name.to_lowercase()),
        };
        Ok(match self {
            Self::Site(name) => Self::Site(plain(name)?),
            Self::Source(name) => Self::Source(plain(name)?),
            Self::Domain(name) => Self::Domain(domain_of(&name).ok_or(SuspendError::NoDomain(name))?),
            Self::Sender(name) => Self::Sender(sender_of(&name).ok_or(SuspendError::NoSender(name))?),
        })
    }

    /// `site`, `source`, `domain` or `sender`, and which.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Site(name) => ("site", name),
            Self::Source(name) => ("source", name),
            Self::Domain(name) => ("domain", name),
            Self::Sender(name) => ("sender", name),
        }
    }
}

impl Suspension {
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Suspensions {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    pub fn iter(&self) -> impl Iterator<Item = &Suspension> {
        self.0.values()
    }

    pub fn add(&mut self, suspension: Suspension) {
        self.0.insert(suspension.of.clone(), suspension);
    }

    pub fn remove(&mut self, of: &Suspended) -> Option<Suspension> {
        self.0.remove(of)
    }

    /// Takes out those that are over.
    pub fn take_ended(&mut self, now: Timestamp) -> Vec<Suspension> {
        let ended: Vec<_> = self.iter().filter(|suspension| suspension.is_over(now)).cloned().collect();
        ended.iter().for_each(|suspension| drop(self.0.remove(&suspension.of)));
        ended
    }

    /// When the first ends.
    pub fn first_end(&self) -> Option<Timestamp> {
        self.iter().filter_map(|suspension| suspension.until).min()
    }

    /// Whether some are about letters or recipients, and not about lanes.
    pub fn any_of_letters(&self) -> bool {
        self.0.keys().any(|of| matches!(of, Suspended::Domain(_) | Suspended::Sender(_)))
    }

    /// Why no attempt begins from this lane.
    pub fn of_lane(&self, lane: &Lane, now: Timestamp) -> Option<&Suspension> {
        if self.is_empty() {
            return None;
        }
        let source = if lane.source.0.is_empty() { "default" } else { &lane.source.0 };
        let (site, source) = (Suspended::Site(lane.site.0.to_lowercase()), Suspended::Source(source.to_lowercase()));
        self.longest([self.0.get(&site), self.0.get(&source)], now)
    }

    /// Why this recipient of the letter is not tried.
    pub fn of_recipient(&self, letter: &Letter, recipient: &Recipient, now: Timestamp) -> Option<&Suspension> {
        if self.is_empty() {
            return None;
        }
        let domain = self.0.get(&Suspended::Domain(host_name(&recipient.address.host)));
        let [address, house] = senders(&letter.from);
        let sender = |name: Option<String>| name.and_then(|name| self.0.get(&Suspended::Sender(name)));
        self.longest([domain, sender(address), sender(house)], now)
    }

    /// Takes those of the recipients out that are suspended; gives when the first of them is not any more
    /// (`u64::MAX`: only when it is resumed).
    pub fn take_out(&self, letter: &Letter, recipients: &mut RecipientSet, now: Timestamp) -> Option<Timestamp> {
        if !self.any_of_letters() {
            return None;
        }
        let found = recipients.iter().filter_map(|index| {
            let suspension = self.of_recipient(letter, letter.recipients.get(index)?, now)?;
            Some((index, suspension.until.unwrap_or(Timestamp(u64::MAX))))
        });
        let found: Vec<_> = found.collect();
        found.iter().for_each(|(index, _)| recipients.remove(*index));
        found.into_iter().map(|(_, until)| until).min()
    }

    fn longest<'a, const N: usize>(
        &self,
        found: [Option<&'a Suspension>; N],
        now: Timestamp,
    ) -> Option<&'a Suspension> {
        let found = found.into_iter().flatten().filter(|suspension| !suspension.is_over(now));
        found.max_by_key(|suspension| suspension.until.unwrap_or(Timestamp(u64::MAX)))
    }

    /// What the file says; empty where there is none.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        let text = match fs::read(data_dir.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let stored: Stored = serde_json::from_slice(&text)?;
        let mut all = Self::default();
        stored.suspensions.into_iter().take(MOST).for_each(|suspension| all.add(suspension));
        Ok(all)
    }

    pub fn write(&self, data_dir: &Path) -> Result<(), SuspendError> {
        let file = data_dir.join(FILE);
        self.write_to(data_dir, &file).map_err(|error| SuspendError::File { file: file.display().to_string(), error })
    }

    fn write_to(&self, data_dir: &Path, file: &Path) -> io::Result<()> {
        let stored = Stored { version: 1, suspensions: self.iter().cloned().collect() };
        let aside = data_dir.join(format!("{FILE}.new"));
        let mut new = File::create(&aside)?;
        new.write_all(&serde_json::to_vec_pretty(&stored)?)?;
        new.sync_all()?;
        fs::rename(&aside, file)?;
        File::open(data_dir)?.sync_all()
    }
}

/// Puts a file aside that cannot be read, so that the next one does not take its place.
pub(super) fn put_aside(data_dir: &Path) -> PathBuf {
    let aside = data_dir.join(format!("{FILE}.unreadable"));
    // What cannot be moved is told all the same.
    let _ = fs::rename(data_dir.join(FILE), &aside);
    aside
}

fn domain_of(name: &str) -> Option<String> {
    let name = name.trim().trim_start_matches('@');
    if name.starts_with('[') && name.ends_with(']') {
        return Some(name.to_lowercase());
    }
    name.parse::<Domain>().ok().map(|domain| domain.as_ascii().to_lowercase())
}

fn sender_of(name: &str) -> Option<String> {
    match name.trim() {
        "<>" => Some("<>".to_owned()),
        house if house.starts_with('@') => domain_of(house).map(|domain| format!("@{domain}")),
        address => address.parse::<Mailbox>().ok().map(|mailbox| address_of(&mailbox)),
    }
}

pub(super) fn host_name(host: &Host) -> String {
    match host {
        Host::Domain(domain) => domain.as_ascii().to_lowercase(),
        literal => literal.to_string().to_lowercase(),
    }
}

fn address_of(mailbox: &Mailbox) -> String {
    format!("{}@{}", mailbox.local.to_string().to_lowercase(), host_name(&mailbox.host))
}

/// The names that a sender may be suspended by: its own, and that of its whole domain.
fn senders(from: &ReversePath) -> [Option<String>; 2] {
    match from.mailbox() {
        None => [Some("<>".to_owned()), None],
        Some(mailbox) => [Some(address_of(mailbox)), Some(format!("@{}", host_name(&mailbox.host)))],
    }
}

#[cfg(test)]
mod tests;
