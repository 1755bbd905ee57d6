//! The letter's content on its way out: dot-stuffed for DATA, in chunks for BDAT.
//!
//! # Invariants
//! - Whatever comes in, no bare CR and no bare LF goes out (BINARYMIME aside, where BDAT counts the octets).
//! - For DATA, every line that begins with a dot gets another, the first line of the letter included.

use super::params::put;

/// Content is collected up to this many octets before a BDAT that is not the last goes out. Larger chunks mean fewer
/// replies, smaller ones less memory.
const CHUNK: usize = 256 * 1024;

/// Chunks up to this size go out in one write with their command; larger ones are not copied once more.
const JOINED: usize = 16 * 1024;

/// How the content in hand is written.
#[derive(Debug)]
pub(super) enum Encoder {
    Data(Lines),
    Bdat(Chunks),
}

/// Makes every line end CR LF, across pieces, and stuffs dots (RFC 5321 §4.5.2) where asked to.
#[derive(Debug)]
pub(super) struct Lines {
    dots: bool,
    line_start: bool,
    /// A CR was the last octet of a piece; its LF may come with the next.
    after_cr: bool,
}

impl Lines {
    pub(super) fn new(dots: bool) -> Self {
        Self { dots, line_start: true, after_cr: false }
    }

    pub(super) fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(first) = piece.first() else { return };
        let mut piece = piece;
        if std::mem::take(&mut self.after_cr) {
            self.break_line(out);
            if *first == b'\n' {
                piece = piece.get(1..).unwrap_or_default();
            }
        }
        out.reserve(piece.len() + 64);
        // What is left to look at is `rest`; `piece` minus `rest` is as it should be and not yet copied.
        let mut rest = piece;
        while !rest.is_empty() {
            if self.line_start && self.dots && rest.first() == Some(&b'.') {
                piece = copy_until(piece, rest, out);
                out.push(b'.');
            }
            let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.line_start = false;
                break;
            };
            let (line, end) = rest.split_at(at);
            if let Some(next) = end.strip_prefix(b"\r\n") {
                self.line_start = true;
                rest = next;
                continue;
            }
            self.line_start &= line.is_empty();
            copy_until(piece, end, out);
            rest = end.get(1..).unwrap_or_default();
            piece = rest;
            if end == b"\r" {
                self.after_cr = true;
            } else {
                self.break_line(out);
            }
        }
        out.extend_from_slice(piece);
    }

    /// The letter is complete: its last line ends too.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.after_cr) || !self.line_start {
            self.break_line(out);
        }
    }

    fn break_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.line_start = true;
    }
}

/// Appends the part of `piece` that stands before `rest`, which is its tail; gives `rest`.
fn copy_until<'a>(piece: &'a [u8], rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let done = piece.len() - rest.len();
    out.extend_from_slice(piece.get(..done).unwrap_or_default());
    rest
}

/// Content for BDAT, collected into chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    /// None: BINARYMIME, where CR and LF are octets like others.
    lines: Option<Lines>,
    /// Whether a chunk may go out while the reply to another is awaited; else the letter is one chunk.
    several: bool,
    chunk: Vec<u8>,
}

impl Chunks {
    pub(super) fn new(binary: bool, several: bool) -> Self {
        Self { lines: (!binary).then(|| Lines::new(false)), several, chunk: Vec::new() }
    }

    /// Takes a piece; what was collected before comes out when it is large enough. So a letter that is given in one
    /// piece goes out as one chunk.
    pub(super) fn write(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let full = self.several && self.chunk.len() >= CHUNK;
        let done = full.then(|| std::mem::take(&mut self.chunk));
        match &mut self.lines {
            Some(lines) => lines.write(piece, &mut self.chunk),
            None => self.chunk.extend_from_slice(piece),
        }
        done
    }

    /// The last chunk; empty for an empty letter.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if let Some(lines) = &mut self.lines {
            lines.finish(&mut self.chunk);
        }
        self.chunk
    }
}

/// RFC 3030 §2: `"BDAT" SP chunk-size [ SP end-marker ] CRLF`, the octets right behind it. Gives the octets back where
/// they are better written by themselves.
pub(super) fn write_bdat(out: &mut Vec<u8>, chunk: Vec<u8>, last: bool) -> Option<Vec<u8>> {
    put(out, format_args!("BDAT {}{}\r\n", chunk.len(), if last { " LAST" } else { "" }));
    if chunk.len() > JOINED {
        return Some(chunk);
    }
    out.extend_from_slice(&chunk);
    None
}
