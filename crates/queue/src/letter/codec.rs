//! A letter's form on disk: two byte strings that the spool keeps without reading them.
//!
//! The *meta* never changes (envelope, origin); the *state* replaces the one before it (where each recipient stands).
//! Both begin with a version octet. Numbers are LEB128; texts are a length and UTF-8; options are a tag octet.
//!
//! ```text
//! meta  = version arrived size reverse-path mail-params origin count *(mailbox rcpt-params) [extras]
//! extras = flags by hold mt-priority                    ; version 2 only
//! state = version count *reply count *recipient [course]
//! course = hold held redirect count *delay-told         ; version 2 only
//! reply = at code enhanced text by                      ; each distinct reply once, recipients refer to it
//! recipient = %x00 attempts due reply-index-plus-one    ; pending; 0 where nothing was said yet
//!           / %x01 reply-index                          ; delivered
//!           / %x02 reply-index                          ; failed
//!           / %x03                                      ; dropped
//! ```
//!
//! What has no extras, or nothing said of its course, is written in version 1, which programs before them can read.
//!
//! # Invariants
//! - `decode(encode(x)) == x`; no octets make `decode` panic or allocate more than a small multiple of their length.

use std::net::IpAddr;

use smtp::{
    AddressLiteral, Body, Domain, EnhancedCode, Host, LocalPart, MailParams, Mailbox, Notify, OriginalRecipient,
    RcptParams, Reply, ReplyCode, Ret, ReversePath,
};

use super::{Course, LastReply, Letter, Origin, Progress, QueueId, Recipient, RecipientState, Timestamp};

mod course;
mod extras;
mod wire;
use wire::{Reader, Writer};

const VERSION: u8 = 1;
/// A meta with extras.
const WITH_EXTRAS: u8 = 2;
/// A state with what was decided about the whole letter.
const WITH_COURSE: u8 = 2;

/// Why octets from the spool are no letter. Always damage or a newer program; trying again does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("it ends too early")]
    Truncated,
    #[error("it was written by another version ({0})")]
    Version(u8),
    #[error("a tag or number is out of range")]
    BadTag,
    #[error("a text is not UTF-8")]
    BadText,
    #[error("an address is not one: {0}")]
    BadAddress(#[from] smtp::address::AddressError),
    #[error("there are octets after its end")]
    Trailing,
    #[error("its state has {state} recipients, its envelope {meta}")]
    Mismatch { meta: usize, state: usize },
}

/// What never changes of a letter. The identifier is the spool's key and not repeated here.
pub fn encode_meta(letter: &Letter) -> Vec<u8> {
    let mut out = Writer::with_capacity(96 + 48 * letter.recipients.len());
    let extras = extras::any(letter);
    out.octet(if extras { WITH_EXTRAS } else { VERSION });
    out.number(letter.arrived.0);
    out.number(letter.size);
    out.option(letter.from.mailbox(), write_mailbox);
    write_mail_params(&mut out, &letter.params);
    write_origin(&mut out, &letter.origin);
    out.number(letter.recipients.len() as u64);
    for recipient in &letter.recipients {
        write_mailbox(&mut out, &recipient.address);
        write_rcpt_params(&mut out, &recipient.params);
    }
    if extras {
        extras::write(&mut out, letter);
    }
    out.done()
}

/// # Errors
/// The octets are damaged or of another version.
pub fn decode_meta(id: QueueId, octets: &[u8]) -> Result<Letter, DecodeError> {
    let mut input = Reader::new(octets);
    let version = input.octet()?;
    if !matches!(version, VERSION | WITH_EXTRAS) {
        return Err(DecodeError::Version(version));
    }
    let arrived = Timestamp(input.number()?);
    let size = input.number()?;
    let from = input.option(read_mailbox)?.map_or(ReversePath::Null, ReversePath::Mailbox);
    let params = read_mail_params(&mut input)?;
    let origin = read_origin(&mut input)?;
    let recipients = input.list(|input| Ok(Recipient::new(read_mailbox(input)?, read_rcpt_params(input)?)))?;
    let mut letter = Letter { id, arrived, from, params, recipients, size, origin, bulk: false, tls_optional: false };
    if version == WITH_EXTRAS {
        extras::read(&mut input, &mut letter)?;
    }
    input.end()?;
    Ok(letter)
}

