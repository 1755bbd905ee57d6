//! Command lines: read, judged by the order of commands, and acted upon.

use super::input::Line;
use super::phase::{Pending, Phase};
use super::session::{Event, Output, ServerSession};
use super::{Protocol, Question, offer, replies};
use crate::address::Host;
use crate::command::{Command, ParseContext, Verb, refusal};
use crate::envelope::{Body, ByMode, DeliverBy, Hold, MailParams, RcptParams};
use crate::path::{ForwardPath, ReversePath};
use crate::reply::Reply;
use crate::xtext::is_control;

/// The rest of a refused line may be so long.
const SKIP_AT_MOST: usize = 64 * 1024;
/// What a log gets of one line.
const SHOWN: usize = 512;
const NOT_SHOWN: &str = "(not understood)";
/// Mechanisms that a log may name. What stands in the place of one may be a password.
const MECHANISMS: [&str; 12] = [
    "PLAIN",
    "LOGIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "CRAM-MD5",
    "DIGEST-MD5",
    "NTLM",
    "GSSAPI",
    "OAUTHBEARER",
    "XOAUTH2",
];
/// First words of protocols that a browser or a scanner can be made to speak to us.
const FOREIGN: [&str; 10] =
    ["GET ", "POST ", "CONNECT ", "HEAD ", "PUT ", "OPTIONS ", "DELETE ", "PATCH ", "TRACE ", "PRI "];

impl ServerSession {
    pub(super) fn step_command(&mut self) -> bool {
        if self.first && is_foreign(self.input.octets()) {
            self.misbehaved("spoke another protocol");
            self.close_with(replies::NOT_SMTP);
            return true;
        }
        let limits = &self.config.limits;
        let limit = if is_auth(self.input.octets()) { limits.auth_line } else { limits.command_line };
        match self.input.line(limit) {
            Line::Partial => return false,
            Line::Whole(len) => self.command(len),
            Line::BareNewline => self.refuse_line(replies::BARE_NEWLINE),
            Line::TooLong => self.refuse_line(replies::LINE_TOO_LONG),
        }
        self.first = false;
        self.since = self.now;
        true
    }

    /// The reply is said at once, so that nobody waits for it; the rest of the line is passed over. So a line that
    /// holds a bare LF is never taken for two, and gets one reply.
    pub(super) fn refuse_line(&mut self, reply: Reply) {
        self.phase = Phase::Skip { skipped: 0, cr: false };
        self.refuse(reply);
    }

    pub(super) fn step_skip(&mut self) -> bool {
        let Phase::Skip { skipped, cr } = &mut self.phase else { return false };
        let octets = self.input.octets();
        if octets.is_empty() {
            return false;
        }
        let mut before = *cr;
        let end = octets.iter().position(|&octet| std::mem::replace(&mut before, octet == b'\r') && octet == b'\n');
        let passed = end.map_or(octets.len(), |end| end + 1);
        *cr = before;
        *skipped += passed;
        let too_long = *skipped > SKIP_AT_MOST;
        self.input.consume(passed);
        if too_long {
            self.close_with(replies::TOO_MUCH_DISCARDED);
        } else if end.is_some() {
            self.phase = Phase::Command;
        }
        true
    }

    fn command(&mut self, len: usize) {
        let line = self.input.octets().get(..len).unwrap_or_default();
        let understood = self.understand(line);
        let (shown, holds_auth) = shown(line, self.auth_seen);
        self.auth_seen |= holds_auth;
        self.input.consume(len + 2);
        self.queue.push_back(Output::Event(Event::Command(shown)));
        match understood {
            Ok(command) => self.execute(command),
            // The size of the chunk that follows is unknown: its octets must not be taken for commands.
            Err(reply) if reply == refusal::BDAT_SYNTAX => {
                self.refuse(reply);
                self.close();
            }
            Err(reply) => self.refuse(reply),
        }
    }

    fn understand(&self, line: &[u8]) -> Result<Command, Reply> {
        let (verb, argument) = Verb::split(line)?;
        self.in_order(verb)?;
        let smtputf8 = self.open.as_ref().is_some_and(|open| open.transaction.params.smtputf8);
        Command::parse_argument(verb, argument, &ParseContext { offered: &self.offered, smtputf8 })
    }

