//! What becomes of an attempt: states in memory, in the spool and on the calendar, and the records of it.

use std::sync::{Arc, Weak};

use smtp::Reply;

use super::inner::{Inner, State};
use super::report::Cause;
use super::submit::attempts;
use super::worker::Running;
use super::{Attempt, Outcome, RecipientOutcome, Site, Verdict};
use crate::bounce::{Failing, wants_report};
use crate::letter::codec::encode_state;
use crate::letter::{LastReply, Letter, Progress, QueueId, RecipientState, Timestamp};
use crate::record::Event;
use crate::retry::RetryPolicy;
use crate::schedule::{RecipientSet, WorkerId};
use crate::spool::Ticket;

/// Who said it, where the words are ours.
pub(super) const OURSELVES: &str = "gatepost";

/// What is to be done about one attempt when the lock is released.
struct Settled {
    events: Vec<Event>,
    next: Vec<Option<Timestamp>>,
    failing: Vec<Failing>,
}

impl Inner {
    /// Takes in the outcome of an attempt on these recipients.
    pub(super) fn settle(
        self: &Arc<Self>,
        by: Option<(WorkerId, &Site)>,
        attempt: &Attempt,
        recipients: &RecipientSet,
        mut outcome: Outcome,
    ) {
        let now = Timestamp::now();
        outcome.recipients.resize_with(attempt.recipients.len(), || deferred_by_us(INTERRUPTED));
        let settled = {
            let mut state = self.lock();
            let settled = state.take_in(now, &attempt.letter, recipients, &attempt.recipients, &outcome);
            self.write_back(&mut state, attempt.letter.id);
            if let Some((worker, _)) = by {
                state.scheduler.handle_free(worker);
            }
            if !settled.failing.is_empty() {
                state.reports += 1;
            }
            self.pump(&mut state);
            settled
        };
        for (i, index) in attempt.recipients.iter().enumerate() {
            if let (Some(event), Some(said)) = (settled.events.get(i), outcome.recipients.get(i)) {
                let next = settled.next.get(i).copied().flatten();
                self.record_outcome(now, *event, &attempt.letter, *index, by.map(|(_, site)| site), said, next);
            }
        }
        if !settled.failing.is_empty() {
            let (inner, letter) = (Arc::clone(self), Arc::clone(&attempt.letter));
            self.runtime.spawn(async move { inner.report(letter, settled.failing, Cause::Attempt).await });
        }
    }

    /// An attempt whose worker was dropped.
    pub(super) fn interrupted(self: &Arc<Self>, worker: WorkerId, site: &Site, running: Running) {
        let Running { letter, recipients } = running;
        // The body is not looked at: an empty one will do.
        let body = crate::spool::Body::from_bytes(Vec::new());
        let attempt = Attempt { letter, recipients: recipients.iter().collect(), body };
        self.settle(Some((worker, site)), &attempt, &recipients, Outcome { recipients: Vec::new() });
    }

