//! The receiver: takes each reply for the command whose turn it is, and says what follows from it.

use std::time::{Duration, Instant};

use super::TlsMode;
use super::auth::REDACTED;
use super::letter::Letter;
use super::output::{Closed, Event, Output, Stage};
use super::sender::Next;
use super::session::{ClientSession, Expect, Phase};
use super::words;
use crate::enhanced::EnhancedCode;
use crate::envelope::Body;
use crate::extension::Capabilities;
use crate::reply::{Reply, ReplyCode, Severity};
use crate::server::Protocol;

impl ClientSession {
    pub(super) fn receive(&mut self, reply: Reply) {
        self.record_reply(&reply);
        let expect = match self.unasked {
            true => return self.receive_unasked(reply),
            false => self.expected.pop_front(),
        };
        let Some(expect) = expect else { return self.receive_unasked(reply) };
        // RFC 5321 §3.8: 421 may come in place of any reply, and the channel is closed behind it.
        if reply.code.as_u16() == 421 && expect != Expect::Quit {
            return self.close(Closed::Refused { stage: expect.stage(), reply });
        }
        match expect {
            Expect::Greeting => self.receive_greeting(reply),
            Expect::Ehlo => self.receive_ehlo(reply),
            Expect::Helo => self.receive_helo(reply),
            Expect::StartTls => self.receive_starttls(reply),
            Expect::Auth => self.receive_auth(reply),
            Expect::Quit => self.close(Closed::Quit),
            Expect::Rset if reply.is_positive() => self.half_open = false,
            // With the old transaction still open, MAIL would be refused for good by 503 though nothing is wrong with it.
            Expect::Rset => self.protocol_error(Stage::Mail, "RSET was refused"),
            // Within a letter nothing but DATA has a 3yz.
            _ if reply.severity() == Severity::Intermediate && expect != Expect::Data => {
                self.protocol_error(expect.stage(), "the reply asks for more where there is no more")
            }
            Expect::Mail => self.receive_mail(reply),
            Expect::Rcpt(index) => self.receive_rcpt(index, reply),
            Expect::Data => self.receive_data(reply),
            Expect::Chunk => self.receive_chunk(reply),
            Expect::EndOfData(index) => self.receive_verdict(index, reply),
        }
    }

    /// A reply that nobody asked for. 421 says that the server goes; 4yz and 5yz within a letter's content are its
    /// verdict, said early; everything else means that the two sides are out of step.
    fn receive_unasked(&mut self, reply: Reply) {
        let refuses = matches!(reply.severity(), Severity::Transient | Severity::Permanent);
        if reply.code.as_u16() == 421 {
            self.close(Closed::Refused { stage: self.stage(), reply });
        } else if self.body.is_some() && refuses {
            self.close(Closed::Refused { stage: Stage::EndOfData, reply });
        } else {
            self.protocol_error(self.stage(), "a reply came that nothing asked for");
        }
    }

    fn record_reply(&mut self, reply: &Reply) {
        if self.transcript {
            let secret = reply.code.as_u16() == 334;
            let shown = if secret { Reply::plain(334, REDACTED) } else { reply.clone() };
            self.outputs.push_back(Output::Event(Event::Reply(shown)));
        }
    }
}

/// Until the first letter may be given.
impl ClientSession {
    fn receive_greeting(&mut self, reply: Reply) {
        match reply.severity() {
            _ if reply.code.as_u16() == 220 => self.next = Next::Ehlo,
            Severity::Transient | Severity::Permanent => self.leave(Closed::Refused { stage: Stage::Greeting, reply }),
            _ => self.protocol_error(Stage::Greeting, "the greeting is not 220"),
        }
    }

    fn receive_ehlo(&mut self, reply: Reply) {
        match reply.severity() {
            Severity::Positive => {
                self.capabilities = Some(Capabilities::from_ehlo(&reply));
                self.opened();
            }
            // RFC 5321 §3.2: a server without extensions.
            Severity::Permanent if self.config.protocol == Protocol::Smtp => self.next = Next::Helo,
            Severity::Intermediate => self.protocol_error(Stage::Ehlo, "the reply to EHLO is 3yz"),
            _ => self.leave(Closed::Refused { stage: Stage::Ehlo, reply }),
        }
    }

