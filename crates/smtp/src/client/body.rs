//! The letter's content on its way out: dot-stuffed for DATA, in chunks for BDAT.
//!
//! # Invariants
//! - Whatever comes in, no bare CR and no bare LF goes out (BINARYMIME aside, where BDAT counts the octets).
//! - For DATA, every line that begins with a dot gets another, the first line of the letter included.

use super::params::put;
use crate::data::DotStuffer;

/// Content is collected up to this many octets before a BDAT that is not the last goes out. Larger chunks mean fewer
/// replies, smaller ones less memory.
const CHUNK: usize = 256 * 1024;

/// Chunks up to this size go out in one write with their command; larger ones are not copied once more.
const JOINED: usize = 16 * 1024;

/// How the content in hand is written.
#[derive(Debug)]
pub(super) enum Encoder {
    Data(DotStuffer),
    Bdat(Chunks),
}

/// Content for BDAT, collected into chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    /// None: BINARYMIME, where CR and LF are octets like others.
    lines: Option<DotStuffer>,
    /// Whether a chunk may go out while the reply to another is awaited; else the letter is one chunk.
    several: bool,
    chunk: Vec<u8>,
}

impl Chunks {
    pub(super) fn new(binary: bool, several: bool) -> Self {
        Self { lines: (!binary).then(DotStuffer::for_chunks), several, chunk: Vec::new() }
    }

    /// Takes a piece; what was collected before comes out when it is large enough. So a letter that is given in one
    /// piece goes out as one chunk.
    pub(super) fn write(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let full = self.several && self.chunk.len() >= CHUNK;
        let done = full.then(|| std::mem::take(&mut self.chunk));
        match &mut self.lines {
            Some(lines) => {
                self.chunk.reserve(piece.len() + 2);
                lines.encode(piece, &mut self.chunk);
            }
            None => self.chunk.extend_from_slice(piece),
        }
        done
    }

    /// The last chunk; empty for an empty letter.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if let Some(lines) = self.lines {
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
