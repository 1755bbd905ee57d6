//! The records of a segment and the head of its file, to and from octets. All numbers are little-endian.
//!
//! ```text
//! segment head, 64 octets, at 0 and again at 2048; the first record is at 4096
//!   0 "GATEPOST"   8 version u32   12 generation u32   16 number u64   24 salt u32   28 reserved u32
//!  32 created u64 (ms since 1970)  40 floor u64 (no id up to this one is given again)  48 reserved  60 crc u32
//! record header, 48 octets, the payload follows
//!   0 magic u32    4 kind u8    5 flags u8    6 reserved u16    8 len u32 (payload)   12 front u32
//!  16 id u64      24 seq u64   32 durable u32   36 front crc u32   40 payload crc u32   44 header crc u32
//! front of a message, the first `front` octets of its payload; the text follows
//!   0 meta len u32   4 state len u32   8 prefix len u32   12 large crc u32   16 text len u64   24 large u64   32 meta, state, prefix
//! ```
//!
//! # Invariants
//! - A checksum is CRC-32C. The header's begins with the segment's salt, which no sender of a letter can know: a letter
//!   that carries a copy of a record is never taken for one.
//! - `seq` ascends over the whole spool: of two states of a letter the one with the higher `seq` is the newer.

use crate::letter::QueueId;

pub(super) const VERSION: u32 = 1;
pub(super) const HEADER: usize = 48;
pub(super) const FRONT: usize = 32;
/// Where the first record of a segment lies.
pub(super) const FIRST: u64 = 4096;
/// Where the second copy of the head lies: in another sector than the first.
pub(super) const SECOND_HEAD: usize = 2048;
pub(super) const MAGIC: [u8; 4] = *b"GPr\x01";
const HEAD: usize = 64;
const HEAD_MAGIC: [u8; 8] = *b"GATEPOST";
/// In a message's flags: there is a state (it may be empty).
const HAS_STATE: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A letter: envelope, state if it was moved, prefix, text or the number of its file.
    Message = 1,
    /// The newest state of a letter.
    Update = 2,
    /// The letter is done. Holds whatever else is found of this id.
    Remove = 3,
    /// Nothing follows: the segment was closed in order.
    Seal = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    pub has_state: bool,
    /// Octets of the payload.
    pub len: u32,
    /// How many of them come before a message's text; all of them otherwise.
    pub front: u32,
    pub id: QueueId,
    pub seq: u64,
    /// Up to where this segment was durable when the record was written: below it nothing may be torn.
    pub durable: u32,
    pub front_crc: u32,
    pub payload_crc: u32,
}

impl Header {
    pub fn encode(&self, salt: u32) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let flags = if self.has_state { HAS_STATE } else { 0 };
        put(&mut out, 0, &MAGIC);
        put(&mut out, 4, &[self.kind as u8, flags]);
        put(&mut out, 8, &self.len.to_le_bytes());
        put(&mut out, 12, &self.front.to_le_bytes());
        put(&mut out, 16, &self.id.0.to_le_bytes());
        put(&mut out, 24, &self.seq.to_le_bytes());
        put(&mut out, 32, &self.durable.to_le_bytes());
        put(&mut out, 36, &self.front_crc.to_le_bytes());
        put(&mut out, 40, &self.payload_crc.to_le_bytes());
        let crc = header_crc(&out, salt);
        put(&mut out, 44, &crc.to_le_bytes());
        out
    }

    /// `None` where this is no header of that segment.
    pub fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.first_chunk()?;
        if bytes.first_chunk() != Some(&MAGIC) || u32_at(bytes, 44)? != header_crc(bytes, salt) {
            return None;
        }
        let kind = match bytes.get(4)? {
            1 => Kind::Message,
            2 => Kind::Update,
            3 => Kind::Remove,
            4 => Kind::Seal,
            _ => return None,
        };
        let header = Self {
            kind,
            has_state: bytes.get(5)? & HAS_STATE != 0,
            len: u32_at(bytes, 8)?,
            front: u32_at(bytes, 12)?,
            id: QueueId(u64_at(bytes, 16)?),
            seq: u64_at(bytes, 24)?,
            durable: u32_at(bytes, 32)?,
            front_crc: u32_at(bytes, 36)?,
            payload_crc: u32_at(bytes, 40)?,
        };
        (header.front <= header.len).then_some(header)
    }

    /// Octets on disk.
    pub fn size(&self) -> u64 {
        HEADER as u64 + u64::from(self.len)
    }
}

fn header_crc(header: &[u8; HEADER], salt: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), header.get(..44).unwrap_or_default())
}

/// A message's payload before its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front<'a> {
    pub meta: &'a [u8],
    pub state: Option<&'a [u8]>,
    pub prefix: &'a [u8],
    pub text_len: u64,
    pub large: Option<Large>,
}

/// A text that lies in a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Large {
    /// Names the file; never 0.
    pub number: u64,
    pub len: u64,
    pub crc: u32,
}

