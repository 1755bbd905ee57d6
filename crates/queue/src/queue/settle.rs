//! What becomes of an attempt: states in memory, in the spool and on the calendar, and the records of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use deliverability::named_wait;
use smtp::Reply;

use super::inner::{Inner, State};
use super::report::Cause;
use super::submit::attempts;
use super::worker::Running;
use super::{Lane, Place, RecipientOutcome, Site, Verdict, Weather};
use crate::bounce::{Ended, How, wants_report};
use crate::letter::codec::encode_state;
use crate::letter::{LastReply, Letter, Progress, QueueId, Recipient, RecipientState, Timestamp};
use crate::record::Event;
use crate::schedule::{Flow, RecipientSet, WorkerId};
use crate::spool::Ticket;

/// Who said it, where the words are ours.
pub(super) const OURSELVES: &str = "gatepost";

/// When those are looked at again who were said to go elsewhere, while the router says they do not.
const MOVED_AGAIN: Duration = Duration::from_secs(60);

/// A letter whose change is on its way to the disk.
pub(super) struct Written {
    pub id: QueueId,
    pub update: u64,
    pub ticket: Ticket<()>,
}

/// What an attempt came to for one recipient.
struct Step {
    index: usize,
    /// `None`: it was not tried at all.
    event: Option<Event>,
    next: Option<Timestamp>,
}

impl Inner {
    /// Takes in the outcome of an attempt on these recipients.
    pub(super) fn settle(
        self: &Arc<Self>,
        worker: WorkerId,
        lane: &Lane,
        letter: &Arc<Letter>,
        recipients: &RecipientSet,
        said: &[RecipientOutcome],
        weather: Option<Weather>,
    ) {
        let now = Timestamp::now();
        let moved = self.moved(lane, letter, recipients, said);
        let (steps, ended) = {
            let mut state = self.lock();
            state.scheduler.handle_time(now);
            if let Some(weather) = weather.or_else(|| accepted(said)) {
                state.scheduler.handle_weather(worker, weather);
                state.troubles.note(&lane.site, weather, said, now);
            }
            let taken = state.take_in(now, &lane.site, letter, recipients, said, moved);
            self.write_back(&mut state, letter.id);
            state.scheduler.handle_free(worker);
            state.reports += usize::from(!taken.1.is_empty());
            self.pump(&mut state);
            taken
        };
        self.calmed.notify_waiters();
        for (step, said) in steps.iter().zip(said) {
            self.record_step(now, letter, &lane.site, step, said);
        }
        if !ended.is_empty() {
            self.runtime.spawn(Arc::clone(self).report(Arc::clone(letter), ended, Cause::Attempt));
        }
    }

    /// Where those go now that were found to go elsewhere. Not those whom the router still sees in the same lane.
    fn moved(
        &self,
        lane: &Lane,
        letter: &Letter,
        recipients: &RecipientSet,
        said: &[RecipientOutcome],
    ) -> Vec<(Place, RecipientSet)> {
        if said.iter().all(|said| said.verdict != Verdict::Moved) {
            return Vec::new();
        }
        let moved = recipients.iter().zip(said).filter(|(_, said)| said.verdict == Verdict::Moved);
        let moved = moved.map(|(index, _)| index);
        // A bug of the router must not leave the letter held as being tried: it is looked at again later.
        let redirect = self.lock().warm.get(&letter.id).and_then(|warm| warm.course.redirect.clone());
        let jobs = catch_unwind(AssertUnwindSafe(|| self.jobs(letter, redirect.as_deref(), moved))).unwrap_or_default();
        let elsewhere = |place: &Place| !matches!(place, Place::Lane { lane: to, .. } if to == lane);
        jobs.into_iter().filter(|(place, _)| elsewhere(place)).collect()
    }

    /// An attempt that was begun and never finished.
    pub(super) fn interrupted(self: &Arc<Self>, worker: WorkerId, lane: &Lane, running: Running, met: Option<Weather>) {
        let Running { letter, recipients } = running;
        let said = vec![interruption(); recipients.len()];
        self.settle(worker, lane, &letter, &recipients, &said, met);
    }

