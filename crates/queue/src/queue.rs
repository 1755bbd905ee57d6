//! The queue as the other rooms see it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use smtp::{Mailbox, Reply};

use crate::intake::{NewLetter, Refusal};
use crate::letter::{Letter, QueueId};
use crate::spool::{Body, Draft};

/// Where letters meet the same limits: a key that the router gives. Letters of one site share connections.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(pub Arc<str>);

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the queue asks the router; decided anew at each attempt.
pub trait Sites: Send + Sync + fmt::Debug {
    fn site_of(&self, recipient: &Mailbox) -> Site;
    /// Workers (connections) that may be open for this site at once.
    fn limit(&self, site: &Site) -> usize;
}

#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Filled in by the program: the data folder.
    #[serde(skip)]
    pub data_dir: PathBuf,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { data_dir: PathBuf::new() }
    }
}

/// One try at one site for some recipients of one letter. Dropped without [`Worker::finish`], its recipients are
/// deferred, with the words "the attempt was interrupted".
#[derive(Debug)]
pub struct Attempt {
    pub letter: Arc<Letter>,
    /// Indexes into `letter.recipients`.
    pub recipients: Vec<usize>,
    pub body: Body,
}

/// What became of an attempt: one entry per index in [`Attempt::recipients`].
#[derive(Debug)]
pub struct Outcome {
    pub recipients: Vec<RecipientOutcome>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecipientOutcome {
    pub verdict: Verdict,
    pub reply: Reply,
    /// Who said it: `mx1.example.net [192.0.2.1]:25`, `maildir`, or `gatepost` where the words are ours.
    pub by: String,
    /// `TLSv1.3 TLS_AES_256_GCM_SHA384`, with `verified` or why not; empty without TLS.
    pub tls: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    Deferred,
    Failed,
}

/// Shared by all rooms; cheap to clone.
#[derive(Clone)]
pub struct Queue {}

impl Queue {
    /// A place for the text of a letter that is being received.
    pub fn draft(&self) -> Draft {
        unimplemented!()
    }

    /// Takes a letter. When this returns `Ok`, it is on disk and will be delivered or reported.
    pub async fn submit(&self, _letter: NewLetter, _draft: Draft) -> Result<QueueId, Refusal> {
        unimplemented!()
    }

    /// Whether a letter of this size could be taken now: disk, spool health. Asked at MAIL.
    pub fn room_for(&self, _size: u64) -> Result<(), Refusal> {
        unimplemented!()
    }

    /// Waits until a site needs one more worker. `None` when the queue is closed.
    pub async fn next_worker(&self) -> Option<Worker> {
        unimplemented!()
    }

    /// Waits until the spool has failed for good; gives the reason. The program must then stop (a failed sync is never
    /// tried again).
    pub async fn failed(&self) -> String {
        unimplemented!()
    }
}

/// The right to one connection to a site. Gives it back when dropped.
pub struct Worker {
    pub site: Site,
}

impl Worker {
    /// The next letter for this site, if there is one now.
    pub fn take(&mut self) -> Option<Attempt> {
        unimplemented!()
    }

    /// The same, waiting up to `idle`, for a connection that is kept open.
    pub async fn take_within(&mut self, _idle: Duration) -> Option<Attempt> {
        unimplemented!()
    }

    /// Recipients that are done are done; the deferred go back on the calendar; the failed are reported to the sender.
    pub fn finish(&mut self, _attempt: Attempt, _outcome: Outcome) {
        unimplemented!()
    }
}
