//! From the letter to the wire.

use memchr::memchr2;

/// Writes a letter behind DATA: lines end in CR LF whatever the letter held, a line's leading dot is doubled, the
/// letter's first octet included, and [`DotStuffer::finish`] writes the end of data.
#[derive(Clone, Debug)]
pub struct DotStuffer {
    state: State,
    /// Behind DATA: dots count. In a BDAT chunk they are plain octets (RFC 3030 §2).
    dots: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Text,
    /// Behind a CR that was the last octet of a piece; not yet written.
    Cr,
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl DotStuffer {
    pub fn new() -> Self {
        Self { state: State::LineStart, dots: true }
    }

    /// For the text of BDAT chunks: line ends are made CR LF too, but no dot is doubled, and no end of data is written.
    pub fn for_chunks() -> Self {
        Self { state: State::LineStart, dots: false }
    }

    /// Appends the next piece of the letter to `wire`.
    pub fn encode(&mut self, piece: &[u8], wire: &mut Vec<u8>) {
        let mut rest = piece;
        if self.state == State::Cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.end_line(wire);
        }
        while !rest.is_empty() {
            // RFC 5321 §4.5.2: "it checks the first character of the line. If it is a period, one additional period is
            // inserted".
            if self.dots && self.state == State::LineStart && rest.starts_with(b".") {
                wire.push(b'.');
            }
            self.state = State::Text;
            rest = self.line(rest, wire);
        }
    }

    /// Ends the last line, where the letter did not, and the letter.
    pub fn finish(mut self, wire: &mut Vec<u8>) {
        if self.state != State::LineStart {
            self.end_line(wire);
        }
        if self.dots {
            wire.extend_from_slice(b".\r\n");
        }
    }

    /// Writes one line, or what there is of it; gives what follows.
    fn line<'a>(&mut self, rest: &'a [u8], wire: &mut Vec<u8>) -> &'a [u8] {
        let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(end);
        if let Some(tail) = tail.strip_prefix(b"\r\n") {
            wire.extend_from_slice(rest.get(..end + 2).unwrap_or_default());
            self.state = State::LineStart;
            return tail;
        }
        wire.extend_from_slice(text);
        if tail == b"\r" {
            self.state = State::Cr;
        } else if !tail.is_empty() {
            self.end_line(wire);
        }
        tail.get(1..).unwrap_or_default()
    }

    fn end_line(&mut self, wire: &mut Vec<u8>) {
        wire.extend_from_slice(b"\r\n");
        self.state = State::LineStart;
    }
}
