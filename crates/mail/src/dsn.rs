//! Reports on delivery (RFC 3464, RFC 6522, RFC 3461 §6; RFC 6533 for addresses beyond ASCII): what happened to a letter,
//! for its sender to read and for programs to act upon.
//!
//! # How it is used
//! Fill in a [`Report`], ask [`Report::needs_smtputf8`], [`Report::write`] it, and queue it from the null reverse-path
//! (RFC 5321 §4.5.5). Never make one for a letter that itself came from the null reverse-path.
//!
//! # Invariants
//! - Nothing that a peer said, and nothing in the letter, can forge a field or a part of the report: control characters
//!   never come through, and the boundary stands nowhere in what is given back.
//! - Lines end with CR LF and have at most 998 octets. All is 7-bit, unless [`Report::needs_smtputf8`].
//! - The same report is written to the same octets.
//!
//! # Limits
//! Of the letter as much is given back as [`FULL_LIMIT`] allows, else its header. A letter that cannot travel as it is
//! (8-bit, lines too long) is given back by its header alone.

mod advice;
mod human;
mod returned;
mod status;
#[cfg(test)]
mod tests;
mod text;

use std::io::Write as _;

use smtp::{EnhancedCode, Mailbox, OriginalRecipient, Reply, Ret};

use crate::{date, header};

/// A longer letter is given back by its header alone: reports go to those who may not have asked for them.
pub const FULL_LIMIT: usize = 50_000;

/// All that is told about one letter to its sender.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Our own name; the report comes from `mailer-daemon` there.
    pub reporting_mta: &'a str,
    /// The reverse-path of the letter.
    pub to: &'a Mailbox,
    /// With its brackets; see [`message_id::generate`](crate::message_id::generate).
    pub message_id: &'a str,
    /// Now, and when the letter came; in milliseconds since 1970-01-01 UTC.
    pub written: u64,
    pub arrived: u64,
    /// The letter's identifier here, for those who ask us about it.
    pub queue_id: &'a str,
    /// ENVID and RET of MAIL (RFC 3461 §4.3, §4.4), and whether the letter came by SMTPUTF8.
    pub envid: Option<&'a str>,
    pub ret: Option<Ret>,
    pub smtputf8: bool,
    /// By when it was to be delivered (BY of MAIL, RFC 2852); in milliseconds since 1970-01-01 UTC.
    pub deliver_by: Option<u64>,
    pub original: Original<'a>,
    pub recipients: &'a [RecipientReport<'a>],
}

/// The letter, as far as it was read: a caller need not load more of it than [`FULL_LIMIT`].
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    pub beginning: &'a [u8],
    /// Of the whole letter.
    pub size: u64,
}

/// What happened for one recipient (RFC 3464 §2.3).
#[derive(Clone, Debug)]
pub struct RecipientReport<'a> {
    /// ORCPT of RCPT.
    pub original: Option<&'a OriginalRecipient>,
    /// Where it went.
    pub address: &'a Mailbox,
    pub action: Action,
    /// Class 5 (or 4, at expiry) for a failure, 4 for a delay, else 2.
    pub status: EnhancedCode,
    /// The host that said `reply`, such as `mx1.example.net`; `None` where the words are our own.
    pub remote: Option<&'a str>,
    pub reply: Option<&'a Reply>,
    pub last_attempt: Option<u64>,
    /// For [`Action::Delayed`].
    pub will_retry_until: Option<u64>,
    /// What the writer of the letter can do about a failure, where more is known than `status` says.
    pub advice: Option<&'a str>,
}

/// RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Failed,
    Delayed,
    Delivered,
    /// Handed to a server that sends no such reports.
    Relayed,
    Expanded,
}

impl Report<'_> {
    /// Whether the report has to be sent with SMTPUTF8 (and 8BITMIME): RFC 6533 §4 and §6. Where only its sender's address
    /// is ASCII it stays a report that every server can carry.
    pub fn needs_smtputf8(&self) -> bool {
        let original = |recipient: &RecipientReport<'_>| recipient.original.is_none_or(|o| o.address.is_ascii());
        let ascii = |recipient: &RecipientReport<'_>| recipient.address.is_ascii() && original(recipient);
        let all_ascii = self.recipients.iter().all(ascii) && header::header(self.original.beginning).is_ascii();
        !self.to.is_ascii() || (self.smtputf8 && !all_ascii)
    }

    /// The whole letter, header and all.
    pub fn write(&self) -> Vec<u8> {
        let utf8 = self.needs_smtputf8();
        let parts = [human::write, status::write, returned::write].map(|write| {
            let mut part = Vec::new();
            write(self, utf8, &mut part);
            part
        });
        let boundary = self.boundary(&parts);
        let mut out = Vec::with_capacity(1024 + parts.iter().map(Vec::len).sum::<usize>());
        self.write_header(&boundary, utf8, &mut out);
        for part in &parts {
            drop(write!(out, "--{boundary}\r\n"));
            out.extend_from_slice(part);
        }
        drop(write!(out, "--{boundary}--\r\n"));
        out
    }

    fn write_header(&self, boundary: &str, utf8: bool, out: &mut Vec<u8>) {
        let host = text::clean(self.reporting_mta, false);
        text::write_field("From", &format!("Mail Delivery System <mailer-daemon@{host}>"), utf8, out);
        text::write_field("To", &format!("<{}>", self.to.wire(utf8)), utf8, out);
        text::write_field("Subject", human::subject(self), utf8, out);
        out.extend_from_slice(b"Date: ");
        date::write(self.written, out);
        out.extend_from_slice(b"\r\n");
        text::write_field("Message-ID", self.message_id, utf8, out);
        if let Some(id) = returned::message_id(self.original.beginning) {
            text::write_field("In-Reply-To", id, utf8, out);
            text::write_field("References", id, utf8, out);
        }
        // RFC 3834 §5: nobody's vacation program answers this.
        out.extend_from_slice(b"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
        // RFC 6522 §3.
        drop(write!(
            out,
            "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n"
        ));
        out.extend_from_slice(if utf8 { b"Content-Transfer-Encoding: 8bit\r\n\r\n" } else { b"\r\n" });
    }

    /// Made of the report's own identifier, with a number behind it where a part holds it: neither the letter nor the
    /// remote server's words can know it, but they may give back an older report.
    fn boundary(&self, parts: &[Vec<u8>]) -> String {
        let id: String = self.message_id.chars().filter(char::is_ascii_alphanumeric).take(26).collect();
        let mut boundary = format!("=_report_{id}");
        let mut number = 0_u32;
        while parts.iter().any(|part| memchr::memmem::find(part, boundary.as_bytes()).is_some()) {
            number += 1;
            boundary = format!("=_report_{id}_{number}");
        }
        boundary
    }

    /// What the report is about on the whole: the gravest of its actions.
    fn gravest(&self) -> Action {
        let order = [Action::Failed, Action::Delayed, Action::Relayed, Action::Expanded];
        let has = |action: &Action| self.recipients.iter().any(|recipient| recipient.action == *action);
        order.into_iter().find(has).unwrap_or(Action::Delivered)
    }
}
