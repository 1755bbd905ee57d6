//! A letter comes in: trace, spool, calendar (RFC 5321 §4.4, RFC 6409 §8).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Place;
use super::inner::{Inner, Loaded};
use crate::intake::{NewLetter, Refusal};
use crate::letter::codec::encode_meta;
use crate::letter::{Course, Letter, QueueId, Recipient, RecipientState, Timestamp};
use crate::record::Event;
use crate::schedule::{Flow, RecipientSet};
use crate::spool::{Body, Draft, SpoolError, Ticket};
use mail::header::{HINTED, HeaderFacts, HeaderScanner, Hints};
use smtp::{Mailbox, ReversePath};

/// When a letter that the router panicked about is looked at.
const AFTER_A_PANIC: Duration = Duration::from_secs(60);

impl Inner {
    pub async fn submit(self: &Arc<Self>, new: NewLetter, draft: Draft) -> Result<QueueId, Refusal> {
        if self.lock().closed {
            return Err(Refusal::Stopping);
        }
        self.accept(new, draft).await
    }

    /// The same, also for our own reports while the queue is closing.
    pub async fn accept(self: &Arc<Self>, new: NewLetter, draft: Draft) -> Result<QueueId, Refusal> {
        let id = self.spool.next_id();
        let now = Timestamp::now();
        let header = header_facts(&new, &draft).map_err(|error| Refusal::Spool(error.to_string()))?;
        let told = new.complete_header && new.origin.client.is_some();
        if told && header.is_some_and(|facts| facts.from > 1) {
            return Err(Refusal::SeveralFrom);
        }
        let Hints { bulk, tls_optional } = hints(&new, &draft).map_err(|error| Refusal::Spool(error.to_string()))?;
        let prefix = prefix(&new, id, now, header.as_ref());
        let size = prefix.len() as u64 + draft.len();
        let NewLetter { from, mut params, recipients, expanded, origin, .. } = new;
        // RFC 6531 §3.4 asks for SMTPUTF8 where something internationalized is in the letter. A client that always says
        // it must not keep a plain letter from a server without the extension.
        params.smtputf8 &= !is_ascii(&from, &recipients) || header.is_none_or(|facts| facts.eight_bit);
        let letter = Arc::new(Letter { id, arrived: now, from, params, recipients, size, origin, bulk, tls_optional });
        let ticket = self.spool.append(id, encode_meta(&letter), prefix, draft);
        // The client may go away while the disk works: the letter is then kept, and must be delivered all the same.
        let mut storing = Storing { inner: self, letter, ticket: Some(ticket) };
        let body = match &mut storing.ticket {
            Some(ticket) => ticket.await,
            None => Err(SpoolError::Closed),
        };
        storing.ticket = None;
        self.enqueue(&storing.letter, body?);
        if !expanded.is_empty() {
            self.tell_of_expansion(&storing.letter, expanded);
        }
        Ok(id)
    }

    /// The letter is durable: it goes on the calendar.
    fn enqueue(&self, letter: &Arc<Letter>, body: Body) {
        let (id, now) = (letter.id, letter.arrived);
        self.record_received(letter);
        let jobs = catch_unwind(AssertUnwindSafe(|| self.jobs(letter, None, 0..letter.recipients.len())));
        // RFC 4865 §4: what is to be held is not tried before.
        let due = letter.release();
        let loaded = Loaded { letter: Arc::clone(letter), course: Course::fresh(letter, due) };
        let mut state = self.lock_now();
        let expires = state.config.expiry(letter, &loaded.course);
        let first = state.config.retry.interval(id, 0);
        match jobs {
            Ok(jobs) if first.is_zero() && due <= now => {
                let told_at = state.delay_due(letter, &loaded.course);
                state.keep(id, loaded, Some(body), false);
                state.scheduler.handle_enqueued(id, expires, Flow::of(letter), jobs);
                // Its site may be dead all that time.
                told_at.into_iter().for_each(|at| state.scheduler.handle_notice(id, at));
            }
            // A bug of ours: the letter is kept all the same, and the calendar's thread will say more.
            Err(_) => state.scheduler.handle_waiting(id, expires, due.after(first.max(AFTER_A_PANIC))),
            Ok(_) => state.scheduler.handle_waiting(id, expires, due.after(first)),
        }
        self.pump(&mut state);
    }

