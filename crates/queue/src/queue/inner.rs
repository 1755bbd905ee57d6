//! The state that all share, and its lock.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::recovery::Recovery;
use super::suspensions::Suspensions;
use super::troubles::Troubles;
use super::{Lane, OpenError, QueueConfig, Search, Site, Sites, Via};
use crate::counters::Counters;
use crate::intake::Refusal;
use crate::letter::codec::{self, DecodeError};
use crate::letter::{Course, Letter, QueueId, Timestamp};
use crate::record::{Event, Recorder};
use crate::schedule::{Dispatch, Job, RecipientSet, Scheduler, WorkerId};
use crate::spool::{Body, Disk, Problem, Spool, SpoolConfig, SpoolError};
use crate::table::IdMap;

/// Letters whose envelope is kept in memory; past that it is read from the spool when an attempt begins.
const WARM_MOST: usize = 10_000;
/// The same for their recipients, who take most of the memory.
const WARM_RECIPIENTS_MOST: usize = 50_000;

pub(super) struct Inner {
    pub spool: Spool,
    pub sites: Arc<dyn Sites>,
    pub recorder: Recorder,
    pub counters: Counters,
    pub problems: Vec<Problem>,
    pub runtime: Handle,
    state: Mutex<State>,
    /// Rings when the calendar's thread has to look earlier than it thought.
    pub bell: Condvar,
    /// A worker is asked for.
    pub opened: Notify,
    /// A search is asked for.
    pub sought: Notify,
    /// An attempt ended or a report is stored, while the queue is closing.
    pub calmed: Notify,
    /// Some domain or sender is suspended.
    pub letters_suspended: AtomicBool,
    /// Held by whoever changes what is suspended, file included.
    pub suspending: Mutex<()>,
}

pub(super) struct State {
    pub scheduler: Scheduler,
    pub config: Arc<QueueConfig>,
    pub warm: IdMap<Warm>,
    pub hot: u64,
    /// Recipients of the letters in `warm`.
    pub warm_recipients: usize,
    pub openings: VecDeque<(WorkerId, Lane)>,
    /// Domains whose site is to be found out.
    pub searches: VecDeque<Arc<str>>,
    pub idle: IdMap<oneshot::Sender<Handed>, WorkerId>,
    /// Numbers updates of the spool.
    pub updates: u64,
    /// Reports that are being written.
    pub reports: usize,
    /// Operators who read and change many letters: while there are any, no letter leaves the memory, but later.
    pub bulk: usize,
    pub cool_later: Vec<QueueId>,
    pub closed: bool,
    pub suspensions: Arc<Suspensions>,
    /// When the first of them ends.
    pub suspension_ends: Option<Timestamp>,
    pub troubles: Troubles,
    /// What the calendar's thread waits for.
    pub calendar_waits: Timestamp,
}

/// A letter under way, or about to be. While an attempt runs, while the letter is read or reported, and until its course
/// is on disk, it stays here, and `course` is what counts: the spool is written from it, and nobody reads the spool.
pub(super) struct Warm {
    pub letter: Arc<Letter>,
    pub course: Course,
    /// The number of the newest update, while the spool has not answered it. It gives back an older state until then.
    pub unwritten: Option<u64>,
    /// The sender is being told that it has to wait.
    pub telling: bool,
    /// The text, while the budget lasts.
    pub body: Option<Body>,
}

pub(super) enum Handed {
    Job(Job),
    Retired,
}

/// A letter as read from the spool.
pub(super) struct Loaded {
    pub letter: Arc<Letter>,
    pub course: Course,
}

/// Why a letter that is in the queue cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("it is not in the spool")]
    Gone,
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("its envelope is damaged: {0}")]
    Damaged(#[from] DecodeError),
    #[error("its text cannot be read: {0}")]
    Text(Arc<std::io::Error>),
    #[error("the program has a bug that this letter brings out; it is tried again later")]
    Panicked,
}

