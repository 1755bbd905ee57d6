//! The durable store of letters: an append-only segment log, one writer, group commit.

mod apply;
mod body;
mod compact;
mod disk;
mod draft;
mod hint;
mod ids;
mod index;
mod inspect;
mod load;
mod log;
mod real;
mod record;
mod recover;
mod room;
mod scan;
mod segment;
#[cfg(test)]
pub(crate) mod sim;
mod writer;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub use body::Body;
pub use disk::{Disk, DiskFile, Lock};
pub use draft::Draft;
pub use inspect::{Depth, InspectedLetter, Inspection, fuzz_scan, inspect};
pub use real::RealDisk;

use draft::DraftHome;
use ids::Ids;
use index::Shared;
use log::Op;
use recover::LockGuard;
use writer::{Inbox, LargeDesk, LargeLetter};

use crate::counters::Histogram;
use crate::letter::QueueId;

const LEAST_SEGMENT: u64 = 64 << 10;
/// Offsets have 32 bits, and a segment may grow by one large record beyond its size.
const MOST_SEGMENT: u64 = 1 << 30;
const MOST_INLINE: u64 = 64 << 20;
const MOST_FRONT: usize = 64 << 20;
const FREE_SPACE_AGE: Duration = Duration::from_millis(100);

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
    /// Memory for all texts that are coming in; past that they stream to files of their own whatever their size.
    pub draft_memory: u64,
}

impl SpoolConfig {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_size: 256 << 20,
            inline_size: 1 << 20,
            preallocate: 16 << 20,
            draft_memory: 64 << 20,
        }
    }
}

/// Shared by all rooms; cheap to clone. When the last clone is dropped, what was handed in is written and synced.
#[derive(Clone, Debug)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: SpoolConfig,
    shared: Arc<Shared>,
    ids: Arc<Ids>,
    home: Arc<DraftHome>,
    inbox: Arc<Inbox>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Begun with the first large letter.
    large: Mutex<Option<LargeDesk>>,
    free: Mutex<Option<(Instant, u64)>>,
    /// Given back last, when nothing is written any more.
    _lock: LockGuard,
}

/// What is kept of a letter beside its text.
#[derive(Debug)]
struct Envelope {
    id: QueueId,
    meta: Vec<u8>,
    prefix: Vec<u8>,
}

