//! A letter goes out: the right to one connection to a site, and the attempts made on it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::inner::{Handed, Inner, LoadError};
use super::settle::interruption;
use super::{Attempt, Lane, Outcome, Weather};
use crate::letter::{Letter, QueueId, Timestamp};
use crate::schedule::{Job, RecipientSet, WorkerId};
use crate::spool::Body;

/// When a letter that cannot be read now is looked at again: whatever ails the disk, it is not mended in seconds.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(600);

/// The right to one connection to a site. Gives it back when dropped.
pub struct Worker {
    pub lane: Lane,
    id: WorkerId,
    inner: Arc<Inner>,
    /// What was taken and not finished.
    running: Option<Running>,
    /// What was said about the weather during this attempt.
    met: Mutex<Option<Weather>>,
}

pub(super) struct Running {
    pub letter: Arc<Letter>,
    pub recipients: RecipientSet,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("lane", &self.lane).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Inner {
    pub async fn next_worker(self: &Arc<Self>) -> Option<Worker> {
        loop {
            let opened = self.opened.notified();
            {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                if let Some((id, lane)) = state.openings.pop_front() {
                    if !state.openings.is_empty() {
                        // A permit is one, however many were opened.
                        self.opened.notify_one();
                    }
                    return Some(Worker { lane, id, inner: Arc::clone(self), running: None, met: Mutex::default() });
                }
            }
            opened.await;
        }
    }

    /// Brings the letter of a job to hand. Blocks on the disk where it is not in memory.
    fn prepare(&self, job: &Job) -> Option<Attempt> {
        let at_hand = self.lock().warm.get_mut(&job.id).map(|warm| warm.give(&job.recipients));
        let found = match at_hand {
            Some((letter, Some(body), redirect)) => Ok((letter, body, redirect)),
            Some((letter, None, redirect)) => self.text(job.id).map(|body| (letter, body, redirect)),
            None => self.fetch(job),
        };
        match found {
            Ok((letter, body, redirect)) => {
                Some(Attempt { letter, recipients: job.recipients.iter().collect(), body, redirect })
            }
            Err(error) => {
                self.leave_job(job, &error);
                None
            }
        }
    }

    /// The letter of this job cannot be tried now: later again.
    fn leave_job(&self, job: &Job, error: &LoadError) {
        self.tell_unreadable(job.id, error);
        let again = Timestamp::now().after(UNREADABLE_AGAIN);
        let mut state = self.lock();
        match error {
            LoadError::Gone => state.scheduler.handle_removed(job.id),
            _ => state.scheduler.handle_settled(job.id, &job.recipients, Some(again)),
        }
        state.cool(job.id);
    }

    fn fetch(&self, job: &Job) -> Result<(Arc<Letter>, Body, Option<String>), LoadError> {
        let loaded = self.load(job.id)?;
        let body = self.text(job.id)?;
        let mut state = self.lock();
        // Another job of the same letter may have come first: then its letter is as good.
        state.keep(job.id, loaded, None, true);
        let warm = state.warm.get_mut(&job.id).ok_or(LoadError::Gone)?;
        let (letter, _, redirect) = warm.give(&job.recipients);
        Ok((letter, body, redirect))
    }

    fn text(&self, id: QueueId) -> Result<Body, LoadError> {
        let body = self.spool.body(id).ok_or(LoadError::Gone)?;
        // In memory where it is not large, its checksum verified: what is damaged must not be sent. And who carries it need
        // not ask the disk for each piece.
        body.warm().map_err(|error| LoadError::Text(Arc::new(error)))
    }
}

impl Worker {
    /// The next letter for this site, if there is one now. Reads the disk where the letter is not in memory.
    pub fn take(&mut self) -> Option<Attempt> {
        self.interrupted();
        loop {
            let job = {
                let mut state = self.inner.lock_now();
                if state.closed {
                    return None;
                }
                let job = state.scheduler.take(self.id);
                self.inner.pump(&mut state);
                job?
            };
            if let Some(attempt) = self.begin(job) {
                return Some(attempt);
            }
        }
    }

