//! One transaction: a letter as this server takes it, and what the server said to it.

use queue::{Attempt, Recipient, Timestamp};
use smtp::Reply;
use smtp::client::{Closed, Delivery, Message, Stage};
use smtp::server::Protocol;

use crate::content::Content;
use crate::kept::{Kept, trace};
use crate::needs::{self, Fit, Needs};
use crate::outcome::{OURSELVES, is_stale};
use crate::shaper::Ear;
use crate::weather::stage_of;

/// How one transaction ended.
pub(crate) enum Ending {
    Said(Delivery, Result<(), Closed>),
    Silent(Closed),
    /// It cannot go to this server, which was not asked.
    Unfit(Reply),
}

/// Carries one letter to these recipients of it, on an open connection.
pub(crate) async fn transaction(
    kept: &mut Kept,
    ear: &mut Ear<'_>,
    attempt: &Attempt,
    needs: &mut Needs,
    group: &[(usize, &Recipient)],
) -> Ending {
    let letter = &attempt.letter;
    let mut params = letter.params.clone();
    params.size = Some(attempt.body.len());
    // RFC 2852 §1: what hands the letter to its mailbox does not relay it; LMTP knows no BY.
    params.by = letter.by_left(Timestamp::now()).filter(|_| kept.protocol == Protocol::Smtp);
    let recipients = group.iter().map(|(_, r)| (r.address.clone(), r.params.clone())).collect();
    let mut message = Message { from: letter.from.clone(), params, recipients };
    message.params.requiretls &= kept.connection.takes_requiretls() || needs_requiretls(kept, &message);
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
        Err(closed) => {
            ear.closed(&kept.by, &closed);
            Ending::Silent(closed)
        }
        Ok(mut delivery) => {
            if let Some(words) = conversion.and_then(needs::broken_words) {
                note(&mut delivery, &words);
            }
            let alive = kept.connection.settle(&mut trace).await;
            if kept.connection.heard() {
                ear.delivery(&kept.by, &delivery, alive.as_ref().err().and_then(stage_of));
            }
            Ending::Said(delivery, alive)
        }
    }
}

/// Whether a letter that came with REQUIRETLS goes back rather than to this server without it.
///
/// RFC 8689 §5: of a report, "the REQUIRETLS parameter SHOULD NOT cause [it] to be discarded". RFC 8689 §4.4: the way ends at
/// the mailbox; between us and its LMTP server on this machine is nobody.
fn needs_requiretls(kept: &Kept, message: &Message) -> bool {
    let at_home = kept.connection.address().is_none_or(|server| server.ip().to_canonical().is_loopback());
    !(message.from.is_null() || kept.protocol == Protocol::Lmtp && at_home)
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
pub(crate) fn is_dead(ending: &Ending, heard: bool) -> bool {
    match ending {
        Ending::Silent(_) | Ending::Said(_, Err(_)) if !heard => true,
        Ending::Said(delivery, Err(_)) => is_stale(delivery),
        _ => false,
    }
}

/// Whether we kept the letter back ourselves, for want of what REQUIRETLS asks.
pub(crate) fn is_unprotected(delivery: &Delivery) -> bool {
    let wants = |reply: &Reply| reply.enhanced.is_some_and(|code| matches!((code.subject, code.detail), (7, 10 | 30)));
    let unsent = |stage: Stage, reply: &Reply| stage == Stage::Mail && reply.is_permanent() && wants(reply);
    !delivery.recipients.is_empty() && delivery.recipients.iter().all(|said| unsent(said.stage, &said.reply))
}
