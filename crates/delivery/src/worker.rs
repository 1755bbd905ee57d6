//! The main loop: a worker for each connection that the queue allows, letter after letter on it.
//!
//! # How letters and connections meet
//! - A connection is opened when a letter waits, kept while letters follow, and closed after [`Config::idle`], after
//!   [`Config::letters_per_connection`], at [`Config::connection_age`], and when the configuration has changed.
//! - A kept connection that turns out to be dead before the server said a word about the letter costs the letter nothing:
//!   it goes out again on a new one, once.
//! - Who waits for a site that cannot be reached is left alone: each attempt says what it met, and the queue sends nobody
//!   where nobody is.
//!
//! [`Config::idle`]: crate::Config::idle
//! [`Config::letters_per_connection`]: crate::Config::letters_per_connection
//! [`Config::connection_age`]: crate::Config::connection_age

use std::sync::Arc;

use queue::{Attempt, Lane, Outcome, Queue, Recipient, RecipientOutcome, Verdict, Weather, Worker};
use smtp::Reply;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::Delivery;
use crate::connect::State;
use crate::kept::Kept;
use crate::local;
use crate::outcome::OURSELVES;
use crate::place::Way;
use crate::remote;
use crate::route::NextHop;
use crate::search;
use crate::shaper::{self, Ear};
use crate::weather::worse;

/// Delivers until the queue is closed or `stop` turns true; then finishes the letters in hand and returns.
pub async fn run(queue: Queue, delivery: Arc<Delivery>, stop: watch::Receiver<bool>) {
    let searches = tokio::spawn(search::run(queue.clone(), delivery.clone(), stop.clone()));
    let tending = tokio::spawn(shaper::run(queue.clone(), delivery.state().shaper.clone(), stop.clone()));
    let mut workers = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        let next = tokio::select! {
            biased;
            // An error says that whoever could stop us is gone, and with it the program.
            _ = stopping.wait_for(|stop| *stop) => None,
            next = queue.next_worker() => next,
        };
        let Some(worker) = next else { break };
        workers.spawn(work(queue.clone(), delivery.clone(), worker, stop.clone()));
        while let Some(ended) = workers.try_join_next() {
            report(ended);
        }
    }
    while let Some(ended) = workers.join_next().await {
        report(ended);
    }
    // It has ended as well: the queue is closed, or we were stopped.
    report(searches.await);
    report(tending.await);
}

/// A worker that panicked has dropped its letter, which the queue defers.
pub(crate) fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "delivery worker failed");
    }
}

/// One worker's life: letters for one site, one at a time.
async fn work(queue: Queue, delivery: Arc<Delivery>, mut worker: Worker, mut stop: watch::Receiver<bool>) {
    let mut line: Option<Kept> = None;
    let mut next = worker.take();
    while let Some(attempt) = next {
        let state = delivery.state();
        if let Some(old) = line.take_if(|line| line.is_spent(&state)) {
            old.quit().await;
        }
        let span = tracing::debug_span!("attempt", id = %attempt.letter.id, site = ?worker.lane.site);
        let mut ear = Ear::new(&state, &worker.lane);
        let (outcome, weather) = try_once(&mut ear, &mut line, &attempt).instrument(span).await;
        // The scheduler is to know before it hands out the next letter.
        shaper::tell(&queue, &ear.told());
        weather.into_iter().for_each(|weather| worker.weather(weather));
        worker.finish(attempt, outcome);
        next = if *stop.borrow() { None } else { following(&mut worker, &mut line, &mut stop).await };
    }
    if let Some(line) = line {
        line.quit().await;
    }
}

/// The next letter, waiting for it as long as there is an open connection worth keeping.
async fn following(worker: &mut Worker, line: &mut Option<Kept>, stop: &mut watch::Receiver<bool>) -> Option<Attempt> {
    if let Some(attempt) = worker.take() {
        return Some(attempt);
    }
    let kept = line.as_mut()?;
    let idle = kept.idle();
    tokio::select! {
        biased;
        attempt = worker.take_within(idle) => return attempt,
        _ = stop.wait_for(|stop| *stop) => return None,
        () = kept.gone() => {}
    }
    // The server has closed it, or said its goodbye; either way nothing more is sent here.
    *line = None;
    None
}

/// Recipients of one letter that are reached in one way.
struct Group<'a> {
    way: Way,
    recipients: Vec<(usize, &'a Recipient)>,
}

/// One attempt: an outcome for each of its recipients, and what was met.
async fn try_once(ear: &mut Ear<'_>, line: &mut Option<Kept>, attempt: &Attempt) -> (Outcome, Option<Weather>) {
    let state = ear.state();
    let mut outcomes = vec![None; attempt.recipients.len()];
    let mut met: Option<Weather> = None;
    for Group { way, recipients } in groups(state, ear.lane(), attempt).await {
        let here = if let NextHop::Maildir(_) | NextHop::Catch(_) = way.hop {
            local::deliver(state, attempt, &recipients, &mut outcomes).await;
            Some(Weather::Fine)
        } else {
            remote::deliver(ear, &way, line, attempt, &recipients, &mut outcomes).await
        };
        met = met.map_or(here, |before| Some(here.map_or(before, |here| worse(before, here))));
    }
    let recipients = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(moved)).collect();
    (Outcome { recipients }, met)
}

/// The attempt's recipients by the way that each goes now; who does not belong to this site any more is in none.
async fn groups<'a>(state: &State, lane: &Lane, attempt: &'a Attempt) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::with_capacity(1);
    for (position, index) in attempt.recipients.iter().enumerate() {
        let Some(recipient) = attempt.letter.recipients.get(*index) else { continue };
        let way = state.way_to(&recipient.address, attempt.redirect.as_deref()).await;
        if way.site != lane.site {
            continue;
        }
        match groups
            .iter_mut()
            .find(|group| group.way.via == way.via && state.same_rule(lane, &group.way.hop, &way.hop))
        {
            Some(group) => group.recipients.push((position, recipient)),
            None => groups.push(Group { way, recipients: vec![(position, recipient)] }),
        }
    }
    groups
}

/// The recipient goes another way by now; the queue asks anew where, and takes it there at once.
fn moved() -> RecipientOutcome {
    RecipientOutcome {
        verdict: Verdict::Moved,
        reply: Reply::new(451, (4, 3, 5), "the route has changed; the letter will take the new one"),
        by: OURSELVES.into(),
        tls: String::new(),
    }
}
