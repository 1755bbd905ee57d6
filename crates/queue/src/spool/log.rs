//! The writer's state: takes batches of operations, writes them with few calls, syncs them with one, answers.
//!
//! It has no thread and no clock, so that a test can drive it step by step; [`writer`](super::writer) is the thread.
//!
//! # How a batch goes down
//! 1. [`Log::write`] turns each operation into a record and gathers records in a chunk; a chunk is one `writev`.
//! 2. After a chunk is written the index speaks of it.
//! 3. [`Log::sync`] makes all of it durable, then answers everybody who waits.
//!
//! # Invariants
//! - Nobody is answered `Ok` before a sync that began after the write has succeeded.
//! - A failed write or sync is never tried again: all that follows is refused, and [`Shared::failure`] says why.
//! - The one exception is a disk that is full, found out before anything was written or by a write whose records are
//!   then cut off again, durably: letters are refused, changes are kept in memory until there is room.
//! - In the young segment there is room for the removal of each letter that lies here, so that a full disk can empty.
//!
//! # See also
//! `room.rs`: segments are extended, begun and sealed. `apply.rs`: what a written record changes. `compact.rs`: what becomes
//! of segments once they are full. `recover.rs`: how a log comes to be.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::body::Body;
use super::disk::{Disk, is_full};
use super::draft::LargeDraft;
use super::ids::Ids;
use super::index::Shared;
use super::record::{Header, Kind, Large};
use super::segment::{Segment, Unwritten};
use super::{SpoolConfig, SpoolError};
use crate::letter::QueueId;

pub(super) type Answer<T> = oneshot::Sender<Result<T, SpoolError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Op {
    /// The record's checksums were computed by the caller's thread; `prefix` octets of its front belong to the text.
    Append {
        record: Unwritten,
        prefix: u32,
        large: Option<LargeDraft>,
        answer: Answer<Body>,
    },
    Update {
        id: QueueId,
        state: Vec<u8>,
        answer: Option<Answer<()>>,
    },
    Remove {
        id: QueueId,
        answer: Option<Answer<()>>,
    },
    /// Something on the way here has failed for good.
    Fail {
        what: &'static str,
        error: io::Error,
        answer: Answer<Body>,
    },
}

/// What a written record changes, and who waits for it.
#[derive(Debug)]
pub(super) enum Effect {
    Append {
        prefix: u32,
        large: Option<LargeDraft>,
        answer: Answer<Body>,
    },
    Update {
        answer: Option<Answer<()>>,
    },
    Remove {
        answer: Option<Answer<()>>,
    },
    /// A removal is written again, because these segments still have messages of it.
    Bury {
        segments: Vec<u32>,
    },
}

#[derive(Debug)]
pub(super) enum Waiting {
    Body(Answer<Body>, Body),
    Done(Answer<()>),
}

/// Why a step was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// For now.
    Full,
    /// For good; [`Log::failure`] says why.
    Failed,
}

/// Whose room it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Letter,
    State,
    Removal,
}

#[derive(Debug)]
pub(super) struct Log {
    pub config: SpoolConfig,
    pub disk: Arc<dyn Disk>,
    pub shared: Arc<Shared>,
    pub ids: Arc<Ids>,
    pub segments: BTreeMap<u32, Segment>,
    /// Where new records go. `None` when the disk was full at the start.
    pub young: Option<u32>,
    /// Where survivors go.
    pub slow: Option<u32>,
    pub next_number: u32,
    pub seq: u64,
    pub moving: Option<super::compact::Moving>,
    /// Segments in which there may be older copies of letters that are elsewhere now.
    pub moved: Vec<u32>,
    /// Something was refused for want of room, and none has come since.
    pub pressed: bool,
    /// Until when nothing is moved, because the disk was full.
    pub rest_until: u64,
    pub chunk: Vec<(Unwritten, Effect)>,
    pub chunk_bytes: u64,
    pub waiting: Vec<Waiting>,
    /// Changes that found no room: the newest state, or `None` for a removal.
    late: BTreeMap<QueueId, Option<Vec<u8>>>,
    /// Files of letters whose removal is written, but not yet durable.
    pub dead_texts: Vec<Large>,
    failure: Option<Arc<str>>,
}

