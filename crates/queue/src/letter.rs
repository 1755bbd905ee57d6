//! A letter as the queue knows it. Its form on disk is in [`codec`].
//!
//! # Invariants
//! - A [`QueueId`] is unique in its data folder and ascends with time, as a number and as text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use smtp::{MailParams, Mailbox, RcptParams, Reply, ReversePath};

pub mod codec;
mod course;
#[cfg(test)]
pub(crate) mod tests;
mod times;

pub use course::{Course, Hold};

/// Names a letter for its whole life: in the reply to the client, in Received, in the log, on the command line.
/// Ascending with time; never used twice in one data folder.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u64);

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    pub id: QueueId,
    pub arrived: Timestamp,
    pub from: ReversePath,
    pub params: LetterParams,
    pub recipients: Vec<Recipient>,
    /// Octets, our trace fields included.
    pub size: u64,
    pub origin: Origin,
    /// Sent to many, as its header says: it waits for letters to one.
    pub bulk: bool,
    /// `TLS-Required: No` (RFC 8689 §3): its sender wants it to arrive rather than to be kept back for want of TLS.
    pub tls_optional: bool,
}

/// What of MAIL's parameters travels on.
pub type LetterParams = MailParams;

#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    /// Where it goes; after aliases.
    pub address: Mailbox,
    pub params: RcptParams,
    pub state: RecipientState,
}

impl Recipient {
    /// A recipient that nothing was tried for yet.
    pub fn new(address: Mailbox, params: RcptParams) -> Self {
        Self { address, params, state: RecipientState::default() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum RecipientState {
    /// Still to be delivered. The last reply is the remote's own words, with who said it.
    Pending {
        attempts: u32,
        last: Option<LastReply>,
    },
    Delivered(LastReply),
    Failed(LastReply),
    /// Removed by an operator.
    Dropped,
}

impl Default for RecipientState {
    fn default() -> Self {
        Self::Pending { attempts: 0, last: None }
    }
}

impl RecipientState {
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }

    /// The last words said about this recipient, where there were any.
    pub fn last(&self) -> Option<&LastReply> {
        match self {
            Self::Pending { last, .. } => last.as_ref(),
            Self::Delivered(last) | Self::Failed(last) => Some(last),
            Self::Dropped => None,
        }
    }
}

/// Where a recipient stands, and when it is tried next: what changes in a letter's life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub state: RecipientState,
    /// Meaningful only while pending.
    pub due: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LastReply {
    pub at: Timestamp,
    pub reply: Reply,
    /// `mx1.example.net [192.0.2.1]:25`, or `gatepost` where the words are ours.
    pub by: String,
}

/// Where a letter came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The listener's name, or `sendmail`, `report`.
    pub listener: String,
    pub client: Option<IpAddr>,
    pub helo: Option<String>,
    /// The `with` word of Received: ESMTPSA …
    pub protocol: String,
    pub user: Option<String>,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for QueueId {
    /// 13 characters, digits and lower-case letters without i, l, o, u; ascending as text too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 13];
        for (i, c) in text.iter_mut().rev().enumerate() {
            *c = ALPHABET[(self.0 >> (5 * i)) as usize & 31];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no queue identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a queue identifier has 13 characters, digits and letters without i, l, o, u")]
pub struct BadQueueId;

impl FromStr for QueueId {
    type Err = BadQueueId;
    /// Reads what `Display` writes, in either case: people type identifiers.
    fn from_str(text: &str) -> Result<Self, BadQueueId> {
        if text.len() != 13 {
            return Err(BadQueueId);
        }
        let value = text.bytes().try_fold(0u128, |value, c| {
            let digit = ALPHABET.iter().position(|a| *a == c.to_ascii_lowercase()).ok_or(BadQueueId)?;
            Ok(value << 5 | digit as u128)
        })?;
        u64::try_from(value).map(Self).map_err(|_| BadQueueId)
    }
}

impl serde::Serialize for QueueId {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for QueueId {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        write!(f, "{:.3}", millis.unwrap_or(jiff::Timestamp::MAX))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(input)?;
        let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        u64::try_from(time.as_millisecond()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Timestamp {
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(since.as_millis() as u64)
    }

    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
