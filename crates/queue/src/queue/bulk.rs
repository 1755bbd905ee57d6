//! What an operator does to many letters at once: retry, hold, release, give back, drop.
//!
//! Letters are taken in pieces. Of each piece all are read without the lock, then changed under it in one go, then awaited
//! until the spool says durable: one sync serves a piece.
//!
//! # Invariants
//! - While a piece is being read and changed, no letter leaves the memory (`State::bulk`): what is there when it is changed
//!   is the newest, and what is not there did not change since it was read.
//! - What is counted is durable when the count is given; killed in the middle, each letter is as it was or as it was to be.

use std::sync::Arc;

use super::Queue;
use super::filter::{Filter, Selection};
use super::inner::{Inner, Loaded};
use super::report::{Cause, EXPIRED_AGAIN};
use super::settle::Written;
use crate::bounce::{Ended, How, given_back};
use crate::intake::Refusal;
use crate::letter::{Hold, Letter, QueueId, Timestamp};
use crate::record::{Event, Line};
use crate::spool::SpoolError;

/// How many are changed under one lock.
const PIECE: usize = 500;
/// Reports that are written at once.
const REPORTS_AT_ONCE: usize = 250;

impl Queue {
    /// How many letters such a selection means now: a dry run. Reads them: blocks.
    pub fn matching(&self, selection: &Selection) -> usize {
        self.inner.ids_of(selection).len()
    }

    /// Has letters tried now, whatever the calendar says; those that are held stay so. Gives how many there were. Blocks
    /// where a filter is given.
    pub fn retry(&self, selection: &Selection) -> usize {
        let ids = match selection {
            Selection::All => self.inner.lock().scheduler.ids(),
            Selection::Ids(ids) => ids.clone(),
            Selection::Filter(_) => self.inner.ids_of(selection),
        };
        {
            // Sites that seemed dead are looked at again.
            let mut state = self.inner.lock_now();
            state.scheduler.handle_probe_all();
            self.inner.pump(&mut state);
        }
        let mut found = 0;
        for piece in ids.chunks(PIECE) {
            let mut state = self.inner.lock();
            found += piece.iter().filter(|id| state.scheduler.handle_retry(**id)).count();
            self.inner.pump(&mut state);
        }
        found
    }

    /// Has all letters tried now.
    pub fn flush(&self) -> usize {
        self.retry(&Selection::All)
    }

    /// Has letters wait until they are released, or until a time. An attempt under way goes on. The time that a letter is
    /// held is not counted into the time it may take. Gives how many there were. Blocks.
    ///
    /// # Errors
    /// The spool cannot write; some may be held.
    pub fn hold(&self, selection: &Selection, reason: &str, until: Option<Timestamp>) -> Result<usize, Refusal> {
        let inner = &self.inner;
        inner.each_piece(selection, |now, letters| inner.hold_piece(letters, reason, until, now))
    }

    /// Ends holds. Gives how many letters were held. Blocks.
    ///
    /// # Errors
    /// The spool cannot write; some may be released.
    pub fn release(&self, selection: &Selection) -> Result<usize, Refusal> {
        self.inner.each_piece(selection, |now, letters| self.inner.release_piece(letters, now))
    }

    /// Gives letters back to their senders now, with a report that says so. An attempt under way goes on. Gives how many
    /// there were. Blocks.
    ///
    /// # Errors
    /// A report could not be stored; those letters stay.
    pub fn bounce(&self, selection: &Selection, reason: &str) -> Result<usize, Refusal> {
        let inner = &self.inner;
        inner.each_piece(selection, |now, letters| inner.bounce_piece(letters, reason, now))
    }

    /// Removes letters without a report. An attempt under way goes on and may yet deliver. Gives how many there were.
    /// Blocks.
    ///
    /// # Errors
    /// The spool cannot write; some may come back after a restart.
    pub fn drop(&self, selection: &Selection) -> Result<usize, Refusal> {
        self.inner.each_piece(selection, |now, letters| self.inner.drop_piece(letters, now))
    }
}