    /// Recipients by where they go, as the router sees it now.
    pub fn jobs(
        &self,
        letter: &Letter,
        redirect: Option<&str>,
        indexes: impl Iterator<Item = usize>,
    ) -> Vec<(Place, RecipientSet)> {
        let mut jobs: Vec<(Place, RecipientSet)> = Vec::new();
        let mut by_place = std::collections::HashMap::new();
        for index in indexes {
            let Some(recipient) = letter.recipients.get(index) else { continue };
            let place = self.sites.place_of(letter, recipient, redirect);
            // Most letters have one recipient: no map for them.
            let at = match jobs.len() {
                0 => None,
                1 => jobs.first().filter(|(first, _)| *first == place).map(|_| 0),
                _ => by_place.get(&place).copied(),
            };
            match at.and_then(|at: usize| jobs.get_mut(at)) {
                Some((_, recipients)) => recipients.insert(index),
                None => {
                    if jobs.len() == 1 {
                        by_place.extend(jobs.first().map(|(first, _)| (first.clone(), 0)));
                    }
                    if !jobs.is_empty() {
                        by_place.insert(place.clone(), jobs.len());
                    }
                    jobs.push((place, [index].into_iter().collect()));
                }
            }
        }
        jobs
    }

    fn record_received(&self, letter: &Letter) {
        let origin = &letter.origin;
        self.counters.received.add();
        self.recorder
            .record_at(letter.arrived, Event::Received)
            .id(letter.id)
            .from(&letter.from)
            .all_to(letter.recipients.iter().map(|recipient| &recipient.address))
            .size(letter.size)
            .listener(&origin.listener)
            .text("protocol", &origin.protocol)
            .client(origin.client)
            .user(origin.user.as_deref())
            .write();
    }
}

/// An append whose answer is awaited. Dropped before, it is awaited by a task of its own.
struct Storing<'a> {
    inner: &'a Arc<Inner>,
    letter: Arc<Letter>,
    ticket: Option<Ticket<Body>>,
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let (inner, letter) = (Arc::clone(self.inner), Arc::clone(&self.letter));
        self.inner.runtime.spawn(async move {
            match ticket.await {
                Ok(body) => inner.enqueue(&letter, body),
                Err(error) => tracing::debug!(id = %letter.id, %error, "a letter nobody waited for was not stored"),
            }
        });
    }
}

/// What the letter's own header has, where anybody asks: most relayed letters are not looked at.
fn header_facts(new: &NewLetter, draft: &Draft) -> std::io::Result<Option<HeaderFacts>> {
    let could_do_without = new.params.smtputf8 && is_ascii(&new.from, &new.recipients);
    if !new.complete_header && !could_do_without {
        return Ok(None);
    }
    let mut scanner = HeaderScanner::new();
    match draft.as_slice() {
        Some(text) => scanner.feed(text),
        None => scan(draft, &mut scanner)?,
    }
    scanner.finish();
    Ok(Some(*scanner.facts()))
}

/// Looked for in every letter.
fn hints(new: &NewLetter, draft: &Draft) -> std::io::Result<Hints> {
    let ours = new.origin.user.is_some() || new.origin.client.is_none();
    Ok(match draft.as_slice() {
        Some(text) => mail::header::hints(text, ours),
        None => mail::header::hints(&draft.read_at(0, HINTED)?, ours),
    })
}

fn is_ascii(from: &ReversePath, recipients: &[Recipient]) -> bool {
    from.mailbox().is_none_or(Mailbox::is_ascii) && recipients.iter().all(|recipient| recipient.address.is_ascii())
}

/// What stands before the letter's own text: Received on top, then what was missing.
fn prefix(new: &NewLetter, id: QueueId, now: Timestamp, header: Option<&HeaderFacts>) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(512);
    new.received.write(&id.to_string(), now.0, &mut prefix);
    if let Some(facts) = header.filter(|_| new.complete_header) {
        complete(new, now, facts, &mut prefix);
    }
    prefix
}

/// RFC 6409 §8.1, §8.2: a submission server adds Date and Message-ID where they are missing.
fn complete(new: &NewLetter, now: Timestamp, facts: &HeaderFacts, prefix: &mut Vec<u8>) {
    if facts.date == 0 {
        prefix.extend_from_slice(b"Date: ");
        mail::date::write(now.0, prefix);
        prefix.extend_from_slice(b"\r\n");
    }
    if facts.message_id == 0 {
        prefix.extend_from_slice(b"Message-ID: ");
        prefix.extend_from_slice(mail::message_id::generate(&new.received.by).as_bytes());
        prefix.extend_from_slice(b"\r\n");
    }
}

fn scan(draft: &Draft, scanner: &mut HeaderScanner) -> std::io::Result<()> {
    let mut offset = 0;
    while !scanner.ended() {
        let chunk = draft.read_at(offset, 64 << 10)?;
        if chunk.is_empty() {
            break;
        }
        scanner.feed(&chunk);
        offset += chunk.len() as u64;
    }
    Ok(())
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::NoSpace => Self::NoSpace,
            SpoolError::TooLarge => Self::TooLarge,
            SpoolError::Closed => Self::Stopping,
            other => Self::Spool(other.to_string()),
        }
    }
}

/// The attempts made so far.
pub(super) fn attempts(state: &RecipientState) -> u32 {
    match state {
        RecipientState::Pending { attempts, .. } => *attempts,
        _ => 0,
    }
}
