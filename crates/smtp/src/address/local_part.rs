//! The local part (RFC 5321 §4.1.2, RFC 6531 §3.3): a dot-string or a quoted string, held dequoted.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::AddressError;

/// RFC 5321 §4.5.3.1.1. Counted dequoted: quotes are how a name is written, not part of it.
const LONGEST: usize = 64;

/// The part before the last `@`, dequoted. Compared octet by octet: its case belongs to the receiving host (RFC 5321 §2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// The local part itself, as the owner of the mailbox knows it: dequoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From a text that is already dequoted. Refuses control characters, the empty one and more than 64 octets.
    pub fn from_dequoted(text: &str) -> Result<Self, AddressError> {
        match text {
            "" => Err(AddressError::EmptyLocal),
            _ if text.len() > LONGEST => Err(AddressError::LongLocal),
            // The C1 control NEL and the two Unicode separators end a line for some readers, as CR LF does for us.
            _ if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) => {
                Err(AddressError::BadLocal)
            }
            _ => Ok(Self(text.into())),
        }
    }
}

impl FromStr for LocalPart {
    type Err = AddressError;

    /// As written: quoted or not. RFC 5321 §4.1.2: `Local-part = Dot-string / Quoted-string`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('"') {
            Some(rest) => Self::from_dequoted(&dequote(rest).ok_or(AddressError::BadLocal)?),
            None if text.is_empty() || is_dot_string(text) => Self::from_dequoted(text),
            None => Err(AddressError::BadLocal),
        }
    }
}

impl fmt::Display for LocalPart {
    /// Dot-string where it can be, else a quoted string. RFC 5321 §4.1.2: "the sending system SHOULD transmit the form
    /// that uses the minimum quoting possible".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

/// Where in `Local-part "@" …` the local part ends: at the `@`, or just behind the closing quote.
pub(super) fn end(text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        return text.find('@');
    }
    let mut escaped = false;
    let close = text.bytes().skip(1).position(|b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    })?;
    Some(close + 2)
}

/// RFC 5321 §4.1.2: `Dot-string = Atom *("." Atom)`, `Atom = 1*atext`.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// RFC 5322 §3.2.3, with RFC 6531 §3.3: `atext =/ UTF8-non-ascii`.
fn is_atext(b: u8) -> bool {
    b.is_ascii_alphanumeric() || !b.is_ascii() || b"!#$%&'*+-/=?^_`{|}~".contains(&b)
}

/// What stands in a quoted string, from behind its opening quote; `None` when it is not one from end to end.
///
/// RFC 5321 §4.1.2, RFC 6531 §3.3:
/// ```abnf
/// Quoted-string   = DQUOTE *QcontentSMTP DQUOTE
/// quoted-pairSMTP = %d92 %d32-126
/// qtextSMTP       = %d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii
/// ```
fn dequote(rest: &str) -> Option<String> {
    let inner = rest.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => out.push(chars.next().filter(|c| matches!(c, ' '..='~'))?),
            c => out.push(c),
        }
    }
    Some(out)
}
