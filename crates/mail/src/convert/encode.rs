//! Quoted-printable and base64 (RFC 2045 §6.7, §6.8), for content that comes in pieces.

/// RFC 2045 §6.7 (5) and §6.8: encoded lines have at most 76 characters.
const LONGEST_LINE: usize = 76;
/// Octets that make a full line of base64.
const BASE64_LINE: usize = LONGEST_LINE / 4 * 3;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Content on its way into an encoding.
#[derive(Debug)]
pub(super) enum Encoder {
    QuotedPrintable(QuotedPrintable),
    Repair(Repair),
    Base64(Base64),
}

impl Encoder {
    pub(super) fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::QuotedPrintable(encoder) => content.iter().for_each(|octet| encoder.octet(*octet, out)),
            Self::Repair(encoder) => content.iter().for_each(|octet| encoder.octet(*octet, out)),
            Self::Base64(encoder) => encoder.encode(content, out),
        }
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) {
        match self {
            Self::QuotedPrintable(encoder) => encoder.finish(out),
            Self::Repair(_) => {}
            Self::Base64(encoder) => encoder.finish(out),
        }
    }
}

/// Line ends that are CR LF stay line ends; everything else decodes to what it was.
#[derive(Debug, Default)]
pub(super) struct QuotedPrintable {
    column: usize,
    /// The line was broken by us.
    continued: bool,
    /// White space of which it is not known whether it ends the line.
    space: Option<u8>,
    cr: bool,
}

impl QuotedPrintable {
    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) {
        match (std::mem::take(&mut self.cr), octet) {
            (true, b'\n') => return self.line_end(out),
            // A CR alone is content.
            (true, _) => {
                self.release(out);
                self.escape(b'\r', out);
            }
            (false, _) => {}
        }
        match octet {
            b'\r' => self.cr = true,
            b' ' | b'\t' => {
                self.release(out);
                self.space = Some(octet);
            }
            b'!'..=b'<' | b'>'..=b'~' => {
                self.release(out);
                self.plain(octet, out);
            }
            _ => {
                self.release(out);
                self.escape(octet, out);
            }
        }
    }

    fn line_end(&mut self, out: &mut Vec<u8>) {
        // RFC 2045 §6.7 (3): white space at the end of a line must be encoded.
        if let Some(space) = self.space.take() {
            self.escape(space, out);
        }
        out.extend_from_slice(b"\r\n");
        (self.column, self.continued) = (0, false);
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        if let Some(space) = self.space.take() {
            self.escape(space, out);
        }
        if self.cr {
            self.escape(b'\r', out);
        }
    }

    /// The white space did not end the line.
    fn release(&mut self, out: &mut Vec<u8>) {
        if let Some(space) = self.space.take() {
            self.token(&[space], out);
        }
    }

    fn plain(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.make_room(1, out);
        match octet {
            // A line that we began must not look like the boundary.
            b'-' if self.continued && self.column == 0 => self.escape(octet, out),
            _ => self.token(&[octet], out),
        }
    }

    fn escape(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.token(&escaped(octet), out);
    }

    fn token(&mut self, token: &[u8], out: &mut Vec<u8>) {
        self.make_room(token.len(), out);
        out.extend_from_slice(token);
        self.column += token.len();
    }

    fn make_room(&mut self, length: usize, out: &mut Vec<u8>) {
        // One place is the soft line break's.
        if self.column + length >= LONGEST_LINE {
            out.extend_from_slice(b"=\r\n");
            (self.column, self.continued) = (0, true);
        }
    }
}

/// What is called quoted-printable and has raw octets beyond ASCII: these are encoded, the rest stays.
#[derive(Debug, Default)]
pub(super) struct Repair {
    column: usize,
    /// Octets since the last `=`.
    since_escape: usize,
}

impl Repair {
    pub(super) fn new() -> Self {
        Self { column: 0, since_escape: 2 }
    }

    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) {
        if octet.is_ascii() {
            out.push(octet);
            self.column = if octet == b'\n' { 0 } else { self.column + 1 };
            self.since_escape = if octet == b'=' { 0 } else { self.since_escape.saturating_add(1) };
            return;
        }
        // Never within what may be an escape.
        if self.column + 3 >= LONGEST_LINE && self.since_escape >= 2 {
            out.extend_from_slice(b"=\r\n");
            self.column = 0;
        }
        out.extend_from_slice(&escaped(octet));
        (self.column, self.since_escape) = (self.column + 3, 2);
    }
}

fn escaped(octet: u8) -> [u8; 3] {
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    [b'=', digit(octet >> 4), digit(octet & 15)]
}

/// Lines of 76 characters; the last has no line end.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    line: Vec<u8>,
    begun: bool,
}

impl Base64 {
    fn encode(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(BASE64_LINE - self.line.len()));
            self.line.extend_from_slice(now);
            content = later;
            if self.line.len() == BASE64_LINE {
                self.flush(out);
            }
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(b"\r\n");
        }
        for group in self.line.chunks(3) {
            let at = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for n in 0..4 {
                let digit = BASE64.get((bits >> (18 - 6 * n) & 63) as usize).copied().unwrap_or(b'=');
                out.push(if n <= group.len() { digit } else { b'=' });
            }
        }
        self.line.clear();
    }
}
