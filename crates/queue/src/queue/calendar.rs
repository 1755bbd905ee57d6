//! The thread that fetches letters whose time has come. It may block on the disk; nobody waits for it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::clock::{Clock, Jump};
use super::give_up::GoesOn;
use super::inner::{Inner, LoadError, Loaded, State};
use super::report::{Cause, EXPIRED_AGAIN};
use super::submit::attempts;
use crate::bounce::{Ended, How, never_tried, wants_report};
use crate::letter::{Course, Hold, LastReply, Letter, Progress, QueueId, RecipientState, Timestamp};
use crate::record::Event;
use crate::schedule::{Calendar, Flow, RecipientSet};

/// The longest sleep: when the clock is set, times are looked at anew after so long.
const NAP: Duration = Duration::from_secs(60);
/// When a letter that could not be read is looked at again.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(600);

impl Inner {
    pub fn start_calendar(self: &Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let inner = Arc::clone(self);
        std::thread::Builder::new().name("calendar".into()).spawn(move || inner.keep_calendar())
    }

    fn keep_calendar(self: Arc<Self>) {
        let mut state = self.lock();
        let mut clock = Clock::new(Timestamp::now(), Instant::now());
        while !state.closed {
            let now = Timestamp::now();
            if let Some(jump) = clock.look(now, Instant::now()) {
                state.handle_jump(jump, now);
            }
            if state.suspension_ends.is_some_and(|end| end <= now) {
                drop(state);
                self.end_suspensions();
                state = self.lock();
                continue;
            }
            let calendar = state.scheduler.poll_calendar(now);
            // Lanes and searches have their times as well.
            self.pump(&mut state);
            match calendar {
                Calendar::Load { id, all } => {
                    drop(state);
                    self.guard(id, || self.bring(id, all));
                    state = self.lock();
                }
                Calendar::Expire { id, running } => {
                    drop(state);
                    self.guard(id, || self.expire(id, &running));
                    state = self.lock();
                }
                Calendar::Wait(until) => {
                    let until = until.into_iter().chain(state.suspension_ends).min();
                    state.calendar_waits = until.unwrap_or(Timestamp(u64::MAX)).min(now.after(NAP));
                    let nap = state.calendar_waits.since(now);
                    state = self.bell.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0;
                    // Awake: nobody needs to ring.
                    state.calendar_waits = Timestamp(0);
                }
            }
        }
    }

