//! xtext (RFC 3461 §4) and the UTF-8 forms of ORCPT (RFC 6533 §3): text that goes as one word of a command line.
//!
//! # Invariants
//! - What [`decode`] and [`decode_utf8`] give holds no control character: an escape cannot carry what the line could not.
//! - `decode(encode(x)) == x` for printable ASCII, `decode_utf8(encode_utf8(x)) == x` for any text without controls.

use std::fmt::Write;

/// Why a word is no xtext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XtextError {
    #[error("it holds a character that must be encoded")]
    NotEncoded,
    #[error("an escape in it is not complete or not in upper-case hexadecimal")]
    BadEscape,
    #[error("a control character is encoded in it")]
    Control,
}

/// Decodes xtext; the result is printable ASCII.
///
/// RFC 3461 §4: `xtext = *( xchar / hexchar )`, `xchar = %d33-42 / %d44-60 / %d62-126`,
/// `hexchar = "+" 2(%x30-39 / %x41-46)`.
///
/// # Errors
/// The peer's fault; the same word will fail again.
pub fn decode(word: &str) -> Result<String, XtextError> {
    let mut decoded = String::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, tail) = if byte == b'+' { hexchar(tail)? } else { (xchar(byte)?, tail) };
        decoded.push(printable(byte)?);
        rest = tail;
    }
    Ok(decoded)
}

/// Encodes printable ASCII as xtext. What is not printable ASCII is encoded octet by octet and will be refused by the
/// reader: callers hold texts that were checked.
pub fn encode(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match xchar(byte) {
            Ok(byte) => word.push(char::from(byte)),
            // Writing to a String cannot fail.
            Err(_) => drop(write!(word, "+{byte:02X}")),
        }
    }
    word
}

/// Decodes the address of an ORCPT of type `utf-8`: `\x{…}` escapes, and UTF-8 as it is where `raw` allows it.
///
/// RFC 6533 §3: `utf-8-addr-xtext` without, `utf-8-addr-unitext` with SMTPUTF8.
///
/// # Errors
/// The peer's fault; the same word will fail again.
pub fn decode_utf8(word: &str, raw: bool) -> Result<String, XtextError> {
    let mut decoded = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        let (c, tail) = match c {
            '\\' => embedded(tail)?,
            '+' => quirk_xtext_in_utf8_orcpt(tail)?,
            '!'..='~' if c != '=' => (c, tail),
            _ if raw && !c.is_ascii() => (c, tail),
            _ => return Err(XtextError::NotEncoded),
        };
        if is_control(c) {
            return Err(XtextError::Control);
        }
        decoded.push(c);
        rest = tail;
    }
    Ok(decoded)
}

/// Encodes an address for an ORCPT of type `utf-8`; characters beyond ASCII stay as they are where `raw` is true.
pub fn encode_utf8(text: &str, raw: bool) -> String {
    let mut word = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '!'..='~' if !matches!(c, '+' | '=' | '\\') => word.push(c),
            _ if raw && !c.is_ascii() => word.push(c),
            _ => drop(write!(word, "\\x{{{:02X}}}", u32::from(c))),
        }
    }
    word
}

/// What may neither stand in a command nor hide in an escape: C0, DEL, C1 with NEL, and the Unicode line ends.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn xchar(byte: u8) -> Result<u8, XtextError> {
    if matches!(byte, b'!'..=b'~') && !matches!(byte, b'+' | b'=') { Ok(byte) } else { Err(XtextError::NotEncoded) }
}

fn hexchar(tail: &[u8]) -> Result<(u8, &[u8]), XtextError> {
    let [high, low, rest @ ..] = tail else { return Err(XtextError::BadEscape) };
    Ok((upper_hex(*high)? << 4 | upper_hex(*low)?, rest))
}

fn upper_hex(byte: u8) -> Result<u8, XtextError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(XtextError::BadEscape),
    }
}

fn printable(byte: u8) -> Result<char, XtextError> {
    match byte {
        b' '..=b'~' => Ok(char::from(byte)),
        0x80.. => Err(XtextError::NotEncoded),
        _ => Err(XtextError::Control),
    }
}

/// RFC 6533 §3: `EmbeddedUnicodeChar = %x5C.78 "{" HEXPOINT "}"`, two to six upper-case digits.
fn embedded(tail: &str) -> Result<(char, &str), XtextError> {
    let (digits, rest) = tail.strip_prefix("x{").and_then(|t| t.split_once('}')).ok_or(XtextError::BadEscape)?;
    if !(2..=6).contains(&digits.len()) || digits.bytes().any(|b| upper_hex(b).is_err()) {
        return Err(XtextError::BadEscape);
    }
    let point = u32::from_str_radix(digits, 16).map_err(|_| XtextError::BadEscape)?;
    Ok((char::from_u32(point).ok_or(XtextError::BadEscape)?, rest))
}

/// RFC 6533 §3 keeps `+` out of the UTF-8 forms, but widespread servers encode the whole ORCPT as xtext once more.
fn quirk_xtext_in_utf8_orcpt(tail: &str) -> Result<(char, &str), XtextError> {
    let (byte, _) = hexchar(tail.as_bytes())?;
    Ok((printable(byte)?, tail.get(2..).unwrap_or_default()))
}

#[cfg(test)]
#[path = "xtext_tests.rs"]
mod tests;
