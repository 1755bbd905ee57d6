//! What is counted while a letter passes.

use memchr::memchr;

const RECEIVED: &[u8] = b"received";

/// Counts a letter's octets, those of its header, its fields and the Received among them, piece by piece.
///
/// The header ends at the first empty line and nowhere else: a line that is no field, as the `From ` line that old
/// programs put in front, neither ends it nor is exempt from limits of size. A field is a line with a colon, and those
/// behind it that begin with white space.
#[derive(Clone, Debug, Default)]
pub struct BodyInspector {
    octets: u64,
    header_octets: u64,
    /// Where the header's current field or other line begins, and how long the longest before it is.
    field_start: u64,
    longest_field: u64,
    fields: usize,
    hops: usize,
    scan: Scan,
}

#[derive(Clone, Copy, Debug, Default)]
enum Scan {
    #[default]
    LineStart,
    /// A line that began with CR: the empty line, if LF follows.
    Cr,
    /// In a field's name, of which so many octets are those of `Received`; `None`: another name.
    Name(Option<usize>),
    Value,
    Body,
}

impl BodyInspector {
    pub fn new() -> Self {
        Self::default()
    }

    /// Octets of the letter so far.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Octets of its header so far, the empty line included.
    pub fn header_octets(&self) -> u64 {
        self.header_octets
    }

    /// Fields of the header so far.
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// Octets of the longest field, or line that is none, so far; its line ends included.
    pub fn longest_field(&self) -> u64 {
        self.longest_field.max(self.header_octets - self.field_start)
    }

    /// Received fields so far (RFC 5321 §6.3).
    pub fn hops(&self) -> usize {
        self.hops
    }

    pub fn inspect(&mut self, piece: &[u8]) {
        self.octets = self.octets.saturating_add(piece.len() as u64);
        let mut rest = piece;
        while let (false, Some((&octet, tail))) = (matches!(self.scan, Scan::Body), rest.split_first()) {
            let skipped = if matches!(self.scan, Scan::Value) { memchr(b'\n', rest).unwrap_or(tail.len()) } else { 0 };
            let octet = rest.get(skipped).copied().unwrap_or(octet);
            self.scan = self.step(octet);
            rest = rest.get(skipped + 1..).unwrap_or_default();
            self.header_octets = self.header_octets.saturating_add(skipped as u64 + 1);
        }
    }

    fn step(&mut self, octet: u8) -> Scan {
        if matches!(self.scan, Scan::LineStart) && !matches!(octet, b' ' | b'\t') {
            self.longest_field = self.longest_field();
            self.field_start = self.header_octets;
        }
        match (self.scan, octet) {
            (Scan::Body, _) | (Scan::LineStart | Scan::Cr, b'\n') => Scan::Body,
            (Scan::Name(_) | Scan::Value, b'\n') => Scan::LineStart,
            (Scan::Value, _) | (Scan::LineStart, b' ' | b'\t') => Scan::Value,
            (Scan::LineStart, b'\r') => Scan::Cr,
            (Scan::Name(matched), b':') => {
                self.fields += 1;
                self.hops += usize::from(matched == Some(RECEIVED.len()));
                Scan::Value
            }
            // RFC 5322 §4.5: old letters have white space between a field's name and its colon.
            (Scan::Name(matched @ Some(8)), b' ' | b'\t') => Scan::Name(matched),
            (Scan::LineStart, _) => Scan::Name(matching(0, octet)),
            (Scan::Name(matched), _) => Scan::Name(matched.and_then(|at| matching(at, octet))),
            (Scan::Cr, _) => Scan::Name(None),
        }
    }
}

fn matching(at: usize, octet: u8) -> Option<usize> {
    RECEIVED.get(at).filter(|wanted| wanted.eq_ignore_ascii_case(&octet)).map(|_| at + 1)
}
