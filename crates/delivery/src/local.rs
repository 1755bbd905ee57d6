//! Letters for mailboxes on this machine, off the async threads.

use std::path::PathBuf;

use queue::{Attempt, Body, Recipient, RecipientOutcome, Verdict};
use smtp::{Mailbox, Reply, ReversePath};

use crate::connect::State;
use crate::maildir::{self, NotStored};
use crate::outcome::verdict;
use crate::route::NextHop;

/// One recipient's mailbox.
struct Drop {
    position: usize,
    folder: PathBuf,
    recipient: Mailbox,
    /// A mailbox that catches everybody's letters: it is there whoever they are for, and may well see one twice.
    catches: bool,
}

/// Writes the letter into each recipient's mailbox.
pub(crate) async fn deliver(
    state: &State,
    attempt: &Attempt,
    recipients: &[(usize, &Recipient)],
    outcomes: &mut [Option<RecipientOutcome>],
) {
    let drops: Vec<Drop> =
        recipients.iter().filter_map(|(position, r)| drop_for(state, *position, &r.address)).collect();
    let (hostname, from, body) = (state.hostname.to_string(), attempt.letter.from.clone(), attempt.body.clone());
    let mailboxes = state.mailboxes.clone();
    let stored = tokio::task::spawn_blocking(move || {
        let reply = |drop: &Drop| match if drop.catches { Ok(()) } else { mailboxes.check(&drop.recipient) } {
            Ok(()) => store(drop, &hostname, &from, &body),
            Err(refusal) => refusal,
        };
        drops.iter().map(|drop| (drop.position, reply(drop))).collect::<Vec<_>>()
    });
    // A task that failed leaves its recipients without an outcome, and so deferred.
    for (position, reply) in stored.await.unwrap_or_default() {
        if let Some(outcome) = outcomes.get_mut(position) {
            *outcome = Some(RecipientOutcome {
                verdict: verdict(&reply, false),
                reply,
                by: "maildir".into(),
                tls: String::new(),
            });
        }
    }
    for (position, _) in recipients {
        if let Some(outcome @ None) = outcomes.get_mut(*position) {
            *outcome = Some(interrupted());
        }
    }
}

fn drop_for(state: &State, position: usize, recipient: &Mailbox) -> Option<Drop> {
    let (folder, catches) = match state.router.route(recipient).1 {
        NextHop::Maildir(root) => (maildir::folder(&root, recipient, &state.config.subaddress), false),
        NextHop::Catch(folder) => (folder.to_path_buf(), true),
        NextHop::Relay(_) | NextHop::Mx(_) | NextHop::Literal(_) => return None,
    };
    Some(Drop { position, folder, recipient: recipient.clone(), catches })
}

fn store(drop: &Drop, hostname: &str, from: &ReversePath, body: &Body) -> Reply {
    let stored = match maildir::has_been_here(body, &drop.recipient) {
        Ok(true) if !drop.catches => Err(NotStored::Loop),
        Ok(_) => maildir::deliver(&drop.folder, hostname, from, &drop.recipient, body),
        Err(error) => Err(NotStored::Disk { path: "the letter itself".into(), error }),
    };
    match stored {
        Ok(()) => Reply::new(250, (2, 0, 0), "stored in the mailbox"),
        Err(error) => {
            tracing::warn!(recipient = %drop.recipient, %error, "letter not stored in mailbox");
            error.reply()
        }
    }
}

fn interrupted() -> RecipientOutcome {
    RecipientOutcome {
        verdict: Verdict::Deferred,
        reply: Reply::new(451, (4, 3, 0), "the mailbox could not be written"),
        by: "maildir".into(),
        tls: String::new(),
    }
}
