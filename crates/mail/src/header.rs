//! Header fields (RFC 5322 §2.2): found in a letter that streams by, and read one by one from a block that is at hand.
//!
//! # How it is used
//! [`HeaderScanner::feed`] takes the letter's beginning in pieces as they come and counts what intake has to know;
//! [`fields`] walks through a header that is complete.
//!
//! # Invariants
//! - Both agree on what a field is, for any octets, and the scanner for any cut of them.
//! - Nothing is changed: a [`Field`] lends the octets as they came.
//!
//! # Limits
//! A letter need not be well-formed. The header ends at the empty line, or before the first line that is neither a field
//! nor a continuation; that line is the body's. Lines end with LF, whether or not a CR is before it. An mbox `From ` line
//! on top is passed over.

use std::borrow::Cow;

mod class;
mod scanner;
#[cfg(test)]
mod tests;

pub use class::{HINTED, Hints, hints};
pub use scanner::{HeaderFacts, HeaderScanner};

/// One field with its folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// All of it, its last line end included.
    pub raw: &'a [u8],
    colon: usize,
}

impl<'a> Field<'a> {
    /// As written, without the white space that old programs put before the colon (RFC 5322 §4.5).
    pub fn name(&self) -> &'a [u8] {
        trim_end(self.raw.get(..self.colon).unwrap_or_default())
    }

    /// Field names have no case (RFC 5322 §1.2.2).
    pub fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// Behind the colon, folds and all.
    pub fn body(&self) -> &'a [u8] {
        self.raw.get(self.colon + 1..).unwrap_or_default()
    }

    /// The value on one line: line ends are taken out, white space around it too (RFC 5322 §2.2.3).
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        let body = self.body().trim_ascii();
        match memchr::memchr2(b'\r', b'\n', body) {
            None => Cow::Borrowed(body),
            Some(_) => Cow::Owned(body.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect()),
        }
    }
}

/// The fields at the beginning of `letter`, up to the end of its header or of the octets.
pub fn fields(letter: &[u8]) -> Fields<'_> {
    Fields { rest: skip_mbox_line(letter) }
}

/// The header of `letter`: its fields, without the empty line. What is cut off within its last field keeps that piece.
pub fn header(letter: &[u8]) -> &[u8] {
    let mut fields = fields(letter);
    fields.by_ref().for_each(drop);
    letter.get(..letter.len() - fields.rest.len()).unwrap_or(letter)
}

/// The iterator of [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let colon = colon(line(self.rest))?;
        let mut end = line(self.rest).len();
        while let Some(next @ [b' ' | b'\t', ..]) = self.rest.get(end..) {
            end += line(next).len();
        }
        let (raw, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(Field { raw, colon })
    }
}

/// Up to and with the first LF.
fn line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).and_then(|at| bytes.get(..=at)).unwrap_or(bytes)
}

/// Where the colon of a field is; `None` when the line begins none.
///
/// RFC 5322 §2.2 and §4.5: `field-name = 1*ftext`, `ftext = %d33-57 / %d59-126`, then perhaps white space, then a colon.
fn colon(line: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', line)?;
    let name = trim_end(line.get(..colon)?);
    (!name.is_empty() && name.iter().all(|b| matches!(b, 33..=126))).then_some(colon)
}

fn trim_end(mut name: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = name {
        name = rest;
    }
    name
}

fn skip_mbox_line(letter: &[u8]) -> &[u8] {
    match letter.starts_with(MBOX) {
        true => letter.get(line(letter).len()..).unwrap_or_default(),
        false => letter,
    }
}

/// What programs that handle mailbox files put on top of a letter.
const MBOX: &[u8] = b"From ";
