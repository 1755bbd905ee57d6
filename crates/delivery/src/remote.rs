//! Letters for other servers: on a kept connection where there is one, in as many transactions as the server wants.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queue::{Attempt, Recipient, RecipientOutcome, Timestamp, Verdict, Via, Weather};
use smtp::Reply;
use smtp::client::{Closed, Delivery, Message, Stage};
use smtp::server::Protocol;

use crate::connect::State;
use crate::content::Content;
use crate::drive::{Connection, Line};
use crate::needs::{self, Fit, Needs};
use crate::open::{OpenGuard, OpenPlace};
use crate::outcome::{OURSELVES, Trouble, is_stale, is_too_many, verdict};
use crate::place::Way;
use crate::route::NextHop;
use crate::weather::{is_not_now, of_delivery, of_trouble, stage_of, worse};

/// Servers of a domain that may say "not now" to a letter in one attempt, before the last of them is believed.
const MOST_PASSED: usize = 4;

/// A connection between letters, with what is the same for all letters on it.
pub(crate) struct Kept {
    connection: Connection,
    state: Arc<State>,
    via: Via,
    opened: Instant,
    letters: u32,
    by: String,
    tls: String,
    /// The server is one that the configuration names.
    configured: bool,
    protocol: Protocol,
    hop: NextHop,
    _open: OpenGuard,
}

impl Kept {
    async fn open(
        state: &Arc<State>,
        place: &OpenPlace,
        way: &Way,
        passed: &[String],
        anew: bool,
    ) -> Result<Self, Trouble> {
        let mut connection = state.open(way, passed, anew, &mut trace).await?;
        let hop = &way.hop;
        if let NextHop::Mx(domain) = hop {
            connection.found_by_mx_of(domain.as_ascii());
        }
        let by = connection.peer().to_owned();
        let tls = connection.tls_words();
        tracing::debug!(peer = by, tls, "connection open");
        Ok(Self {
            connection,
            state: state.clone(),
            via: way.via.clone(),
            opened: Instant::now(),
            letters: 0,
            by,
            tls,
            configured: matches!(hop, NextHop::Relay(_)),
            protocol: match hop {
                NextHop::Relay(relay) => relay.protocol,
                _ => Protocol::Smtp,
            },
            hop: hop.clone(),
            _open: place.count(),
        })
    }

    /// Whether a letter for this next hop may go on this connection, which another may have opened: domains that share their
    /// servers need not share their rules.
    fn suits(&mut self, hop: &NextHop, requiretls: bool) -> bool {
        if requiretls && self.letters > 0 && !self.connection.takes_requiretls() {
            return false;
        }
        let (NextHop::Mx(domain), NextHop::Mx(before)) = (hop, &self.hop) else { return true };
        if domain == before {
            return true;
        }
        let policy = self.state.tls_policy(hop, &self.connection.server());
        if !self.connection.meets(&policy) {
            return false;
        }
        self.connection.found_by_mx_of(domain.as_ascii());
        self.connection.set_policy(policy);
        (self.tls, self.hop) = (self.connection.tls_words(), hop.clone());
        true
    }

    /// Whether the next letter should have a new connection.
    pub(crate) fn is_spent(&self, current: &Arc<State>) -> bool {
        !Arc::ptr_eq(&self.state, current)
            || self.letters >= self.state.config.letters_per_connection
            || self.connection.session().letters_left() == Some(0)
            || self.opened.elapsed() >= self.state.config.connection_age
    }

    pub(crate) fn idle(&self) -> Duration {
        self.state.config.idle
    }

    /// Returns when the server ends a connection on which nothing happens.
    pub(crate) fn gone(&mut self) -> impl Future<Output = ()> {
        self.connection.gone()
    }

    pub(crate) async fn quit(self) {
        self.connection.quit(&mut trace).await;
    }

    /// RFC 9422 §4: RCPTMAX, or our own limit.
    fn most_recipients(&self) -> usize {
        let theirs = self.connection.session().recipients_max().unwrap_or(usize::MAX);
        self.state.config.recipients_per_transaction.min(theirs).max(1)
    }