    /// RFC 5321 §4.1.4: the order of commands.
    fn in_order(&self, verb: Verb) -> Result<(), Reply> {
        let tls_missing = self.config.require_tls && self.tls.is_none();
        match verb {
            // What a refused chunk is followed by is no command: BDAT is judged when its size is known.
            Verb::Quit | Verb::Bdat => Ok(()),
            _ if self.refused => Err(replies::SESSION_REFUSED),
            Verb::Noop | Verb::Rset | Verb::Help => Ok(()),
            Verb::Expn => Err(replies::NO_EXPN),
            Verb::Ehlo | Verb::Helo if self.config.protocol == Protocol::Lmtp => Err(replies::USE_LHLO),
            Verb::Lhlo if self.config.protocol == Protocol::Smtp => Err(replies::USE_EHLO),
            Verb::Ehlo | Verb::Helo | Verb::Lhlo => Ok(()),
            Verb::StartTls if self.tls.is_some() => Err(replies::TLS_ALREADY),
            Verb::StartTls if !self.config.starttls => Err(replies::NO_STARTTLS),
            // RFC 5321 §4.1.4: as NOOP, HELP and RSET, it may come "without previously initializing a session".
            Verb::Vrfy => {
                if tls_missing {
                    Err(replies::TLS_FIRST)
                } else {
                    Ok(())
                }
            }
            _ if self.hello.is_none() => Err(replies::SAY_HELLO),
            Verb::StartTls => Ok(()),
            Verb::Auth => self.auth_in_order(),
            _ if tls_missing => Err(replies::TLS_FIRST),
            _ if self.chunks_failed.is_some() => Err(replies::CHUNKS_FAILED),
            Verb::Mail => self.mail_in_order(),
            Verb::Rcpt | Verb::Data => self.transaction_in_order(verb),
        }
    }

    fn mail_in_order(&self) -> Result<(), Reply> {
        match () {
            () if self.config.require_auth && self.account.is_none() => Err(replies::AUTH_FIRST),
            () if self.open.is_some() => Err(replies::NESTED_MAIL),
            () if self.counts.messages >= self.config.limits.messages => Err(replies::TOO_MANY_MESSAGES),
            () => Ok(()),
        }
    }

    fn transaction_in_order(&self, verb: Verb) -> Result<(), Reply> {
        let Some(open) = &self.open else { return Err(replies::NEED_MAIL) };
        match verb {
            _ if open.letter.is_some() => Err(replies::IN_CHUNKS),
            Verb::Rcpt => Ok(()),
            _ if open.transaction.recipients.is_empty() => Err(self.need_recipients()),
            // RFC 3030 §3: "the DATA command MUST NOT be used" with BINARYMIME.
            _ if open.transaction.params.body == Some(Body::BinaryMime) => Err(replies::BINARY_NEEDS_BDAT),
            _ => Ok(()),
        }
    }

