//! What a sender is told when a letter could not be delivered (RFC 3464, RFC 5321 §4.5.5).
//!
//! # Invariants
//! - A report is never written about a report: [`wants_report`] is false for the null reverse-path.
//! - Nothing here stores anything. The report goes in by the same intake as every letter, from `<>`.

use mail::dsn::{Action, FULL_LIMIT, Original, RecipientReport, Report};
use smtp::{Body, EnhancedCode, MailParams, Mailbox, Reply, ReplyCode, Ret, ReversePath};

use crate::intake::NewLetter;
use crate::letter::{LastReply, Letter, Origin, Recipient, Timestamp};

mod advice;
#[cfg(test)]
mod tests;

/// The listener's name in the [`Origin`] of reports.
pub const LISTENER: &str = "report";

/// A recipient that will not be tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Into the letter's recipients.
    pub index: usize,
    pub attempts: u32,
    /// The last words said.
    pub last: LastReply,
    pub how: How,
}

/// How it ended for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Somebody said no.
    Failed,
    /// Its time ran out.
    Expired,
    /// Not yet; it is tried again until then.
    Delayed {
        until: Timestamp,
    },
    Delivered,
    /// To a server that tells nobody of success.
    Relayed,
    /// To the several recipients of an alias.
    Expanded,
}

impl How {
    pub fn is_success(self) -> bool {
        matches!(self, Self::Delivered | Self::Relayed | Self::Expanded)
    }
}

/// A report that is ready to go in.
#[derive(Debug)]
pub struct Written {
    pub letter: NewLetter,
    pub text: Vec<u8>,
}

/// How much of the letter's beginning [`write`] wants to see.
pub const BEGINNING: usize = FULL_LIMIT;

/// Whether the sender is to be told about this recipient: not where there is none, and not who asked for silence.
///
/// RFC 5321 §4.5.5; RFC 3461 §4.1: with NEVER, or a list without FAILURE, a failure is not reported; success only to who
/// asked for it; of a delay, who gave no list or one with DELAY. RFC 2852 §4: who set a time hears of it when the letter goes
/// to where nobody watches it, unless with NEVER.
pub fn wants_report(letter: &Letter, index: usize, how: How) -> bool {
    let notify = letter.recipients.get(index).and_then(|recipient| recipient.params.notify);
    let wanted = match how {
        How::Relayed if letter.is_traced() => notify.is_none_or(|notify| !notify.never),
        How::Delivered | How::Relayed | How::Expanded => notify.is_some_and(|notify| notify.success && !notify.never),
        How::Failed | How::Expired => notify.is_none_or(|notify| notify.failure && !notify.never),
        How::Delayed { .. } => notify.is_none_or(|notify| notify.delay && !notify.never),
    };
    wanted && !letter.from.is_null()
}

/// The words for a recipient that was never tried in all its time.
pub fn never_tried(now: Timestamp) -> LastReply {
    const NEVER_TRIED: Reply = Reply::new(451, (4, 4, 7), "the letter's time ran out before the server could be tried");
    LastReply { at: now, reply: NEVER_TRIED, by: "gatepost".to_owned() }
}

/// The words for a recipient that was not tried yet when its sender is told of the delay.
pub fn not_tried_yet(now: Timestamp) -> LastReply {
    const NOT_YET: Reply = Reply::new(451, (4, 4, 0), "the server could not be tried yet");
    LastReply { at: now, reply: NOT_YET, by: "gatepost".to_owned() }
}

/// The words for an alias that led to several.
pub fn expanded(now: Timestamp) -> LastReply {
    const EXPANDED: Reply = Reply::new(250, (2, 1, 5), "the address stands for several, and the letter goes to each");
    LastReply { at: now, reply: EXPANDED, by: "gatepost".to_owned() }
}

const GIVEN_BACK: ReplyCode = ReplyCode::new(554);

/// The words for a recipient whose letter an operator gives back.
pub fn given_back(now: Timestamp, reason: &str) -> LastReply {
    let colon = if reason.is_empty() { "" } else { ": " };
    let text = format!("an operator of this server gave the letter back{colon}{reason}");
    let reply = Reply::from_peer(GIVEN_BACK, Some(EnhancedCode::new(5, 0, 0)), &text);
    LastReply { at: now, reply, by: "gatepost".to_owned() }
}

