//! What an attempt says of its site, for the scheduler: how many connections the site should get.

use queue::Weather;
use smtp::Reply;
use smtp::client::{Closed, Delivery, Stage};

use crate::outcome::Trouble;

/// The worst that was met in one attempt.
pub(crate) fn worse(one: Weather, other: Weather) -> Weather {
    match (one, other) {
        (Weather::Dead, _) | (_, Weather::Dead) => Weather::Dead,
        (Weather::Trouble, _) | (_, Weather::Trouble) => Weather::Trouble,
        (Weather::Fine, Weather::Fine) => Weather::Fine,
    }
}

/// No connection came about. `one_of_many`: the site has other servers.
pub(crate) fn of_trouble(trouble: &Trouble, one_of_many: bool) -> Weather {
    match trouble {
        // The DNS says nothing of the servers.
        Trouble { unroutable: true, .. } => Weather::Fine,
        Trouble { unreached: true, .. } if !one_of_many => Weather::Dead,
        _ => Weather::Trouble,
    }
}

/// A transaction came to its end.
pub(crate) fn of_delivery(delivery: &Delivery, alive: &Result<(), Closed>) -> Weather {
    // What the disk does to the letter is no fault of the site; and who hangs up when all is said, just hangs up.
    let broken = alive.as_ref().err().filter(|closed| !matches!(closed, Closed::Quit)).and_then(stage_of);
    let bad = |reply: &Reply, stage: Stage| reply.code.as_u16() == 421 || broken == Some(stage);
    if delivery.recipients.iter().any(|said| bad(&said.reply, said.stage)) || is_not_now(delivery) {
        Weather::Trouble
    } else {
        Weather::Fine
    }
}

/// Whether the server, and not the letter, is why nobody has it: an overloaded one says so at MAIL.
pub(crate) fn is_not_now(delivery: &Delivery) -> bool {
    let not_now = |reply: &Reply, stage: Stage| stage == Stage::Mail && reply.is_transient();
    !delivery.recipients.is_empty() && delivery.recipients.iter().all(|said| not_now(&said.reply, said.stage))
}

/// The stage at which a connection broke without a reply.
pub(crate) fn stage_of(closed: &Closed) -> Option<Stage> {
    match closed {
        Closed::Timeout(stage) | Closed::Disconnected(stage) | Closed::Protocol { stage, .. } => Some(*stage),
        // The letter could not be read to its end.
        Closed::Quit => Some(Stage::Data),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
