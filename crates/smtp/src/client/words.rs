//! What a recipient's record says when the peer could not speak for itself. All are transient: the letter is kept.

use super::output::{Closed, Stage};
use crate::reply::Reply;

pub(super) const LOST: Reply = Reply::new(451, (4, 4, 2), "the connection to the next server was lost");
const SILENT: Reply = Reply::new(451, (4, 4, 2), "the next server did not answer in time");
const BROKEN: Reply = Reply::new(451, (4, 5, 0), "the next server broke the rules of SMTP");
const STOPPED: Reply = Reply::new(451, (4, 3, 2), "sending was interrupted and will be tried again");
pub(super) const UNREADABLE: Reply = Reply::new(451, (4, 3, 0), "the letter could not be read to its end here");

/// What those get who have no reply yet when a session ends in the middle of their letter.
pub(super) fn last(why: &Closed, stage: Stage) -> (Stage, Reply) {
    match why {
        Closed::Refused { stage, reply } => (*stage, reply.clone()),
        Closed::Timeout(stage) => (*stage, SILENT),
        Closed::Disconnected(stage) => (*stage, LOST),
        Closed::Protocol { stage, .. } => (*stage, BROKEN),
        Closed::Quit | Closed::TlsNotOffered | Closed::TlsFailed(_) | Closed::AuthNotOffered | Closed::AuthNeedsTls => {
            (stage, STOPPED)
        }
    }
}
