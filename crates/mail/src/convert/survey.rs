//! The first reading: what is in a letter, and what has to be done with each part.

use super::entity::{Entity, Kind, Label};
use super::walk::{Visitor, Walker};
use super::{MOST_PARTS, Obstacle, Target};
use crate::header::Field;

/// RFC 5321 §4.5.3.1.6, without the CR LF.
const LONGEST_LINE: u64 = 998;
/// Signatures that are named.
const MOST_SIGNATURES: usize = 10;
/// RFC 1035 §2.3.4.
const LONGEST_DOMAIN: usize = 253;

/// Reads a letter.
#[derive(Debug)]
pub struct Survey {
    walker: Walker,
    found: Found,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    parts: Vec<Part>,
    content: Content,
    /// Headers, delimiters and what stands around them.
    frame: Content,
    utf8: bool,
    unreadable: bool,
    signatures: Vec<String>,
}

/// A header and, where its body is a leaf, what that holds.
#[derive(Debug)]
struct Part {
    label: Option<Label>,
    is_leaf: bool,
    is_text: bool,
    sealed: bool,
    has_type: bool,
    is_message: bool,
    has_mime_version: bool,
    /// Whether quoted-printable makes it shorter than base64 does.
    suits_quoted_printable: bool,
    eight_bit: bool,
    binary: bool,
}

/// What octets stand in some text.
#[derive(Debug, Default)]
struct Content {
    length: u64,
    eight_bit: u64,
    /// Octets that quoted-printable has to encode.
    special: u64,
    binary: bool,
    column: u64,
    after_cr: bool,
}

impl Content {
    fn read(&mut self, text: &[u8]) {
        self.length += text.len() as u64;
        for octet in text {
            let after_cr = std::mem::replace(&mut self.after_cr, *octet == b'\r');
            match octet {
                b'\n' => {
                    self.binary |= !after_cr;
                    self.column = 0;
                    continue;
                }
                b' '..=b'<' | b'>'..=b'~' | b'\t' | b'\r' => {}
                _ => self.special += 1,
            }
            self.eight_bit += u64::from(!octet.is_ascii());
            self.column += u64::from(*octet != b'\r');
            self.binary |= after_cr || *octet == 0 || self.column > LONGEST_LINE;
        }
    }

    fn is_binary(&self) -> bool {
        self.binary || self.after_cr
    }
}

/// What is done with a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) encoding: Option<Encoding>,
    /// The new Content-Transfer-Encoding.
    pub(super) label: Option<&'static str>,
    /// Content-Type is missing, and the charset unknown (RFC 1428 §3).
    pub(super) add_type: bool,
    pub(super) add_mime_version: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    QuotedPrintable,
    /// It is quoted-printable, but for some octets.
    Repair,
    Base64,
}

/// What [`Writer`](super::Writer) does with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    pub(super) changes: Vec<Change>,
    signatures: Vec<String>,
}

impl Conversion {
    /// Whether the letter fits as it is.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| *change == Change::default())
    }

    /// Signatures over the body, which do not hold for what is written: `DKIM-Signature of example.net`.
    pub fn broken_signatures(&self) -> &[String] {
        if self.is_empty() { &[] } else { &self.signatures }
    }
}

impl Default for Survey {
    fn default() -> Self {
        Self::new()
    }
}

impl Survey {
    pub fn new() -> Self {
        Self { walker: Walker::new(), found: Found::default() }
    }

    /// The next octets of the letter.
    pub fn feed(&mut self, piece: &[u8]) {
        self.walker.feed(piece, &mut self.found);
    }

    /// The letter is complete.
    pub fn finish(&mut self) {
        self.walker.finish(&mut self.found);
    }

    /// Whether a header, of the letter or of a part, is one that only SMTPUTF8 carries (RFC 6531 §3.4, RFC 6532 §3).
    pub fn needs_smtputf8(&self) -> bool {
        self.found.utf8
    }

    /// What makes the letter fit for `target`.
    ///
    /// # Errors
    /// Nothing does without a change of what must not be changed.
    pub fn convert(&self, target: Target) -> Result<Conversion, Obstacle> {
        let found = &self.found;
        let mut changes = Vec::with_capacity(found.parts.len());
        for part in &found.parts {
            changes.push(part.change(target)?);
        }
        let converted = changes.iter().any(|change| *change != Change::default());
        if found.frame.is_binary() && !target.binary {
            return Err(Obstacle::Structure);
        }
        if found.unreadable && converted {
            return Err(Obstacle::Unreadable);
        }
        // RFC 2045 §4.
        for (n, (change, part)) in changes.iter_mut().zip(&found.parts).enumerate() {
            let touched = *change != Change::default() || (n == 0 && converted);
            change.add_mime_version = touched && part.is_message && !part.has_mime_version;
        }
        Ok(Conversion { changes, signatures: found.signatures.clone() })
    }
}