impl<'a> Front<'a> {
    pub fn encode(&self) -> Vec<u8> {
        let state = self.state.unwrap_or_default();
        let mut out = Vec::with_capacity(FRONT + self.meta.len() + state.len() + self.prefix.len());
        out.extend_from_slice(&(self.meta.len() as u32).to_le_bytes());
        out.extend_from_slice(&(state.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.prefix.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.large.map_or(0, |large| large.crc).to_le_bytes());
        out.extend_from_slice(&self.text_len.to_le_bytes());
        out.extend_from_slice(&self.large.map_or(0, |large| large.number).to_le_bytes());
        out.extend_from_slice(self.meta);
        out.extend_from_slice(state);
        out.extend_from_slice(self.prefix);
        out
    }

    /// `None` where the lengths contradict each other.
    pub fn decode(header: &Header, bytes: &'a [u8]) -> Option<Self> {
        let (meta, state, prefix) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?, u32_at(bytes, 8)?);
        let (crc, text_len, number) = (u32_at(bytes, 12)?, u64_at(bytes, 16)?, u64_at(bytes, 24)?);
        let (meta, rest) = bytes.get(FRONT..)?.split_at_checked(meta as usize)?;
        let (state, rest) = rest.split_at_checked(state as usize)?;
        if rest.len() != prefix as usize {
            return None;
        }
        let inline = u64::from(header.len.checked_sub(header.front)?);
        let large = (number != 0).then_some(Large { number, len: text_len, crc });
        if inline != if large.is_some() { 0 } else { text_len } {
            return None;
        }
        Some(Self { meta, state: header.has_state.then_some(state), prefix: rest, text_len, large })
    }

    /// Octets of the text, prefix included.
    pub fn size(&self) -> u64 {
        self.text_len.saturating_add(self.prefix.len() as u64)
    }
}

/// New letters, or those that stayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    Young = 0,
    Slow = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub generation: Generation,
    pub number: u64,
    pub salt: u32,
    /// Milliseconds since 1970.
    pub created: u64,
    pub floor: u64,
}

/// Why a file's first block is no segment head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    /// Written by a later version: nothing is wrong with it, but we cannot read it.
    Version(u32),
    Damaged,
}

impl SegmentHead {
    /// The first block of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = [0; HEAD];
        put(&mut head, 0, &HEAD_MAGIC);
        put(&mut head, 8, &VERSION.to_le_bytes());
        put(&mut head, 12, &(self.generation as u32).to_le_bytes());
        put(&mut head, 16, &self.number.to_le_bytes());
        put(&mut head, 24, &self.salt.to_le_bytes());
        put(&mut head, 32, &self.created.to_le_bytes());
        put(&mut head, 40, &self.floor.to_le_bytes());
        let crc = crc32c::crc32c(head.get(..60).unwrap_or_default());
        put(&mut head, 60, &crc.to_le_bytes());
        let mut block = vec![0; FIRST as usize];
        put(&mut block, 0, &head);
        put(&mut block, SECOND_HEAD, &head);
        block
    }

    /// From the first block of the file; the second copy counts where the first is damaged.
    pub fn decode(block: &[u8]) -> Result<Self, BadHead> {
        match Self::decode_one(block) {
            Err(BadHead::Damaged) => Self::decode_one(block.get(SECOND_HEAD..).unwrap_or_default()),
            answer => answer,
        }
    }

    fn decode_one(bytes: &[u8]) -> Result<Self, BadHead> {
        let parse = || {
            let crc = crc32c::crc32c(bytes.get(..60)?);
            let whole = bytes.first_chunk() == Some(&HEAD_MAGIC) && u32_at(bytes, 60)? == crc;
            whole.then_some(())?;
            let generation = if u32_at(bytes, 12)? == 0 { Generation::Young } else { Generation::Slow };
            let (number, salt) = (u64_at(bytes, 16)?, u32_at(bytes, 24)?);
            let (created, floor) = (u64_at(bytes, 32)?, u64_at(bytes, 40)?);
            Some((u32_at(bytes, 8)?, Self { generation, number, salt, created, floor }))
        };
        match parse() {
            Some((VERSION, head)) => Ok(head),
            Some((version, _)) => Err(BadHead::Version(version)),
            None => Err(BadHead::Damaged),
        }
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// For the fuzzer: makes the checksums right wherever a header may stand, so that the reader gets past them.
pub(super) fn forge(file: &mut [u8], from: usize, salt: u32) {
    let starts: Vec<usize> =
        memchr::memmem::find_iter(file.get(from..).unwrap_or_default(), &MAGIC).map(|at| at + from).collect();
    for at in starts {
        let (len, front) = (u32_at(file, at + 8), u32_at(file, at + 12));
        let payload = len.and_then(|len| file.get(at + HEADER..)?.get(..len as usize));
        if let (Some(payload), Some(front)) = (payload, front) {
            let front_crc = crc32c::crc32c(payload.get(..front as usize).unwrap_or_default());
            let payload_crc = crc32c::crc32c(payload);
            put(file, at + 36, &front_crc.to_le_bytes());
            put(file, at + 40, &payload_crc.to_le_bytes());
        }
        if let Some(header) = file.get(at..).and_then(|rest| rest.first_chunk::<HEADER>()) {
            let crc = header_crc(header, salt);
            put(file, at + 44, &crc.to_le_bytes());
        }
    }
}
