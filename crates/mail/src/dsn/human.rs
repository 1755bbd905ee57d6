//! The first part: what happened, for the person who wrote the letter.

use super::text::{clean, wrap, write_quoted_printable};
use super::{Action, RecipientReport, Report, advice, returned};
use crate::date;

/// A reply can be long; a person reads the beginning.
const LONGEST_WORDS: usize = 1000;

pub(super) fn subject(report: &Report<'_>) -> &'static str {
    match report.gravest() {
        Action::Failed => "Your letter could not be delivered",
        Action::Delayed => "Your letter is delayed",
        Action::Delivered => "Your letter was delivered",
        Action::Relayed => "Your letter was passed on",
        Action::Expanded => "Your letter was passed on to a list",
    }
}

pub(super) fn write(report: &Report<'_>, utf8: bool, out: &mut Vec<u8>) {
    let text = compose(report, utf8);
    match (text.is_ascii(), utf8) {
        (true, _) => {
            out.extend_from_slice(b"Content-Type: text/plain; charset=us-ascii\r\n\r\n");
            out.extend_from_slice(text.as_bytes());
        }
        (false, true) => {
            out.extend_from_slice(
                b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            );
            out.extend_from_slice(text.as_bytes());
        }
        (false, false) => {
            out.extend_from_slice(
                b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
            );
            write_quoted_printable(text.as_bytes(), out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn compose(report: &Report<'_>, utf8: bool) -> String {
    let mut text = String::with_capacity(2048);
    let host = clean(report.reporting_mta, false);
    wrap("", &format!("This is the mail server {host}."), &mut text);
    text.push_str("\r\n");
    let about = match returned::subject(report.original.beginning) {
        Some(subject) => format!("It is about your letter \"{subject}\" of {}.", date::format(report.arrived)),
        None => format!("It is about your letter of {}.", date::format(report.arrived)),
    };
    wrap("", &about, &mut text);
    for recipient in report.recipients {
        text.push_str("\r\n");
        write_recipient(report, recipient, &mut text);
    }
    text.push_str("\r\n");
    let attached = match returned::gives_all_back(report, utf8) {
        true => "The letter is attached below.",
        false => "The header of the letter is attached below.",
    };
    let asking =
        format!("{attached} If you ask your administrator, name this letter by {}.", clean(report.queue_id, false));
    wrap("", &asking, &mut text);
    text
}

fn write_recipient(report: &Report<'_>, recipient: &RecipientReport<'_>, text: &mut String) {
    let opening = match recipient.action {
        Action::Failed => "It could not be delivered to",
        Action::Delayed => "It could not be delivered yet to",
        Action::Delivered => "It was delivered to",
        Action::Relayed if report.deliver_by.is_none() => "It was passed on to a server that confirms no delivery, for",
        Action::Relayed => "It was passed on to the next server, for",
        Action::Expanded => "It was passed on to the members of the list",
    };
    text.push_str(&format!("{opening}\r\n\r\n    <{}>\r\n", recipient.address));
    write_reply(recipient, text);
    let rest = match recipient.action {
        Action::Failed => failed(report, recipient),
        Action::Delayed => late(report) + &delayed(recipient),
        Action::Relayed => late(report) + "You will hear of it again only if it comes back.",
        Action::Delivered | Action::Expanded => String::new(),
    };
    if !rest.is_empty() {
        text.push_str("\r\n");
        wrap("", &rest, text);
    }
}

/// The words of the one who refused, as they are.
fn write_reply(recipient: &RecipientReport<'_>, text: &mut String) {
    let Some(reply) = recipient.reply.filter(|_| matches!(recipient.action, Action::Failed | Action::Delayed)) else {
        return;
    };
    text.push_str("\r\n");
    match recipient.remote {
        Some(remote) => wrap("", &format!("The server {} said:", clean(remote, false)), text),
        None => wrap("", "The reason:", text),
    }
    text.push_str("\r\n");
    let codes = reply.enhanced.map_or_else(|| reply.code.to_string(), |enhanced| format!("{} {enhanced}", reply.code));
    let words: String = reply.text().chars().take(LONGEST_WORDS).collect();
    for (at, line) in words.split('\n').enumerate() {
        let line = clean(line, true);
        match at {
            0 => wrap("    ", &format!("{codes} {line}"), text),
            _ => wrap("    ", &line, text),
        }
    }
}

fn failed(report: &Report<'_>, recipient: &RecipientReport<'_>) -> String {
    let what_to_do = recipient.advice.unwrap_or_else(|| advice::for_failure(recipient.status));
    match (recipient.status.class, recipient.status.subject, recipient.status.detail, report.deliver_by) {
        (5, 4, 7, Some(by)) => format!(
            "It was to be delivered by {}, or to come back. If it is still of use, send it again with more time, or use \
             other means.",
            date::format(by)
        ),
        (_, 4, 7, _) => {
            let tried = duration(report.written.saturating_sub(report.arrived));
            format!("It was tried for {tried}. {what_to_do}")
        }
        _ => what_to_do.to_owned(),
    }
}

/// RFC 2852 §4: of a time that was set, and that goes by.
fn late(report: &Report<'_>) -> String {
    let by = report.deliver_by.map(|by| format!("It was to be delivered by {}. ", date::format(by)));
    by.unwrap_or_default()
}

fn delayed(recipient: &RecipientReport<'_>) -> String {
    let until = recipient.will_retry_until.map(|until| format!(" until {}", date::format(until))).unwrap_or_default();
    format!("It will be tried again{until}. There is nothing that you need to do; please do not send it again.")
}

/// In the largest unit that says enough.
fn duration(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0..2 => "a minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}
