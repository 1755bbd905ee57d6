//! The sender is told, before anything is forgotten: first the report is durable, then the letter's state changes. A
//! crash in between tells the sender twice, never not at all.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::give_up::GoesOn;
use super::inner::{Inner, State};
use crate::bounce::{self, Ended, How, wants_report};
use crate::intake::Refusal;
use crate::letter::{Letter, Progress, QueueId, Recipient, RecipientState, Timestamp};
use crate::record::Event;
use crate::schedule::RecipientSet;

/// When a letter that expired, but is not done with, is looked at again.
pub(super) const EXPIRED_AGAIN: Duration = Duration::from_secs(600);

/// What led to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// An attempt: its recipients are still held as running.
    Attempt,
    /// The calendar: the letter is held as expiring.
    Expiry,
}

impl Inner {
    /// Reports these recipients, then settles them. [`State::reports`] was counted up by the caller.
    pub async fn report(self: Arc<Self>, letter: Arc<Letter>, ended: Vec<Ended>, cause: Cause) -> Result<(), Refusal> {
        let stored = self.store_report(&letter, &ended).await;
        let goes_on = if cause == Cause::Expiry { self.goes_on(letter.id, &set_of(&ended)) } else { None };
        {
            let mut state = self.lock();
            match &stored {
                Ok(_) => state.conclude(letter.id, &ended, cause, goes_on),
                Err(_) => state.put_off(letter.id, &ended, cause),
            }
            self.write_back(&mut state, letter.id);
            state.reports -= 1;
            self.pump(&mut state);
        }
        self.calmed.notify_waiters();
        match &stored {
            Ok(report) => self.record_report(&letter, *report),
            // When we are stopping, the next start finds the letter as it was.
            Err(Refusal::Stopping) => {}
            Err(error) => tracing::error!(id = %letter.id, %error, "a report could not be stored; it is tried again"),
        }
        stored.map(drop)
    }

    pub async fn store_report(self: &Arc<Self>, letter: &Arc<Letter>, ended: &[Ended]) -> Result<QueueId, Refusal> {
        let (inner, for_thread, mut about) = (Arc::clone(self), Arc::clone(letter), ended.to_vec());
        // Reading the letter may block on the disk.
        let written = tokio::task::spawn_blocking(move || {
            let beginning = inner.beginning(for_thread.id).unwrap_or_else(|error| {
                tracing::warn!(id = %for_thread.id, %error, "a report goes without the letter, which cannot be read");
                Vec::new()
            });
            inner.tell_why_never_tried(&for_thread, &mut about);
            let host = inner.config().host_name.clone();
            bounce::write(&for_thread, &about, &beginning, &host, Timestamp::now())
        });
        let written = written.await.map_err(|error| Refusal::Spool(error.to_string()))?;
        let Some(bounce::Written { letter, text }) = written else {
            return Err(Refusal::Spool("the letter has no sender".to_owned()));
        };
        let mut draft = self.spool.draft();
        draft.write(&text).map_err(|error| Refusal::Spool(error.to_string()))?;
        self.accept(letter, draft).await
    }

    fn beginning(&self, id: QueueId) -> io::Result<Vec<u8>> {
        let warm = self.lock().warm.get(&id).and_then(|warm| warm.body.clone());
        let body = warm.or_else(|| self.spool.body(id)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut beginning = Vec::new();
        while beginning.len() < bounce::BEGINNING {
            let chunk = body.read_at(beginning.len() as u64, bounce::BEGINNING - beginning.len())?;
            if chunk.is_empty() {
                break;
            }
            beginning.extend_from_slice(&chunk);
        }
        Ok(beginning)
    }

    /// The letter is durable: its sender hears that names stood for several.
    pub fn tell_of_expansion(self: &Arc<Self>, letter: &Letter, names: Vec<Recipient>) {
        let letter = Arc::new(Letter { recipients: names, ..letter.clone() });
        let last = bounce::expanded(letter.arrived);
        let ended = |index| Ended { index, attempts: 0, last: last.clone(), how: How::Expanded };
        let wanted = |index: &usize| wants_report(&letter, *index, How::Expanded);
        let ended: Vec<_> = (0..letter.recipients.len()).filter(wanted).map(ended).collect();
        if ended.is_empty() {
            return;
        }
        self.lock().reports += 1;
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            match inner.store_report(&letter, &ended).await {
                Ok(report) => inner.record_report(&letter, report),
                Err(error) => tracing::error!(id = %letter.id, %error, "a report of an alias could not be stored"),
            }
            inner.lock().reports -= 1;
            inner.calmed.notify_waiters();
        });
    }

    pub fn record_report(&self, letter: &Letter, report: QueueId) {
        let line = self.recorder.record(Event::Report).id(letter.id).report(report);
        match letter.from.mailbox() {
            Some(sender) => line.to(sender).write(),
            None => line.write(),
        }
    }
}

/// What is left to say of a recipient when its report is written.
fn done(ended: &Ended) -> Progress {
    let last = ended.last.clone();
    let state = if ended.how.is_success() { RecipientState::Delivered(last) } else { RecipientState::Failed(last) };
    Progress { state, due: Timestamp(0) }
}

pub(super) fn set_of(ended: &[Ended]) -> RecipientSet {
    ended.iter().map(|ended| ended.index).collect()
}

impl State {
    /// The report is durable: these recipients are done.
    fn conclude(&mut self, id: QueueId, ended: &[Ended], cause: Cause, goes_on: Option<GoesOn>) {
        self.each(id, ended, done);
        match cause {
            Cause::Attempt => self.scheduler.handle_settled(id, &set_of(ended), None),
            Cause::Expiry => self.go_on(id, goes_on),
        }
    }

    /// The report could not be stored: the recipients are tried again, and fail again. Who has the letter does not get it a
    /// second time for the sake of a report.
    fn put_off(&mut self, id: QueueId, ended: &[Ended], cause: Cause) {
        let now = Timestamp::now();
        if cause == Cause::Expiry {
            return self.scheduler.handle_expired(id, now.after(EXPIRED_AGAIN));
        }
        let policy = self.config.retry.clone();
        let due = |ended: &Ended| policy.next_attempt(id, ended.attempts, now);
        self.each(id, ended, |ended| match ended.how.is_success() {
            true => done(ended),
            false => Progress {
                state: RecipientState::Pending { attempts: ended.attempts, last: Some(ended.last.clone()) },
                due: due(ended),
            },
        });
        let next = ended.iter().filter(|ended| !ended.how.is_success()).map(due).min();
        self.scheduler.handle_settled(id, &set_of(ended), next);
    }

    fn each(&mut self, id: QueueId, ended: &[Ended], progress: impl Fn(&Ended) -> Progress) {
        let Some(warm) = self.warm.get_mut(&id) else { return };
        for ended in ended {
            if let Some(place) = warm.course.states.get_mut(ended.index) {
                *place = progress(ended);
            }
        }
    }
}
