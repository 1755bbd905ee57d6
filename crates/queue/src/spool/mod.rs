//! The durable store of letters: an append-only segment log, one writer, group commit.

mod body;
mod disk;
mod draft;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

pub use body::Body;
pub use disk::{Disk, DiskFile, RealDisk};
pub use draft::Draft;

use crate::letter::QueueId;

#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// The spool's own folder; made if it is not there.
    pub dir: PathBuf,
    /// Octets after which a new segment is begun.
    pub segment_size: u64,
    /// Letters above this stream to a file of their own under `big/`.
    pub inline_size: u64,
    /// How far ahead of the writer a segment is given room on disk.
    pub preallocate: u64,
}

impl SpoolConfig {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), segment_size: 256 << 20, inline_size: 1 << 20, preallocate: 16 << 20 }
    }
}

/// Shared by all rooms; cheap to clone. When the last clone is dropped, what was handed in is written and synced.
#[derive(Clone, Debug)]
pub struct Spool {}

/// What a start found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Ascending by id. The text of each is at [`Spool::body`].
    pub letters: Vec<RecoveredLetter>,
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredLetter {
    pub id: QueueId,
    pub meta: Vec<u8>,
    /// The newest one given to [`Spool::update`].
    pub state: Option<Vec<u8>>,
    /// Octets of the text, prefix included.
    pub size: u64,
}

/// Something on disk that should not be so. The damaged part was copied to the folder `quarantine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub offset: u64,
    pub what: String,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// Nothing was kept; service goes on, and a retry helps once there is room.
    #[error("the disk has no room left")]
    NoSpace,
    /// Envelope, prefix or state are beyond all measure.
    #[error("the letter's envelope is too large to be kept")]
    TooLarge,
    /// The folder belongs to another process.
    #[error("the spool is in use by process {}", .pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()))]
    Locked { pid: Option<u32> },
    /// A write or sync failed. It is never tried again: the process must stop.
    #[error("the spool has failed: {0}")]
    Failed(Arc<str>),
    #[error("the spool is closed")]
    Closed,
    /// At the start, or when a letter is read.
    #[error("{what}: {error}")]
    Io { what: String, error: Arc<std::io::Error> },
}

/// Resolves when the change is durable. May be dropped: the change is made all the same.
#[derive(Debug)]
pub struct Ticket<T>(oneshot::Receiver<Result<T, SpoolError>>);

impl<T> Future for Ticket<T> {
    type Output = Result<T, SpoolError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(SpoolError::Closed)))
    }
}

impl<T> Ticket<T> {
    /// The same for a thread that may block.
    pub fn wait(self) -> Result<T, SpoolError> {
        self.0.blocking_recv().unwrap_or(Err(SpoolError::Closed))
    }
}

impl Spool {
    /// Takes the folder's lock, makes the folders, reads what is there, starts the writer.
    pub fn open(_config: SpoolConfig, _disk: Arc<dyn Disk>) -> Result<(Self, Recovered), SpoolError> {
        unimplemented!()
    }

    /// A place for a text that is coming in.
    pub fn draft(&self) -> Draft {
        unimplemented!()
    }

    /// Keeps a letter: `meta` is the queue's own form of the envelope, `prefix` goes before the draft's text.
    /// The body that the ticket gives is in memory (where it is not large).
    pub fn append(&self, _id: QueueId, _meta: Vec<u8>, _prefix: Vec<u8>, _draft: Draft) -> Ticket<Body> {
        unimplemented!()
    }

    /// Replaces the letter's state, soon; nobody waits. Written at once, synced with the next group or within 50 ms.
    /// Where the disk is full it is remembered and written when there is room again.
    pub fn update(&self, _id: QueueId, _state: Vec<u8>) {
        unimplemented!()
    }

    /// The letter is done, soon; as [`Spool::update`].
    pub fn remove(&self, _id: QueueId) {
        unimplemented!()
    }

    /// The same, and says when it is durable.
    pub fn update_durably(&self, _id: QueueId, _state: Vec<u8>) -> Ticket<()> {
        unimplemented!()
    }

    /// The same, and says when it is durable.
    pub fn remove_durably(&self, _id: QueueId) -> Ticket<()> {
        unimplemented!()
    }

    /// A new identifier: from the time, ascending, never given before in this folder.
    pub fn next_id(&self) -> QueueId {
        unimplemented!()
    }

    /// The text of a letter. Ask when it is needed and drop it after: it keeps its segment's room on disk taken.
    pub fn body(&self, _id: QueueId) -> Option<Body> {
        unimplemented!()
    }

    /// Envelope and state, read from disk: blocks.
    pub fn letter(&self, _id: QueueId) -> Result<Option<RecoveredLetter>, SpoolError> {
        unimplemented!()
    }

    /// How many letters lie here.
    pub fn count(&self) -> usize {
        unimplemented!()
    }

    /// Octets free on the spool's file system, at most some 100 ms old.
    pub fn free_space(&self) -> Option<u64> {
        unimplemented!()
    }

    /// Why nothing can be written any more, if that is so.
    pub fn failure(&self) -> Option<Arc<str>> {
        unimplemented!()
    }

    /// Waits until the spool has failed for good.
    pub async fn failed(&self) -> Arc<str> {
        unimplemented!()
    }

    /// Waits until all that was handed in is durable, and stops: later calls get [`SpoolError::Closed`]. Blocks.
    pub fn close(&self) {
        unimplemented!()
    }
}
