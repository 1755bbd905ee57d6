//! Reads a segment record by record, past whatever is damaged.
//!
//! A record whose header is whole but whose payload is not is stepped over by its length. Where the header itself is
//! damaged, the next octets that are a header of this segment (salted checksum, ascending `seq`) are sought.
//!
//! # Invariants
//! - Only records whose checksums hold are given.
//! - A hole below what was durable when a later record was written is damage; one above it was never acknowledged: torn.
//! - Memory is bounded by the largest record, and that by the file.

use std::io;

use super::disk::DiskFile;
use super::record::{HEADER, Header, Kind, MAGIC};

const WINDOW: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub start: u64,
    pub end: u64,
    /// Something that had been acknowledged may have lain here.
    pub damage: bool,
}

#[derive(Debug, Default)]
pub(super) struct Scan {
    pub records: Vec<(u32, Header)>,
    pub holes: Vec<Hole>,
    /// After the last whole record.
    pub end: u64,
    pub sealed: bool,
}

/// Reads the records from `start` to the end of the file.
pub(super) fn scan(file: &dyn DiskFile, salt: u32, start: u64) -> io::Result<Scan> {
    let mut scanner = Scanner { window: Window::new(file)?, salt, last_seq: 0, durable: 0, out: Scan::default() };
    scanner.out.end = start;
    let mut at = start;
    while at < scanner.window.size {
        at = match scanner.header(at)? {
            Some(header) => scanner.take(at, header)?,
            None => match scanner.resync(at + 1)? {
                Some(next) => scanner.hole(at, next),
                None => break,
            },
        };
    }
    Ok(scanner.finish())
}

struct Scanner<'a> {
    window: Window<'a>,
    salt: u32,
    last_seq: u64,
    durable: u64,
    out: Scan,
}

impl Scanner<'_> {
    /// A header that may stand here.
    fn header(&mut self, at: u64) -> io::Result<Option<Header>> {
        let (last, size) = (self.last_seq, self.window.size);
        let header = Header::decode(self.window.bytes(at, HEADER)?, self.salt);
        // What was written before and rolled back has an older number than what came after it.
        Ok(header.filter(|header| {
            header.seq > last && u64::from(header.durable) <= at && header.size() <= size.saturating_sub(at)
        }))
    }

    /// The record with this header: kept where it is whole. Gives the place after it.
    fn take(&mut self, at: u64, header: Header) -> io::Result<u64> {
        let after = at + header.size();
        let payload = self.window.bytes(at + HEADER as u64, header.len as usize)?;
        let (front, text) = payload.split_at_checked(header.front as usize).unwrap_or_default();
        let front_crc = crc32c::crc32c(front);
        let whole = payload.len() == header.len as usize
            && front_crc == header.front_crc
            && crc32c::crc32c_append(front_crc, text) == header.payload_crc;
        self.last_seq = header.seq;
        self.durable = self.durable.max(header.durable.into());
        match (whole, u32::try_from(at)) {
            (true, Ok(offset)) => {
                self.out.records.push((offset, header));
                self.out.end = after;
                self.out.sealed = header.kind == Kind::Seal;
                Ok(after)
            }
            _ => Ok(self.hole(at, after)),
        }
    }

    fn hole(&mut self, start: u64, end: u64) -> u64 {
        match self.out.holes.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.out.holes.push(Hole { start, end, damage: false }),
        }
        end
    }

    /// The next place from `at` where a header stands.
    fn resync(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        while at + HEADER as u64 <= self.window.size {
            let bytes = self.window.bytes(at, WINDOW)?;
            if bytes.is_empty() {
                break;
            }
            let Some(found) = memchr::memmem::find(bytes, &MAGIC) else {
                at += (bytes.len().saturating_sub(MAGIC.len() - 1)).max(1) as u64;
                continue;
            };
            at += found as u64;
            if self.header(at)?.is_some() {
                return Ok(Some(at));
            }
            at += 1;
        }
        Ok(None)
    }

    fn finish(mut self) -> Scan {
        // After the last whole record there is only what was being written: torn, unless it lies below what was durable.
        let tail = self.window.size.min(self.durable);
        if tail > self.out.end && self.out.holes.last().is_none_or(|hole| hole.end <= self.out.end) {
            self.out.holes.push(Hole { start: self.out.end, end: tail, damage: true });
        }
        for hole in &mut self.out.holes {
            hole.damage = hole.start < self.durable;
        }
        self.out
    }
}

/// A file seen through a buffer that moves forward.
struct Window<'a> {
    file: &'a dyn DiskFile,
    size: u64,
    base: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        Ok(Self { file, size: file.size()?, base: 0, buffer: Vec::new() })
    }

    /// These octets, or as many of them as the file has.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let len = (len as u64).min(self.size.saturating_sub(at)) as usize;
        let buffered = at >= self.base && at + len as u64 <= self.base + self.buffer.len() as u64;
        if !buffered {
            let want = (len.max(WINDOW) as u64).min(self.size.saturating_sub(at)) as usize;
            self.buffer.resize(want, 0);
            let read = self.file.read_at(at, &mut self.buffer)?;
            self.buffer.truncate(read);
            self.base = at;
        }
        let from = (at - self.base) as usize;
        let rest = self.buffer.get(from..).unwrap_or_default();
        Ok(rest.get(..len).unwrap_or(rest))
    }
}