impl Inner {
    /// Those meant, with what is known of them, in pieces; sums up what `change` gives.
    pub(super) fn each_piece(
        self: &Arc<Self>,
        selection: &Selection,
        mut change: impl FnMut(Timestamp, Vec<(QueueId, Option<Loaded>)>) -> Result<usize, Refusal>,
    ) -> Result<usize, Refusal> {
        let everything = Filter::default();
        let (mut ids, filter) = match selection {
            Selection::All => (self.lock().scheduler.ids(), &everything),
            Selection::Ids(ids) => (ids.clone(), &everything),
            Selection::Filter(filter) => (self.lock().scheduler.ids_after(filter.after), filter),
        };
        ids.sort_unstable();
        ids.dedup();
        let (mut left, mut changed) = (filter.limit.unwrap_or(usize::MAX), 0);
        for piece in ids.chunks(PIECE) {
            if left == 0 {
                break;
            }
            let keeping = Keeping::begin(self);
            let mut letters: Vec<_> = piece.iter().filter_map(|id| self.meant(*id, filter)).collect();
            letters.truncate(left);
            left -= letters.len();
            changed += change(Timestamp::now(), letters)?;
            drop(keeping);
        }
        Ok(changed)
    }

    fn ids_of(self: &Arc<Self>, selection: &Selection) -> Vec<QueueId> {
        let mut ids = Vec::new();
        let found = self.each_piece(selection, |_, letters| {
            ids.extend(letters.iter().map(|(id, _)| *id));
            Ok(letters.len())
        });
        debug_assert!(found.is_ok());
        ids
    }

    /// `None`: it is not in the queue, or not meant. A letter that cannot be read is meant only where all are.
    fn meant(&self, id: QueueId, filter: &Filter) -> Option<(QueueId, Option<Loaded>)> {
        let (there, (ready, running)) = {
            let state = self.lock();
            (state.scheduler.contains(id), state.scheduler.out_of(id))
        };
        if !there {
            return None;
        }
        match self.at_hand_or_load(id) {
            Ok(loaded) => {
                let standing = self.standing(&loaded, &ready, &running).0;
                self.matches(filter, &loaded, standing).then_some((id, Some(loaded)))
            }
            Err(_) => (*filter == Filter::default()).then_some((id, None)),
        }
    }