/// What a start found, for those who want it all at once.
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
    pub len: u64,
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
    /// By a later version of this program; nothing was touched.
    #[error("{file} was written by a later version of gatepost (format {version})")]
    Version { file: String, version: u32 },
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
    ///
    /// # Errors
    /// [`SpoolError::Locked`] where another process has the folder; [`SpoolError::Io`] where it cannot be read or made.
    pub fn open(config: SpoolConfig, disk: Arc<dyn Disk>) -> Result<(Self, Recovered), SpoolError> {
        let mut letters = Vec::new();
        let (spool, problems) = Self::open_with(config, disk, &mut |letter| letters.push(letter))?;
        letters.sort_unstable_by_key(|letter| letter.id);
        Ok((spool, Recovered { letters, problems }))
    }

    /// The same, giving each letter away as it is read, in no order: a million of them would not fit into memory. Nothing
    /// is to be done about them before this has returned.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] where another process has the folder; [`SpoolError::Io`] where it cannot be read or made.
    pub fn open_with(
        mut config: SpoolConfig,
        disk: Arc<dyn Disk>,
        take: &mut dyn FnMut(RecoveredLetter),
    ) -> Result<(Self, Vec<Problem>), SpoolError> {
        config.segment_size = config.segment_size.clamp(LEAST_SEGMENT, MOST_SEGMENT);
        config.inline_size = config.inline_size.min(MOST_INLINE);
        let (log, problems, lock) = recover::open(config.clone(), disk.clone(), take)?;
        let (shared, ids, inbox) = (log.shared.clone(), log.ids.clone(), Arc::new(Inbox::default()));
        let home = Arc::new(DraftHome::new(&config, disk, ids.clone()));
        let writer = writer::start(inbox.clone(), log)
            .map_err(|error| load::trouble("cannot start the writer of", &config.dir, error))?;
        let (writer, large, free) = (Mutex::new(Some(writer)), Mutex::default(), Mutex::default());
        Ok((Self(Arc::new(Inner { config, shared, ids, home, inbox, writer, large, free, _lock: lock })), problems))
    }

    /// A place for a text that is coming in.
    pub fn draft(&self) -> Draft {
        Draft::new(self.0.home.clone())
    }

    /// Keeps a letter: `meta` is the queue's own form of the envelope, `prefix` goes before the draft's text.
    /// The body that the ticket gives is in memory, unless it is large.
    pub fn append(&self, id: QueueId, meta: Vec<u8>, prefix: Vec<u8>, draft: Draft) -> Ticket<Body> {
        let (answer, ticket) = oneshot::channel();
        if meta.len() + prefix.len() > MOST_FRONT {
            drop(answer.send(Err(SpoolError::TooLarge)));
            return Ticket(ticket);
        }
        let envelope = Envelope { id, meta, prefix };
        if draft.is_large() {
            self.0.append_large(LargeLetter { envelope, draft, answer });
        } else {
            match draft.finish() {
                Ok(text) => self.0.inbox.push(envelope.append(text, answer)),
                Err(error) => {
                    drop(answer.send(Err(load::trouble("cannot finish a draft in", &self.0.config.dir, error))));
                }
            }
        }
        Ticket(ticket)
    }

    /// Replaces the letter's state, soon; nobody waits. Written at once, synced with the next group or within 50 ms.
    /// Where the disk is full it is remembered and written when there is room again.
    pub fn update(&self, id: QueueId, state: Vec<u8>) {
        self.0.change(state, |state| Op::Update { id, state, answer: None });
    }

    /// The letter is done, soon; as [`Spool::update`].
    pub fn remove(&self, id: QueueId) {
        self.0.inbox.push(Op::Remove { id, answer: None });
    }

    /// The same, and says when it is durable. [`SpoolError::NoSpace`] means not yet: it is remembered all the same.
    pub fn update_durably(&self, id: QueueId, state: Vec<u8>) -> Ticket<()> {
        let (answer, ticket) = oneshot::channel();
        self.0.change(state, |state| Op::Update { id, state, answer: Some(answer) });
        Ticket(ticket)
    }

    /// The same, and says when it is durable. [`SpoolError::NoSpace`] means not yet: it is remembered all the same.
    pub fn remove_durably(&self, id: QueueId) -> Ticket<()> {
        let (answer, ticket) = oneshot::channel();
        self.0.inbox.push(Op::Remove { id, answer: Some(answer) });
        Ticket(ticket)
    }

    /// A new identifier: from the time, ascending, never given before in this folder.
    pub fn next_id(&self) -> QueueId {
        self.0.ids.next()
    }

    /// The text of a letter. Ask when it is needed and drop it after: it keeps its segment's room on disk taken.
    pub fn body(&self, id: QueueId) -> Option<Body> {
        self.0.shared.body(id)
    }

    /// Envelope and state, read from disk: blocks. `None` where there is no such letter.
    ///
    /// # Errors
    /// The disk's, or damage; a retry does not help.
    pub fn letter(&self, id: QueueId) -> Result<Option<RecoveredLetter>, SpoolError> {
        let failed = |error| SpoolError::Io { what: format!("cannot read letter {id}"), error: Arc::new(error) };
        self.0.shared.letter(id).map_err(failed)
    }

    /// How many letters lie here.
    pub fn count(&self) -> usize {
        self.0.shared.index().entries.len()
    }

    /// Octets free on the spool's file system, at most some 100 ms old.
    pub fn free_space(&self) -> Option<u64> {
        let mut known = lock(&self.0.free);
        if let Some((_, free)) = known.filter(|(at, _)| at.elapsed() < FREE_SPACE_AGE) {
            return Some(free);
        }
        let free = self.0.shared.disk.free_space(&self.0.config.dir).ok()?;
        *known = Some((Instant::now(), free));
        Some(free)
    }

    /// How long batches took to become durable.
    pub fn sync_times(&self) -> &Histogram {
        &self.0.shared.sync_times
    }

    /// Why nothing can be written any more, if that is so.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.0.shared.failure.borrow().clone()
    }

    /// Waits until the spool has failed for good.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.0.shared.failure.subscribe();
        let reason = failure.wait_for(Option::is_some).await;
        // The sending end lives as long as this spool.
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// Waits until all that was handed in is durable, and stops: later calls get [`SpoolError::Closed`]. Blocks.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    fn change(&self, state: Vec<u8>, op: impl FnOnce(Vec<u8>) -> Op) {
        if state.len() > MOST_FRONT {
            // The older state stays, which is the safe side: something may be done twice.
            tracing::error!(octets = state.len(), "state of a letter too large to be kept");
            return;
        }
        self.inbox.push(op(state));
    }

    fn append_large(&self, letter: LargeLetter) {
        let mut desk = lock(&self.large);
        if desk.is_none() {
            match LargeDesk::start(self.inbox.clone(), self.home.clone()) {
                Ok(started) => *desk = Some(started),
                Err(error) => {
                    let failed = load::trouble("cannot start a thread for", &self.config.dir, error);
                    return drop(letter.answer.send(Err(failed)));
                }
            }
        }
        if let Some(desk) = &*desk {
            desk.push(letter);
        }
    }

    fn close(&self) {
        let desk = lock(&self.large).take();
        desk.into_iter().for_each(LargeDesk::close);
        self.inbox.close();
        let writer = lock(&self.writer).take();
        writer.into_iter().for_each(|writer| drop(writer.join()));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