/// Where each recipient stands, in the order of the letter's recipients, and what was decided about the letter.
pub fn encode_state(course: &Course) -> Vec<u8> {
    let (states, more) = (&course.states, course::any(course));
    let replies = distinct_replies(states);
    // Found by value: the recipients of one attempt mostly share one reply.
    let index = |last: &LastReply| replies.iter().position(|reply| *reply == last).unwrap_or_default() as u64;
    let mut out = Writer::with_capacity(16 + 8 * states.len() + 96 * replies.len());
    out.octet(if more { WITH_COURSE } else { VERSION });
    out.number(replies.len() as u64);
    for reply in &replies {
        write_last_reply(&mut out, reply);
    }
    out.number(states.len() as u64);
    for Progress { state, due } in states {
        match state {
            RecipientState::Pending { attempts, last } => {
                out.octet(0);
                out.number(u64::from(*attempts));
                out.number(due.0);
                out.number(last.as_ref().map_or(0, |last| index(last) + 1));
            }
            RecipientState::Delivered(last) => {
                out.octet(1);
                out.number(index(last));
            }
            RecipientState::Failed(last) => {
                out.octet(2);
                out.number(index(last));
            }
            RecipientState::Dropped => out.octet(3),
        }
    }
    if more {
        course::write(&mut out, course);
    }
    out.done()
}

/// # Errors
/// The octets are damaged or of another version.
pub fn decode_state(octets: &[u8]) -> Result<Course, DecodeError> {
    let mut input = Reader::new(octets);
    let version = input.octet()?;
    if !matches!(version, VERSION | WITH_COURSE) {
        return Err(DecodeError::Version(version));
    }
    let replies = input.list(read_last_reply)?;
    let reply = |index: u64| -> Result<LastReply, DecodeError> {
        usize::try_from(index).ok().and_then(|i| replies.get(i)).cloned().ok_or(DecodeError::BadTag)
    };
    let states = input.list(|input| {
        Ok(match input.octet()? {
            0 => {
                let attempts = u32::try_from(input.number()?).map_err(|_| DecodeError::BadTag)?;
                let due = Timestamp(input.number()?);
                let last = input.number()?.checked_sub(1).map(reply).transpose()?;
                Progress { state: RecipientState::Pending { attempts, last }, due }
            }
            1 => Progress { state: RecipientState::Delivered(reply(input.number()?)?), due: Timestamp(0) },
            2 => Progress { state: RecipientState::Failed(reply(input.number()?)?), due: Timestamp(0) },
            3 => Progress { state: RecipientState::Dropped, due: Timestamp(0) },
            _ => return Err(DecodeError::BadTag),
        })
    })?;
    let mut course = Course { states, ..Course::default() };
    if version == WITH_COURSE {
        course::read(&mut input, &mut course)?;
    }
    input.end()?;
    Ok(course)
}

/// A letter with its state, as the spool gives them back; an empty state is that of a letter never tried.
///
/// # Errors
/// The octets are damaged or of another version.
pub fn decode(id: QueueId, meta: &[u8], state: &[u8]) -> Result<(Letter, Course), DecodeError> {
    let mut letter = decode_meta(id, meta)?;
    if state.is_empty() {
        let course = Course::fresh(&letter, letter.release());
        return Ok((letter, course));
    }
    let course = decode_state(state)?;
    if course.states.len() != letter.recipients.len() {
        return Err(DecodeError::Mismatch { meta: letter.recipients.len(), state: course.states.len() });
    }
    for (recipient, progress) in letter.recipients.iter_mut().zip(&course.states) {
        recipient.state = progress.state.clone();
    }
    Ok((letter, course))
}

fn distinct_replies(states: &[Progress]) -> Vec<&LastReply> {
    let mut replies: Vec<&LastReply> = Vec::new();
    for last in states.iter().filter_map(|progress| progress.state.last()) {
        if !replies.contains(&last) {
            replies.push(last);
        }
    }
    replies
}

fn write_last_reply(out: &mut Writer, last: &LastReply) {
    out.number(last.at.0);
    out.number(u64::from(last.reply.code.as_u16()));
    out.option(last.reply.enhanced, |out, code| {
        out.octet(code.class);
        out.number(u64::from(code.subject));
        out.number(u64::from(code.detail));
    });
    out.text(last.reply.text());
    out.text(&last.by);
}

fn read_last_reply(input: &mut Reader<'_>) -> Result<LastReply, DecodeError> {
    let at = Timestamp(input.number()?);
    let code = ReplyCode::from_wire(input.small()?).ok_or(DecodeError::BadTag)?;
    let enhanced = input.option(|input| Ok(EnhancedCode::new(input.octet()?, input.small()?, input.small()?)))?;
    let reply = Reply::from_peer(code, enhanced, input.text()?);
    Ok(LastReply { at, reply, by: input.text()?.to_owned() })
}