    fn outcome(&self, reply: Reply, ours: bool) -> RecipientOutcome {
        let verdict = match verdict(&reply, self.configured) {
            Verdict::Delivered => self.reaches(),
            Verdict::Failed if self.wants_the_tls_that_failed(&reply) => {
                // The next attempt tries the handshake again, however lately it failed.
                if let Some(server) = self.connection.address() {
                    self.state.tls_memory.forget(&server);
                }
                Verdict::Deferred
            }
            other => other,
        };
        let (reply, by) = if ours {
            // Our own words say which server they are about.
            let text = format!("{} ({})", reply.text(), self.by);
            (reply.with_text(text), OURSELVES.into())
        } else {
            (reply, self.by.clone())
        };
        RecipientOutcome { verdict, reply, by, tls: self.tls.clone() }
    }

    /// RFC 3207 §4: 530, "Must issue a STARTTLS command first", from a server whose STARTTLS has just failed. That is the
    /// connection's trouble and not the letter's.
    fn wants_the_tls_that_failed(&self, reply: &Reply) -> bool {
        let session = self.connection.session();
        let offered = session.capabilities().is_some_and(|offered| offered.starttls);
        reply.code.as_u16() == 530 && offered && session.tls().is_none()
    }

    /// What it means that this server has a letter (RFC 3461 §5.2.2).
    fn reaches(&self) -> Verdict {
        let capabilities = self.connection.session().capabilities();
        match (capabilities.is_some_and(|offered| offered.dsn), self.protocol) {
            (true, _) => Verdict::PassedOn,
            (false, Protocol::Lmtp) => Verdict::Delivered,
            (false, _) => Verdict::Relayed,
        }
    }

    fn trouble(&self, closed: &Closed) -> Trouble {
        self.connection.trouble(closed)
    }
}

/// The dialog goes to the log, for those who want it.
fn trace(line: Line<'_>) {
    match line {
        Line::Connected(peer) => tracing::debug!(peer, "connected"),
        Line::Sent(command) => tracing::debug!(command, "sent"),
        Line::Received(reply) => tracing::debug!(%reply, "received"),
        Line::Tls(tls) => tracing::debug!(protocol = tls.protocol, cipher = tls.cipher, "tls"),
    }
}

/// How one transaction ended.
enum Ending {
    Said(Delivery, Result<(), Closed>),
    Silent(Closed),
    /// It cannot go to this server, which was not asked.
    Unfit(Reply),
}

/// What one attempt met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// What keeps all letters back that go the same way.
    pub(crate) trouble: Option<Trouble>,
    /// Where no server was asked for anything, nothing is known.
    pub(crate) weather: Option<Weather>,
}

impl Met {
    pub(crate) fn see(&mut self, weather: Weather) {
        self.weather = Some(self.weather.map_or(weather, |before| worse(before, weather)));
    }
}

