//! The threads: one that writes, and one, begun when it is first needed, that makes large texts durable.
//!
//! No timer decides when to write: a batch is what arrived while the last one was synced. Changes for which nobody waits
//! are written with the others at once, so that they outlive the process, and synced with the next group or after
//! [`LAZY`], so that they outlive the machine.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::body::Body;
use super::disk::{Disk, is_full};
use super::draft::{Draft, DraftHome, Text};
use super::index::Shared;
use super::log::{Answer, Log, Op};
use super::{Envelope, SpoolError};
use crate::letter::Timestamp;

const LAZY: Duration = Duration::from_millis(50);
/// How often segments are looked after.
const TIDY: Duration = Duration::from_secs(1);
/// The same while nothing happens.
const TIDY_IDLE: Duration = Duration::from_secs(10);

/// Where operations wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ops: Vec<Op>,
    closed: bool,
    sleeping: bool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When closed the operation is dropped, and whoever waits for it learns so.
    pub fn push(&self, op: Op) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.ops.push(op);
        let wake = std::mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.bell.notify_one();
        }
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.bell.notify_one();
    }

    /// Swaps what has arrived into `batch`, waiting for it up to `patience`; `true` when no more can come.
    fn take(&self, batch: &mut Vec<Op>, patience: Duration) -> bool {
        let mut state = self.state();
        if state.ops.is_empty() && !state.closed && !patience.is_zero() {
            state.sleeping = true;
            let idle = |state: &mut State| state.ops.is_empty() && !state.closed;
            let woken = self.bell.wait_timeout_while(state, patience, idle);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.sleeping = false;
        }
        std::mem::swap(&mut state.ops, batch);
        state.closed
    }
}

pub(super) fn start(inbox: Arc<Inbox>, log: Log) -> std::io::Result<JoinHandle<()>> {
    let end = End { inbox: inbox.clone(), shared: log.shared.clone() };
    thread::Builder::new().name("spool".to_owned()).spawn(move || {
        let _end = end;
        run(&inbox, log);
    })
}

/// However the writer ends, nobody is left waiting for it.
struct End {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
}

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.failure.send_replace(Some("the spool's writer has panicked".into()));
        }
        self.inbox.close();
        self.inbox.state().ops.clear();
    }
}

fn run(inbox: &Inbox, mut log: Log) {
    let mut batch = Vec::new();
    let mut dirty_since: Option<Instant> = None;
    let (mut untidy, mut tidied, mut busy) = (true, Instant::now(), true);
    loop {
        let patience = match dirty_since {
            _ if untidy => Duration::ZERO,
            Some(since) => LAZY.saturating_sub(since.elapsed()),
            None => if busy { TIDY } else { TIDY_IDLE }.saturating_sub(tidied.elapsed()),
        };
        let closed = inbox.take(&mut batch, patience);
        let stop = closed && batch.is_empty();
        busy |= !batch.is_empty();
        log.write(batch.drain(..));
        if log.has_waiters() || dirty_since.is_some_and(|since| since.elapsed() >= LAZY) {
            let begun = Instant::now();
            log.sync();
            log.shared.sync_times.observe(begun.elapsed());
        }
        dirty_since = if log.is_dirty() { dirty_since.or_else(|| Some(Instant::now())) } else { None };
        if stop {
            break;
        }
        if untidy || tidied.elapsed() >= TIDY {
            untidy = log.maintain(Timestamp::now().0);
            busy = untidy;
            tidied = Instant::now();
        }
    }
    log.close();
}

/// A large letter on its way to the writer.
#[derive(Debug)]
pub(super) struct LargeLetter {
    pub envelope: Envelope,
    pub draft: Draft,
    pub answer: Answer<Body>,
}

/// Makes large texts durable, away from the writer and from the callers.
#[derive(Debug)]
pub(super) struct LargeDesk {
    sender: Sender<LargeLetter>,
    thread: JoinHandle<()>,
}

impl LargeDesk {
    pub fn start(inbox: Arc<Inbox>, home: Arc<DraftHome>) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let body = move || settle_all(&inbox, &home, &receiver);
        let thread = thread::Builder::new().name("spool-large".to_owned()).spawn(body)?;
        Ok(Self { sender, thread })
    }

    pub fn push(&self, letter: LargeLetter) {
        // The thread ends only when this end is dropped.
        let _ = self.sender.send(letter);
    }

    pub fn close(self) {
        drop(self.sender);
        let _ = self.thread.join();
    }
}

/// One sync of the folder serves all texts that are ready.
fn settle_all(inbox: &Inbox, home: &DraftHome, receiver: &Receiver<LargeLetter>) {
    while let Ok(first) = receiver.recv() {
        let letters: Vec<LargeLetter> = std::iter::once(first).chain(receiver.try_iter()).collect();
        settle(&*home.disk, home, letters).into_iter().for_each(|op| inbox.push(op));
    }
}

/// Makes these texts durable, names and all, and gives what is left for the writer to do.
pub(super) fn settle(disk: &dyn Disk, home: &DraftHome, letters: Vec<LargeLetter>) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut ready = Vec::new();
    for LargeLetter { envelope, draft, answer } in letters {
        match draft.finish() {
            Ok(text) => ready.push((envelope, text, answer)),
            Err(error) if is_full(&error) => drop(answer.send(Err(SpoolError::NoSpace))),
            Err(error) => ops.push(Op::Fail { what: "cannot write a large text", error, answer }),
        }
    }
    let synced = disk.sync_dir(&home.dir);
    for (envelope, text, answer) in ready {
        match &synced {
            Ok(()) => ops.push(envelope.append(text, answer)),
            Err(error) if is_full(error) => drop(answer.send(Err(SpoolError::NoSpace))),
            Err(error) => {
                ops.push(Op::Fail { what: "cannot sync the large texts", error: error.kind().into(), answer })
            }
        }
    }
    ops
}

impl Envelope {
    /// The operation that keeps this letter; its checksums are computed here, in the caller's thread.
    pub(super) fn append(self, text: Text, answer: Answer<Body>) -> Op {
        let (text, large) = match text {
            Text::Inline(text) => (text, None),
            Text::Large(large) => (bytes::Bytes::new(), Some(large)),
        };
        let front = super::record::Front {
            meta: &self.meta,
            state: None,
            prefix: &self.prefix,
            text_len: large.as_ref().map_or(text.len() as u64, |large| large.large().len),
            large: large.as_ref().map(|large| large.large()),
        };
        let record = super::compact::message(self.id, 0, front, text);
        Op::Append { record, prefix: self.prefix.len() as u32, large, answer }
    }
}