impl Inner {
    pub fn open(
        config: QueueConfig,
        sites: Arc<dyn Sites>,
        disk: Arc<dyn Disk>,
        recorder: Recorder,
    ) -> Result<Arc<Self>, OpenError> {
        let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        recorder.keep_free(config.min_free / 2);
        let mut scheduler = Scheduler::new(Arc::clone(&sites), config.workers, config.initial_connections);
        let mut recovery = Recovery::new(&config, &mut scheduler, Timestamp::now());
        let folder = SpoolConfig::new(config.data_dir.join("spool"));
        let (spool, problems) = Spool::open_with(folder, disk, &mut |letter| recovery.take(&letter))?;
        let found = recovery.finish();
        let state = State {
            scheduler,
            config: Arc::new(config),
            warm: IdMap::default(),
            hot: 0,
            warm_recipients: 0,
            openings: VecDeque::new(),
            searches: VecDeque::new(),
            idle: IdMap::default(),
            updates: 0,
            reports: 0,
            bulk: 0,
            cool_later: Vec::new(),
            closed: false,
            suspensions: Arc::default(),
            suspension_ends: None,
            troubles: Troubles::default(),
            calendar_waits: Timestamp(0),
        };
        let inner = Arc::new(Self {
            spool,
            sites,
            recorder,
            counters: Counters::default(),
            problems,
            runtime,
            state: Mutex::new(state),
            bell: Condvar::new(),
            opened: Notify::new(),
            sought: Notify::new(),
            calmed: Notify::new(),
            letters_suspended: AtomicBool::new(false),
            suspending: Mutex::default(),
        });
        let data_dir = inner.config().data_dir.clone();
        inner.recall_suspensions(&data_dir);
        inner.tell_problems();
        found.done.into_iter().for_each(|id| inner.spool.remove(id));
        for (id, error) in found.damaged {
            inner.tell_unreadable(id, &LoadError::Damaged(error));
        }
        Ok(inner)
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be our bug; the spool stays right, so the other letters go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for those who move letters: the scheduler is told what time it is.
    pub fn lock_now(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.scheduler.handle_time(Timestamp::now());
        state
    }

    pub fn config(&self) -> Arc<QueueConfig> {
        Arc::clone(&self.lock().config)
    }

    pub fn reconfigure(&self, config: QueueConfig) {
        self.recorder.keep_free(config.min_free / 2);
        self.recorder.reconfigure(config.records.clone());
        let mut state = self.lock();
        state.scheduler.set_initial_connections(config.initial_connections);
        let data_dir = state.config.data_dir.clone();
        state.config = Arc::new(QueueConfig { data_dir, ..config });
    }

    fn tell_problems(&self) {
        for Problem { file, offset, what, .. } in &self.problems {
            tracing::error!(file, offset, what, "the spool is damaged; the damaged part was set aside");
            let text = format!("{file} at {offset}: {what}");
            self.recorder.record(Event::Problem).text("text", &text).write();
        }
    }

    /// A letter that cannot be read is left where it is.
    pub fn tell_unreadable(&self, id: QueueId, error: &LoadError) {
        tracing::error!(%id, %error, "a letter cannot be read");
        self.recorder.record(Event::Problem).id(id).text("text", &error.to_string()).write();
    }

    /// Envelope and states from the spool. Blocks.
    pub fn load(&self, id: QueueId) -> Result<Loaded, LoadError> {
        let stored = self.spool.letter(id)?.ok_or(LoadError::Gone)?;
        let (letter, course) = codec::decode(id, &stored.meta, stored.state.as_deref().unwrap_or_default())?;
        Ok(Loaded { letter: Arc::new(letter), course })
    }

    pub fn room_for(&self, size: u64) -> Result<(), Refusal> {
        if let Some(reason) = self.spool.failure() {
            return Err(Refusal::Spool(reason.to_string()));
        }
        let min_free = {
            let state = self.lock();
            if state.closed {
                return Err(Refusal::Stopping);
            }
            state.config.min_free
        };
        let needed = min_free.saturating_add(size.saturating_add(size / 2));
        match self.spool.free_space() {
            Some(free) if free < needed => Err(Refusal::NoSpace),
            _ => Ok(()),
        }
    }

    /// Passes on what the scheduler decided. To be called after each change, under the same lock.
    pub fn pump(&self, state: &mut State) {
        while let Some(dispatch) = state.scheduler.poll_dispatch() {
            match dispatch {
                Dispatch::OpenWorker { worker, lane } => {
                    state.openings.push_back((worker, lane));
                    self.opened.notify_one();
                }
                Dispatch::Hand { worker, job } => state.hand(worker, Handed::Job(job)),
                Dispatch::Search { domain } => {
                    state.searches.push_back(domain);
                    self.sought.notify_one();
                }
                Dispatch::Retire { worker } => state.hand(worker, Handed::Retired),
                Dispatch::Rest { id } => state.cool(id),
            }
        }
        if state.scheduler.next_time().is_some_and(|at| at < state.calendar_waits) {
            self.bell.notify_one();
        }
    }

    pub async fn next_search(self: &Arc<Self>) -> Option<Search> {
        loop {
            let sought = self.sought.notified();
            {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                if let Some(domain) = state.searches.pop_front() {
                    if !state.searches.is_empty() {
                        self.sought.notify_one();
                    }
                    return Some(Search { domain, inner: Arc::clone(self) });
                }
            }
            sought.await;
        }
    }

    pub fn found(&self, domain: &str, site: &Site, via: &Via) {
        let mut state = self.lock_now();
        state.scheduler.handle_found(domain, site, via);
        self.pump(&mut state);
    }

    /// A search was given up.
    pub fn unsearched(&self, domain: &str) {
        let mut state = self.lock_now();
        state.scheduler.handle_unsearched(domain);
        self.pump(&mut state);
    }

    pub fn limits_changed(&self, site: &Site) {
        let mut state = self.lock_now();
        state.scheduler.handle_limits(site);
        self.pump(&mut state);
    }

    /// Hands out nothing any more, and lets the calendar's thread end.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.openings.clear();
        state.searches.clear();
        for (_, idle) in state.idle.drain() {
            let _ = idle.send(Handed::Retired);
        }
        drop(state);
        self.bell.notify_one();
        self.opened.notify_waiters();
        self.sought.notify_waiters();
    }