impl Part {
    fn new(entity: &Entity) -> Self {
        Self {
            label: entity.label,
            is_leaf: matches!(entity.kind, Kind::Leaf { .. }),
            is_text: matches!(entity.kind, Kind::Leaf { text: true }),
            sealed: entity.sealed,
            has_type: entity.has_type,
            is_message: entity.is_message,
            has_mime_version: entity.has_mime_version,
            suits_quoted_printable: false,
            eight_bit: false,
            binary: false,
        }
    }

    fn change(&self, target: Target) -> Result<Change, Obstacle> {
        let too_much = (self.eight_bit && !target.eight_bit) || (self.binary && !target.binary);
        match (too_much, self.label) {
            (false, _) => Ok(Change { label: self.lower_label(target), ..Change::default() }),
            (true, _) if self.sealed => Err(Obstacle::Sealed),
            (true, Some(Label::QuotedPrintable)) if !self.binary || target.binary => {
                Ok(Change { encoding: Some(Encoding::Repair), ..Change::default() })
            }
            (true, Some(label)) if label.is_encoding() => Err(Obstacle::Encoded),
            (true, _) => Ok(self.encode()),
        }
    }

    fn encode(&self) -> Change {
        let (encoding, label) = match self.is_text && self.suits_quoted_printable {
            true => (Encoding::QuotedPrintable, "quoted-printable"),
            false => (Encoding::Base64, "base64"),
        };
        Change {
            encoding: Some(encoding),
            label: Some(label),
            add_type: !self.has_type && self.eight_bit,
            add_mime_version: false,
        }
    }

    /// A label that says more than the target takes.
    fn lower_label(&self, target: Target) -> Option<&'static str> {
        let (most, name) = match target.eight_bit {
            true => (Label::EightBit, "8bit"),
            false => (Label::SevenBit, "7bit"),
        };
        // RFC 2045 §6.4: a multipart has no other.
        let encoded = self.label.is_some_and(Label::is_encoding);
        match self.label {
            Some(label) if label > most && !self.sealed && !(self.is_leaf && encoded) => {
                Some(if self.is_leaf && !self.eight_bit { "7bit" } else { name })
            }
            _ => None,
        }
    }
}

impl Found {
    fn header(&mut self, text: &[u8]) {
        self.utf8 |= !text.is_ascii();
        self.frame.read(text);
    }
}

impl Visitor for Found {
    fn field(&mut self, field: &Field<'_>) {
        self.header(field.raw);
        if self.parts.is_empty()
            && self.signatures.len() < MOST_SIGNATURES
            && let Some(signature) = signature(field)
        {
            self.signatures.push(signature);
        }
    }

    fn header_text(&mut self, text: &[u8]) {
        self.header(text);
    }

    fn body(&mut self, entity: &Entity, line: &[u8]) {
        self.frame.read(line);
        self.utf8 |= entity.global;
        self.unreadable |= entity.unreadable || self.parts.len() >= MOST_PARTS;
        if self.parts.len() < MOST_PARTS {
            self.parts.push(Part::new(entity));
        }
        self.content = Content::default();
    }

    fn content(&mut self, content: &[u8]) {
        self.content.read(content);
    }

    fn end(&mut self) {
        let content = std::mem::take(&mut self.content);
        if let Some(part) = self.parts.last_mut() {
            // Parts beyond the most count with the last: none of them goes unseen.
            part.eight_bit |= content.eight_bit > 0;
            part.binary |= content.is_binary();
            part.suits_quoted_printable = content.special.saturating_mul(6) <= content.length;
        }
    }

    fn frame(&mut self, text: &[u8]) {
        self.frame.read(text);
    }
}

/// Whose signature over the body a field holds (RFC 6376 §3.5, RFC 8617 §4.1.2).
fn signature(field: &Field<'_>) -> Option<String> {
    let name = ["DKIM-Signature", "ARC-Message-Signature"].into_iter().find(|name| field.is(name))?;
    let value = field.unfolded();
    let domain = value.split(|b| *b == b';').find_map(|tag| tag.trim_ascii().strip_prefix(b"d"))?;
    let domain = domain.trim_ascii().strip_prefix(b"=")?.trim_ascii();
    let is_domain = domain.len() <= LONGEST_DOMAIN && domain.iter().all(u8::is_ascii_graphic);
    is_domain.then(|| format!("{name} of {}", String::from_utf8_lossy(domain)))
}
