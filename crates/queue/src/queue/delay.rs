//! Who waits long is told so, once: a report of delay (RFC 3464 §2.3.3), while the letter goes on being tried.
//!
//! # Invariants
//! - That it was told is written down after the report is durable: a crash in between tells it twice.

use std::sync::Arc;

use super::inner::{Inner, Loaded, State};
use super::report::set_of;
use super::submit::attempts;
use crate::bounce::{Ended, How, not_tried_yet, wants_report};
use crate::intake::Refusal;
use crate::letter::{Course, Letter, Timestamp};

impl State {
    /// When the sender is to be told of the delay, where it is to be told and was not yet.
    pub fn delay_due(&self, letter: &Letter, course: &Course) -> Option<Timestamp> {
        let reports = &self.config.reports;
        // RFC 2852 §4: who said BY= with N is told then.
        if letter.late_from().is_none() && !reports.tells_delay(letter) {
            return None;
        }
        let told_at = letter.late_from().unwrap_or_else(|| letter.release().after(reports.delay_after));
        let until = self.config.expiry(letter, course);
        let how = How::Delayed { until };
        let waits = |(index, progress): (usize, &crate::letter::Progress)| {
            progress.state.is_pending() && !course.delay_told.contains(index) && wants_report(letter, index, how)
        };
        // Where it is given back before, that is soon enough.
        (told_at < until && course.states.iter().enumerate().any(waits)).then_some(told_at)
    }

    /// Those of whom the sender is to be told now: neither are they being tried, nor is it being told already.
    pub fn delayed(&self, loaded: &Loaded, now: Timestamp) -> Vec<Ended> {
        let letter = &loaded.letter;
        let warm = self.warm.get(&letter.id);
        let course = warm.map_or(&loaded.course, |warm| &warm.course);
        if warm.is_some_and(|warm| warm.telling) || self.delay_due(letter, course).is_none_or(|due| due > now) {
            return Vec::new();
        }
        let running = self.scheduler.out_of(letter.id).1;
        let how = How::Delayed { until: self.config.expiry(letter, course) };
        let waiting = course.states.iter().enumerate().filter(|(index, progress)| {
            progress.state.is_pending()
                && !running.contains(*index)
                && !course.delay_told.contains(*index)
                && wants_report(letter, *index, how)
        });
        let ended = waiting.map(|(index, progress)| {
            let last = progress.state.last().cloned().unwrap_or_else(|| not_tried_yet(now));
            Ended { index, attempts: attempts(&progress.state), last, how }
        });
        ended.collect()
    }
}

impl Inner {
    /// Has the sender told. The letter is at hand, and stays so until it is.
    pub fn tell_of_delay(self: &Arc<Self>, state: &mut State, letter: Arc<Letter>, delayed: Vec<Ended>) {
        if delayed.is_empty() {
            return;
        }
        let Some(warm) = state.warm.get_mut(&letter.id) else { return };
        warm.telling = true;
        state.reports += 1;
        self.runtime.spawn(Arc::clone(self).report_delay(letter, delayed));
    }

    async fn report_delay(self: Arc<Self>, letter: Arc<Letter>, delayed: Vec<Ended>) {
        let stored = self.store_report(&letter, &delayed).await;
        {
            let mut state = self.lock();
            if let Some(warm) = state.warm.get_mut(&letter.id) {
                warm.telling = false;
                if stored.is_ok() {
                    warm.course.delay_told.add(&set_of(&delayed));
                }
            }
            self.write_back(&mut state, letter.id);
            state.reports -= 1;
            self.pump(&mut state);
        }
        self.calmed.notify_waiters();
        match stored {
            Ok(report) => self.record_report(&letter, report),
            Err(Refusal::Stopping) => {}
            Err(error) => {
                tracing::error!(id = %letter.id, %error, "a report of delay could not be stored; it is tried again");
            }
        }
    }
}
