//! A letter with a time to be delivered by, and a next server that may not know of such (RFC 2852 §4).

use crate::envelope::{ByMode, DeliverBy};
use crate::extension::Capabilities;
use crate::reply::Reply;

/// What becomes of BY= at the next server.
#[derive(Clone, Debug, PartialEq)]
pub enum ByNext {
    /// BY= goes along with the letter.
    Passed,
    /// The letter goes without it, and its sender is told that it was relayed to where nobody watches the time.
    Dropped,
    /// The letter goes back; the words are ours.
    Returned(Reply),
}

/// What to do with a letter that must be delivered by `by`, counted from now, at a server that offers `offered`.
pub fn deliver_by(by: DeliverBy, offered: &Capabilities) -> ByNext {
    match (by.mode, offered.deliver_by) {
        (ByMode::Notify, Some(_)) => ByNext::Passed,
        (ByMode::Notify, None) => ByNext::Dropped,
        (ByMode::Return, _) if by.seconds <= 0 => ByNext::Returned(PASSED),
        // A server that might deliver it late must not have it.
        (ByMode::Return, None) => ByNext::Returned(UNKNOWN),
        (ByMode::Return, Some(least)) if by.seconds < i64::from(least) => ByNext::Returned(TOO_SOON),
        (ByMode::Return, Some(_)) => ByNext::Passed,
    }
}

const PASSED: Reply = Reply::new(550, (5, 4, 7), "the time within which the letter had to be delivered is over");
const UNKNOWN: Reply = Reply::new(
    550,
    (5, 4, 7),
    "the letter must be delivered within a time, and the next server cannot promise that (no DELIVERBY)",
);
const TOO_SOON: Reply =
    Reply::new(550, (5, 4, 7), "the next server takes no letters that must be delivered within so short a time");

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(seconds: i64, mode: ByMode, offered: Option<u32>) -> ByNext {
        let offered = Capabilities { deliver_by: offered, ..Capabilities::default() };
        deliver_by(DeliverBy { seconds, mode, trace: false }, &offered)
    }

    #[test]
    fn a_letter_to_be_returned_goes_only_to_a_server_that_can_keep_the_time() {
        assert_eq!(fate(60, ByMode::Return, Some(0)), ByNext::Passed);
        assert_eq!(fate(60, ByMode::Return, Some(60)), ByNext::Passed);
        assert_eq!(fate(59, ByMode::Return, Some(60)), ByNext::Returned(TOO_SOON));
        assert_eq!(fate(60, ByMode::Return, None), ByNext::Returned(UNKNOWN));
        for offered in [None, Some(0)] {
            assert_eq!(fate(0, ByMode::Return, offered), ByNext::Returned(PASSED));
            assert_eq!(fate(-1, ByMode::Return, offered), ByNext::Returned(PASSED));
        }
    }

    #[test]
    fn a_letter_whose_delay_is_told_goes_on_everywhere() {
        for seconds in [-5, 0, 5] {
            assert_eq!(fate(seconds, ByMode::Notify, Some(60)), ByNext::Passed);
            assert_eq!(fate(seconds, ByMode::Notify, None), ByNext::Dropped);
        }
    }
}
