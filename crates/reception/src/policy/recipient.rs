//! RCPT TO: whom letters are taken for.

use smtp::{ForwardPath, Mailbox, Reply};

use crate::directory::{AccountBook, Directory, Resolution};

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Anyone: only our own domains are open.
    Stranger,
    /// Logged in, or in `relay_from_networks`: may send to anyone.
    Known,
}

const RELAY: Reply = Reply::new(
    550,
    (5, 7, 1),
    "relaying is not permitted: without a login this server takes letters for its own domains only",
);
const NO_SUCH_USER: Reply = Reply::new(550, (5, 1, 1), "there is no mailbox of this name here");
const ROUTED: Reply =
    Reply::new(550, (5, 7, 1), "relaying is not permitted: routes in the local part are not followed");
const CIRCLE: Reply = Reply::new(550, (5, 4, 6), "the aliases of this address go in circles; tell its postmaster");

/// The mailboxes that a letter to `to` goes to.
///
/// # Errors
/// The refusal.
pub(super) fn targets(
    to: &ForwardPath,
    trust: Trust,
    directory: &Directory,
    accounts: &dyn AccountBook,
) -> Result<Vec<Mailbox>, Reply> {
    let (resolution, mailbox) = match to {
        ForwardPath::Postmaster => (directory.postmaster(accounts), None),
        ForwardPath::Mailbox(mailbox) => (directory.resolve(mailbox, accounts), Some(mailbox)),
    };
    match (resolution, mailbox) {
        (Resolution::Local(mailboxes), _) => Ok(mailboxes),
        (Resolution::Relay, Some(mailbox)) => Ok(vec![mailbox.clone()]),
        (Resolution::NotOurs, Some(mailbox)) if trust == Trust::Known => Ok(vec![mailbox.clone()]),
        // What a server behind us makes of `user%other` is known to who is known here, and their own affair.
        (Resolution::Routed, Some(mailbox)) if trust == Trust::Known && directory.is_relay(&mailbox.host) => {
            Ok(vec![mailbox.clone()])
        }
        (Resolution::Routed, _) => Err(ROUTED),
        (Resolution::Unresolvable, _) => Err(CIRCLE),
        (Resolution::NoSuchUser, _) | (Resolution::Relay, None) => Err(NO_SUCH_USER),
        (Resolution::NotOurs, _) => Err(RELAY),
    }
}