    /// The spool gets what is in memory of this letter; a letter that is done leaves all.
    pub(super) fn write_back(self: &Arc<Self>, state: &mut State, id: QueueId) {
        let Some(warm) = state.warm.get(&id) else { return };
        if !state.scheduler.contains(id) {
            // An operator dropped it while it was tried.
            if state.scheduler.is_quiet(id) {
                state.forget(id);
            }
            return;
        }
        if warm.course.is_pending() {
            // Weak: nobody need wait for this when the queue is dropped.
            let written = self.write_course(state, id).map(|written| after_written(Arc::downgrade(self), written));
            written.into_iter().for_each(|written| drop(self.runtime.spawn(written)));
        } else {
            self.spool.remove(id);
            state.scheduler.handle_removed(id);
            state.forget(id);
        }
    }

    /// The spool gets the newest of a letter at hand; somebody waits for it.
    pub(super) fn write_course(&self, state: &mut State, id: QueueId) -> Option<Written> {
        let warm = state.warm.get_mut(&id)?;
        state.updates += 1;
        let update = state.updates;
        warm.unwritten = Some(update);
        let ticket = self.spool.update_durably(id, encode_state(&warm.course));
        Some(Written { id, update, ticket })
    }

    fn record_step(&self, now: Timestamp, letter: &Letter, site: &Site, step: &Step, said: &RecipientOutcome) {
        let (Some(recipient), Some(event)) = (letter.recipients.get(step.index), step.event) else { return };
        self.counters.settled(event, now.since(letter.arrived));
        let line = self
            .recorder
            .record_at(now, event)
            .id(letter.id)
            .from(&letter.from)
            .to(&recipient.address)
            .site(site)
            .size(letter.size)
            .attempt(attempts(&recipient.state) + 1)
            .reply(&said.reply)
            .by(&said.by)
            .tls(&said.tls)
            .age(now.since(letter.arrived));
        match step.next {
            Some(next) => line.next(next).write(),
            None => line.write(),
        }
    }
}

/// The weather where nobody named it: a server that takes letters is there.
fn accepted(said: &[RecipientOutcome]) -> Option<Weather> {
    let taken = |verdict| matches!(verdict, Verdict::Delivered | Verdict::PassedOn | Verdict::Relayed);
    said.iter().any(|said| taken(said.verdict)).then_some(Weather::Fine)
}

/// What is said about a recipient of whom nobody said anything.
pub(super) fn interruption() -> RecipientOutcome {
    const INTERRUPTED: Reply = Reply::new(451, (4, 3, 0), "the attempt was interrupted");
    let by = OURSELVES.to_owned();
    RecipientOutcome { verdict: Verdict::Deferred, reply: INTERRUPTED, by, tls: String::new() }
}

/// Once the spool can give it back as it is, the letter need not be in memory.
async fn after_written(inner: Weak<Inner>, written: Written) {
    let Written { id, update, ticket } = written;
    // Without room on the disk the spool remembers it, but does not give it back: then so do we.
    if ticket.await.is_err() {
        return;
    }
    let Some(inner) = inner.upgrade() else { return };
    inner.lock().durable(id, update);
}

