//! What a reply, or the lack of one, means for each recipient.
//!
//! # The rules
//! | what happened | verdict |
//! |---|---|
//! | the server said 2yz to the recipient's letter | delivered |
//! | 4yz to MAIL, RCPT, DATA or the letter | deferred |
//! | 5yz to MAIL, RCPT, DATA or the letter | failed |
//! | 530, 534, 535 or 538 from a server that the configuration names | deferred: the configuration can be mended |
//! | anything to the greeting, EHLO, STARTTLS or AUTH; time-outs, broken connections, TLS trouble | deferred: it is the server's state and not the letter |
//! | the DNS could not be asked | deferred |
//! | the DNS says that nobody takes the domain's mail | failed |
//!
//! # Invariants
//! - No letter fails for good because of a connection, a certificate or a password.

use std::io;

use queue::{RecipientOutcome, Verdict};
use smtp::client::{Closed, Delivery, Stage};
use smtp::{Capabilities, Reply, Severity, TlsInfo};

use crate::config::TlsLevel;
use crate::mx::Unroutable;
use crate::tls_policy::TlsPolicy;

/// Said by ourselves.
pub(crate) const OURSELVES: &str = "gatepost";

/// Why no letter can be given to a server now: the same for all its letters.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{by}: {reply}")]
pub struct Trouble {
    pub reply: Reply,
    /// Who said it; ourselves where there was no reply.
    pub by: String,
    pub tls: String,
    pub verdict: Verdict,
    /// No server answered at all.
    pub(crate) unreached: bool,
    /// The DNS names no server for the letter's domain.
    pub(crate) unroutable: bool,
}

impl Trouble {
    pub(crate) fn ours(reply: Reply) -> Self {
        Self {
            reply,
            by: OURSELVES.into(),
            tls: String::new(),
            verdict: Verdict::Deferred,
            unreached: false,
            unroutable: false,
        }
    }

    pub(crate) fn unroutable(why: &Unroutable) -> Self {
        let verdict = if why.is_transient() { Verdict::Deferred } else { Verdict::Failed };
        Self { verdict, unroutable: true, ..Self::ours(why.reply()) }
    }

    pub(crate) fn tls_setup(error: &rustls::Error) -> Self {
        Self::ours(Reply::new(451, (4, 7, 5), "").with_text(format!("TLS cannot be set up: {error}")))
    }

    pub(crate) fn connect(peer: &str, error: &io::Error) -> Self {
        let text = match error.kind() {
            io::ErrorKind::ConnectionRefused => format!("{peer} refused the connection: nothing listens there"),
            io::ErrorKind::TimedOut => format!("{peer} did not answer in time"),
            _ => format!("no connection to {peer}: {error}"),
        };
        Self { unreached: true, ..Self::ours(Reply::new(451, (4, 4, 1), "").with_text(text)) }
    }

    /// `tls`: what is known of the line, in words.
    pub(crate) fn closed(peer: &str, closed: &Closed, tls: String, policy: &TlsPolicy) -> Self {
        let (reply, by) = match closed {
            Closed::Refused { stage: Stage::Auth, reply } => {
                let text = format!("the server did not accept our user name and password: {}", reply.text());
                (reply.clone().with_text(text), peer)
            }
            Closed::Refused { reply, .. } => (reply.clone(), peer),
            other => (words_for(peer, other, policy), OURSELVES),
        };
        // A server that takes connections and says nothing costs as much time as one that takes none.
        let unreached = matches!(closed, Closed::Timeout(Stage::Connect | Stage::Greeting));
        Self { reply, by: by.into(), tls, verdict: Verdict::Deferred, unreached, unroutable: false }
    }

    /// TLS was not good enough, or not there: our own words.
    pub(crate) fn is_of_tls(&self) -> bool {
        self.by == OURSELVES && self.reply.enhanced.is_some_and(|code| code.subject == 7)
    }

    pub(crate) fn outcome(&self) -> RecipientOutcome {
        let Self { reply, by, tls, verdict, .. } = self.clone();
        RecipientOutcome { verdict, reply, by, tls }
    }
}

/// Of a level that cannot be met.
const WHAT_TO_DO: &str = "that server must be mended, or the level lowered here";

