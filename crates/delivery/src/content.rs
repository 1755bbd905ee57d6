//! A letter's octets as they go to one server: as they are stored, or converted on the way.
//!
//! # Invariants
//! - Memory holds one piece, whatever the letter's size; nothing is written to disk.

use std::io;

use bytes::Bytes;
use mail::convert::{Conversion, Writer};
use queue::Body;

use crate::drive::read_piece;

/// What a connection sends.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    body: &'a Body,
    conversion: Option<&'a Conversion>,
}

impl<'a> Content<'a> {
    pub(crate) fn new(body: &'a Body, conversion: Option<&'a Conversion>) -> Self {
        Self { body, conversion }
    }

    pub(crate) fn pieces(self) -> Pieces<'a> {
        let writer = self.conversion.map(|conversion| Box::new(Writer::new(conversion)));
        Pieces { body: self.body, offset: 0, writer }
    }
}

impl<'a> From<&'a Body> for Content<'a> {
    fn from(body: &'a Body) -> Self {
        Self::new(body, None)
    }
}

/// The letter, read from its beginning.
pub(crate) struct Pieces<'a> {
    body: &'a Body,
    /// Octets that were read.
    offset: u64,
    writer: Option<Box<Writer<'a>>>,
}

impl Pieces<'_> {
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.offset >= self.body.len()
    }

    /// The next piece; `None` behind the last. A converted piece may be empty.
    ///
    /// # Errors
    /// The store's, or it gives less than it promised.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.is_at_end() {
            return Ok(None);
        }
        let piece = read_piece(self.body, self.offset).await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += piece.len() as u64;
        let at_end = self.is_at_end();
        let Some(writer) = &mut self.writer else { return Ok(Some(piece)) };
        let mut out = Vec::with_capacity(piece.len() + piece.len() / 2);
        writer.feed(&piece, &mut out);
        if at_end {
            writer.finish(&mut out);
        }
        Ok(Some(out.into()))
    }
}