    fn receive_helo(&mut self, reply: Reply) {
        match reply.severity() {
            Severity::Positive => {
                self.capabilities = Some(Capabilities::default());
                self.opened();
            }
            Severity::Intermediate => self.protocol_error(Stage::Ehlo, "the reply to HELO is 3yz"),
            _ => self.leave(Closed::Refused { stage: Stage::Ehlo, reply }),
        }
    }

    fn receive_starttls(&mut self, reply: Reply) {
        match reply.severity() {
            _ if reply.code.as_u16() == 220 => {
                self.phase = Phase::Handshake;
                self.push(Output::StartTls);
            }
            Severity::Transient | Severity::Permanent if self.config.tls == TlsMode::Opportunistic => {
                self.tls_declined = true;
                self.opened();
            }
            Severity::Transient | Severity::Permanent => self.leave(Closed::Refused { stage: Stage::StartTls, reply }),
            _ => self.protocol_error(Stage::StartTls, "the reply to STARTTLS is neither yes nor no"),
        }
    }

    /// One more step is done: what is still missing before a letter?
    pub(super) fn opened(&mut self) {
        let starttls = self.capabilities.as_ref().is_some_and(|offered| offered.starttls);
        let wanted = matches!(self.config.tls, TlsMode::Opportunistic | TlsMode::StartTls);
        if wanted && self.tls.is_none() && starttls && !self.tls_declined {
            self.next = Next::StartTls;
        } else if self.config.tls == TlsMode::StartTls && self.tls.is_none() {
            self.leave(Closed::TlsNotOffered);
        } else if self.config.auth.is_some() && !self.auth.done {
            self.begin_auth();
        } else {
            self.phase = Phase::Ready;
            self.push(Output::Ready);
        }
    }
}

/// The replies to a letter.
impl ClientSession {
    fn receive_mail(&mut self, reply: Reply) {
        let Phase::Letter(letter) = &mut self.phase else { return };
        letter.heard = true;
        match reply.is_positive() {
            true => self.half_open = true,
            false => letter.decide_rest(Stage::Mail, reply),
        }
    }

    fn receive_rcpt(&mut self, index: usize, reply: Reply) {
        let half_open = self.half_open;
        let Phase::Letter(letter) = &mut self.phase else { return };
        if !reply.is_positive() {
            let reply = quirk_552_for_too_many(reply, letter.accepted);
            return letter.decide(index, Stage::Rcpt, reply);
        }
        letter.accepted += 1;
        if !half_open {
            // Were DATA to succeed now, an empty letter would reach this recipient.
            self.protocol_error(Stage::Rcpt, "RCPT was accepted after MAIL was refused");
        }
    }

    fn receive_data(&mut self, reply: Reply) {
        let Phase::Letter(letter) = &mut self.phase else { return };
        match reply.severity() {
            Severity::Positive => self.protocol_error(Stage::Data, "the reply to DATA is 2yz"),
            Severity::Transient | Severity::Permanent => letter.decide_rest(Stage::Data, reply),
            Severity::Intermediate if !letter.all_decided() => self.need_body(),
            Severity::Intermediate if self.config.protocol == Protocol::Lmtp => {
                // RFC 2033 §4.2: "the DATA command MUST fail" then; it would have as many replies as recipients: none.
                self.protocol_error(Stage::Data, "DATA was accepted without a recipient");
            }
            Severity::Intermediate => {
                // RFC 2920 §3.1: "the client … should send a single dot": DATA had been said before the RCPTs failed.
                self.say_end_of_data();
                self.expected.push_back(Expect::EndOfData(None));
            }
        }
    }

    /// A chunk before the last. When it fails, the rest of the letter is not said, and the transaction is left to RSET
    /// (RFC 3030 §2).
    fn receive_chunk(&mut self, reply: Reply) {
        let Phase::Letter(letter) = &mut self.phase else { return };
        if !reply.is_positive() {
            self.body = None;
            self.bdat_refused |= quirk_bdat_unknown(letter, &reply);
            self.config.chunking &= !self.bdat_refused;
            letter.decide_rest(Stage::EndOfData, reply);
        }
    }

    fn receive_verdict(&mut self, index: Option<usize>, reply: Reply) {
        let Phase::Letter(letter) = &mut self.phase else { return };
        // RFC 5321 §4.1.1.4: whatever the verdict, the transaction is over. RFC 3030 §2: not so with a refused BDAT.
        self.half_open = letter.bdat && !reply.is_positive();
        self.bdat_refused |= quirk_bdat_unknown(letter, &reply);
        self.config.chunking &= !self.bdat_refused;
        match index {
            Some(index) => letter.decide(index, Stage::EndOfData, reply),
            None => letter.decide_rest(Stage::EndOfData, reply),
        }
    }
}