    pub(super) fn need_recipients(&self) -> Reply {
        match self.config.protocol {
            Protocol::Smtp => replies::NEED_RCPT,
            Protocol::Lmtp => replies::NEED_RCPT_LMTP,
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Ehlo(host) | Command::Lhlo(host) => self.hello(host, true),
            Command::Helo(host) => self.hello(host, false),
            Command::Mail { from, params } => self.mail(from, params),
            Command::Rcpt { to, params } => self.rcpt(to, params),
            Command::Data => self.ask(Question::Data, Pending::Data),
            Command::Bdat { size, last } => self.bdat(size, last),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_ref()),
            Command::StartTls => self.start_tls(),
            Command::Rset if self.junk() => {
                self.reset();
                self.say(replies::OK);
            }
            Command::Noop if self.junk() => self.say(replies::OK),
            Command::Help if self.junk() => self.say(replies::HELP),
            Command::Vrfy(user) if self.junk() => self.ask(Question::Vrfy(user), Pending::Vrfy),
            Command::Rset | Command::Noop | Command::Help | Command::Vrfy(_) => {}
            // Refused by `in_order` already.
            Command::Expn(_) => self.refuse(replies::NO_EXPN),
            Command::Quit => self.close_with(replies::BYE),
        }
    }

    fn hello(&mut self, host: Host, extended: bool) {
        if self.hello.is_some() && !self.junk() {
            return;
        }
        self.ask(Question::Helo { host: host.clone(), extended }, Pending::Helo { host, extended });
    }

    fn mail(&mut self, from: ReversePath, mut params: MailParams) {
        // RFC 1870 §6.1: refused before it is sent.
        if params.size.is_some_and(|size| size > self.config.limits.message_size) {
            return self.refuse(replies::TOO_BIG);
        }
        if self.is_held_too_long(&params) {
            return self.refuse(replies::HELD_BEYOND_BY);
        }
        let asked = params.mt_priority;
        params.mt_priority = asked.map(|priority| priority.min(self.config.limits.highest_priority));
        let lowered = params.mt_priority != asked;
        let question = Question::Mail { from: from.clone(), params: params.clone() };
        self.ask(question, Pending::Mail { from, params, lowered });
    }

    /// RFC 4865 §4, RFC 2852 §4: a letter that must go back before it may be sent is nobody's wish.
    fn is_held_too_long(&self, params: &MailParams) -> bool {
        let Some(DeliverBy { seconds, mode: ByMode::Return, .. }) = params.by else { return false };
        let held = match params.hold {
            None => return false,
            Some(Hold::For(seconds)) => seconds,
            Some(Hold::Until(time)) => time.saturating_sub(offer::time_of_day(&self.config)),
        };
        i128::from(held) >= i128::from(seconds)
    }

    fn rcpt(&mut self, to: ForwardPath, params: RcptParams) {
        let most = self.config.limits.recipients;
        let Some(open) = &mut self.open else { return };
        if open.transaction.recipients.len() < most {
            let question = Question::Rcpt { to: to.clone(), params: params.clone() };
            return self.ask(question, Pending::Rcpt { to, params });
        }
        // RFC 5321 §4.5.3.1.10: a client sends the message to those accepted, then again to the others. One that
        // pipelines must not be thrown out for it, so these are no errors until there are as many again.
        open.overshoot += 1;
        if open.overshoot > most {
            self.refuse(replies::TOO_MANY_RECIPIENTS)
        } else {
            self.say(replies::TOO_MANY_RECIPIENTS)
        }
    }

    fn start_tls(&mut self) {
        // RFC 3207 §4.2, class of CVE-2011-0411: what came with it in the clear could have been put there by anyone.
        if !self.input.is_empty() {
            self.misbehaved("octets behind STARTTLS");
            return self.close_with(replies::BEHIND_STARTTLS);
        }
        self.reset();
        self.say(replies::READY_FOR_TLS);
        self.phase = Phase::TlsNext;
    }

    /// What is offered now; asked anew at EHLO and when somebody has authenticated.
    pub(super) fn offer(&mut self) {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        self.offered = if extended {
            offer::capabilities(&self.config, self.tls.as_ref(), self.account.is_some())
        } else {
            Default::default()
        };
    }
}

/// RFC 5321 begins every command with a letter. A CR LF at the front is an empty line, and no other protocol.
fn is_foreign(octets: &[u8]) -> bool {
    let starts = |word: &str| octets.get(..word.len()).is_some_and(|o| o.eq_ignore_ascii_case(word.as_bytes()));
    let first = octets.first().copied().unwrap_or(b'A');
    !(first.is_ascii_alphabetic() || matches!(first, b'\r' | b'\n')) || FOREIGN.into_iter().any(starts)
}

fn is_auth(octets: &[u8]) -> bool {
    octets.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "))
}

/// A line for the log: printable, bounded, without what AUTH carries; and whether it was an AUTH. What is no command may
/// be one with a typing error in it, or, behind an AUTH, the response to a challenge that we never sent.
fn shown(line: &[u8], auth_seen: bool) -> (String, bool) {
    match Verb::split(line) {
        Ok((Verb::Auth, argument)) => {
            let word = argument.split(' ').next().unwrap_or_default();
            let mechanism = MECHANISMS.into_iter().find(|mechanism| word.eq_ignore_ascii_case(mechanism));
            (format!("AUTH {} (response)", mechanism.unwrap_or("(mechanism)")), true)
        }
        Err(_) if line.windows(4).any(|word| word.eq_ignore_ascii_case(b"AUTH")) => (NOT_SHOWN.to_owned(), true),
        Err(_) if auth_seen => (NOT_SHOWN.to_owned(), true),
        Ok(_) | Err(_) => {
            let text = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
            (text.chars().map(|c| if is_control(c) { '?' } else { c }).collect(), false)
        }
    }
}
