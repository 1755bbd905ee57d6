//! Suspends and resumes sites, egress sources, recipient domains and senders. What is suspended is in `suspensions`.
//!
//! Sites and sources are left alone as lanes are that rest: their letters stay ready. Of a suspended domain or sender no
//! job is begun: a worker that gets one puts the letter back on the calendar, where it is looked at when the suspension
//! ends, or is resumed. Nothing of this is written into the letters.
//!
//! # Invariants
//! - From the moment when [`Queue::suspend`] returns, and over a restart, no attempt begins. Those under way end.
//! - Letters expire at their time, suspended or not.
//! - While no domain and no sender is suspended, a letter costs one relaxed load more.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::inner::{Inner, Loaded, State};
use super::suspensions::{SuspendError, Suspended, Suspension, Suspensions, put_aside};
use super::{Place, Queue};
use crate::letter::{Letter, Timestamp};
use crate::record::Event;
use crate::schedule::{Job, WorkerId};

/// Parked letters that are made due under one lock.
const PIECE: usize = 1_000;

impl Queue {
    /// From now on no attempt begins at this site, from this source, for this domain or sender; one that was suspended
    /// already gets the new reason and end. Durable when this returns. Blocks.
    ///
    /// # Errors
    /// The name makes no sense, or the file cannot be written; nothing was changed.
    pub fn suspend(&self, of: Suspended, reason: &str, until: Option<Timestamp>) -> Result<Suspension, SuspendError> {
        let (of, now) = (of.normal()?, Timestamp::now());
        if until.is_some_and(|until| until <= now) {
            return Err(SuspendError::Past);
        }
        let added = Suspension { of, reason: reason.to_owned(), since: now, until };
        self.inner.change_suspensions(|all| {
            if all.is_full() {
                return Err(SuspendError::TooMany);
            }
            all.add(added.clone());
            Ok(())
        })?;
        self.inner.record_suspension(Event::Suspended, &added, reason);
        Ok(added)
    }

    /// Ends such a suspension: what waits for it is due now. `None`: there was none. Blocks.
    ///
    /// # Errors
    /// As [`Queue::suspend`].
    pub fn resume(&self, of: Suspended) -> Result<Option<Suspension>, SuspendError> {
        let of = of.normal()?;
        let mut ended = None;
        self.inner.change_suspensions(|all| {
            ended = all.remove(&of);
            Ok(())
        })?;
        ended.iter().for_each(|ended| self.inner.record_suspension(Event::Resumed, ended, "by an operator"));
        Ok(ended)
    }

    /// All that are in force.
    pub fn suspensions(&self) -> Vec<Suspension> {
        let (state, now) = (self.inner.lock(), Timestamp::now());
        state.suspensions.iter().filter(|suspension| !suspension.is_over(now)).cloned().collect()
    }
}

impl Inner {
    /// What was suspended before the restart is so again.
    pub fn recall_suspensions(&self, data_dir: &Path) {
        match Suspensions::read(data_dir) {
            Ok(all) => {
                let mut state = self.lock_now();
                self.put_suspensions(&mut state, all);
            }
            Err(error) => {
                let aside = put_aside(data_dir);
                let text = format!("what was suspended cannot be read: {error}; see {}", aside.display());
                tracing::error!("{text}");
                self.recorder.record(Event::Problem).text("text", &text).write();
            }
        }
    }

    /// The file first: what is in force is on disk.
    fn change_suspensions(
        &self,
        change: impl FnOnce(&mut Suspensions) -> Result<(), SuspendError>,
    ) -> Result<(), SuspendError> {
        let one_at_a_time = self.suspending.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut all, data_dir) = {
            let state = self.lock();
            (Suspensions::clone(&state.suspensions), state.config.data_dir.clone())
        };
        change(&mut all)?;
        all.write(&data_dir)?;
        {
            let mut state = self.lock_now();
            self.put_suspensions(&mut state, all);
            self.pump(&mut state);
        }
        self.unpark();
        drop(one_at_a_time);
        Ok(())
    }

    fn put_suspensions(&self, state: &mut State, all: Suspensions) {
        self.letters_suspended.store(all.any_of_letters(), Ordering::Relaxed);
        state.suspension_ends = all.first_end();
        let all = Arc::new(all);
        state.suspensions = Arc::clone(&all);
        let now = Timestamp::now();
        let forever = Timestamp(u64::MAX);
        state.scheduler.handle_suspended(Box::new(move |lane| {
            let found = all.of_lane(lane, now)?;
            Some(found.until.unwrap_or(forever))
        }));
        self.bell.notify_one();
    }

    /// All that are parked are looked at again; what is still suspended is parked anew.
    fn unpark(&self) {
        let parked = self.lock().scheduler.parked();
        for piece in parked.chunks(PIECE) {
            let (mut state, now) = (self.lock(), Timestamp::now());
            piece.iter().for_each(|id| state.scheduler.handle_unparked(*id, now));
            self.pump(&mut state);
        }
    }

    /// Those whose time has come end. On the calendar's thread.
    pub fn end_suspensions(&self) {
        let now = Timestamp::now();
        let mut ended = Vec::new();
        let written = self.change_suspensions(|all| {
            ended = all.take_ended(now);
            Ok(())
        });
        if let Err(error) = written {
            // They are over all the same: each is asked for its end. The file is written with the next change.
            tracing::warn!(%error, "suspensions ended");
            self.lock().suspension_ends = None;
        }
        ended.iter().for_each(|ended| self.record_suspension(Event::Resumed, ended, "its time has come"));
    }

    fn record_suspension(&self, event: Event, suspension: &Suspension, text: &str) {
        let (of, name) = suspension.of.parts();
        tracing::info!(event = event.as_str(), of, name, text, "suspension");
        let line = self.recorder.record(event).text("of", of).text("name", name).text("text", text);
        match suspension.until.filter(|_| event == Event::Suspended) {
            Some(until) => line.until(until).write(),
            None => line.write(),
        }
    }

    /// Why some recipient of this letter is not tried, where something is suspended.
    pub fn suspension_of(&self, loaded: &Loaded) -> Option<Suspension> {
        let all = Arc::clone(&self.lock().suspensions);
        if all.is_empty() {
            return None;
        }
        let (now, letter) = (Timestamp::now(), &loaded.letter);
        let of_lane = |recipient| match self.sites.place_of(letter, recipient, loaded.course.redirect.as_deref()) {
            Place::Lane { lane, .. } => all.of_lane(&lane, now),
            Place::Unknown { .. } => None,
        };
        let of = |recipient| all.of_recipient(letter, recipient, now).or_else(|| of_lane(recipient));
        loaded.pending().find_map(of).cloned()
    }

    /// Whether this job is not to be begun: then it is on the calendar again, which parks it.
    pub fn is_unwanted(self: &Arc<Self>, worker: WorkerId, job: &Job, letter: &Letter) -> bool {
        if !self.letters_suspended.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.lock_now();
        let mut wanted = job.recipients.clone();
        if state.suspensions.take_out(letter, &mut wanted, Timestamp::now()).is_none() {
            return false;
        }
        state.scheduler.handle_unwanted(worker, job);
        state.cool(job.id);
        self.pump(&mut state);
        true
    }
}

/// What is suspended, as the folder of a daemon that is stopped remembers it.
///
/// # Errors
/// The file cannot be read.
pub fn suspensions_at_rest(data_dir: &Path) -> std::io::Result<Vec<Suspension>> {
    let now = Timestamp::now();
    let all = Suspensions::read(data_dir)?;
    Ok(all.iter().filter(|suspension| !suspension.is_over(now)).cloned().collect())
}
