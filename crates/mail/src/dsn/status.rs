//! The second part: what happened, for programs (RFC 3464 §2; RFC 6533 §4 beyond ASCII).

use smtp::xtext::encode_utf8;
use smtp::{Mailbox, OriginalRecipient};

use super::text::{clean, write_field};
use super::{Action, RecipientReport, Report};
use crate::date;

/// RFC 3461 §6.3 asks for the text of the reply; a peer may have said much.
const LONGEST_DIAGNOSTIC: usize = 1000;

pub(super) fn write(report: &Report<'_>, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(match utf8 {
        true => b"Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
        false => b"Content-Type: message/delivery-status\r\n\r\n",
    });
    let mut field = |name: &str, value: &str| write_field(name, value, utf8, out);
    field("Reporting-MTA", &format!("dns; {}", report.reporting_mta));
    if let Some(envid) = report.envid {
        field("Original-Envelope-Id", envid);
    }
    field("Arrival-Date", &date::format(report.arrived));
    // RFC 2852: a field of its own.
    if let Some(by) = report.deliver_by {
        field("Deliver-By-Date", &date::format(by));
    }
    out.extend_from_slice(b"\r\n");
    for recipient in report.recipients {
        write_recipient(recipient, utf8, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// RFC 3464 §2.3: `per-recipient-fields`.
fn write_recipient(recipient: &RecipientReport<'_>, utf8: bool, out: &mut Vec<u8>) {
    let mut field = |name: &str, value: &str| write_field(name, value, utf8, out);
    if let Some(original) = recipient.original {
        field("Original-Recipient", &original_recipient(original, utf8));
    }
    field("Final-Recipient", &final_recipient(recipient.address, utf8));
    field("Action", recipient.action.word());
    field("Status", &recipient.status.to_string());
    if let Some(remote) = recipient.remote {
        field("Remote-MTA", &format!("dns; {remote}"));
    }
    if let Some(reply) = recipient.reply {
        // RFC 3464 §2.3.6: `smtp` are the words of an SMTP server; ours have a type of their own.
        let diagnostic_type = if recipient.remote.is_some() { "smtp" } else { "x-gatepost" };
        let words: String = reply.to_string().chars().take(LONGEST_DIAGNOSTIC).collect();
        field("Diagnostic-Code", &format!("{diagnostic_type}; {words}"));
    }
    if let Some(at) = recipient.last_attempt {
        field("Last-Attempt-Date", &date::format(at));
    }
    if let Some(until) = recipient.will_retry_until.filter(|_| recipient.action == Action::Delayed) {
        field("Will-Retry-Until", &date::format(until));
    }
}

/// RFC 6533 §3: `utf-8` is for what ASCII cannot write; in a report for every server it is escaped.
fn final_recipient(address: &Mailbox, utf8: bool) -> String {
    match address.is_ascii() {
        true => format!("rfc822; {}", address.wire(false)),
        false => format!("utf-8; {}", encode_utf8(&address.to_string(), utf8)),
    }
}

/// RFC 3461 §6.3: the type and the address that the sender gave, xtext decoded.
fn original_recipient(original: &OriginalRecipient, utf8: bool) -> String {
    let address_type = clean(&original.address_type, false);
    match original.address_type.eq_ignore_ascii_case("utf-8") {
        true => format!("{address_type}; {}", encode_utf8(&original.address, utf8)),
        false => format!("{address_type}; {}", original.address),
    }
}

impl Action {
    /// RFC 3464 §2.3.3.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}
