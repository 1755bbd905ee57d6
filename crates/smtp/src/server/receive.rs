//! Letters: DATA and BDAT, up to the question whether they are kept.

use super::letter::{Letter, Pace};
use super::phase::{Pending, Phase};
use super::session::{Output, ServerSession};
use super::{Protocol, Question, replies};
use crate::reply::Reply;

/// A chunk below this that is not the last brings a letter hardly nearer: it counts as junk.
const TINY_CHUNK: u64 = 512;

impl ServerSession {
    /// One piece of a letter out of the buffer.
    pub(super) fn step_letter(&mut self) -> bool {
        let empty_chunk = matches!(self.phase, Phase::Chunk { left: 0, .. } | Phase::Drain { left: 0, .. });
        if self.input.is_empty() && !empty_chunk {
            return false;
        }
        let mut input = std::mem::take(&mut self.input);
        let used = self.receive(input.octets());
        input.consume(used);
        if !matches!(self.phase, Phase::Closing) {
            self.input = input;
        }
        true
    }

    /// Takes from the front of `wire` what belongs to a letter; gives how much that was.
    pub(super) fn receive(&mut self, wire: &[u8]) -> usize {
        match &mut self.phase {
            Phase::Data => self.receive_data(wire),
            Phase::Chunk { left, .. } => {
                let used = within(*left, wire);
                *left -= used.len() as u64;
                self.receive_chunk(used);
                used.len()
            }
            Phase::Drain { left, pace, .. } => {
                let used = within(*left, wire).len();
                *left -= used as u64;
                pace.octets += used as u64;
                self.drained();
                used
            }
            _ => 0,
        }
    }

    fn receive_data(&mut self, wire: &[u8]) -> usize {
        let Some(letter) = self.letter() else {
            self.close();
            return wire.len();
        };
        let (content, end) = letter.read(wire);
        self.keep(content);
        if !self.within_bounds() {
            return wire.len();
        }
        if end.is_some() {
            self.phase = Phase::Command;
            self.since = self.now;
            self.letter_complete();
        }
        end.unwrap_or(wire.len())
    }

    fn receive_chunk(&mut self, wire: &[u8]) {
        let Phase::Chunk { left, last } = self.phase else { return };
        let Some(letter) = self.letter() else { return self.close() };
        let (mut content, _) = letter.read(wire);
        if left == 0 && last {
            content.extend(letter.end_of_chunks());
        }
        self.keep(content);
        if left == 0 {
            self.phase = Phase::Command;
            self.since = self.now;
            self.chunk_complete(last);
        }
    }

    /// While the phase is one of a letter's, there is a letter; a session without one is closed rather than guessed at.
    fn letter(&mut self) -> Option<&mut Letter> {
        self.open.as_mut()?.letter.as_mut()
    }

    fn chunk_complete(&mut self, last: bool) {
        let fault = self.open.as_ref().and_then(|open| open.letter.as_ref()?.fault(&self.config.limits));
        match fault {
            _ if last => self.letter_complete(),
            Some(reply) => {
                self.fail_chunks();
                self.refuse(reply);
            }
            None => self.say(replies::OK),
        }
    }

    /// The letter has its end. A fault refuses it, for each recipient in LMTP; else policy is asked.
    fn letter_complete(&mut self) {
        let Some(open) = &self.open else { return };
        match open.letter.as_ref().and_then(|letter| letter.fault(&self.config.limits)) {
            Some(reply) => {
                let times = self.replies_to_last();
                self.reset();
                self.refuse_times(reply, times);
            }
            None => self.ask(Question::Message, Pending::Message),
        }
    }

    /// Gives a piece out, unless the letter will be refused: then what was given is taken back, once.
    fn keep(&mut self, content: Vec<u8>) {
        let Some(letter) = self.open.as_mut().and_then(|open| open.letter.as_mut()) else { return };
        if letter.abandoned {
            return;
        }
        letter.abandoned = letter.fault(&self.config.limits).is_some();
        if letter.abandoned {
            self.queue.push_back(Output::Abandon);
        } else if !content.is_empty() {
            self.queue.push_back(Output::Body(content));
        }
    }

