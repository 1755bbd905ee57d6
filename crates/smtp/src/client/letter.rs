//! The letter in hand: what has been decided about each recipient, and what can be decided without asking the peer.

use super::by::{ByNext, deliver_by};
use super::output::{Delivery, Message, RecipientReply, Stage};
use crate::envelope::Body;
use crate::extension::Capabilities;
use crate::reply::Reply;
use crate::tls::TlsInfo;

/// One letter between `deliver` and `Done`.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) message: Message,
    /// Sent under SMTPUTF8.
    pub(super) utf8: bool,
    /// Sent with BDAT.
    pub(super) bdat: bool,
    /// `None`: not yet decided. Once decided it stays.
    replies: Vec<Option<RecipientReply>>,
    undecided: usize,
    /// RCPTs that the peer said yes to, whatever became of them later.
    pub(super) accepted: usize,
    /// The peer has said something about this letter.
    pub(super) heard: bool,
}

impl Letter {
    pub(super) fn new(message: Message) -> Self {
        let undecided = message.recipients.len();
        let replies = vec![None; undecided];
        Self { message, utf8: false, bdat: false, replies, undecided, accepted: 0, heard: false }
    }

    pub(super) fn is_undecided(&self, index: usize) -> bool {
        matches!(self.replies.get(index), Some(None))
    }

    pub(super) fn all_decided(&self) -> bool {
        self.undecided == 0
    }

    /// The first recipient from `index` on that has no reply yet.
    pub(super) fn next_undecided(&self, index: usize) -> Option<usize> {
        (index..self.replies.len()).find(|i| self.is_undecided(*i))
    }

    pub(super) fn decide(&mut self, index: usize, stage: Stage, reply: Reply) {
        if let Some(slot @ None) = self.replies.get_mut(index) {
            *slot = Some(RecipientReply { stage, reply });
            self.undecided -= 1;
        }
    }

    pub(super) fn decide_rest(&mut self, stage: Stage, reply: Reply) {
        let mut reply = Some(reply);
        for slot in self.replies.iter_mut().filter(|slot| slot.is_none()) {
            self.undecided -= 1;
            // The last one takes it; a letter mostly has one recipient.
            let words = if self.undecided == 0 { reply.take() } else { reply.clone() };
            *slot = words.map(|reply| RecipientReply { stage, reply });
        }
    }

    /// What became of it. Whoever is still undecided gets `reply`.
    pub(super) fn finish(mut self, stage: Stage, reply: Reply) -> Delivery {
        self.decide_rest(stage, reply);
        Delivery { recipients: self.replies.into_iter().flatten().collect() }
    }

    pub(super) fn decided(self) -> Delivery {
        Delivery { recipients: self.replies.into_iter().flatten().collect() }
    }

    pub(super) fn needs_utf8(&self) -> bool {
        let Message { from, params, recipients } = &self.message;
        params.smtputf8
            || from.mailbox().is_some_and(|mailbox| !mailbox.is_ascii())
            || recipients.iter().any(|(mailbox, _)| !mailbox.is_ascii())
    }

    /// Why this peer cannot be given this letter at all, in our own words: nothing is sent then.
    pub(super) fn obstacle(
        &self,
        offered: &Capabilities,
        tls: Option<&TlsInfo>,
        name_unprotected: bool,
    ) -> Option<Reply> {
        let params = &self.message.params;
        if params.requiretls {
            // RFC 8689 §4.2.1: "The SMTP client MUST … verify" the certificate, and the extension must be there.
            if tls.is_none_or(|tls| tls.verified.is_err()) {
                return Some(Reply::new(550, (5, 7, 10), "REQUIRETLS: the next server has no verified encryption"));
            }
            if name_unprotected {
                return Some(Reply::new(
                    550,
                    (5, 7, 10),
                    "REQUIRETLS: the name of the next server came from the DNS without protection",
                ));
            }
            if !offered.requiretls {
                return Some(Reply::new(550, (5, 7, 30), "REQUIRETLS is not supported by the next server"));
            }
        }
        // RFC 6531 §3.5: without the extension the letter goes back; a lossy rewrite is no choice.
        if self.needs_utf8() && !offered.smtputf8 {
            return Some(Reply::new(
                553,
                (5, 6, 7),
                "the next server does not take internationalized addresses or headers",
            ));
        }
        if params.body == Some(Body::BinaryMime) && !(offered.binarymime && offered.chunking) {
            return Some(Reply::new(554, (5, 6, 1), "the next server does not take binary content"));
        }
        if let Some(ByNext::Returned(reply)) = params.by.map(|by| deliver_by(by, offered)) {
            return Some(reply);
        }
        match (params.size, offered.size) {
            // RFC 1870 §6.1; 0 is no limit.
            (Some(size), Some(limit)) if limit > 0 && size > limit => Some(
                Reply::new(552, (5, 3, 4), "")
                    .with_text(format!("the next server takes at most {limit} octets, this letter has {size}")),
            ),
            _ => None,
        }
    }
}
