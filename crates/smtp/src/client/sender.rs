//! The sender: says what is next, as far as the peer allows.
//!
//! It never looks at a reply. The [`receiver`](super::receiver) sets [`Next`] where a reply decides what comes; within a
//! letter the sender walks on by itself, RSET, MAIL, RCPT …, DATA, until the window is full. The window is one command,
//! or many under PIPELINING: so pipelining is no special case.

use super::auth::REDACTED;
use super::body::{Chunks, Encoder, write_bdat};
use super::letter::Letter;
use super::output::{Event, Output, Stage};
use super::params::{write_host, write_mail, write_rcpt};
use super::session::{ClientSession, Expect, Phase};
use crate::data::DotStuffer;
use crate::envelope::Body;
use crate::extension::Capabilities;
use crate::reply::Reply;
use crate::server::Protocol;

/// Commands that may wait for their replies under PIPELINING. Bounded, so that the two sides can never block each other
/// by full buffers, both writing and neither reading (RFC 2920 §3.1).
const WINDOW: usize = 100;

/// Kept free behind a piece of content for stuffed dots, line ends and the end of data, so that it is rarely moved.
const ROOM: usize = 64;

/// Room for a usual envelope, so that it is written without being moved.
const ENVELOPE: usize = 256;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Something has to happen first.
    Nothing,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    /// The answer to a challenge.
    AuthResponse,
    Rset,
    Mail,
    /// To the first recipient without a reply, from this one on.
    Rcpt(usize),
    /// DATA or BDAT.
    Data,
    Quit,
}

impl ClientSession {
    /// Says what may be said now.
    pub(super) fn say(&mut self) {
        let window = if self.may_pipeline() { WINDOW } else { 1 };
        while self.expected.len() < window && self.next != Next::Nothing {
            let next = std::mem::replace(&mut self.next, Next::Nothing);
            if !self.say_next(next) {
                return;
            }
        }
    }

    pub(super) fn may_pipeline(&self) -> bool {
        self.config.pipelining && self.capabilities.as_ref().is_some_and(|offered| offered.pipelining)
    }

    /// False where the sender has to wait.
    fn say_next(&mut self, next: Next) -> bool {
        match next {
            Next::Nothing => return false,
            Next::Ehlo => match self.config.protocol {
                Protocol::Smtp => self.say_hello(b"EHLO ", Expect::Ehlo),
                Protocol::Lmtp => self.say_hello(b"LHLO ", Expect::Ehlo),
            },
            Next::Helo => self.say_hello(b"HELO ", Expect::Helo),
            Next::StartTls => self.say_line(b"STARTTLS", Expect::StartTls),
            Next::Auth => self.say_auth(),
            Next::AuthResponse => {
                self.record(|_| REDACTED.to_owned());
                self.auth.write_response(&mut self.out);
                self.end_line(Expect::Auth);
            }
            Next::Quit => self.say_line(b"QUIT", Expect::Quit),
            Next::Rset => {
                self.say_line(b"RSET", Expect::Rset);
                self.next = Next::Mail;
            }
            Next::Mail => self.say_mail(),
            Next::Rcpt(from) => self.say_rcpt(from),
            Next::Data => return self.say_data(),
        }
        true
    }

    fn say_hello(&mut self, verb: &[u8], expect: Expect) {
        let start = self.out.len();
        self.out.extend_from_slice(verb);
        write_host(&mut self.out, &self.config.ehlo);
        self.end_command(start, expect);
    }

    fn say_line(&mut self, line: &[u8], expect: Expect) {
        let start = self.out.len();
        self.out.extend_from_slice(line);
        self.end_command(start, expect);
    }

    fn say_auth(&mut self) {
        self.record(|session| session.auth.shown());
        self.auth.write_command(&mut self.out);
        self.end_line(Expect::Auth);
    }

    fn say_mail(&mut self) {
        let (Phase::Letter(letter), Some(offered)) = (&self.phase, &self.capabilities) else { return };
        let start = self.out.len();
        write_mail(&mut self.out, &letter.message.from, &letter.message.params, offered, letter.utf8);
        self.next = Next::Rcpt(0);
        self.end_command(start, Expect::Mail);
    }

    fn say_rcpt(&mut self, from: usize) {
        let (Phase::Letter(letter), Some(offered)) = (&self.phase, &self.capabilities) else { return };
        self.next = Next::Data;
        let Some(index) = letter.next_undecided(from) else { return };
        let Some((to, params)) = letter.message.recipients.get(index) else { return };
        let start = self.out.len();
        write_rcpt(&mut self.out, to, params, offered, letter.utf8);
        self.next = Next::Rcpt(index + 1);
        self.end_command(start, Expect::Rcpt(index));
    }

    /// DATA is said while recipients are still hoped for. BDAT brings the letter along, so it waits for their replies.
    fn say_data(&mut self) -> bool {
        let Phase::Letter(letter) = &self.phase else { return false };
        if letter.all_decided() {
            return false;
        }
        if !letter.bdat {
            self.say_line(b"DATA", Expect::Data);
        } else if self.expected.is_empty() {
            self.need_body();
        } else {
            self.next = Next::Data;
            return false;
        }
        true
    }