/// Delivers to these recipients; puts what became of each at its position.
pub(crate) async fn deliver(
    state: &Arc<State>,
    place: &OpenPlace,
    way: &Way,
    line: &mut Option<Kept>,
    attempt: &Attempt,
    recipients: &[(usize, &Recipient)],
    outcomes: &mut [Option<RecipientOutcome>],
) -> Met {
    let mut met = Met::default();
    if let Some(other) = line.take_if(|kept| kept.via != way.via) {
        other.quit().await;
    }
    let mut waiting: VecDeque<(usize, &Recipient)> = recipients.iter().copied().collect();
    let (mut tried_again, mut by_data) = (false, false);
    let mut passed: Vec<String> = Vec::new();
    let mut needs = Needs::default();
    let requiretls = attempt.letter.params.requiretls;
    if let Some(unfit) = line.take_if(|line| !line.suits(&way.hop, requiretls)) {
        unfit.quit().await;
    }
    while !waiting.is_empty() {
        let mut kept = match line.take() {
            Some(kept) => kept,
            None => match Kept::open(state, place, way, &passed, requiretls).await {
                Ok(kept) => kept,
                // No other server is better: the words of the one that was reached stand.
                Err(trouble) if !passed.is_empty() => {
                    waiting.iter().for_each(|(at, _)| put_if_none(outcomes, *at, trouble.outcome()));
                    return met;
                }
                Err(trouble) => {
                    waiting.iter().for_each(|(at, _)| put(outcomes, *at, trouble.outcome()));
                    // Where domains have rules of their own, what one asks for in vain is not the trouble of the others.
                    if trouble.is_of_tls() && !state.config.tls.domain.is_empty() {
                        return met;
                    }
                    met.see(of_trouble(&trouble, way.is_one_of_many()));
                    met.trouble = Some(trouble);
                    return met;
                }
            },
        };
        if by_data {
            kept.connection.forgo_bdat();
        }
        let group: Vec<_> = waiting.drain(..kept.most_recipients().min(waiting.len())).collect();
        let used_before = kept.letters > 0;
        let ending = transaction(&mut kept, attempt, &mut needs, &group).await;
        if used_before && !tried_again && is_dead(&ending, kept.connection.heard()) {
            tracing::debug!(peer = kept.by, "kept connection was closed by the server, opening a new one");
            tried_again = true;
            group.into_iter().rev().for_each(|one| waiting.push_front(one));
            continue;
        }
        match ending {
            Ending::Unfit(reply) => {
                group.iter().for_each(|(at, _)| put(outcomes, *at, kept.outcome(reply.clone(), true)));
                *line = Some(kept);
            }
            Ending::Silent(closed) => {
                let trouble = kept.trouble(&closed);
                group.iter().chain(&waiting).for_each(|(at, _)| put(outcomes, *at, trouble.outcome()));
                met.see(Weather::Trouble);
                return met;
            }
            Ending::Said(delivery, alive) if used_before && !tried_again && is_not_now(&delivery) => {
                // It may have had enough letters on one connection.
                tried_again = true;
                settle_group(&kept, delivery, &group, (None, false), outcomes);
                group.into_iter().rev().for_each(|one| waiting.push_front(one));
                if alive.is_ok() {
                    kept.quit().await;
                }
            }
            // RFC 5321 §5.1: the servers of a domain are tried "in this order, until a delivery attempt succeeds".
            // RFC 8689 §4.2.1: nor has a server without REQUIRETLS the last word on a letter that wants it.
            Ending::Said(delivery, alive)
                if passed.len() < MOST_PASSED
                    && is_by_mx(&way.hop)
                    && (is_not_now(&delivery) || (requiretls && is_unprotected(&delivery))) =>
            {
                met.see(if is_not_now(&delivery) { Weather::Trouble } else { Weather::Fine });
                let over = alive.as_ref().err().and_then(stage_of);
                passed.push(kept.by.clone());
                settle_group(&kept, delivery, &group, (over, false), outcomes);
                group.into_iter().rev().for_each(|one| waiting.push_front(one));
                if alive.is_ok() {
                    kept.quit().await;
                }
            }
            Ending::Said(delivery, alive) => {
                met.see(of_delivery(&delivery, &alive));
                let over = alive.as_ref().err().and_then(stage_of);
                let no_bdat = !by_data && kept.connection.session().bdat_refused();
                by_data |= no_bdat;
                let again = settle_group(&kept, delivery, &group, (over, no_bdat), outcomes);
                // As many as the server would take went; the others are next.
                again.into_iter().rev().for_each(|one| waiting.push_front(one));
                if alive.is_ok() {
                    *line = Some(kept);
                }
            }
        }
    }
    met
}

