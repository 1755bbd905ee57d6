//! The text of a stored letter, wherever it lies: in memory, in a segment, in a file of its own.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::disk::{Disk, DiskFile, read_exact_at};
use super::record::{HEADER, Header};
use crate::letter::QueueId;

/// The text of a stored letter, our trace fields first. Cheap to clone; reading moves nothing, so that clones may be
/// read at the same time.
///
/// Where it is not in memory it holds the segment's file open, and with it the segment's room on disk: ask
/// [`Spool::body`](super::Spool::body) when the text is needed and drop it afterwards.
#[derive(Clone, Debug)]
pub struct Body {
    memory: Option<Memory>,
    disk: Option<OnDisk>,
    len: u64,
}

#[derive(Clone, Debug)]
struct Memory {
    prefix: Bytes,
    text: Bytes,
}

/// Where a message's record lies.
#[derive(Clone, Debug)]
pub(super) struct OnDisk {
    pub file: Arc<dyn DiskFile>,
    pub salt: u32,
    pub id: QueueId,
    /// Of the record.
    pub offset: u64,
    pub front: u32,
    pub prefix: u32,
    pub len: u32,
    pub large: Option<Arc<LargeText>>,
}

/// A text's own file, opened when it is first read.
#[derive(Debug)]
pub(super) struct LargeText {
    pub disk: Arc<dyn Disk>,
    pub path: PathBuf,
    pub file: OnceLock<Arc<dyn DiskFile>>,
    pub len: u64,
}

impl Body {
    /// A letter that needs no disk; for tests and tools.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let text = bytes.into();
        Self { len: text.len() as u64, memory: Some(Memory { prefix: Bytes::new(), text }), disk: None }
    }

    pub(super) fn hot(prefix: Bytes, text: Bytes, disk: OnDisk) -> Self {
        Self { len: (prefix.len() + text.len()) as u64, memory: Some(Memory { prefix, text }), disk: Some(disk) }
    }

    pub(super) fn on_disk(disk: OnDisk) -> Self {
        let text = disk.large.as_ref().map_or(u64::from(disk.len - disk.front), |large| large.len);
        Self { len: u64::from(disk.prefix) + text, memory: None, disk: Some(disk) }
    }

    /// Octets, prefix and text.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Up to `most` octets from `offset`; empty at the end. Blocks on the disk unless [`Body::in_memory`].
    ///
    /// # Errors
    /// The disk's, or a file that has become shorter; a retry does not help.
    pub fn read_at(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let most = (most as u64).min(self.len.saturating_sub(offset));
        match (&self.memory, &self.disk) {
            _ if most == 0 => Ok(Bytes::new()),
            (Some(memory), _) => Ok(memory.slice(offset as usize, most as usize)),
            (None, Some(disk)) => disk.read_at(offset, most).map(Bytes::from),
            (None, None) => Ok(Bytes::new()),
        }
    }

    pub fn in_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// The same text without the memory, where it lies on disk too.
    pub fn cool(&self) -> Self {
        let memory = if self.disk.is_some() { None } else { self.memory.clone() };
        Self { memory, disk: self.disk.clone(), len: self.len }
    }

    /// The same text in memory, its checksum verified; one with a file of its own stays there. Blocks unless in memory.
    ///
    /// # Errors
    /// The disk's; `InvalidData` where the record is damaged: the letter must not be sent.
    pub fn warm(&self) -> io::Result<Self> {
        match &self.disk {
            Some(disk) if self.memory.is_none() && disk.large.is_none() => {
                Ok(Self { memory: Some(disk.load()?), ..self.clone() })
            }
            _ => Ok(self.clone()),
        }
    }
}

impl Memory {
    fn slice(&self, offset: usize, most: usize) -> Bytes {
        let (part, from) = match offset.checked_sub(self.prefix.len()) {
            Some(from) => (&self.text, from),
            None => (&self.prefix, offset),
        };
        part.slice(from.min(part.len())..from.saturating_add(most).min(part.len()))
    }
}

impl OnDisk {
    fn read_at(&self, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let prefix = u64::from(self.prefix);
        if let Some(large) = self.large.as_ref().filter(|_| offset >= prefix) {
            return read_exact_at(&**large.file()?, offset - prefix, most as usize);
        }
        // Inline, the text follows the prefix without a gap.
        let most = if self.large.is_some() { most.min(prefix - offset) } else { most };
        let start = self.offset + HEADER as u64 + u64::from(self.front - self.prefix);
        read_exact_at(&*self.file, start + offset, most as usize)
    }

    fn load(&self) -> io::Result<Memory> {
        let (_, payload) = self.record()?;
        let (front, prefix) = (self.front as usize, self.prefix as usize);
        Ok(Memory { prefix: payload.slice(front - prefix..front), text: payload.slice(front..) })
    }

    /// The whole record, its checksum verified.
    pub fn record(&self) -> io::Result<(Header, Bytes)> {
        let record = Bytes::from(read_exact_at(&*self.file, self.offset, HEADER + self.len as usize)?);
        let payload = record.slice(HEADER..);
        let header = Header::decode(&record, self.salt).filter(|header| {
            (header.id, header.len, header.front) == (self.id, self.len, self.front)
                && header.payload_crc == crc32c::crc32c(&payload)
        });
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the letter's record is damaged");
        header.map(|header| (header, payload)).ok_or_else(damaged)
    }

    /// The part before the text, its checksum verified.
    pub fn front(&self) -> io::Result<(Header, Vec<u8>)> {
        let mut front = read_exact_at(&*self.file, self.offset, HEADER + self.front as usize)?;
        let payload = front.split_off(HEADER);
        let header = Header::decode(&front, self.salt).filter(|header| {
            (header.id, header.len, header.front) == (self.id, self.len, self.front)
                && header.front_crc == crc32c::crc32c(&payload)
        });
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the letter's envelope is damaged");
        header.map(|header| (header, payload)).ok_or_else(damaged)
    }
}

impl LargeText {
    pub fn file(&self) -> io::Result<&Arc<dyn DiskFile>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.disk.open(&self.path, false)?;
        Ok(self.file.get_or_init(|| file))
    }
}
