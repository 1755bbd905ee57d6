//! The queue as the other rooms see it: the spool and the scheduler held together.
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | [`QueueConfig`] |
//! | `inner` | the state that all share, and its lock |
//! | `sites` | what the router is asked: [`Sites`] |
//! | `submit` | a letter comes in: trace, spool, calendar |
//! | `worker` | a letter goes out: [`Worker`] |
//! | `settle` | what becomes of an attempt: states, records |
//! | `report` | what the sender is told, before anything is forgotten |
//! | `delay` | what the sender of a letter that waits long is told |
//! | `troubles` | what was last heard of sites that take nothing |
//! | `recovery` | what the spool has goes on the calendar |
//! | `clock` | whether the system's clock was set |
//! | `calendar` | the thread that fetches letters whose time has come |
//! | `tally` | all of it in groups, and the lanes |
//! | `give_up` | when recipients are given up, where sites or domains have times of their own |
//! | `filter` | which letters an operator means |
//! | `operate` | list, show |
//! | `bulk` | retry, hold, release, give back, drop |
//! | `suspend`, `suspensions` | sites, sources, domains and senders of which nothing is tried |
//! | `redirect` | another way for letters than their recipients' own |
//!
//! # Invariants
//! - The lock is held for a few map operations, never over a disk access or a question to the router for many recipients.
//! - What is in memory about a letter under way is at least as new as what the spool has: see `inner::Warm`.
//! - Failed recipients are taken from the spool's state only after their report is durable.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use smtp::Reply;

use crate::counters::{Counters, Histogram};
use crate::intake::{NewLetter, Refusal};
use crate::letter::{Letter, QueueId};
use crate::record::Recorder;
use crate::spool::{Body, Disk, Draft, Problem, RealDisk, SpoolError};

mod bulk;
mod calendar;
mod clock;
mod config;
mod delay;
mod filter;
mod give_up;
mod inner;
mod operate;
mod recovery;
mod redirect;
mod report;
mod settle;
mod sites;
mod submit;
mod suspend;
mod suspensions;
mod tally;
#[cfg(test)]
mod tests;
mod troubles;
mod worker;

pub use config::{DelayFor, QueueConfig, Reports};
pub use filter::{Filter, Selection};
use inner::Inner;
pub use operate::{Details, Held, Last, RecipientDetails, Standing, Summary};
pub(crate) use operate::{details, standing_of, summary};
pub use sites::{Lane, Limits, Place, Rate, Search, Site, Sites, Source, Via, Weather};
pub use suspend::suspensions_at_rest;
pub(crate) use suspensions::Suspensions;
pub use suspensions::{SuspendError, Suspended, Suspension};
pub(crate) use tally::Builder;
pub use tally::{By, Group, LaneReport, Overview, Tally};
pub use worker::Worker;

/// One try at one site for some recipients of one letter. Dropped without [`Worker::finish`], its recipients are
/// deferred, with the words "the attempt was interrupted".
#[derive(Debug)]
pub struct Attempt {
    pub letter: Arc<Letter>,
    /// Indexes into `letter.recipients`.
    pub recipients: Vec<usize>,
    pub body: Body,
    /// The way that an operator sent it, in place of its recipients' own.
    pub redirect: Option<String>,
}

/// The queue in a few figures, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Letters that are on the calendar only.
    pub waiting: usize,
    /// Letters with a recipient that is being tried or would be now.
    pub active: usize,
    /// Workers, each with a connection outward or about to have one.
    pub workers: usize,
    /// Those of them that have a letter in hand.
    pub busy: usize,
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
    /// It is in its mailbox.
    Delivered,
    /// A server has it that tells the sender of its success, where that was asked for (it offers DSN).
    PassedOn,
    /// A server has it that tells nobody of success: RFC 3461 §5.2.2 has us say so to who asked.
    Relayed,
    Deferred,
    Failed,
    /// Its lane is another one now: it is placed anew at once; no attempt is counted, nothing is recorded.
    Moved,
}

/// Shared by all rooms; cheap to clone. When the last clone is dropped, nothing is handed out any more.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
    _life: Arc<Life>,
}

/// Stops the calendar's thread, which holds the queue's inside, and with it the spool's lock.
struct Life {
    inner: Arc<Inner>,
    calendar: Option<JoinHandle<()>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.inner.stop();
        if let Some(calendar) = self.calendar.take() {
            // A panic there was reported when it happened.
            let _ = calendar.join();
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("letters", &self.count()).finish_non_exhaustive()
    }
}

/// Why the queue cannot be opened. Each is for the operator: nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("the records cannot be written to {dir}: {error}")]
    Records { dir: String, error: std::io::Error },
    #[error("the queue must be opened within a Tokio runtime")]
    NoRuntime,
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