    /// The same, waiting up to `idle`, for a connection that is kept open. `None` also where another site needs the place:
    /// the connection should then be closed. May be dropped while it waits.
    pub async fn take_within(&mut self, idle: Duration) -> Option<Attempt> {
        self.interrupted();
        let deadline = tokio::time::Instant::now() + idle;
        loop {
            let mut waiting = self.wait()?;
            let handed = tokio::time::timeout_at(deadline, &mut waiting.receiver).await;
            let job = match handed {
                Ok(Ok(Handed::Job(job))) => job,
                Ok(Ok(Handed::Retired) | Err(_)) => return None,
                // One may have been handed over in the very last moment.
                Err(_) => waiting.stop()?,
            };
            drop(waiting);
            if let Some(attempt) = self.begin(job) {
                return Some(attempt);
            }
        }
    }

    /// Recipients that are done are done; the deferred go back on the calendar; the failed are reported to the sender.
    ///
    /// Outcomes that are missing count as "the attempt was interrupted".
    pub fn finish(&mut self, attempt: Attempt, outcome: Outcome) {
        // What the worker itself remembers is what it was given: the attempt's fields are open to everybody.
        let ours = self.running.take_if(|running| running.letter.id == attempt.letter.id);
        let Some(Running { letter, recipients }) = ours else { return };
        let mut said = outcome.recipients;
        said.resize_with(recipients.len(), interruption);
        self.inner.settle(self.id, &self.lane, &letter, &recipients, &said, self.met());
    }

    /// What this worker met at its site. To be said once for each attempt, before [`Worker::finish`]: it decides how many
    /// connections the site gets. Unsaid, an attempt that delivers is [`Weather::Fine`].
    pub fn weather(&self, weather: Weather) {
        if self.running.is_some() {
            *self.met.lock().unwrap_or_else(PoisonError::into_inner) = Some(weather);
            return;
        }
        let mut state = self.inner.lock_now();
        state.scheduler.handle_weather(self.id, weather);
        self.inner.pump(&mut state);
    }

    fn met(&self) -> Option<Weather> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn begin(&mut self, job: Job) -> Option<Attempt> {
        let inner = Arc::clone(&self.inner);
        // A panic about one letter must not leave it held as being tried.
        let panicked = OnPanic(|| inner.leave_job(&job, &LoadError::Panicked));
        let attempt = self.inner.prepare(&job);
        drop(panicked);
        let attempt = attempt.filter(|attempt| !inner.is_unwanted(self.id, &job, &attempt.letter))?;
        self.running = Some(Running { letter: Arc::clone(&attempt.letter), recipients: job.recipients });
        Some(attempt)
    }

    fn wait(&self) -> Option<Waiting<'_>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.inner.lock_now();
        if state.closed {
            return None;
        }
        state.idle.insert(self.id, sender);
        state.scheduler.handle_idle(self.id);
        self.inner.pump(&mut state);
        Some(Waiting { worker: self, receiver })
    }

    /// An attempt that was taken and never finished.
    fn interrupted(&mut self) {
        if let Some(running) = self.running.take() {
            self.inner.interrupted(self.id, &self.lane, running, self.met());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.interrupted();
        let mut state = self.inner.lock_now();
        state.scheduler.handle_closed(self.id);
        self.inner.pump(&mut state);
        drop(state);
        self.inner.calmed.notify_waiters();
    }
}

/// Does it only while a panic passes by.
struct OnPanic<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

/// A worker that waits. However the waiting ends, nothing that was handed over is lost.
struct Waiting<'w> {
    worker: &'w Worker,
    receiver: oneshot::Receiver<Handed>,
}

impl Waiting<'_> {
    /// Waits no more; gives what was handed over meanwhile.
    fn stop(&mut self) -> Option<Job> {
        let mut state = self.worker.inner.lock();
        if state.idle.remove(&self.worker.id).is_some() {
            state.scheduler.handle_free(self.worker.id);
        }
        match self.receiver.try_recv() {
            Ok(Handed::Job(job)) => Some(job),
            _ => None,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.stop() {
            let mut state = self.worker.inner.lock();
            state.scheduler.give_back(self.worker.id, job);
            self.worker.inner.pump(&mut state);
        }
    }
}