impl State {
    /// Changes the states of the recipients tried, and the calendar. `said` has one entry for each of them, ascending. Those
    /// that are to be reported stay `running` until their report is durable.
    fn take_in(
        &mut self,
        now: Timestamp,
        site: &Site,
        letter: &Letter,
        recipients: &RecipientSet,
        said: &[RecipientOutcome],
        mut moved: Vec<(Place, RecipientSet)>,
    ) -> (Vec<Step>, Vec<Ended>) {
        let config = Arc::clone(&self.config);
        let (held, hold) =
            self.warm.get(&letter.id).map_or((Duration::ZERO, false), |w| (w.course.held, w.course.hold.is_some()));
        // While it is held, its time does not pass.
        let give_up = |recipient: &Recipient| config.give_up_at(letter, Some(&site.0), &recipient.address).after(held);
        let is_over = |index: &usize| !hold && letter.recipients.get(*index).is_some_and(|r| now >= give_up(r));
        let over: RecipientSet = recipients.iter().filter(is_over).collect();
        let (mut steps, mut ended) = (Vec::with_capacity(said.len()), Vec::new());
        let mut released = recipients.clone();
        let mut replaced = RecipientSet::default();
        moved.iter_mut().for_each(|(_, set)| set.subtract(&over));
        moved.iter().for_each(|(_, set)| replaced.add(set));
        released.subtract(&replaced);
        for (index, said) in recipients.iter().zip(said) {
            let Some(recipient) = letter.recipients.get(index) else { continue };
            let (attempts, expired) = (attempts(&recipient.state) + 1, over.contains(index));
            let last = LastReply { at: now, reply: said.reply.clone(), by: said.by.clone() };
            let event = event(said.verdict, expired);
            let next = match event {
                Some(Event::Deferred) => {
                    let (policy, named) =
                        (config.retry_for(&site.0, &recipient.address), named_wait(said.reply.text()));
                    let next = policy.next_attempt_after(named, letter.id, attempts, now);
                    // The calendar knows when the letter expires, but not by which site.
                    Some(if config.has_give_ups() && !hold { next.min(give_up(recipient)) } else { next })
                }
                // Not those that are placed anew at once.
                None if !replaced.contains(index) => Some(now.after(MOVED_AGAIN)),
                _ => None,
            };
            steps.push(Step { index, event, next });
            // Not there: an operator dropped the letter meanwhile.
            let Some(progress) = self.warm.get_mut(&letter.id).and_then(|warm| warm.course.states.get_mut(index))
            else {
                continue;
            };
            let state = match how(said.verdict, expired) {
                Some(how) if wants_report(letter, index, how) => {
                    released.remove(index);
                    ended.push(Ended { index, attempts, last, how });
                    continue;
                }
                None if event.is_none() => progress.state.clone(),
                None if event == Some(Event::Deferred) => RecipientState::Pending { attempts, last: Some(last) },
                Some(How::Failed | How::Expired) => RecipientState::Failed(last),
                _ => RecipientState::Delivered(last),
            };
            *progress = Progress { state, due: next.unwrap_or_default() };
        }
        let again = steps.iter().filter_map(|step| step.next).min();
        let again = again.map(|next| self.delay_of(letter).map_or(next, |due| next.min(due.max(now))));
        self.scheduler.handle_settled(letter.id, &released, again);
        moved.retain(|(_, set)| !set.is_empty());
        self.scheduler.handle_moved(letter.id, Flow::of(letter), moved);
        (steps, ended)
    }

    fn delay_of(&self, letter: &Letter) -> Option<Timestamp> {
        self.warm.get(&letter.id).filter(|warm| !warm.telling).and_then(|warm| self.delay_due(letter, &warm.course))
    }
}

/// How it ended, where that is for us to tell: not while it goes on, and not where the next server tells.
fn how(verdict: Verdict, expired: bool) -> Option<How> {
    match verdict {
        Verdict::Delivered => Some(How::Delivered),
        Verdict::Relayed => Some(How::Relayed),
        Verdict::Failed => Some(How::Failed),
        Verdict::Deferred | Verdict::Moved => expired.then_some(How::Expired),
        Verdict::PassedOn => None,
    }
}

fn event(verdict: Verdict, expired: bool) -> Option<Event> {
    Some(match verdict {
        Verdict::Delivered | Verdict::PassedOn | Verdict::Relayed => Event::Delivered,
        Verdict::Failed => Event::Failed,
        Verdict::Deferred | Verdict::Moved if expired => Event::Expired,
        Verdict::Moved => return None,
        Verdict::Deferred => Event::Deferred,
    })
}
