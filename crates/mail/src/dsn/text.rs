//! Text that is safe in a report: cleaned, folded, wrapped, quoted-printable.

use std::borrow::Cow;

/// RFC 5322 §2.1.1.
pub(super) const LONGEST_LINE: usize = 998;
const COLUMNS: usize = 76;
/// A word without a space, longer than this, is cut: no line may get too long.
const LONGEST_WORD: usize = 900;

/// Without control characters; without all beyond ASCII unless it may be there.
pub(super) fn clean(text: &str, utf8: bool) -> Cow<'_, str> {
    let bad = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || (!utf8 && !c.is_ascii());
    match text.contains(bad) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.chars().map(|c| if bad(c) { '?' } else { c }).collect()),
    }
}

/// `name: value`, folded before its spaces, so that unfolding (RFC 5322 §2.2.3) gives the same value again.
pub(super) fn write_field(name: &str, value: &str, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = name.len() + 1;
    for (at, word) in clean(value, utf8).split(' ').flat_map(pieces).enumerate() {
        if at > 0 && !word.is_empty() && column + word.len() >= COLUMNS {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    out.extend_from_slice(b"\r\n");
}

/// A paragraph, each of its lines behind `indent`.
pub(super) fn wrap(indent: &str, paragraph: &str, out: &mut String) {
    let mut column = 0;
    for word in words(paragraph) {
        let width = word.chars().count();
        match column {
            0 => out.push_str(indent),
            _ if column + 1 + width > COLUMNS => {
                out.push_str("\r\n");
                out.push_str(indent);
                column = 0;
            }
            _ => {
                out.push(' ');
                column += 1;
            }
        }
        column += if column == 0 { indent.len() + width } else { width };
        out.push_str(word);
    }
    if column > 0 {
        out.push_str("\r\n");
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty()).flat_map(pieces)
}

/// A word in pieces that fit a line; the empty word is one.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(word);
    std::iter::from_fn(move || {
        let word = rest.take()?;
        let (piece, tail) = word.split_at(word.floor_char_boundary(LONGEST_WORD));
        rest = Some(tail).filter(|tail| !tail.is_empty());
        Some(piece)
    })
}

/// Whether the octets can travel as they are: lines of a fit length that end with CR LF, no NUL, and 7-bit unless
/// `eight_bit`.
pub(super) fn is_mailable(octets: &[u8], eight_bit: bool) -> bool {
    (eight_bit || octets.is_ascii())
        && octets.split_inclusive(|b| *b == b'\n').all(|line| {
            let content = line.strip_suffix(b"\r\n").unwrap_or(line);
            content.len() <= LONGEST_LINE && memchr::memchr3(b'\r', b'\n', 0, content).is_none()
        })
}

/// RFC 2045 §6.7. Line ends of any kind become CR LF.
pub(super) fn write_quoted_printable(octets: &[u8], out: &mut Vec<u8>) {
    let mut lines = octets.split(|b| *b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        if last && line.is_empty() {
            return;
        }
        quote_line(line.strip_suffix(b"\r").unwrap_or(line), out);
        out.extend_from_slice(b"\r\n");
    }
}

fn quote_line(line: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut column = 0;
    for (at, octet) in line.iter().enumerate() {
        // White space at the end of a line may be lost on the way.
        let plain = matches!(octet, 33..=60 | 62..=126) || (matches!(octet, b' ' | b'\t') && at + 1 < line.len());
        let width = if plain { 1 } else { 3 };
        if column + width > 75 {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        column += width;
        match plain {
            true => out.push(*octet),
            false => out.extend_from_slice(&[b'=', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]),
        }
    }
}
