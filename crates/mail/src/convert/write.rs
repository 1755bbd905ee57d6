//! The second reading: the letter as it goes out.

use super::encode::{Base64, Encoder, QuotedPrintable, Repair};
use super::entity::{Entity, Kind};
use super::survey::{Change, Conversion, Encoding};
use super::walk::{Visitor, Walker};
use crate::header::Field;

/// Writes one letter, which must be the one that was surveyed.
#[derive(Debug)]
pub struct Writer<'a> {
    walker: Walker,
    changes: std::slice::Iter<'a, Change>,
    /// Of the part that is read.
    change: Change,
    label_written: bool,
    encoder: Option<Encoder>,
    /// Whether what was written last ended a line.
    line_ended: bool,
    /// The last line of base64 has no line end yet.
    ends_open: bool,
}

impl<'a> Writer<'a> {
    pub fn new(conversion: &'a Conversion) -> Self {
        let mut changes = conversion.changes.iter();
        let change = changes.next().copied().unwrap_or_default();
        Self {
            walker: Walker::new(),
            changes,
            change,
            label_written: false,
            encoder: None,
            line_ended: true,
            ends_open: false,
        }
    }

    /// Appends to `out` what the next octets of the letter become.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.walk(out, |walker, page| walker.feed(piece, page));
    }

    /// The letter is complete: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.walk(out, |walker, page| walker.finish(page));
        if !self.line_ended && self.ends_open {
            out.extend_from_slice(b"\r\n");
        }
    }

    fn walk(&mut self, out: &mut Vec<u8>, read: impl FnOnce(&mut Walker, &mut Page<'_, 'a>)) {
        let mut walker = std::mem::replace(&mut self.walker, Walker::new());
        let begin = out.len();
        read(&mut walker, &mut Page { writer: self, out, begin });
        self.walker = walker;
        if out.len() > begin {
            self.line_ended = out.ends_with(b"\n");
        }
    }
}

/// A writer with the place it writes to.
struct Page<'p, 'a> {
    writer: &'p mut Writer<'a>,
    out: &'p mut Vec<u8>,
    begin: usize,
}

impl Page<'_, '_> {
    fn add_fields(&mut self) {
        let change = self.writer.change;
        let label = change.label.filter(|_| !self.writer.label_written);
        if label.is_none() && !change.add_mime_version && !change.add_type {
            return;
        }
        let line_ended = if self.out.len() > self.begin { self.out.ends_with(b"\n") } else { self.writer.line_ended };
        if !line_ended {
            self.out.extend_from_slice(b"\r\n");
        }
        if change.add_mime_version {
            self.out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
        if change.add_type {
            // RFC 1428 §3.
            self.out.extend_from_slice(b"Content-Type: text/plain; charset=unknown-8bit\r\n");
        }
        if let Some(label) = label {
            self.label(label);
        }
    }

    fn label(&mut self, label: &str) {
        self.out.extend_from_slice(b"Content-Transfer-Encoding: ");
        self.out.extend_from_slice(label.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

impl Visitor for Page<'_, '_> {
    fn field(&mut self, field: &Field<'_>) {
        match self.writer.change.label {
            Some(label) if field.is("Content-Transfer-Encoding") => {
                // Of several the first was read.
                if !std::mem::replace(&mut self.writer.label_written, true) {
                    self.label(label);
                }
            }
            _ => self.out.extend_from_slice(field.raw),
        }
    }

    fn header_text(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    fn body(&mut self, entity: &Entity, line: &[u8]) {
        self.add_fields();
        self.out.extend_from_slice(line);
        let change = self.writer.change;
        // What followed the header without an empty line may look like a field once it is encoded.
        if line.is_empty() && change.encoding.is_some() {
            self.out.extend_from_slice(b"\r\n");
        }
        self.writer.encoder = change.encoding.map(|encoding| match encoding {
            Encoding::QuotedPrintable => Encoder::QuotedPrintable(QuotedPrintable::default()),
            Encoding::Repair => Encoder::Repair(Repair::new()),
            Encoding::Base64 => Encoder::Base64(Base64::default()),
        });
        self.writer.ends_open = change.encoding == Some(Encoding::Base64);
        self.writer.change = self.writer.changes.next().copied().unwrap_or_default();
        self.writer.label_written = false;
        // What is added to the letter within must not be read as fields of the part around it.
        if line.is_empty() && entity.kind == Kind::Message && self.writer.change != Change::default() {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn content(&mut self, content: &[u8]) {
        match &mut self.writer.encoder {
            Some(encoder) => encoder.encode(content, self.out),
            None => self.out.extend_from_slice(content),
        }
    }

    fn end(&mut self) {
        if let Some(encoder) = self.writer.encoder.take() {
            encoder.finish(self.out);
        }
    }

    fn frame(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
        self.writer.ends_open = false;
    }
}