/// What follows when all that came has been read.
impl ClientSession {
    pub(super) fn go_on(&mut self, now: Instant) {
        self.say();
        self.settle();
        self.deadline = now + self.patience();
    }

    /// The letter is done when every recipient has its reply and no command waits for one.
    fn settle(&mut self) {
        let done = matches!(&self.phase, Phase::Letter(letter) if letter.all_decided());
        if !done || !self.expected.is_empty() || self.next != Next::Nothing {
            return;
        }
        if let Phase::Letter(letter) = std::mem::replace(&mut self.phase, Phase::Ready) {
            self.letters = self.letters.saturating_add(letter.heard.into());
            self.push(Output::Done(letter.decided()));
            self.push(Output::Ready);
        }
    }

    /// RFC 5321 §4.5.3.2.
    pub(super) fn patience(&self) -> Duration {
        let timeouts = &self.config.timeouts;
        if self.body.is_some() {
            return timeouts.data_block;
        }
        match self.stage() {
            Stage::Connect | Stage::Greeting => timeouts.greeting,
            Stage::Ehlo | Stage::StartTls | Stage::Auth => timeouts.ehlo,
            Stage::Mail => timeouts.mail,
            Stage::Rcpt => timeouts.rcpt,
            Stage::Data => timeouts.data_start,
            Stage::EndOfData => timeouts.data_end,
            Stage::Quit => timeouts.quit,
        }
    }

    /// Output that has its place in the order of what goes out.
    pub(super) fn push(&mut self, output: Output) {
        if !self.out.is_empty() {
            self.outputs.push_back(Output::Transmit(std::mem::take(&mut self.out)));
        }
        self.outputs.push_back(output);
    }

    pub(super) fn protocol_error(&mut self, stage: Stage, what: &'static str) {
        self.close(Closed::Protocol { stage, what });
    }

    /// Ends a session in which nothing is left to be done, with good manners: QUIT, whose reply nobody awaits.
    pub(super) fn leave(&mut self, why: Closed) {
        self.record(|_| "QUIT".to_owned());
        self.push(Output::Transmit(b"QUIT\r\n".to_vec()));
        self.close(why);
    }

    /// Ends the session. What is not yet handed out of a letter stays unsaid, so that the peer cannot take it for whole.
    pub(super) fn close(&mut self, why: Closed) {
        if self.is_closed() {
            return;
        }
        let (stage, reply) = words::last(&why, self.stage());
        self.out.clear();
        self.outputs.retain(|output| !matches!(output, Output::StartTls | Output::Ready | Output::NeedBody));
        self.expected.clear();
        self.next = Next::Nothing;
        self.body = None;
        if let Phase::Letter(letter) = std::mem::replace(&mut self.phase, Phase::Closed(why)) {
            self.outputs.push_back(Output::Done(letter.finish(stage, reply)));
        }
    }
}

/// Servers, and what stands in front of them, offer CHUNKING and answer BDAT with 500 "unknown command" or 503. Such a reply
/// is no verdict on the letter: by DATA it may well be taken.
fn quirk_bdat_unknown(letter: &Letter, reply: &Reply) -> bool {
    let binary = letter.message.params.body == Some(Body::BinaryMime);
    letter.bdat && !binary && (500..=504).contains(&reply.code.as_u16())
}

/// RFC 5321 §4.5.3.1.10: 552 was once the code for too many recipients and is to be treated as 452 then. Since 552 5.2.2
/// is a full mailbox, only 5.5.3, or no enhanced code behind recipients that were accepted, is taken for it.
fn quirk_552_for_too_many(reply: Reply, accepted: usize) -> Reply {
    let enhanced = reply.enhanced.map(|code| (code.subject, code.detail));
    let too_many = enhanced == Some((5, 3)) || (enhanced.is_none() && accepted > 0);
    match (reply.code.as_u16(), ReplyCode::from_wire(452)) {
        (552, Some(code)) if too_many => Reply::from_peer(code, Some(EnhancedCode::new(4, 5, 3)), reply.text()),
        _ => reply,
    }
}
