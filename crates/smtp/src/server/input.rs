//! What has come in and is not yet acted upon.

use memchr::memchr;

/// Octets in their order; the front is taken away as it is understood.
#[derive(Debug, Default)]
pub(super) struct Input {
    octets: Vec<u8>,
    start: usize,
}

/// What stands at the front.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its end has not come yet.
    Partial,
    /// So many octets, and CR LF behind them.
    Whole(usize),
    /// An LF without CR before it. It ends nothing.
    BareNewline,
    /// More octets than allowed, whether its end has come or not.
    TooLong,
}

impl Input {
    pub(super) fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.octets.drain(..self.start);
            self.start = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(self.start..).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.octets().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets().is_empty()
    }

    pub(super) fn consume(&mut self, octets: usize) {
        self.start = (self.start + octets).min(self.octets.len());
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.octets.clear();
        // A flood must not be paid for until the connection ends.
        self.octets.shrink_to(16 * 1024);
        self.start = 0;
    }

    /// `limit` counts the CR LF. What this says does not depend on how the octets came in pieces.
    pub(super) fn line(&self, limit: usize) -> Line {
        let octets = self.octets();
        match memchr(b'\n', octets) {
            Some(end) if end >= limit => Line::TooLong,
            None if octets.len() >= limit => Line::TooLong,
            None => Line::Partial,
            Some(end) => match octets.get(..end).and_then(|line| line.strip_suffix(b"\r")) {
                Some(line) => Line::Whole(line.len()),
                None => Line::BareNewline,
            },
        }
    }
}