fn write_mailbox(out: &mut Writer, mailbox: &Mailbox) {
    out.text(mailbox.local.as_str());
    match &mailbox.host {
        // As the peer wrote it: U-labels stay U-labels.
        Host::Domain(domain) if domain.is_ascii() => {
            out.octet(0);
            out.text(domain.as_ascii());
        }
        Host::Domain(domain) => {
            out.octet(0);
            out.text(&domain.to_string());
        }
        Host::Literal(literal) => {
            out.octet(1);
            write_ip(out, literal.0);
        }
    }
}

fn read_mailbox(input: &mut Reader<'_>) -> Result<Mailbox, DecodeError> {
    let local = LocalPart::from_dequoted(input.text()?)?;
    let host = match input.octet()? {
        0 => Host::Domain(input.text()?.parse::<Domain>()?),
        1 => Host::Literal(AddressLiteral(read_ip(input)?)),
        _ => return Err(DecodeError::BadTag),
    };
    Ok(Mailbox { local, host })
}

fn write_ip(out: &mut Writer, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => out.octets(&ip.octets()),
        IpAddr::V6(ip) => out.octets(&ip.octets()),
    }
}

fn read_ip(input: &mut Reader<'_>) -> Result<IpAddr, DecodeError> {
    let octets = input.octets()?;
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).map_err(|_| DecodeError::BadTag)
}

fn write_mail_params(out: &mut Writer, params: &MailParams) {
    out.option(params.size, Writer::number);
    out.octet(match params.body {
        None => 0,
        Some(Body::SevenBit) => 1,
        Some(Body::EightBitMime) => 2,
        Some(Body::BinaryMime) => 3,
    });
    out.octet(u8::from(params.smtputf8));
    out.octet(match params.ret {
        None => 0,
        Some(Ret::Full) => 1,
        Some(Ret::Headers) => 2,
    });
    out.option(params.envid.as_deref(), Writer::text);
    out.option(params.auth.as_ref(), |out, auth| out.option(auth.as_ref(), write_mailbox));
    out.octet(u8::from(params.requiretls));
}

fn read_mail_params(input: &mut Reader<'_>) -> Result<MailParams, DecodeError> {
    Ok(MailParams {
        size: input.option(Reader::number)?,
        body: match input.octet()? {
            0 => None,
            1 => Some(Body::SevenBit),
            2 => Some(Body::EightBitMime),
            3 => Some(Body::BinaryMime),
            _ => return Err(DecodeError::BadTag),
        },
        smtputf8: input.flag()?,
        ret: match input.octet()? {
            0 => None,
            1 => Some(Ret::Full),
            2 => Some(Ret::Headers),
            _ => return Err(DecodeError::BadTag),
        },
        envid: input.option(Reader::string)?,
        auth: input.option(|input| input.option(read_mailbox))?,
        requiretls: input.flag()?,
        ..MailParams::default()
    })
}

fn write_rcpt_params(out: &mut Writer, params: &RcptParams) {
    out.octet(params.notify.map_or(0, |n| {
        1 | u8::from(n.never) << 1 | u8::from(n.success) << 2 | u8::from(n.failure) << 3 | u8::from(n.delay) << 4
    }));
    out.option(params.orcpt.as_ref(), |out, orcpt| {
        out.text(&orcpt.address_type);
        out.text(&orcpt.address);
    });
}

fn read_rcpt_params(input: &mut Reader<'_>) -> Result<RcptParams, DecodeError> {
    let bits = input.octet()?;
    let bit = |n: u8| bits & (1 << n) != 0;
    let notify = bit(0).then(|| Notify { never: bit(1), success: bit(2), failure: bit(3), delay: bit(4) });
    let orcpt =
        input.option(|input| Ok(OriginalRecipient { address_type: input.string()?, address: input.string()? }))?;
    Ok(RcptParams { notify, orcpt })
}

fn write_origin(out: &mut Writer, origin: &Origin) {
    out.text(&origin.listener);
    out.option(origin.client, write_ip);
    out.option(origin.helo.as_deref(), Writer::text);
    out.text(&origin.protocol);
    out.option(origin.user.as_deref(), Writer::text);
}

fn read_origin(input: &mut Reader<'_>) -> Result<Origin, DecodeError> {
    Ok(Origin {
        listener: input.string()?,
        client: input.option(read_ip)?,
        helo: input.option(Reader::string)?,
        protocol: input.string()?,
        user: input.option(Reader::string)?,
    })
}
