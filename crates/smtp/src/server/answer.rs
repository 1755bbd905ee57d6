//! What policy answered, and how it goes on.

use std::time::Instant;

use super::letter::Letter;
use super::phase::{Pending, Phase};
use super::session::{Hello, Open, ServerSession, Transaction};
use super::{Answer, Protocol, replies};
use crate::envelope::RcptParams;
use crate::path::ForwardPath;
use crate::reply::{Reply, Severity};

impl ServerSession {
    /// The answer to the open question; without one it is not for us and nothing happens.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) {
        let Some(pending) = self.question.take() else { return };
        (self.now, self.since) = (now, now);
        match pending {
            Pending::Connect => self.connect_answered(answer),
            Pending::Helo { host, extended } => {
                if self.accepted(answer, replies::OK).is_some() {
                    self.greeted(Hello { host, extended });
                }
            }
            Pending::Password { authcid } => self.password_answered(authcid, answer),
            Pending::Verifier(exchange) => self.verifier_answered(exchange, answer),
            Pending::Proved { authcid, final_message } => self.proved_answered(authcid, &final_message, answer),
            Pending::Mail { from, params, lowered } => {
                let own = match params.mt_priority {
                    Some(priority) if lowered => replies::priority(priority),
                    _ => replies::SENDER_OK,
                };
                if let Some(reply) = self.accepted(answer, own) {
                    let transaction = Transaction { from, params, recipients: Vec::new() };
                    self.open = Some(Open { transaction, letter: None, overshoot: 0, refused: 0 });
                    self.say(reply);
                }
            }
            Pending::Rcpt { to, params } => self.rcpt_answered(to, params, answer),
            Pending::Data => self.data_answered(answer),
            Pending::Bdat { size, last } => self.bdat_answered(size, last, answer),
            Pending::Message => self.message_answered(answer),
            Pending::Vrfy => {
                if let Some(reply) = self.accepted(answer, replies::CANNOT_VERIFY) {
                    self.say(reply);
                }
            }
        }
    }

    /// The reply to say where the answer accepts; else the refusal is said.
    pub(super) fn accepted(&mut self, answer: Answer, own: Reply) -> Option<Reply> {
        match self.verdict(answer, own) {
            Ok(reply) => return Some(reply),
            Err(Refusal::Stay(reply)) => self.refuse(reply),
            Err(Refusal::Close(reply)) => self.close_with(reply),
        }
        None
    }

    /// Nothing is said yet.
    pub(super) fn verdict(&mut self, answer: Answer, own: Reply) -> Result<Reply, Refusal> {
        match answer {
            Answer::Accept => Ok(own),
            Answer::Reply(reply) => match reply.severity() {
                Severity::Positive | Severity::Intermediate => Ok(reply),
                Severity::Transient | Severity::Permanent => Err(Refusal::Stay(reply)),
            },
            Answer::Close(reply) => Err(Refusal::Close(reply)),
            // An answer to another question: our own bug. The peer may try again.
            Answer::Scram(_) | Answer::PerRecipient(_) => {
                self.misbehaved("the answer does not belong to the question (our own mistake)");
                Err(Refusal::Stay(replies::LOCAL_TROUBLE))
            }
        }
    }

    fn connect_answered(&mut self, answer: Answer) {
        if let Some(reply) = self.shutdown.take() {
            return self.close_with(reply);
        }
        let word = match self.config.protocol {
            Protocol::Smtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        };
        let greeting = Reply::plain(220, "").with_text(format!("{} {word} ready", self.config.hostname));
        match self.verdict(answer, greeting) {
            Ok(greeting) => self.say(greeting),
            // RFC 5321 §3.1: behind 554 the server waits for QUIT and answers 503 to all else.
            Err(Refusal::Stay(reply)) => {
                self.refused = true;
                self.say(reply);
            }
            Err(Refusal::Close(reply)) => self.close_with(reply),
        }
    }

    /// RFC 5321 §4.1.4: EHLO in a session clears all buffers, as RSET does. One that was refused changes nothing.
    fn greeted(&mut self, hello: Hello) {
        self.reset();
        let extended = hello.extended;
        self.hello = Some(hello);
        self.offer();
        let hostname = &self.config.hostname;
        let reply = if extended {
            self.offered.to_ehlo(hostname)
        } else {
            Reply::plain(250, "").with_text(hostname.to_string())
        };
        self.say(reply);
    }

    fn rcpt_answered(&mut self, to: ForwardPath, params: RcptParams, answer: Answer) {
        let verdict = self.verdict(answer, replies::RECIPIENT_OK);
        let Some(open) = &mut self.open else { return };
        match verdict {
            Ok(reply) => {
                open.transaction.recipients.push((to, params));
                self.say(reply);
            }
            // Somebody whom we know and who writes to a list is not one who guesses addresses; though not without end.
            Err(Refusal::Stay(reply)) => {
                open.refused += 1;
                let guessed = self.account.is_none() || open.refused > self.config.limits.recipients;
                if guessed { self.refuse(reply) } else { self.say(reply) }
            }
            Err(Refusal::Close(reply)) => self.close_with(reply),
        }
    }

    fn data_answered(&mut self, answer: Answer) {
        if self.accepted(answer, replies::SEND_DATA).is_none() {
            return;
        }
        let letter = Letter::by_data(self.config.bare_newline, self.now);
        let Some(open) = &mut self.open else { return };
        open.letter = Some(letter);
        self.phase = Phase::Data;
        // RFC 5321 §4.1.1.4: no other code asks for the letter.
        self.say(replies::SEND_DATA);
    }

    fn bdat_answered(&mut self, size: u64, last: bool, answer: Answer) {
        match self.verdict(answer, replies::OK) {
            Ok(_) => {
                let Some(open) = &mut self.open else { return };
                let body = open.transaction.params.body;
                open.letter = Some(Letter::by_chunks(self.config.bare_newline, body, self.now));
                self.phase = Phase::Chunk { left: size, last };
            }
            Err(Refusal::Stay(reply)) => self.refuse_chunk(size, last, reply),
            Err(Refusal::Close(reply)) => self.close_with(reply),
        }
    }

    /// The transaction is over whatever the answer (RFC 5321 §4.1.1.4); if it refuses, the driver knows without Abandon.
    fn message_answered(&mut self, answer: Answer) {
        let recipients = self.open.take().map_or(0, |open| open.transaction.recipients.len());
        match (self.config.protocol, answer) {
            (Protocol::Lmtp, Answer::PerRecipient(replies)) => self.each_answered(replies, recipients),
            (protocol, answer) => {
                let times = if protocol == Protocol::Lmtp { recipients } else { 1 };
                match self.verdict(answer, replies::KEPT) {
                    Ok(reply) => {
                        self.delivered();
                        self.say_times(reply, times);
                    }
                    Err(Refusal::Stay(reply)) => self.refuse_times(reply, times),
                    Err(Refusal::Close(reply)) => self.close_with(reply),
                }
            }
        }
    }

    /// RFC 2033 §4.2: one reply for each recipient, in their order. Where policy gave fewer, the others may try again.
    fn each_answered(&mut self, answers: Vec<Reply>, recipients: usize) {
        if answers.iter().any(Reply::is_positive) {
            self.delivered();
        } else {
            self.counts.errors = self.counts.errors.saturating_add(1);
        }
        let missing = std::iter::repeat(replies::LOCAL_TROUBLE);
        answers.into_iter().chain(missing).take(recipients).for_each(|reply| self.say(reply));
    }

    fn delivered(&mut self) {
        self.counts.messages = self.counts.messages.saturating_add(1);
        self.counts.errors = 0;
        self.counts.junk = 0;
    }
}

/// What an answer refuses with.
pub(super) enum Refusal {
    Stay(Reply),
    Close(Reply),
}