    fn hold_piece(
        self: &Arc<Self>,
        letters: Vec<(QueueId, Option<Loaded>)>,
        reason: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<usize, Refusal> {
        let mut written = Vec::with_capacity(letters.len());
        {
            let mut state = self.lock();
            for (id, loaded) in letters {
                let Some(loaded) = loaded.filter(|_| state.scheduler.contains(id)) else { continue };
                state.keep(id, loaded, None, true);
                let Some(warm) = state.warm.get_mut(&id).filter(|warm| warm.course.is_pending()) else { continue };
                let since = warm.course.hold.as_ref().map_or(now, |hold| hold.since);
                warm.course.hold = Some(Hold { reason: reason.to_owned(), since, until });
                state.scheduler.handle_held(id, until);
                let line = self.recorder.record_at(now, Event::Held).id(id).text("text", reason);
                match until {
                    Some(until) => line.until(until).write(),
                    None => line.write(),
                }
                written.extend(self.write_course(&mut state, id));
            }
            self.pump(&mut state);
        }
        self.until_durable(written)
    }

    fn release_piece(
        self: &Arc<Self>,
        letters: Vec<(QueueId, Option<Loaded>)>,
        now: Timestamp,
    ) -> Result<usize, Refusal> {
        let mut written = Vec::new();
        {
            let mut state = self.lock();
            for (id, loaded) in letters {
                let held = |loaded: &Loaded| loaded.course.hold.is_some();
                let Some(loaded) = loaded.filter(|l| held(l) && state.scheduler.contains(id)) else { continue };
                state.keep(id, loaded, None, true);
                if state.release(id, now) {
                    self.recorder.record_at(now, Event::Released).id(id).write();
                    written.extend(self.write_course(&mut state, id));
                }
            }
            self.pump(&mut state);
        }
        self.until_durable(written)
    }

    fn bounce_piece(
        self: &Arc<Self>,
        letters: Vec<(QueueId, Option<Loaded>)>,
        reason: &str,
        now: Timestamp,
    ) -> Result<usize, Refusal> {
        let words = given_back(now, reason);
        let (mut reports, mut found) = (Vec::new(), 0);
        {
            let mut state = self.lock();
            for (id, loaded) in letters {
                let Some(loaded) = loaded else { continue };
                let Some(running) = state.scheduler.handle_given_back(id) else { continue };
                found += 1;
                let letter = Arc::clone(&loaded.letter);
                state.keep(id, loaded, None, true);
                let (told, silent) = state.given_up(&letter, &running, now, How::Failed, Some(&words));
                told.iter().chain(&silent).for_each(|e| self.record_given_up(Event::Failed, &letter, e, now));
                if told.is_empty() {
                    state.scheduler.handle_expired(id, now.after(EXPIRED_AGAIN));
                }
                if !silent.is_empty() || told.is_empty() {
                    self.write_back(&mut state, id);
                }
                if !told.is_empty() {
                    state.reports += 1;
                    reports.push((letter, told));
                }
            }
            self.pump(&mut state);
        }
        self.report_all(reports)?;
        Ok(found)
    }

    /// Writes the reports, so many at once, and waits for them.
    fn report_all(self: &Arc<Self>, reports: Vec<(Arc<Letter>, Vec<Ended>)>) -> Result<(), Refusal> {
        let mut reports = reports.into_iter().peekable();
        let mut trouble = None;
        while reports.peek().is_some() {
            let part = reports.by_ref().take(REPORTS_AT_ONCE);
            let report = |(letter, told)| self.runtime.spawn(Arc::clone(self).report(letter, told, Cause::Expiry));
            let running: Vec<_> = part.map(report).collect();
            for report in running {
                let done = self.runtime.block_on(report);
                trouble = done.unwrap_or_else(|error| Err(Refusal::Spool(error.to_string()))).err().or(trouble);
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    fn drop_piece(self: &Arc<Self>, letters: Vec<(QueueId, Option<Loaded>)>, now: Timestamp) -> Result<usize, Refusal> {
        let mut removed = Vec::with_capacity(letters.len());
        {
            let mut state = self.lock();
            for (id, loaded) in &letters {
                if !state.scheduler.contains(*id) {
                    continue;
                }
                removed.push(self.spool.remove_durably(*id));
                state.scheduler.handle_removed(*id);
                state.forget(*id);
                self.dropped(self.recorder.record_at(now, Event::Dropped).id(*id), loaded.as_ref());
            }
            self.pump(&mut state);
        }
        let count = removed.len();
        removed.into_iter().try_for_each(|ticket| kept(ticket.wait()))?;
        Ok(count)
    }

    fn dropped(&self, line: Line<'_>, loaded: Option<&Loaded>) {
        match loaded {
            Some(loaded) => {
                line.from(&loaded.letter.from).all_to(loaded.pending().map(|recipient| &recipient.address)).write();
            }
            None => line.write(),
        }
    }

    pub(super) fn until_durable(self: &Arc<Self>, written: Vec<Written>) -> Result<usize, Refusal> {
        let count = written.len();
        let mut durable = Vec::with_capacity(count);
        let mut trouble = Ok(());
        for Written { id, update, ticket } in written {
            match ticket.wait() {
                Ok(()) => durable.push((id, update)),
                // The spool remembers it, and so does the memory.
                Err(error) => trouble = kept(Err(error)).and(trouble),
            }
        }
        let mut state = self.lock();
        for (id, update) in durable {
            state.durable(id, update);
        }
        trouble.map(|()| count)
    }
}

/// On a full disk the spool remembers the change, and writes it when there is room.
fn kept(answer: Result<(), SpoolError>) -> Result<(), Refusal> {
    match answer {
        Err(SpoolError::NoSpace) => Ok(()),
        other => other.map_err(Refusal::from),
    }
}

/// While it lives, no letter leaves the memory.
struct Keeping<'a>(&'a Inner);

impl<'a> Keeping<'a> {
    fn begin(inner: &'a Inner) -> Self {
        inner.lock().bulk += 1;
        Self(inner)
    }
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.bulk -= 1;
        if state.bulk == 0 {
            let late = std::mem::take(&mut state.cool_later);
            late.into_iter().for_each(|id| state.cool(id));
        }
    }
}
