//! How fast one lane may go: a window found by feedback, the router's limits, and pauses while its site is dead.
//!
//! The idea is that of Postfix's scheduler: the window is how many connections the site bears. Each fine attempt that used
//! the window in full makes it wider by a part of itself, so that a whole window of them adds one connection. Trouble halves
//! it. A cohort of failures without any fine attempt between says that the site is dead: it is left in peace for a pause,
//! then one worker with one letter looks whether it is back; while it is not, the pauses grow.
//!
//! # Invariants
//! - The window is never below one connection, nor above the router's limit for long.
//! - Letters leave no more often than the rate says, but for one (or for what fits in 20 ms).

use std::time::Duration;

use crate::letter::Timestamp;
use crate::queue::{Limits, Weather};

const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Connections meet the same trouble together: it halves the window once.
const ONE_TROUBLE: Duration = Duration::from_secs(1);
/// When the router is asked again, even if it did not say that its limits changed.
const LIMITS_AGE: Duration = Duration::from_secs(5);
/// What a rate may catch up in one moment, in microseconds: clocks and threads are no finer.
const CATCH_UP: u64 = 20_000;

#[derive(Debug)]
pub(super) struct Pace {
    pub limits: Limits,
    asked: Timestamp,
    window: f32,
    /// Failures since the last fine attempt, as parts of a cohort.
    failed: f32,
    /// Workers that were open at the first of them.
    cohort: usize,
    halved: Option<Timestamp>,
    /// The site is dead: nobody goes there until then, and after that one at a time.
    dead_until: Option<Timestamp>,
    pauses: u32,
    /// When the rate allows the next letter, in microseconds.
    next_letter: u64,
    /// An operator has it left alone until then; `u64::MAX`: until it is resumed.
    pub suspended: Option<Timestamp>,
}

impl Pace {
    pub fn new(initial: usize, limits: Limits, now: Timestamp) -> Self {
        Self {
            limits,
            asked: now,
            window: initial.max(1) as f32,
            failed: 0.0,
            cohort: 1,
            halved: None,
            dead_until: None,
            pauses: 0,
            next_letter: 0,
            suspended: None,
        }
    }

    pub fn is_stale(&self, now: Timestamp) -> bool {
        now < self.asked || now.since(self.asked) >= LIMITS_AGE
    }

    pub fn set_limits(&mut self, limits: Limits, now: Timestamp) {
        (self.limits, self.asked) = (limits, now);
    }

    /// Whether forgetting it changes anything.
    pub fn is_plain(&self, initial: usize, now: Timestamp) -> bool {
        let window = self.window == initial.max(1) as f32;
        window && self.dead_until.is_none() && self.failed == 0.0 && self.next_letter <= now.0.saturating_mul(1_000)
    }

    pub fn window(&self) -> usize {
        self.window as usize
    }

    pub fn limit(&self) -> usize {
        self.limits.connections.max(1)
    }

    pub fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.limits.rests_until.filter(|until| *until > now)
    }

    pub fn suspended_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.suspended.filter(|until| *until > now)
    }

    /// The site is dead; nobody is sent there before this, and then one worker.
    pub fn dead_until(&self) -> Option<Timestamp> {
        self.dead_until
    }

    /// Workers that may go there now.
    pub fn allowed(&self, now: Timestamp) -> usize {
        match self.dead_until {
            _ if self.rests_until(now).is_some() || self.suspended_until(now).is_some() => 0,
            Some(until) if until > now => 0,
            Some(_) => 1,
            None => self.window().clamp(1, self.limit()),
        }
    }

    /// When more is allowed without anything having happened.
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let rests = self.rests_until(now).max(self.suspended_until(now));
        let blocked = rests.max(self.dead_until.filter(|until| *until > now));
        let rate = (self.letters(now) == 0).then(|| Timestamp(self.next_letter.div_ceil(1_000)));
        blocked.max(rate).filter(|at| *at != Timestamp(u64::MAX))
    }

    /// Letters that may leave now, as far as the rate is concerned.
    pub fn letters(&self, now: Timestamp) -> usize {
        let Some(interval) = self.interval() else { return usize::MAX };
        let now = now.0.saturating_mul(1_000);
        match now.checked_sub(self.next_letter.max(now.saturating_sub(catch_up(interval)))) {
            Some(late) => 1 + usize::try_from(late / interval).unwrap_or(usize::MAX - 1),
            None => 0,
        }
    }

    /// A letter leaves.
    pub fn count_letter(&mut self, now: Timestamp) {
        if let Some(interval) = self.interval() {
            let now = now.0.saturating_mul(1_000);
            let slot = self.next_letter.max(now.saturating_sub(catch_up(interval)));
            self.next_letter = slot.saturating_add(interval);
        }
    }

    /// A letter that was counted did not leave.
    pub fn uncount_letter(&mut self) {
        self.next_letter = self.next_letter.saturating_sub(self.interval().unwrap_or(0));
    }

    /// Microseconds from letter to letter.
    fn interval(&self) -> Option<u64> {
        let rate = self.limits.rate?;
        let per = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX);
        Some((per / u64::from(rate.letters.max(1))).max(1))
    }

    /// What a worker met. `open`: how many of the lane's workers are open, itself among them.
    pub fn handle_weather(&mut self, weather: Weather, open: usize, initial: usize, now: Timestamp) {
        if self.failed == 0.0 {
            self.cohort = open.max(1);
        }
        match weather {
            Weather::Fine => self.fine(open, initial),
            // There is somebody: one 421 to a lone connection does not make a site dead.
            Weather::Trouble => self.failure(1.0 / self.cohort.max(initial) as f32, now),
            Weather::Dead => self.failure(1.0 / self.cohort as f32, now),
        }
    }

    fn fine(&mut self, open: usize, initial: usize) {
        self.failed = 0.0;
        self.pauses = 0;
        if self.dead_until.take().is_some() {
            self.window = initial.max(1) as f32;
        } else if open >= self.window() {
            // A window that nobody filled says nothing about a wider one.
            self.window = (self.window + 1.0 / self.window).min(self.limit().max(initial) as f32);
        }
    }

    fn failure(&mut self, part: f32, now: Timestamp) {
        match self.dead_until {
            // Said by those who were under way when it was found dead.
            Some(until) if until > now => return,
            Some(_) => return self.pause(now),
            None => {}
        }
        self.failed += part;
        if self.halved.is_none_or(|at| now < at || now.since(at) >= ONE_TROUBLE) {
            self.window = (self.window / 2.0).max(1.0);
            self.halved = Some(now);
        }
        // Parts of a cohort are not exact.
        if self.failed > 0.999 {
            self.pause(now);
        }
    }

    fn pause(&mut self, now: Timestamp) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.pauses.min(10)).min(LONGEST_PAUSE);
        self.dead_until = Some(now.after(pause));
        self.pauses += 1;
        self.failed = 0.0;
    }

    /// Somebody wants to know now whether the site is back.
    pub fn end_pause(&mut self, now: Timestamp) {
        self.dead_until = self.dead_until.map(|until| until.min(now));
    }

    /// The clock was set back: no pause may last longer for it.
    pub fn handle_clock_back(&mut self, now: Timestamp) {
        self.dead_until = self.dead_until.map(|until| until.min(now.after(LONGEST_PAUSE)));
        self.next_letter = self.next_letter.min(now.0.saturating_mul(1_000));
    }
}

fn catch_up(interval: u64) -> u64 {
    if interval >= CATCH_UP { 0 } else { CATCH_UP }
}
