//! MAIL and RCPT as they go out: each parameter only where the peer offers its extension.

use std::io::Write;

use crate::address::{Host, Mailbox};
use crate::envelope::{Body, MailParams, Notify, OriginalRecipient, RcptParams, Ret};
use crate::extension::Capabilities;
use crate::path::ReversePath;
use crate::xtext;

/// Appends `MAIL FROM:<…>` with its parameters, without the line end. `utf8`: this letter is sent under SMTPUTF8.
pub(super) fn write_mail(
    out: &mut Vec<u8>,
    from: &ReversePath,
    params: &MailParams,
    offered: &Capabilities,
    utf8: bool,
) {
    out.extend_from_slice(b"MAIL FROM:<");
    if let Some(mailbox) = from.mailbox() {
        put(out, format_args!("{}", mailbox.wire(utf8)));
    }
    out.push(b'>');
    // RFC 1870 §5: an estimate is allowed; ours is what the letter has before dot-stuffing, as the RFC counts it.
    if let (Some(size), Some(_)) = (params.size, offered.size) {
        put(out, format_args!(" SIZE={size}"));
    }
    match params.body {
        // An 8-bit letter for a peer without 8BITMIME goes as it is: better than to return what nearly all can take.
        Some(Body::EightBitMime) if offered.eight_bit_mime => out.extend_from_slice(b" BODY=8BITMIME"),
        Some(Body::BinaryMime) => out.extend_from_slice(b" BODY=BINARYMIME"),
        _ => {}
    }
    if utf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    if params.requiretls {
        out.extend_from_slice(b" REQUIRETLS");
    }
    if offered.dsn {
        write_return(out, params);
    }
    // HOLDFOR and HOLDUNTIL are ours to keep, and never go on (RFC 4865 §3: for submission).
    if let (Some(by), Some(_)) = (params.by, offered.deliver_by) {
        put(out, format_args!(" BY={by}"));
    }
    if let (Some(priority), true) = (params.mt_priority, offered.mt_priority) {
        put(out, format_args!(" MT-PRIORITY={priority}"));
    }
}

/// RFC 3461 §4.3 and §4.4.
fn write_return(out: &mut Vec<u8>, params: &MailParams) {
    match params.ret {
        Some(Ret::Full) => out.extend_from_slice(b" RET=FULL"),
        Some(Ret::Headers) => out.extend_from_slice(b" RET=HDRS"),
        None => {}
    }
    if let Some(envid) = &params.envid {
        put(out, format_args!(" ENVID={}", xtext::encode(envid)));
    }
}

/// Appends `RCPT TO:<…>` with its parameters, without the line end.
pub(super) fn write_rcpt(out: &mut Vec<u8>, to: &Mailbox, params: &RcptParams, offered: &Capabilities, utf8: bool) {
    put(out, format_args!("RCPT TO:<{}>", to.wire(utf8)));
    if !offered.dsn {
        return;
    }
    if let Some(notify) = params.notify {
        write_notify(out, notify);
    }
    if let Some(original) = &params.orcpt {
        write_orcpt(out, original, utf8);
    }
}

/// RFC 3461 §4.1: `NEVER` alone, or a list.
fn write_notify(out: &mut Vec<u8>, notify: Notify) {
    let chosen = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let mut before = " NOTIFY=";
    for (_, word) in chosen.iter().filter(|(wanted, _)| *wanted && !notify.never) {
        put(out, format_args!("{before}{word}"));
        before = ",";
    }
    if notify.never || before != "," {
        out.extend_from_slice(b" NOTIFY=NEVER");
    }
}

/// RFC 3461 §4.2, and RFC 6533 §3 for an address with characters beyond ASCII.
fn write_orcpt(out: &mut Vec<u8>, original: &OriginalRecipient, utf8: bool) {
    let OriginalRecipient { address_type, address } = original;
    if address_type == "utf-8" {
        put(out, format_args!(" ORCPT=utf-8;{}", xtext::encode_utf8(address, utf8)));
    } else if address.is_ascii() {
        put(out, format_args!(" ORCPT={address_type};{}", xtext::encode(address)));
    }
    // Another type with characters beyond ASCII has no form on the wire; the parameter is optional.
}

/// Our name as EHLO takes it: A-labels, since no SMTPUTF8 is agreed upon yet (RFC 6531 §3.7.1).
pub(super) fn write_host(out: &mut Vec<u8>, host: &Host) {
    match host {
        Host::Domain(domain) => out.extend_from_slice(domain.as_ascii().as_bytes()),
        Host::Literal(literal) => put(out, format_args!("{literal}")),
    }
}

pub(super) fn put(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // A Vec takes whatever is written.
    let _ = out.write_fmt(what);
}
