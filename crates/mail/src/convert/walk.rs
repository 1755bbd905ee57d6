//! The way through a letter's MIME structure, line by line, whatever pieces it comes in.
//!
//! # Invariants
//! - Each octet is shown to the visitor once, in order, whole letters and broken ones alike.
//! - The line end before a delimiter is the delimiter's (RFC 2046 §5.1.1).

use super::DEEPEST;
use super::entity::{Entity, Head, Kind};
use crate::header::{Field, fields};

/// Of a line so much is kept until more comes.
const LINE_HEAD: usize = 1024;
/// Of a line so much decides what it is, wherever it was cut: a delimiter is shorter, the name of a field too.
const LOOKED_AT: usize = 1000;
/// A longer field passes without being read.
const LONGEST_FIELD: usize = 64 * 1024;

/// Sees a letter go by.
pub(super) trait Visitor {
    /// A complete field.
    fn field(&mut self, field: &Field<'_>);
    /// Part of a header that is no field, or too long a one.
    fn header_text(&mut self, text: &[u8]);
    /// A header is over; `line` is the empty line, if there is one.
    fn body(&mut self, entity: &Entity, line: &[u8]);
    /// Of the leaf whose header was last.
    fn content(&mut self, content: &[u8]);
    /// The leaf is over.
    fn end(&mut self);
    /// Delimiters, and what stands before the first and behind the last.
    fn frame(&mut self, text: &[u8]);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Leaf,
    Frame,
}

/// A multipart that is open.
#[derive(Debug)]
struct Multipart {
    boundary: Vec<u8>,
    digest: bool,
    sealed: bool,
    depth: usize,
}

#[derive(Debug)]
pub(super) struct Walker {
    place: Place,
    open: Vec<Multipart>,
    /// The beginning of a line whose rest has not come.
    line: Vec<u8>,
    mid_line: bool,
    /// Nothing was read yet.
    first: bool,
    /// The line end that may be a delimiter's.
    line_end: &'static [u8],
    head: Head,
    field: Vec<u8>,
    /// The field passes unread.
    unread: bool,
    is_message: bool,
    in_digest: bool,
    sealed: bool,
    depth: usize,
}

impl Walker {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Header,
            open: Vec::new(),
            line: Vec::new(),
            mid_line: false,
            first: true,
            line_end: b"",
            head: Head::default(),
            field: Vec::new(),
            unread: false,
            is_message: true,
            in_digest: false,
            sealed: false,
            depth: 0,
        }
    }

    pub(super) fn feed(&mut self, mut chunk: &[u8], visitor: &mut impl Visitor) {
        while !chunk.is_empty() {
            let end = memchr::memchr(b'\n', chunk).map_or(chunk.len(), |at| at + 1);
            let (now, later) = chunk.split_at(end);
            chunk = later;
            let whole = now.ends_with(b"\n");
            if whole && self.line.is_empty() {
                self.piece(now, visitor);
                continue;
            }
            self.line.extend_from_slice(now);
            if whole || self.line.len() >= LINE_HEAD {
                // A CR may be half a line end.
                let kept = usize::from(self.line.ends_with(b"\r"));
                let mut line = std::mem::take(&mut self.line);
                let length = line.len() - kept;
                self.piece(line.get(..length).unwrap_or_default(), visitor);
                line.drain(..length);
                self.line = line;
            }
        }
    }

    pub(super) fn finish(&mut self, visitor: &mut impl Visitor) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.piece(&line, visitor);
        }
        self.release_line_end(visitor);
        self.leave(visitor);
    }

    /// A line, or a piece of a long one.
    fn piece(&mut self, piece: &[u8], visitor: &mut impl Visitor) {
        let starts = !std::mem::replace(&mut self.mid_line, !piece.ends_with(b"\n"));
        if starts && let Some((index, closes)) = self.delimiter(piece) {
            return self.cross(index, closes, piece, visitor);
        }
        match (self.place, starts) {
            (Place::Header, true) => self.header_line(piece, visitor),
            (Place::Header, false) => self.more_of_field(piece, visitor),
            _ => self.body_piece(piece, visitor),
        }
        self.first = false;
    }

    /// Which open multipart the line delimits, and whether it is the last delimiter.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--").filter(|line| line.len() < LOOKED_AT)?.trim_ascii_end();
        let index = |text: &[u8]| self.open.iter().rposition(|multipart| multipart.boundary == text);
        match index(line) {
            Some(index) => Some((index, false)),
            None => index(line.strip_suffix(b"--")?).map(|index| (index, true)),
        }
    }

    fn cross(&mut self, index: usize, closes: bool, line: &[u8], visitor: &mut impl Visitor) {
        self.leave(visitor);
        visitor.frame(std::mem::take(&mut self.line_end));
        visitor.frame(line);
        if closes {
            self.open.truncate(index);
            self.place = Place::Frame;
            return;
        }
        self.open.truncate(index + 1);
        if let Some(multipart) = self.open.last() {
            (self.sealed, self.depth, self.in_digest) = (multipart.sealed, multipart.depth + 1, multipart.digest);
        }
        self.begin(false);
    }

    fn begin(&mut self, is_message: bool) {
        (self.place, self.is_message, self.unread) = (Place::Header, is_message, false);
        self.head = Head::default();
        self.in_digest &= !is_message;
    }

    /// Ends what is open down to the multipart.
    fn leave(&mut self, visitor: &mut impl Visitor) {
        while self.place == Place::Header {
            self.end_header(b"", visitor);
        }
        if self.place == Place::Leaf {
            visitor.end();
        }
        self.place = Place::Frame;
    }

    fn header_line(&mut self, line: &[u8], visitor: &mut impl Visitor) {
        match line {
            b"\r\n" | b"\n" => self.end_header(line, visitor),
            [b' ' | b'\t', ..] if self.unread || !self.field.is_empty() => self.more_of_field(line, visitor),
            // What programs that handle mailbox files put on top.
            _ if self.first && line.starts_with(b"From ") => {
                self.unread = true;
                visitor.header_text(line);
            }
            _ if fields(line.get(..LOOKED_AT).unwrap_or(line)).next().is_some() => {
                self.end_field(visitor);
                self.more_of_field(line, visitor);
            }
            _ => {
                self.end_header(b"", visitor);
                match self.place {
                    // A letter within, whose header begins here.
                    Place::Header => self.header_line(line, visitor),
                    _ => self.body_piece(line, visitor),
                }
            }
        }
    }

    fn more_of_field(&mut self, text: &[u8], visitor: &mut impl Visitor) {
        if !self.unread && self.field.len() + text.len() <= LONGEST_FIELD {
            return self.field.extend_from_slice(text);
        }
        if !std::mem::replace(&mut self.unread, true) {
            self.head.unreadable |= is_of_mime(if self.field.is_empty() { text } else { &self.field });
        }
        visitor.header_text(&self.field);
        self.field.clear();
        visitor.header_text(text);
    }

    fn end_field(&mut self, visitor: &mut impl Visitor) {
        self.unread = false;
        if let Some(field) = fields(&self.field).next() {
            self.head.note(&field);
            visitor.field(&field);
        }
        self.field.clear();
    }

    fn end_header(&mut self, line: &[u8], visitor: &mut impl Visitor) {
        self.end_field(visitor);
        let head = std::mem::take(&mut self.head);
        let mut entity = head.entity(self.is_message, self.in_digest, self.sealed);
        if self.depth >= DEEPEST && !matches!(entity.kind, Kind::Leaf { .. }) {
            (entity.kind, entity.sealed) = (Kind::Leaf { text: false }, true);
        }
        visitor.body(&entity, line);
        self.sealed = entity.sealed;
        match entity.kind {
            Kind::Leaf { .. } => self.place = Place::Leaf,
            Kind::Multipart { boundary, digest } => {
                self.open.push(Multipart { boundary, digest, sealed: self.sealed, depth: self.depth });
                self.place = Place::Frame;
            }
            Kind::Message => {
                self.depth += 1;
                self.begin(true);
            }
        }
    }

    fn body_piece(&mut self, piece: &[u8], visitor: &mut impl Visitor) {
        self.release_line_end(visitor);
        let line_end: &[u8] = match piece {
            // Nothing can delimit it.
            _ if self.open.is_empty() => b"",
            [.., b'\r', b'\n'] => b"\r\n",
            [.., b'\n'] => b"\n",
            _ => b"",
        };
        self.show(piece.get(..piece.len() - line_end.len()).unwrap_or_default(), visitor);
        self.line_end = if line_end.len() == 2 {
            b"\r\n"
        } else if line_end.is_empty() {
            b""
        } else {
            b"\n"
        };
    }

    fn release_line_end(&mut self, visitor: &mut impl Visitor) {
        let line_end = std::mem::take(&mut self.line_end);
        self.show(line_end, visitor);
    }

    fn show(&mut self, text: &[u8], visitor: &mut impl Visitor) {
        match self.place {
            _ if text.is_empty() => {}
            Place::Leaf => visitor.content(text),
            _ => visitor.frame(text),
        }
    }
}

/// Whether the structure may depend on this field.
fn is_of_mime(field: &[u8]) -> bool {
    field.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"content-"))
}