    /// A panic about one letter, which would be our bug, must not stop all the others.
    fn guard(self: &Arc<Self>, id: QueueId, work: impl FnOnce()) {
        if std::panic::catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.leave_unreadable(id, &LoadError::Panicked);
        }
    }

    /// Reads a letter that is due, asks the router, and makes its recipients ready.
    fn bring(self: &Arc<Self>, id: QueueId, all: bool) {
        let loaded = match self.at_hand_or_load(id) {
            Ok(loaded) => loaded,
            Err(error) => return self.leave_unreadable(id, &error),
        };
        let gives_up = self.first_give_up(&loaded);
        let room = self.lock().has_room_for(loaded.letter.size);
        let body = if room { self.spool.body(id).and_then(|body| body.warm().ok()) } else { None };
        let now = Timestamp::now();
        let (due, next, delayed, redirect, parked) = {
            let mut state = self.lock();
            if !state.scheduler.is_loading(id) {
                // An operator was faster.
                return;
            }
            if state.hold_of(id, &loaded.course).is_some() {
                return self.look_at_hold(&mut state, id, loaded, now);
            }
            let (mut due, next) = state.due(&loaded, now, all);
            let parked = state.suspensions.take_out(&loaded.letter, &mut due, now);
            let course = state.warm.get(&id).map_or(&loaded.course, |warm| &warm.course);
            let delay = state.delay_due(&loaded.letter, course).filter(|due| *due > now);
            let next = next.into_iter().chain(delay).chain(parked.filter(|until| *until != Timestamp(u64::MAX))).min();
            (due, next, state.delayed(&loaded, now), course.redirect.clone(), parked)
        };
        let letter = Arc::clone(&loaded.letter);
        let (jobs, flow) = (self.jobs(&letter, redirect.as_deref(), due.iter()), Flow::of(&letter));
        let mut state = self.lock();
        if !state.scheduler.is_loading(id) {
            return;
        }
        if !due.is_empty() || !delayed.is_empty() {
            state.keep(id, loaded, body, !delayed.is_empty());
        }
        self.tell_of_delay(&mut state, letter, delayed);
        state.scheduler.handle_time(Timestamp::now());
        if let Some(expires) = gives_up {
            state.scheduler.handle_expiry(id, expires);
        }
        state.scheduler.handle_loaded(id, flow, jobs, next);
        if parked.is_some() {
            state.scheduler.handle_parked(id);
        }
        self.write_back_if_done(&mut state, id);
        self.pump(&mut state);
    }

    /// A letter that is held is looked at when the hold ends by itself, or when the clock was wrong.
    fn look_at_hold(self: &Arc<Self>, state: &mut State, id: QueueId, loaded: Loaded, now: Timestamp) {
        match state.hold_of(id, &loaded.course) {
            Some(hold) if !hold.is_over(now) => {
                let until = hold.until;
                state.scheduler.handle_held(id, until);
            }
            _ => {
                state.keep(id, loaded, None, true);
                state.release(id, now);
                self.recorder.record_at(now, Event::Released).id(id).write();
                self.write_back(state, id);
            }
        }
        self.pump(state);
    }

    /// A letter whose time has run out: those of its recipients that are not being tried are given back.
    fn expire(self: &Arc<Self>, id: QueueId, running: &RecipientSet) {
        let loaded = match self.at_hand_or_load(id) {
            Ok(loaded) => loaded,
            Err(error) => return self.leave_unreadable(id, &error),
        };
        let now = Timestamp::now();
        let letter = Arc::clone(&loaded.letter);
        let mut spared = self.not_given_up(&loaded, now);
        let goes_on = if spared.is_empty() { None } else { self.goes_on(id, &RecipientSet::default()) };
        spared.add(running);
        let (told, silent) = {
            let mut state = self.lock();
            if !state.scheduler.is_expiring(id) {
                return;
            }
            state.keep(id, loaded, None, true);
            let (told, silent) = state.given_up(&letter, &spared, now, How::Expired, None);
            if told.is_empty() {
                state.go_on(id, goes_on);
            } else {
                state.reports += 1;
            }
            if !silent.is_empty() || told.is_empty() {
                self.write_back(&mut state, id);
            }
            self.pump(&mut state);
            (told, silent)
        };
        told.iter().chain(&silent).for_each(|ended| self.record_given_up(Event::Expired, &letter, ended, now));
        if !told.is_empty() {
            self.runtime.spawn(Arc::clone(self).report(letter, told, Cause::Expiry));
        }
    }

    /// What is in memory is newer than what is on disk.
    pub fn at_hand_or_load(&self, id: QueueId) -> Result<Loaded, LoadError> {
        let at_hand = self
            .lock()
            .warm
            .get(&id)
            .map(|warm| Loaded { letter: Arc::clone(&warm.letter), course: warm.course.clone() });
        at_hand.map_or_else(|| self.load(id), Ok)
    }

    fn leave_unreadable(&self, id: QueueId, error: &LoadError) {
        self.tell_unreadable(id, error);
        let mut state = self.lock();
        match error {
            LoadError::Gone => state.scheduler.handle_removed(id),
            _ => state.scheduler.handle_unreadable(id, Timestamp::now().after(UNREADABLE_AGAIN)),
        }
        self.pump(&mut state);
    }

    /// A letter all of whose recipients are done is still here when the power went before its removal was durable.
    fn write_back_if_done(self: &Arc<Self>, state: &mut State, id: QueueId) {
        let done = state.warm.get(&id).is_some_and(|warm| !warm.course.is_pending());
        if done {
            self.write_back(state, id);
        } else {
            state.cool(id);
        }
    }

    pub fn record_given_up(&self, event: Event, letter: &Letter, ended: &Ended, now: Timestamp) {
        let Some(recipient) = letter.recipients.get(ended.index) else { return };
        self.counters.settled(event, now.since(letter.arrived));
        let line = self.recorder.record_at(now, event).id(letter.id).from(&letter.from).to(&recipient.address);
        let line = line.size(letter.size).attempt(ended.attempts).reply(&ended.last.reply).by(&ended.last.by);
        line.age(now.since(letter.arrived)).write();
    }
}