/// One report about all these recipients. `beginning`: up to [`BEGINNING`] octets of the letter. `None` where the letter
/// has no sender.
pub fn write(letter: &Letter, ended: &[Ended], beginning: &[u8], host: &str, now: Timestamp) -> Option<Written> {
    let ReversePath::Mailbox(to) = &letter.from else { return None };
    let recipients: Vec<_> = ended.iter().filter_map(|ended| recipient_report(letter, ended)).collect();
    let report = Report {
        reporting_mta: host,
        to,
        message_id: &mail::message_id::generate(host),
        written: now.0,
        arrived: letter.arrived.0,
        queue_id: &letter.id.to_string(),
        envid: letter.params.envid.as_deref(),
        // RFC 8689 §5: a letter that requires TLS goes back as by RET=HDRS, whatever else was asked for.
        ret: if letter.params.requiretls { Some(Ret::Headers) } else { letter.params.ret },
        smtputf8: letter.params.smtputf8,
        deliver_by: letter.deliver_by().map(|by| by.0),
        original: Original { beginning, size: letter.size },
        recipients: &recipients,
    };
    let text = report.write();
    let mut letter_of_report = envelope(to, report.needs_smtputf8(), text.len(), host);
    // RFC 8689 §5: its report is protected in the same manner.
    letter_of_report.params.requiretls = letter.params.requiretls;
    Some(Written { letter: letter_of_report, text })
}

/// RFC 5321 §4.5.5: from the null reverse-path. RFC 6533 §6: 8-bit where an address needs it.
fn envelope(to: &Mailbox, smtputf8: bool, size: usize, host: &str) -> NewLetter {
    let body = smtputf8.then_some(Body::EightBitMime);
    NewLetter {
        from: ReversePath::Null,
        params: MailParams { size: Some(size as u64), body, smtputf8, ..MailParams::default() },
        recipients: vec![Recipient::new(to.clone(), smtp::RcptParams::default())],
        expanded: Vec::new(),
        origin: Origin { listener: LISTENER.to_owned(), protocol: "LOCAL".to_owned(), ..Origin::default() },
        received: mail::trace::Received {
            by: host.to_owned(),
            with: "LOCAL".to_owned(),
            ..mail::trace::Received::default()
        },
        complete_header: false,
    }
}

fn recipient_report<'a>(letter: &'a Letter, ended: &'a Ended) -> Option<RecipientReport<'a>> {
    let recipient = letter.recipients.get(ended.index)?;
    Some(RecipientReport {
        original: recipient.params.orcpt.as_ref(),
        address: &recipient.address,
        action: match ended.how {
            How::Failed | How::Expired => Action::Failed,
            How::Delivered => Action::Delivered,
            How::Relayed => Action::Relayed,
            How::Expanded => Action::Expanded,
            How::Delayed { .. } => Action::Delayed,
        },
        status: status(letter, ended),
        remote: remote(&ended.last.by),
        reply: Some(&ended.last.reply),
        last_attempt: (ended.attempts > 0).then_some(ended.last.at.0),
        will_retry_until: match ended.how {
            How::Delayed { until } => Some(until.0),
            _ => None,
        },
        advice: advice::about(ended),
    })
}

/// RFC 3464 §2.3.4: class 5 for what will never be; at expiry 4.4.7, "delivery time expired" (RFC 3463 §3.5).
fn status(letter: &Letter, ended: &Ended) -> EnhancedCode {
    match ended.last.reply.enhanced {
        code if ended.how.is_success() => code.filter(|code| code.class == 2).unwrap_or(EnhancedCode::new(2, 0, 0)),
        // RFC 2852 §4: its sender wanted it back by now.
        _ if ended.how == How::Expired && letter.deadline().is_some() => EnhancedCode::new(5, 4, 7),
        _ if ended.how == How::Expired => EnhancedCode::new(4, 4, 7),
        // RFC 2852 §4: "delivery time expired", and it is tried on.
        _ if matches!(ended.how, How::Delayed { .. }) && letter.late_from().is_some() => EnhancedCode::new(4, 4, 7),
        Some(code) if matches!(ended.how, How::Delayed { .. }) => EnhancedCode { class: 4, ..code },
        None if matches!(ended.how, How::Delayed { .. }) => EnhancedCode::new(4, 0, 0),
        Some(code) if code.class == 5 => code,
        // A peer may say 4.x.y where we know that it is for good.
        Some(code) if code.class == 4 => EnhancedCode { class: 5, ..code },
        _ => EnhancedCode::new(5, 0, 0),
    }
}

/// The host's name, where a server said it: `mx1.example.net [192.0.2.1]:25`; its address where it has no name.
fn remote(by: &str) -> Option<&str> {
    let (host, address) = by.split_at(by.find('[')?);
    let address = address.get(..=address.find(']')?)?;
    Some(Some(host.trim_end()).filter(|host| !host.is_empty()).unwrap_or(address))
}