    /// A letter that is too big is read to its end, so that the session stays in step, but not for ever.
    fn within_bounds(&mut self) -> bool {
        let limits = &self.config.limits;
        let Some(letter) = self.open.as_ref().and_then(|open| open.letter.as_ref()) else { return true };
        if letter.octets() <= limits.message_size.saturating_add(limits.discard) {
            return true;
        }
        // Better than 421: with 552 the sender knows that it need not try again.
        self.misbehaved("sent far more than the size that was offered");
        self.close_with(replies::TOO_BIG);
        false
    }

    /// RFC 3030 §2. Whatever is wrong, the chunk's octets follow and must be passed over.
    pub(super) fn bdat(&mut self, size: u64, last: bool) {
        if size < TINY_CHUNK && !last && !self.junk() {
            return;
        }
        if let Some(reply) = self.chunk_refusal(size) {
            return self.refuse_chunk(size, last, reply);
        }
        match &self.open {
            Some(open) if open.letter.is_some() => self.phase = Phase::Chunk { left: size, last },
            _ => self.ask(Question::Data, Pending::Bdat { size, last }),
        }
    }

    fn chunk_refusal(&self, size: u64) -> Option<Reply> {
        let Some(open) = &self.open else {
            return Some(match () {
                () if self.refused => replies::SESSION_REFUSED,
                () if self.chunks_failed.is_some() => replies::CHUNKS_FAILED,
                () => replies::NEED_MAIL,
            });
        };
        let octets = open.letter.as_ref().map_or(0, |letter| letter.octets());
        match () {
            () if !self.config.chunking => Some(replies::NO_CHUNKING),
            () if open.transaction.recipients.is_empty() => Some(self.need_recipients()),
            () if octets.saturating_add(size) > self.config.limits.message_size => Some(replies::TOO_BIG),
            () => None,
        }
    }

    /// The transaction is over. Unless this chunk was the last, more may follow in the same breath: they are refused
    /// until RSET, or a letter without its first part would be taken for whole.
    pub(super) fn refuse_chunk(&mut self, size: u64, last: bool, reply: Reply) {
        let times = if last && self.offered.chunking { self.replies_to_last() } else { 1 };
        match (&self.open, last) {
            (Some(_), false) => self.fail_chunks(),
            (Some(_), true) => self.reset(),
            (None, _) => {}
        }
        if size > self.config.limits.discard {
            self.misbehaved("announced a chunk far too big to pass over");
            return self.close_with(if reply == replies::TOO_BIG { reply } else { replies::TOO_MUCH_DISCARDED });
        }
        self.phase = Phase::Drain { left: size, reply, times, pace: Pace::new(self.now) };
    }

    fn drained(&mut self) {
        if !matches!(self.phase, Phase::Drain { left: 0, .. }) {
            return;
        }
        self.since = self.now;
        if let Phase::Drain { reply, times, .. } = std::mem::replace(&mut self.phase, Phase::Command) {
            self.refuse_times(reply, times);
        }
    }

    /// The transaction is over; what is still to come of its chunks is refused.
    fn fail_chunks(&mut self) {
        let recipients = self.recipients();
        self.reset();
        self.chunks_failed = Some(recipients);
    }

    /// RFC 2033 §4.2 and §4.3: in LMTP the end of DATA and BDAT LAST, whatever becomes of them, have one reply "for each
    /// previously successful RCPT command", also where there was none. A client that pipelines counts on it.
    fn replies_to_last(&self) -> usize {
        match self.config.protocol {
            Protocol::Lmtp => self.recipients(),
            Protocol::Smtp => 1,
        }
    }

    fn recipients(&self) -> usize {
        let open = self.open.as_ref().map(|open| open.transaction.recipients.len());
        open.or(self.chunks_failed).unwrap_or_default()
    }
}

fn within(left: u64, wire: &[u8]) -> &[u8] {
    let most = usize::try_from(left).unwrap_or(usize::MAX);
    wire.get(..most).unwrap_or(wire)
}