async fn transaction(kept: &mut Kept, attempt: &Attempt, needs: &mut Needs, group: &[(usize, &Recipient)]) -> Ending {
    let letter = &attempt.letter;
    let mut params = letter.params.clone();
    params.size = Some(attempt.body.len());
    // RFC 2852 §1: what hands the letter to its mailbox does not relay it; LMTP knows no BY.
    params.by = letter.by_left(Timestamp::now()).filter(|_| kept.protocol == Protocol::Smtp);
    let recipients = group.iter().map(|(_, r)| (r.address.clone(), r.params.clone())).collect();
    let mut message = Message { from: letter.from.clone(), params, recipients };
    // RFC 8689 §5: of a report, "the REQUIRETLS parameter SHOULD NOT cause [it] to be discarded".
    if message.params.requiretls && message.from.is_null() && !kept.connection.takes_requiretls() {
        message.params.requiretls = false;
    }
    let mut conversion = None;
    if let Some(offered) = kept.connection.session().capabilities() {
        match needs.fit(&mut message, &attempt.body, offered).await {
            Ok(Fit::AsItIs) => {}
            Ok(Fit::Converted(converted)) => conversion = Some(converted),
            Ok(Fit::Not(reply)) => return Ending::Unfit(reply),
            Err(error) => tracing::error!(%error, "letter cannot be looked through"),
        }
    }
    kept.letters += 1;
    match kept.connection.deliver(message, Content::new(&attempt.body, conversion), &mut trace).await {
        Err(closed) => Ending::Silent(closed),
        Ok(mut delivery) => {
            if let Some(words) = conversion.and_then(needs::broken_words) {
                note(&mut delivery, &words);
            }
            let alive = kept.connection.settle(&mut trace).await;
            Ending::Said(delivery, alive)
        }
    }
}

/// Behind what the server said to those who have the letter: the record shows it.
fn note(delivery: &mut Delivery, words: &str) {
    tracing::warn!("{words}");
    for said in delivery.recipients.iter_mut().filter(|said| said.reply.is_positive()) {
        let text = format!("{} [{OURSELVES}: {words}]", said.reply.text());
        said.reply = said.reply.clone().with_text(text);
    }
}

/// Whether a kept connection was dead before it saw the letter.
fn is_dead(ending: &Ending, heard: bool) -> bool {
    match ending {
        Ending::Silent(_) | Ending::Said(_, Err(_)) if !heard => true,
        Ending::Said(delivery, Err(_)) => is_stale(delivery),
        _ => false,
    }
}

/// Whether we kept the letter back ourselves, for want of what REQUIRETLS asks.
fn is_unprotected(delivery: &Delivery) -> bool {
    let wants = |reply: &Reply| reply.enhanced.is_some_and(|code| matches!((code.subject, code.detail), (7, 10 | 30)));
    let unsent = |stage: Stage, reply: &Reply| stage == Stage::Mail && reply.is_permanent() && wants(reply);
    !delivery.recipients.is_empty() && delivery.recipients.iter().all(|said| unsent(said.stage, &said.reply))
}

fn is_by_mx(hop: &NextHop) -> bool {
    matches!(hop, NextHop::Mx(_))
}

/// Puts the replies where they belong; gives those recipients that should go into another transaction at once.
fn settle_group<'a>(
    kept: &Kept,
    delivery: Delivery,
    group: &[(usize, &'a Recipient)],
    (over, no_bdat): (Option<Stage>, bool),
    outcomes: &mut [Option<RecipientOutcome>],
) -> Vec<(usize, &'a Recipient)> {
    let taken = delivery.recipients.iter().any(|said| said.reply.is_positive());
    let mut again = Vec::new();
    for ((at, recipient), said) in group.iter().zip(delivery.recipients) {
        let goes_by_data = no_bdat && said.stage == Stage::EndOfData && !said.reply.is_positive();
        if goes_by_data || (taken && is_too_many(said.stage, &said.reply)) {
            again.push((*at, *recipient));
        }
        let ours = over == Some(said.stage) || !kept.connection.heard();
        put(outcomes, *at, kept.outcome(said.reply, ours));
    }
    again
}

fn put_if_none(outcomes: &mut [Option<RecipientOutcome>], at: usize, outcome: RecipientOutcome) {
    if let Some(slot @ None) = outcomes.get_mut(at) {
        *slot = Some(outcome);
    }
}

fn put(outcomes: &mut [Option<RecipientOutcome>], at: usize, outcome: RecipientOutcome) {
    if let Some(slot) = outcomes.get_mut(at) {
        *slot = Some(outcome);
    }
}