impl Queue {
    /// Opens the queue in `<data_dir>/spool` and `<data_dir>/records`, and puts what is found there on the calendar. To be
    /// called within a Tokio runtime; blocks while the spool is read.
    ///
    /// # Errors
    /// The folder is in use or cannot be read or written.
    pub fn open(config: QueueConfig, sites: Arc<dyn Sites>) -> Result<Self, OpenError> {
        let dir = config.data_dir.join("records");
        let recorder = Recorder::open_with(&dir, config.records.clone())
            .map_err(|error| OpenError::Records { dir: dir.display().to_string(), error })?;
        Self::open_on(config, sites, Arc::new(RealDisk), recorder)
    }

    /// The same on any disk, with any recorder.
    ///
    /// # Errors
    /// The folder is in use or cannot be read or written.
    pub fn open_on(
        config: QueueConfig,
        sites: Arc<dyn Sites>,
        disk: Arc<dyn Disk>,
        recorder: Recorder,
    ) -> Result<Self, OpenError> {
        let inner = Inner::open(config, sites, disk, recorder)?;
        let calendar = inner.start_calendar().map_err(OpenError::Thread)?;
        let life = Life { inner: Arc::clone(&inner), calendar: Some(calendar) };
        Ok(Self { inner, _life: Arc::new(life) })
    }

    /// A place for the text of a letter that is being received.
    pub fn draft(&self) -> Draft {
        self.inner.spool.draft()
    }

    /// Takes a letter. When this returns `Ok`, it is on disk and will be delivered or reported. When the future is dropped
    /// before, the letter may have been taken all the same.
    ///
    /// # Errors
    /// Nothing was kept; the client is told so and tries again.
    pub async fn submit(&self, letter: NewLetter, draft: Draft) -> Result<QueueId, Refusal> {
        self.inner.submit(letter, draft).await
    }

    /// Whether a letter of this size could be taken now: disk, spool health. Asked at MAIL.
    ///
    /// # Errors
    /// Why not.
    pub fn room_for(&self, size: u64) -> Result<(), Refusal> {
        self.inner.room_for(size)
    }

    /// Waits until a site needs one more worker. `None` when the queue is closed.
    pub async fn next_worker(&self) -> Option<Worker> {
        self.inner.next_worker().await
    }

    /// Waits until a domain's site is to be found out: its letters wait for [`Queue::found`]. `None` when the queue is closed.
    /// How many searches run at once is for the caller to bound.
    pub async fn next_search(&self) -> Option<Search> {
        self.inner.next_search().await
    }

    /// Where letters for this domain go: all that wait for it become ready there, each from its own source.
    pub fn found(&self, domain: &str, site: Site, via: Via) {
        self.inner.found(domain, &site, &via);
    }

    /// What [`Sites::limits`] says about the lanes of this site is something else now.
    pub fn limits_changed(&self, site: &Site) {
        self.inner.limits_changed(site);
    }

    /// Waits until the spool has failed for good; gives the reason. The program must then stop (a failed sync is never
    /// tried again).
    pub async fn failed(&self) -> String {
        self.inner.spool.failed().await.to_string()
    }

    /// Writes the records of this queue and of those who hand it letters.
    pub fn recorder(&self) -> &Recorder {
        &self.inner.recorder
    }

    /// What happened since the start of the process.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// How long writing and syncing took, for each batch that somebody waited for.
    pub fn sync_times(&self) -> &Histogram {
        self.inner.spool.sync_times()
    }

    /// How many letters are doing what, and how many connections outward there are.
    pub fn census(&self) -> Census {
        let state = self.inner.lock();
        let active = state.scheduler.active();
        let waiting = state.scheduler.len().saturating_sub(active);
        let (workers, busy) = state.scheduler.workers();
        Census { waiting, active, workers, busy }
    }

    /// What the start found damaged. It was logged and recorded; the damaged parts lie in `spool/quarantine`.
    pub fn problems(&self) -> &[Problem] {
        &self.inner.problems
    }

    /// Letters that are not done.
    pub fn count(&self) -> usize {
        self.inner.lock().scheduler.len()
    }

    /// Takes a new configuration: for the next attempts and letters. The data folder and the limit of workers stay.
    pub fn reconfigure(&self, config: QueueConfig) {
        self.inner.reconfigure(config);
    }

    /// Hands out no more work and takes no more letters; waits up to `grace` for attempts under way and reports, then
    /// closes the spool. What is not finished by then is tried again at the next start.
    pub async fn close(&self, grace: Duration) {
        self.inner.close(grace).await;
    }
}