    pub async fn close(self: &Arc<Self>, grace: Duration) {
        self.stop();
        let calm = async {
            loop {
                let calmed = self.calmed.notified();
                if self.lock().is_calm() {
                    return;
                }
                calmed.await;
            }
        };
        if tokio::time::timeout(grace, calm).await.is_err() {
            tracing::warn!("attempts under way were cut off; their letters are tried again at the next start");
        }
        let inner = Arc::clone(self);
        let closed = tokio::task::spawn_blocking(move || {
            inner.spool.close();
            inner.recorder.flush();
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "the spool was not closed in order");
        }
    }
}

impl Warm {
    /// The letter for an attempt on these recipients, with their state as it is now; and the way that an operator sent it.
    pub fn give(&mut self, recipients: &RecipientSet) -> (Arc<Letter>, Option<Body>, Option<String>) {
        for index in recipients.iter() {
            let (Some(recipient), Some(progress)) = (self.letter.recipients.get(index), self.course.states.get(index))
            else {
                continue;
            };
            // Mostly it is the first attempt, and nothing is copied.
            if recipient.state != progress.state
                && let Some(recipient) = Arc::make_mut(&mut self.letter).recipients.get_mut(index)
            {
                recipient.state = progress.state.clone();
            }
        }
        (Arc::clone(&self.letter), self.body.clone(), self.course.redirect.clone())
    }
}

impl State {
    fn hand(&mut self, worker: WorkerId, handed: Handed) {
        // The receiver is there: a worker that stops waiting takes its sender away under this lock.
        let refused = match self.idle.remove(&worker) {
            Some(idle) => idle.send(handed).err(),
            None => Some(handed),
        };
        if let Some(Handed::Job(job)) = refused {
            self.scheduler.give_back(worker, job);
        }
    }

    pub fn is_calm(&self) -> bool {
        self.reports == 0 && self.scheduler.workers().1 == 0
    }

    /// Keeps a letter at hand. `must`: whatever the budget says, because an attempt or a report needs it.
    pub fn keep(&mut self, id: QueueId, loaded: Loaded, body: Option<Body>, must: bool) {
        let recipients = loaded.course.states.len();
        let room = self.warm.len() < WARM_MOST && self.warm_recipients + recipients <= WARM_RECIPIENTS_MOST;
        if self.warm.contains_key(&id) || !(must || room) {
            return;
        }
        self.warm_recipients += recipients;
        let body = body.filter(|body| body.in_memory() && self.hot + body.len() <= self.config.hot_memory);
        self.hot += body.as_ref().map_or(0, Body::len);
        self.warm
            .insert(id, Warm { letter: loaded.letter, course: loaded.course, unwritten: None, telling: false, body });
    }

    /// Whether the text of so many octets would be kept.
    pub fn has_room_for(&self, octets: u64) -> bool {
        self.warm.len() < WARM_MOST && self.hot + octets <= self.config.hot_memory
    }

    /// The spool has this update of the letter, and can give it back as it is: it need not be in memory.
    pub fn durable(&mut self, id: QueueId, update: u64) {
        if let Some(warm) = self.warm.get_mut(&id)
            && warm.unwritten == Some(update)
        {
            warm.unwritten = None;
        }
        self.cool(id);
    }

    pub fn forget(&mut self, id: QueueId) {
        if let Some(warm) = self.warm.remove(&id) {
            self.hot -= warm.body.as_ref().map_or(0, Body::len);
            self.warm_recipients -= warm.course.states.len();
        }
    }

    /// Forgets a letter that only waits.
    pub fn cool(&mut self, id: QueueId) {
        if self.bulk > 0 {
            return self.cool_later.push(id);
        }
        let written = self.warm.get(&id).is_some_and(|warm| warm.unwritten.is_none() && !warm.telling);
        if written && self.scheduler.is_quiet(id) && self.scheduler.out_of(id).0.is_empty() {
            self.forget(id);
        }
    }
}