    /// Adds the line end; `start` is where the command begins in what is to be transmitted.
    fn end_command(&mut self, start: usize, expect: Expect) {
        self.record(|session| String::from_utf8_lossy(session.out.get(start..).unwrap_or_default()).into_owned());
        self.end_line(expect);
    }

    fn end_line(&mut self, expect: Expect) {
        self.out.extend_from_slice(b"\r\n");
        self.expected.push_back(expect);
    }

    /// For the transcript; costs nothing where there is none.
    pub(super) fn record(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.transcript {
            let event = Event::Command(line(self));
            self.outputs.push_back(Output::Event(event));
        }
    }
}

/// The letter: from `deliver` to the end of its content.
impl ClientSession {
    pub(super) fn begin_letter(&mut self, mut letter: Letter) {
        let Some(offered) = &self.capabilities else { return };
        if let Some(reply) = letter.obstacle(offered, self.tls.as_ref(), self.name_unprotected) {
            letter.decide_rest(Stage::Mail, reply);
        }
        // RFC 9422 §4: more would be refused, or end the session.
        if let Some(most) = self.recipients_max() {
            for index in most..letter.message.recipients.len() {
                letter.decide(index, Stage::Rcpt, too_many(most));
            }
        }
        letter.utf8 = letter.needs_utf8();
        letter.bdat = self.bdat_for(&letter, offered);
        if !letter.all_decided() {
            self.next = if self.half_open { Next::Rset } else { Next::Mail };
            self.out.reserve(ENVELOPE);
        }
        self.phase = Phase::Letter(letter);
    }

    /// Without PIPELINING each chunk would have to wait for the reply to the one before, and in LMTP nobody says how many
    /// replies a last chunk gets behind a failed one: there it is DATA, but for what only BDAT can carry.
    fn bdat_for(&self, letter: &Letter, offered: &Capabilities) -> bool {
        letter.message.params.body == Some(Body::BinaryMime)
            || (self.config.chunking && offered.chunking && self.several_chunks())
    }

    fn several_chunks(&self) -> bool {
        self.may_pipeline() && self.config.protocol == Protocol::Smtp
    }

    /// The peer awaits the content.
    pub(super) fn need_body(&mut self) {
        let Phase::Letter(letter) = &self.phase else { return };
        let binary = letter.message.params.body == Some(Body::BinaryMime);
        self.body = Some(match letter.bdat {
            true => Encoder::Bdat(Chunks::new(binary, self.several_chunks())),
            false => Encoder::Data(DotStuffer::new()),
        });
        self.push(Output::NeedBody);
    }

    pub(super) fn say_body(&mut self, piece: &[u8]) {
        match &mut self.body {
            Some(Encoder::Data(lines)) => {
                self.out.reserve(piece.len() + ROOM);
                lines.encode(piece, &mut self.out);
            }
            Some(Encoder::Bdat(chunks)) => {
                if let Some(chunk) = chunks.write(piece) {
                    self.say_bdat(chunk, false);
                    self.expected.push_back(Expect::Chunk);
                }
            }
            // The letter has got its reply before its end; the caller has not seen it yet.
            None => {}
        }
    }

    pub(super) fn say_body_end(&mut self) {
        match self.body.take() {
            Some(Encoder::Data(lines)) => {
                self.record(|_| ".".to_owned());
                lines.finish(&mut self.out);
            }
            Some(Encoder::Bdat(chunks)) => self.say_bdat(chunks.finish(), true),
            None => return,
        }
        self.expect_verdict();
    }

    /// RFC 5321 §4.1.1.4: the line of a dot alone, behind no letter at all.
    pub(super) fn say_end_of_data(&mut self) {
        self.record(|_| ".".to_owned());
        self.out.extend_from_slice(b".\r\n");
    }

    fn say_bdat(&mut self, chunk: Vec<u8>, last: bool) {
        self.record(|_| format!("BDAT {}{}", chunk.len(), if last { " LAST" } else { "" }));
        if let Some(chunk) = write_bdat(&mut self.out, chunk, last) {
            self.push(Output::Transmit(chunk));
        }
    }

    /// RFC 2033 §4.2: in LMTP there is a reply for each recipient that was accepted, in their order.
    fn expect_verdict(&mut self) {
        let Phase::Letter(letter) = &self.phase else { return };
        match self.config.protocol {
            Protocol::Smtp => self.expected.push_back(Expect::EndOfData(None)),
            Protocol::Lmtp => {
                let accepted = (0..letter.message.recipients.len()).filter(|i| letter.is_undecided(*i));
                self.expected.extend(accepted.map(|index| Expect::EndOfData(Some(index))));
            }
        }
    }
}

fn too_many(most: usize) -> Reply {
    Reply::new(452, (4, 5, 3), "").with_text(format!("the next server takes at most {most} recipients at a time"))
}
