//! Parameters of MAIL FROM and RCPT TO (RFC 5321 §4.1.2 `Mail-parameters`), checked and decoded.

use super::parse::ParseContext;
use super::{refusal, times};
use crate::envelope::{Body, MailParams, Notify, OriginalRecipient, RcptParams, Ret};
use crate::extension::Capabilities;
use crate::reply::Reply;
use crate::xtext;

type Value<'a> = Option<&'a str>;

/// RFC 5321 §4.1.2: `esmtp-param = esmtp-keyword ["=" esmtp-value]`, one space between.
fn split(rest: &str) -> impl Iterator<Item = (&str, Value<'_>)> {
    quirk_runs_of_spaces(rest).map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    })
}

/// The grammar has one space between parameters; several are harmless.
fn quirk_runs_of_spaces(rest: &str) -> impl Iterator<Item = &str> {
    rest.split(' ').filter(|word| !word.is_empty())
}

pub(super) fn mail(rest: &str, context: &ParseContext<'_>) -> Result<MailParams, Reply> {
    let mut params = MailParams::default();
    let offered = context.offered;
    for (keyword, value) in split(rest) {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("SIZE") && offered.size.is_some() {
            put(&mut params.size, "SIZE", value.and_then(size))?;
        } else if is("BODY") && offered.eight_bit_mime {
            put(&mut params.body, "BODY", value.and_then(|v| body(v, offered.binarymime)))?;
        } else if is("SMTPUTF8") && offered.smtputf8 {
            flag(&mut params.smtputf8, "SMTPUTF8", value)?;
        } else if is("RET") && offered.dsn {
            put(&mut params.ret, "RET", value.and_then(ret))?;
        } else if is("ENVID") && offered.dsn {
            put(&mut params.envid, "ENVID", value.and_then(envid))?;
        } else if is("AUTH") && !offered.auth.is_empty() {
            put(&mut params.auth, "AUTH", value.and_then(auth))?;
        } else if is("REQUIRETLS") && offered.requiretls {
            flag(&mut params.requiretls, "REQUIRETLS", value)?;
        } else {
            when(&mut params, keyword, value, context.offered)?;
        }
    }
    Ok(params)
}

/// The parameters that say when and how soon.
fn when(params: &mut MailParams, keyword: &str, value: Value<'_>, offered: &Capabilities) -> Result<(), Reply> {
    let is = |name: &str| keyword.eq_ignore_ascii_case(name);
    match (offered.deliver_by, offered.future_release) {
        (Some(least), _) if is("BY") => {
            put(&mut params.by, "BY", value.and_then(times::by))?;
            params.by.map_or(Ok(()), |by| times::by_within(by, least))
        }
        // RFC 4865 §4: one of the two, once.
        (_, Some(offered)) if is("HOLDFOR") => {
            put(&mut params.hold, "HOLDFOR", value.and_then(times::hold_for))?;
            params.hold.map_or(Ok(()), |hold| times::hold_within(hold, offered))
        }
        (_, Some(offered)) if is("HOLDUNTIL") => {
            put(&mut params.hold, "HOLDUNTIL", value.and_then(times::hold_until))?;
            params.hold.map_or(Ok(()), |hold| times::hold_within(hold, offered))
        }
        _ if is("MT-PRIORITY") && offered.mt_priority => {
            put(&mut params.mt_priority, "MT-PRIORITY", value.and_then(times::priority))
        }
        _ => Err(refusal::not_offered(keyword)),
    }
}

pub(super) fn rcpt(rest: &str, context: &ParseContext<'_>) -> Result<RcptParams, Reply> {
    let mut params = RcptParams::default();
    for (keyword, value) in split(rest) {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("NOTIFY") && context.offered.dsn {
            put(&mut params.notify, "NOTIFY", value.and_then(notify))?;
        } else if is("ORCPT") && context.offered.dsn {
            put(&mut params.orcpt, "ORCPT", value.and_then(|v| orcpt(v, context.smtputf8)))?;
        } else {
            return Err(refusal::not_offered(keyword));
        }
    }
    Ok(params)
}

/// `value` is `None` where it is missing or wrong.
fn put<T>(slot: &mut Option<T>, keyword: &'static str, value: Option<T>) -> Result<(), Reply> {
    if slot.is_some() {
        return Err(refusal::twice(keyword));
    }
    *slot = Some(value.ok_or_else(|| refusal::bad_value(keyword))?);
    Ok(())
}

fn flag(slot: &mut bool, keyword: &'static str, value: Value<'_>) -> Result<(), Reply> {
    if *slot {
        return Err(refusal::twice(keyword));
    }
    *slot = true;
    if value.is_some() { Err(refusal::bad_value(keyword)) } else { Ok(()) }
}

/// RFC 1870 §6.1: `size-value ::= 1*20DIGIT`. Twenty digits may say more than 64 bits: then it is too big anyway.
fn size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §3: `7BIT` or `8BITMIME`; RFC 3030 §3: `BINARYMIME`.
fn body(value: &str, binary: bool) -> Option<Body> {
    let is = |name: &str| value.eq_ignore_ascii_case(name);
    match () {
        () if is("7BIT") => Some(Body::SevenBit),
        () if is("8BITMIME") => Some(Body::EightBitMime),
        () if is("BINARYMIME") && binary => Some(Body::BinaryMime),
        () => None,
    }
}

/// RFC 3461 §4.3.
fn ret(value: &str) -> Option<Ret> {
    match () {
        () if value.eq_ignore_ascii_case("FULL") => Some(Ret::Full),
        () if value.eq_ignore_ascii_case("HDRS") => Some(Ret::Headers),
        () => None,
    }
}

/// RFC 3461 §4.4: xtext, at most 100 characters.
fn envid(value: &str) -> Option<String> {
    xtext::decode(value).ok().filter(|id| (1..=100).contains(&id.len()))
}

/// RFC 4954 §5: `AUTH=` xtext of an addr-spec, or `<>`.
fn auth(value: &str) -> Option<Option<crate::address::Mailbox>> {
    let decoded = xtext::decode(value).ok()?;
    if decoded == "<>" { Some(None) } else { decoded.parse().ok().map(Some) }
}

/// RFC 3461 §4.1: `NEVER`, or a list of the others.
fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify { never: false, success: false, failure: false, delay: false };
    for word in value.split(',') {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        match () {
            () if is("NEVER") => notify.never = true,
            () if is("SUCCESS") => notify.success = true,
            () if is("FAILURE") => notify.failure = true,
            () if is("DELAY") => notify.delay = true,
            () => return None,
        }
    }
    let others = notify.success || notify.failure || notify.delay;
    (notify.never != others).then_some(notify)
}

/// RFC 3461 §4.2: `addr-type ";" xtext`; RFC 6533 §3 for the type `utf-8`.
fn orcpt(value: &str, smtputf8: bool) -> Option<OriginalRecipient> {
    let (kind, address) = value.split_once(';')?;
    let atom = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if kind.is_empty() || kind.len() > 40 || !kind.bytes().all(atom) || address.is_empty() {
        return None;
    }
    let known = ["rfc822", "utf-8"].into_iter().find(|known| kind.eq_ignore_ascii_case(known));
    let address = match known {
        Some("utf-8") => xtext::decode_utf8(address, smtputf8),
        _ => xtext::decode(address),
    };
    Some(OriginalRecipient { address_type: known.unwrap_or(kind).to_owned(), address: address.ok()? })
}
