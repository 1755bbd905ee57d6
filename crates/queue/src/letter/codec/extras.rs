//! What a letter's meta holds since version 2: few letters have any of it, and those stay in version 1.

use smtp::{ByMode, DeliverBy, Hold};

use super::super::Letter;
use super::DecodeError;
use super::wire::{Reader, Writer};

/// RFC 6710 §5.1: the lowest priority, so that what is written is not negative.
const LOWEST: i8 = -9;
const BULK: u8 = 1;
const TLS_OPTIONAL: u8 = 2;

pub(super) fn any(letter: &Letter) -> bool {
    let params = &letter.params;
    letter.bulk || letter.tls_optional || params.by.is_some() || params.hold.is_some() || params.mt_priority.is_some()
}

pub(super) fn write(out: &mut Writer, letter: &Letter) {
    let params = &letter.params;
    out.octet(if letter.bulk { BULK } else { 0 } | if letter.tls_optional { TLS_OPTIONAL } else { 0 });
    out.option(params.by, |out, by| {
        out.octet(u8::from(by.seconds < 0));
        out.number(by.seconds.unsigned_abs());
        out.octet(u8::from(by.mode == ByMode::Notify));
        out.octet(u8::from(by.trace));
    });
    let (kind, seconds) = match params.hold {
        None => (0, 0),
        Some(Hold::For(seconds)) => (1, seconds),
        Some(Hold::Until(time)) => (2, time),
    };
    out.octet(kind);
    if kind != 0 {
        out.number(seconds);
    }
    out.option(params.mt_priority, |out, priority| {
        out.octet(priority.saturating_sub(LOWEST).clamp(0, 18).unsigned_abs())
    });
}

pub(super) fn read(input: &mut Reader<'_>, letter: &mut Letter) -> Result<(), DecodeError> {
    let flags = input.octet()?;
    if flags & !(BULK | TLS_OPTIONAL) != 0 {
        return Err(DecodeError::BadTag);
    }
    (letter.bulk, letter.tls_optional) = (flags & BULK != 0, flags & TLS_OPTIONAL != 0);
    letter.params.by = input.option(read_by)?;
    letter.params.hold = match input.octet()? {
        0 => None,
        1 => Some(Hold::For(input.number()?)),
        2 => Some(Hold::Until(input.number()?)),
        _ => return Err(DecodeError::BadTag),
    };
    letter.params.mt_priority = input.option(read_priority)?;
    Ok(())
}

fn read_by(input: &mut Reader<'_>) -> Result<DeliverBy, DecodeError> {
    let negative = input.flag()?;
    let seconds = i64::try_from(input.number()?).map_err(|_| DecodeError::BadTag)?;
    let mode = if input.flag()? { ByMode::Notify } else { ByMode::Return };
    Ok(DeliverBy { seconds: if negative { -seconds } else { seconds }, mode, trace: input.flag()? })
}

fn read_priority(input: &mut Reader<'_>) -> Result<i8, DecodeError> {
    let above = i8::try_from(input.octet()?).ok().filter(|above| (0..=18).contains(above));
    above.map(|above| above + LOWEST).ok_or(DecodeError::BadTag)
}