impl Log {
    pub fn new(config: SpoolConfig, disk: Arc<dyn Disk>, shared: Arc<Shared>, ids: Arc<Ids>) -> Self {
        Self {
            config,
            disk,
            shared,
            ids,
            segments: BTreeMap::new(),
            young: None,
            slow: None,
            next_number: 0,
            seq: 0,
            moving: None,
            moved: Vec::new(),
            pressed: false,
            rest_until: 0,
            chunk: Vec::new(),
            chunk_bytes: 0,
            waiting: Vec::new(),
            late: BTreeMap::new(),
            dead_texts: Vec::new(),
            failure: None,
        }
    }

    pub fn failure(&self) -> Option<&Arc<str>> {
        self.failure.as_ref()
    }

    /// Somebody waits for a sync.
    pub fn has_waiters(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Something is written that is not durable.
    pub fn is_dirty(&self) -> bool {
        let young = self.young.and_then(|young| self.segments.get(&young));
        self.failure.is_none() && young.is_some_and(|young| young.durable < young.end)
    }

    /// Writes these operations, in order. Answers those that are refused.
    pub fn write(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.retry_late();
        for op in ops {
            match op {
                Op::Append { record, prefix, large, answer } => {
                    self.change(record, Purpose::Letter, Effect::Append { prefix, large, answer });
                }
                Op::Fail { what, error, answer } => {
                    let trouble = self.fail(what, &error);
                    drop(answer.send(Err(self.error(trouble))));
                }
                Op::Update { id, state, answer } => self.update(id, state, answer),
                Op::Remove { id, answer } => self.remove(id, answer),
            }
        }
        // A failure has been told to everybody who waits.
        let _ = self.flush();
    }

    /// Makes all that is written durable and answers everybody who waits for it.
    pub fn sync(&mut self) {
        // Where this finds the disk full, what was written before is synced all the same.
        let _ = self.flush();
        if self.sync_young().is_err() {
            return;
        }
        for waiting in self.waiting.drain(..) {
            // Those who went away do not want to know.
            match waiting {
                Waiting::Body(answer, body) => drop(answer.send(Ok(body))),
                Waiting::Done(answer) => drop(answer.send(Ok(()))),
            }
        }
        for large in self.dead_texts.drain(..) {
            let path = self.shared.large_text(&large).path;
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "text of a removed letter not removed");
            }
        }
    }

    /// Nothing is written any more; everybody is told.
    pub fn fail(&mut self, what: &str, error: &io::Error) -> Trouble {
        let reason: Arc<str> = format!("{what}: {error}").into();
        tracing::error!(%reason, "spool failed");
        self.failure = Some(reason.clone());
        self.shared.failure.send_replace(Some(reason));
        // Their records may be on disk: the texts stay.
        for (record, effect) in std::mem::take(&mut self.chunk) {
            self.refuse(record, effect, Trouble::Failed);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Body(answer, _) => drop(answer.send(Err(self.error(Trouble::Failed)))),
                Waiting::Done(answer) => drop(answer.send(Err(self.error(Trouble::Failed)))),
            }
        }
        Trouble::Failed
    }

    fn error(&self, trouble: Trouble) -> SpoolError {
        match (&self.failure, trouble) {
            (Some(reason), _) => SpoolError::Failed(reason.clone()),
            (None, _) => SpoolError::NoSpace,
        }
    }

    fn update(&mut self, id: QueueId, state: Vec<u8>, answer: Option<Answer<()>>) {
        if !self.knows(id) {
            return self.done(id, answer);
        }
        let crc = crc32c::crc32c(&state);
        let len = state.len() as u32;
        let record = Unwritten { header: header(Kind::Update, id, len, crc), front: state.into(), text: Bytes::new() };
        self.late.remove(&id);
        self.change(record, Purpose::State, Effect::Update { answer });
    }

    fn remove(&mut self, id: QueueId, answer: Option<Answer<()>>) {
        if !self.knows(id) {
            return self.done(id, answer);
        }
        self.late.remove(&id);
        let record = Unwritten { header: header(Kind::Remove, id, 0, 0), front: Bytes::new(), text: Bytes::new() };
        self.change(record, Purpose::Removal, Effect::Remove { answer });
    }

    /// Takes the record into the chunk, or refuses it.
    fn change(&mut self, record: Unwritten, purpose: Purpose, effect: Effect) {
        match self.make_room(record.size(), purpose) {
            Ok(()) => self.gather(record, effect),
            Err(trouble) => {
                // What is refused is remembered in the order in which it came.
                let _ = self.flush();
                self.refuse(record, effect, trouble);
            }
        }
    }

    /// Writes a removal again before the segment with its first record goes.
    pub fn bury(&mut self, id: QueueId, segments: Vec<u32>) -> Result<(), Trouble> {
        let record = Unwritten { header: header(Kind::Remove, id, 0, 0), front: Bytes::new(), text: Bytes::new() };
        self.make_room(record.size(), Purpose::State)?;
        self.gather(record, Effect::Bury { segments });
        Ok(())
    }

    /// Nothing is to be done for a letter that is not here: durable as it is, once what came before is.
    fn done(&mut self, id: QueueId, answer: Option<Answer<()>>) {
        let Some(answer) = answer else { return };
        if self.failure.is_some() || self.late.contains_key(&id) {
            drop(answer.send(Err(self.error(Trouble::Full))));
        } else {
            self.waiting.push(Waiting::Done(answer));
        }
    }

    /// Whether the letter is here; if it may be in the chunk, that is written first.
    fn knows(&mut self, id: QueueId) -> bool {
        let here = |log: &Self| log.shared.index().entries.contains(id);
        if matches!(self.late.get(&id), Some(None)) {
            return false;
        }
        here(self) || (!self.chunk.is_empty() && self.flush().is_ok() && here(self))
    }

    fn retry_late(&mut self) {
        if self.late.is_empty() || self.failure.is_some() {
            return;
        }
        for (id, state) in std::mem::take(&mut self.late) {
            match state {
                Some(state) => self.update(id, state, None),
                None => self.remove(id, None),
            }
        }
        // Apart from the letters that follow: if there is no room for those, these are not thrown back with them.
        let _ = self.flush();
    }

    fn gather(&mut self, mut record: Unwritten, effect: Effect) {
        self.seq += 1;
        record.header.seq = self.seq;
        self.chunk_bytes += record.size();
        self.chunk.push((record, effect));
    }

    /// Writes the chunk to the young segment and tells the index.
    pub fn flush(&mut self) -> Result<(), Trouble> {
        if self.failure.is_some() {
            return Err(Trouble::Failed);
        }
        self.chunk_bytes = 0;
        let Some(young) = self.young.and_then(|young| self.segments.get_mut(&young)) else { return Ok(()) };
        if self.chunk.is_empty() {
            return Ok(());
        }
        let start = young.end;
        match young.write(self.chunk.iter().map(|(record, _)| record)) {
            Ok(()) => {
                self.apply(start);
                Ok(())
            }
            Err(error) if is_full(&error) => self.roll_back(),
            Err(error) => Err(self.fail("cannot write to the segment", &error)),
        }
    }

    /// The write that found no room is cut off, durably: what is refused must not come back.
    fn roll_back(&mut self) -> Result<(), Trouble> {
        let Some(young) = self.young.and_then(|young| self.segments.get_mut(&young)) else { return Ok(()) };
        if let Err(error) = young.cut() {
            return Err(self.fail("cannot cut the segment", &error));
        }
        for (record, effect) in std::mem::take(&mut self.chunk) {
            self.refuse(record, effect, Trouble::Full);
        }
        Err(Trouble::Full)
    }

    fn refuse(&mut self, record: Unwritten, effect: Effect, trouble: Trouble) {
        self.pressed = true;
        let (id, full) = (record.header.id, trouble == Trouble::Full);
        let answer = match effect {
            Effect::Append { large, answer, .. } => {
                if let Some(large) = large.filter(|_| !full) {
                    large.keep();
                }
                return drop(answer.send(Err(self.error(trouble))));
            }
            Effect::Update { answer } => {
                // A removal stays a removal.
                if full && self.late.get(&id) != Some(&None) {
                    self.late.insert(id, Some(record.front.to_vec()));
                }
                answer
            }
            Effect::Remove { answer } => {
                if full {
                    self.late.insert(id, None);
                }
                answer
            }
            Effect::Bury { .. } => None,
        };
        if let Some(answer) = answer {
            drop(answer.send(Err(self.error(trouble))));
        }
    }
}

/// The header of a record without text.
pub(super) fn header(kind: Kind, id: QueueId, len: u32, crc: u32) -> Header {
    Header { kind, has_state: false, len, front: len, id, seq: 0, durable: 0, front_crc: crc, payload_crc: crc }
}