impl State {
    fn handle_jump(&mut self, jump: Jump, now: Timestamp) {
        match jump {
            Jump::Back(by) => {
                tracing::warn!(?by, "the clock was set back; attempts that it put off too far are made now");
                let latest = now.after(self.config.longest_wait());
                self.scheduler.handle_clock_back(now, latest);
            }
            Jump::Forward(by) => {
                tracing::warn!(?by, "the clock was set forward; letters that expired by it are tried once more");
                self.scheduler.handle_clock_forward(now);
            }
        }
    }

    /// The pending recipients that are due and in no job, and when the next of the others is due.
    fn due(&mut self, read: &Loaded, now: Timestamp, all: bool) -> (RecipientSet, Option<Timestamp>) {
        let id = read.letter.id;
        let (ready, running) = self.scheduler.out_of(id);
        let states = self.warm.get(&id).map_or(&read.course, |warm| &warm.course).states.iter();
        // A letter that is held waits longer than any other.
        let latest = read.letter.release().max(now).after(self.config.longest_wait());
        let mut due = RecipientSet::default();
        let mut next = None;
        for (index, progress) in states.enumerate() {
            if !progress.state.is_pending() || ready.contains(index) || running.contains(index) {
                continue;
            }
            if all || progress.due <= now || progress.due > latest {
                due.insert(index);
            } else {
                next = Some(next.map_or(progress.due, |next: Timestamp| next.min(progress.due)));
            }
        }
        (due, next)
    }

    /// Some of a letter's recipients were given up. `goes_on`: the others have more time.
    pub fn go_on(&mut self, id: QueueId, goes_on: Option<GoesOn>) {
        match goes_on {
            Some(GoesOn { expires, next }) => self.scheduler.handle_released(id, expires, next),
            None => self.scheduler.handle_expired(id, Timestamp::now().after(EXPIRED_AGAIN)),
        }
    }

    /// What is known of its hold: memory is newer than the disk.
    fn hold_of<'a>(&'a self, id: QueueId, read: &'a Course) -> Option<&'a Hold> {
        self.warm.get(&id).map_or(read, |warm| &warm.course).hold.as_ref()
    }

    /// Ends the hold of a letter at hand. `false`: it was not held.
    pub fn release(&mut self, id: QueueId, now: Timestamp) -> bool {
        let Some(warm) = self.warm.get_mut(&id) else { return false };
        let released = warm.course.release(now);
        if released {
            let expires = self.config.expiry(&warm.letter, &warm.course);
            self.scheduler.handle_released(id, expires, warm.course.next_due().unwrap_or(now));
        }
        released
    }

    /// The pending recipients that are not being tried, parted by whether their sender is told. Those who are not told
    /// are done at once. `words`: ours, in place of the last ones said.
    pub fn given_up(
        &mut self,
        letter: &Letter,
        running: &RecipientSet,
        now: Timestamp,
        how: How,
        words: Option<&LastReply>,
    ) -> (Vec<Ended>, Vec<Ended>) {
        let Some(warm) = self.warm.get_mut(&letter.id) else { return Default::default() };
        let (mut told, mut silent) = (Vec::new(), Vec::new());
        for (index, progress) in warm.course.states.iter_mut().enumerate() {
            if !progress.state.is_pending() || running.contains(index) {
                continue;
            }
            let last = words.or_else(|| progress.state.last()).cloned().unwrap_or_else(|| never_tried(now));
            let ended = Ended { index, attempts: attempts(&progress.state), last, how };
            if wants_report(letter, index, how) {
                told.push(ended);
            } else {
                *progress = Progress { state: RecipientState::Failed(ended.last.clone()), due: Timestamp(0) };
                silent.push(ended);
            }
        }
        (told, silent)
    }
}
