//! A letter as the queue knows it, and its form on disk.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use smtp::{MailParams, Mailbox, RcptParams, Reply, ReversePath};

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

impl fmt::Display for QueueId {
    /// 13 characters, digits and lower-case letters without i, l, o, u; ascending as text too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        (0..13).rev().try_for_each(|i| write!(f, "{}", char::from(ALPHABET[(self.0 >> (5 * i)) as usize & 31])))
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
    fn from_str(_text: &str) -> Result<Self, BadQueueId> {
        unimplemented!()
    }
}

impl Timestamp {
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(since.as_millis() as u64)
    }
}