    /// The spool gets what is in memory of this letter; a letter that is done leaves all.
    pub(super) fn write_back(self: &Arc<Self>, state: &mut State, id: QueueId) {
        let Some(warm) = state.warm.get_mut(&id) else { return };
        if !state.scheduler.contains(id) {
            // An operator dropped it while it was tried.
            if state.scheduler.is_quiet(id) {
                state.forget(id);
            }
            return;
        }
        if warm.states.iter().any(|progress| progress.state.is_pending()) {
            state.updates += 1;
            let update = state.updates;
            warm.unwritten = Some(update);
            let written = self.spool.update_durably(id, encode_state(&warm.states));
            // Weak: nobody need wait for this when the queue is dropped.
            self.runtime.spawn(after_written(Arc::downgrade(self), id, update, written));
        } else {
            self.spool.remove(id);
            state.scheduler.handle_removed(id);
            state.forget(id);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn record_outcome(
        &self,
        now: Timestamp,
        event: Event,
        letter: &Letter,
        index: usize,
        site: Option<&Site>,
        said: &RecipientOutcome,
        next: Option<Timestamp>,
    ) {
        let Some(recipient) = letter.recipients.get(index) else { return };
        let mut line = self.recorder.record_at(now, event).id(letter.id).from(&letter.from).to(&recipient.address);
        if let Some(site) = site {
            line = line.site(site);
        }
        line = line
            .size(letter.size)
            .attempt(attempts(&recipient.state) + 1)
            .reply(&said.reply)
            .by(&said.by)
            .tls(&said.tls)
            .age(now.since(letter.arrived));
        match next {
            Some(next) => line.next(next).write(),
            None => line.write(),
        }
    }
}

const INTERRUPTED: Reply = Reply::new(451, (4, 3, 0), "the attempt was interrupted");

fn deferred_by_us(reply: Reply) -> RecipientOutcome {
    RecipientOutcome { verdict: Verdict::Deferred, reply, by: OURSELVES.to_owned(), tls: String::new() }
}

/// Once the spool can give it back as it is, the letter need not be in memory.
async fn after_written(inner: Weak<Inner>, id: QueueId, update: u64, written: Ticket<()>) {
    // Without room on the disk the spool remembers it, but does not give it back: then so do we.
    if written.await.is_err() {
        return;
    }
    let Some(inner) = inner.upgrade() else { return };
    let mut state = inner.lock();
    if let Some(warm) = state.warm.get_mut(&id)
        && warm.unwritten == Some(update)
    {
        warm.unwritten = None;
    }
    state.cool(id);
}

impl State {
    /// Changes the states of the recipients tried, and the calendar. Those that are to be reported stay `running` until
    /// their report is durable.
    fn take_in(
        &mut self,
        now: Timestamp,
        letter: &Letter,
        recipients: &RecipientSet,
        indexes: &[usize],
        outcome: &Outcome,
    ) -> Settled {
        let policy = &self.config.retry;
        let expired = now >= policy.expiry(letter);
        let mut settled = Settled { events: Vec::new(), next: Vec::new(), failing: Vec::new() };
        let mut released = recipients.clone();
        let mut again = None;
        for (index, said) in indexes.iter().zip(&outcome.recipients) {
            let progress = self.warm.get_mut(&letter.id).and_then(|warm| warm.states.get_mut(*index));
            let tried = letter.recipients.get(*index).map_or(0, |recipient| attempts(&recipient.state)) + 1;
            let last = LastReply { at: now, reply: said.reply.clone(), by: said.by.clone() };
            let event = event(said.verdict, expired);
            settled.events.push(event);
            settled.next.push(None);
            match event {
                Event::Delivered => set(progress, RecipientState::Delivered(last)),
                Event::Deferred => {
                    let due = retry_at(policy, letter.id, tried, now);
                    again = Some(again.map_or(due, |again: Timestamp| again.min(due)));
                    settled.next.pop();
                    settled.next.push(Some(due));
                    if let Some(progress) = progress {
                        *progress =
                            Progress { state: RecipientState::Pending { attempts: tried, last: Some(last) }, due };
                    }
                }
                _ if wants_report(letter, *index) && progress.is_some() => {
                    released.subtract(&[*index].into_iter().collect());
                    settled.failing.push(Failing {
                        index: *index,
                        attempts: tried,
                        last,
                        expired: said.verdict != Verdict::Failed,
                    });
                }
                _ => set(progress, RecipientState::Failed(last)),
            }
        }
        self.scheduler.handle_settled(letter.id, &released, again);
        settled
    }
}

pub(super) fn retry_at(policy: &RetryPolicy, id: QueueId, tried: u32, now: Timestamp) -> Timestamp {
    policy.next_attempt(id, tried, now)
}

fn event(verdict: Verdict, expired: bool) -> Event {
    match verdict {
        Verdict::Delivered => Event::Delivered,
        Verdict::Failed => Event::Failed,
        Verdict::Deferred if expired => Event::Expired,
        Verdict::Deferred => Event::Deferred,
    }
}

fn set(progress: Option<&mut Progress>, state: RecipientState) {
    if let Some(progress) = progress {
        *progress = Progress { state, due: Timestamp(0) };
    }
}