/// Where no reply came, one of our own.
fn words_for(peer: &str, closed: &Closed, policy: &TlsPolicy) -> Reply {
    let (code, text) = match closed {
        Closed::Quit => ((4, 4, 2), format!("we closed the connection to {peer}")),
        Closed::Refused { reply, .. } => return reply.clone(),
        Closed::Timeout(stage) => ((4, 4, 2), format!("{peer} did not reply in time {}", at(*stage))),
        Closed::Disconnected(stage) => ((4, 4, 2), format!("{peer} closed the connection {}", at(*stage))),
        Closed::TlsNotOffered => {
            ((4, 7, 10), format!("{peer} does not offer STARTTLS, and it has to be there ({policy}); {WHAT_TO_DO}"))
        }
        Closed::TlsFailed(why) if policy.level == TlsLevel::Opportunistic => {
            ((4, 7, 5), format!("no TLS with {peer}: {why}"))
        }
        Closed::TlsFailed(why) => ((4, 7, 5), format!("no TLS with {peer}: {why} ({policy}); {WHAT_TO_DO}")),
        Closed::AuthNotOffered => (
            (4, 7, 4),
            format!("{peer} offers no way to authenticate that can be used; does it want TLS, or another port?"),
        ),
        Closed::AuthNeedsTls => ((4, 7, 11), format!("{peer} has no TLS, and the password is not sent without it")),
        Closed::Protocol { stage, what } => ((4, 5, 0), format!("{peer} broke the protocol {}: {what}", at(*stage))),
    };
    Reply::new(451, code, "").with_text(text)
}

fn at(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "while connecting",
        Stage::Greeting => "before its greeting",
        Stage::Ehlo => "at EHLO",
        Stage::StartTls => "at STARTTLS",
        Stage::Auth => "at AUTH",
        Stage::Mail => "at MAIL",
        Stage::Rcpt => "at RCPT",
        Stage::Data => "at DATA",
        Stage::EndOfData => "after the end of the letter; it may have arrived",
        Stage::Quit => "at QUIT",
    }
}

/// One recipient's verdict. `configured`: the server is one that the configuration names.
pub(crate) fn verdict(reply: &Reply, configured: bool) -> Verdict {
    match reply.severity() {
        Severity::Positive => Verdict::Delivered,
        // RFC 4954 §6: authentication is missing or refused.
        Severity::Permanent if configured && matches!(reply.code.as_u16(), 530 | 534 | 535 | 538) => Verdict::Deferred,
        Severity::Permanent => Verdict::Failed,
        Severity::Transient | Severity::Intermediate => Verdict::Deferred,
    }
}

/// The recipient was one too many for this transaction, and may go into the next one.
///
/// RFC 5321 §4.5.3.1.10: 452 is "too many recipients"; "Clients SHOULD treat a 552 code in this case as a temporary".
pub(crate) fn is_too_many(stage: Stage, reply: &Reply) -> bool {
    stage == Stage::Rcpt && matches!(reply.code.as_u16(), 452 | 552)
}

/// Whether what is said may only be the end of a connection that had been kept too long, and tells nothing of the letter.
pub(crate) fn is_stale(delivery: &Delivery) -> bool {
    let says_goodbye = |stage: Stage, reply: &Reply| stage == Stage::Mail && reply.code.as_u16() == 421;
    !delivery.recipients.is_empty() && delivery.recipients.iter().all(|r| says_goodbye(r.stage, &r.reply))
}

/// `TLSv1.3 TLS_AES_256_GCM_SHA384 resumed, verified; level=opportunistic by default`.
pub(crate) fn tls_words(tls: &TlsInfo, resumed: bool, policy: &TlsPolicy) -> String {
    let (protocol, cipher) = (tls.protocol, &tls.cipher);
    let resumed = if resumed { "resumed, " } else { "" };
    match &tls.verified {
        Ok(()) => format!("{protocol} {cipher} {resumed}verified; {policy}"),
        Err(why) => format!("{protocol} {cipher} {resumed}not verified: {why}; {policy}"),
    }
}

/// `none: STARTTLS not offered; level=opportunistic by default`.
pub(crate) fn plain_words(because: Option<&str>, offered: Option<&Capabilities>, policy: &TlsPolicy) -> String {
    let why = match because {
        Some(because) => because,
        None if policy.level == TlsLevel::None => "not wanted",
        None if offered.is_some_and(|offered| offered.starttls) => "STARTTLS offered and then refused",
        None => "STARTTLS not offered",
    };
    format!("none: {why}; {policy}")
}

#[cfg(test)]
mod tests;
