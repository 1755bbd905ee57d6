//! The letter that is coming in.

use std::time::{Duration, Instant};

use super::{BareNewline, ServerLimits, replies};
use crate::data::{BodyInspector, DataDecoder, Faults};
use crate::envelope::Body;
use crate::reply::Reply;

/// From an accepted DATA or first BDAT to its end.
#[derive(Debug)]
pub(super) struct Letter {
    /// `None`: BODY=BINARYMIME, every octet is content.
    decoder: Option<DataDecoder>,
    inspector: BodyInspector,
    pub(super) pace: Pace,
    /// It will be refused and the driver was told to drop it.
    pub(super) abandoned: bool,
}

impl Letter {
    pub(super) fn by_data(newline: BareNewline, now: Instant) -> Self {
        Self::new(Some(DataDecoder::new(newline)), now)
    }

    pub(super) fn by_chunks(newline: BareNewline, body: Option<Body>, now: Instant) -> Self {
        let binary = body == Some(Body::BinaryMime);
        Self::new((!binary).then(|| DataDecoder::for_chunks(newline)), now)
    }

    fn new(decoder: Option<DataDecoder>, now: Instant) -> Self {
        Self { decoder, inspector: BodyInspector::new(), pace: Pace::new(now), abandoned: false }
    }

    /// Reads octets of the wire. Gives the letter's octets, and how many were used where the end of data was found.
    pub(super) fn read(&mut self, wire: &[u8]) -> (Vec<u8>, Option<usize>) {
        let mut content = Vec::new();
        let end = match &mut self.decoder {
            Some(decoder) => {
                content.reserve_exact(wire.len());
                decoder.decode(wire, &mut content)
            }
            None => {
                content.extend_from_slice(wire);
                None
            }
        };
        self.pace.octets += end.unwrap_or(wire.len()) as u64;
        self.inspector.inspect(&content);
        (content, end)
    }

    /// The last chunk is read: gives what was held back.
    pub(super) fn end_of_chunks(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        if let Some(decoder) = &mut self.decoder {
            decoder.end_of_chunks(&mut content);
        }
        self.inspector.inspect(&content);
        content
    }

    pub(super) fn octets(&self) -> u64 {
        self.inspector.octets()
    }

    /// Why it will be refused. What came first on the wire does not matter, so that the reply does not depend on how
    /// the octets were cut.
    pub(super) fn fault(&self, limits: &ServerLimits) -> Option<Reply> {
        let Faults { bare_newline, nul } = self.decoder.as_ref().map(DataDecoder::faults).unwrap_or_default();
        match () {
            () if bare_newline => Some(replies::BARE_NEWLINE_IN_MESSAGE),
            () if nul => Some(replies::NUL_IN_MESSAGE),
            () if self.octets() > limits.message_size => Some(replies::TOO_BIG),
            () if self.inspector.header_octets() > limits.header_size as u64 => Some(replies::HEADER_TOO_BIG),
            () if self.inspector.longest_field() > limits.header_field_size as u64 => Some(replies::FIELD_TOO_BIG),
            () if self.inspector.fields() > limits.header_fields => Some(replies::TOO_MANY_FIELDS),
            () if self.inspector.hops() > limits.hops => Some(replies::TOO_MANY_HOPS),
            () => None,
        }
    }
}

/// How fast octets must come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    started: Instant,
    pub(super) octets: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, octets: 0 }
    }

    /// So much time is not the peer's.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.started += time;
    }

    /// When it is too slow: by the rate behind the grace, and by the cap whatever the rate.
    pub(super) fn deadline(&self, limits: &ServerLimits) -> Instant {
        let earned = Duration::from_millis(self.octets.saturating_mul(1000) / limits.data_rate.max(1));
        self.started + limits.data_timeout.min(limits.data_grace.saturating_add(earned))
    }

    /// The cap alone, for the time between chunks.
    pub(super) fn cap(&self, limits: &ServerLimits) -> Instant {
        self.started + limits.data_timeout
    }
}
