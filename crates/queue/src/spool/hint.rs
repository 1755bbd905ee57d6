//! A hint: the headers of a sealed segment's records in a small file beside it, so that a start need not read it all.
//!
//! ```text
//! 0 "GPhint1\0"   8 salt of the segment u32   12 how many u32   16 end of the last record u64
//! then for each record: offset u32, header 48 octets; at last a checksum of all before it, u32
//! ```
//!
//! # Invariants
//! - A hint lists every record: one that left out a dead message would let its removal be forgotten.
//! - It is only a hint: where it is missing, torn or of another segment, the segment is read.

use std::io::{self, IoSlice};
use std::path::Path;

use super::disk::{Disk, read_exact_at};
use super::record::{HEADER, Header, u32_at, u64_at};
use super::segment::{Segment, hint_path};

const MAGIC: [u8; 8] = *b"GPhint1\0";
const ENTRY: usize = 4 + HEADER;
const HEAD: usize = 24;

#[derive(Debug)]
pub(super) struct Hint {
    pub records: Vec<(u32, Header)>,
    pub end: u64,
}

/// Writes the hint and gives up the list that it was made from. A failure only makes the next start slower.
pub(super) fn write(disk: &dyn Disk, dir: &Path, segment: &mut Segment) {
    let path = hint_path(dir, segment.head.number);
    let mut out = Vec::with_capacity(HEAD + segment.records.len() * ENTRY + 4);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&segment.head.salt.to_le_bytes());
    out.extend_from_slice(&(segment.records.len() as u32).to_le_bytes());
    out.extend_from_slice(&segment.end.to_le_bytes());
    for (offset, header) in &segment.records {
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&header.encode(segment.head.salt));
    }
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    segment.hinted = true;
    segment.records = Vec::new();
    let _ = disk.remove(&path);
    let written = disk.create(&path).and_then(|file| file.write_at(0, &mut [IoSlice::new(&out)]));
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "hint not written");
        let _ = disk.remove(&path);
    }
}

/// The hint of a segment with that salt and file size, if there is a whole one.
pub(super) fn read(disk: &dyn Disk, dir: &Path, number: u64, salt: u32, size: u64) -> Option<Hint> {
    let bytes = load(disk, &hint_path(dir, number)).ok()?;
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let whole = u32::from_le_bytes(*crc) == crc32c::crc32c(body);
    let ours = body.first_chunk() == Some(&MAGIC) && u32_at(body, 8)? == salt;
    let end = u64_at(body, 16).filter(|end| *end <= size)?;
    let entries = body.get(HEAD..)?;
    if !whole || !ours || entries.len() != u32_at(body, 12)? as usize * ENTRY {
        return None;
    }
    let entry = |entry: &[u8]| Some((u32_at(entry, 0)?, Header::decode(entry.get(4..)?, salt)?));
    let records = entries.chunks_exact(ENTRY).map(entry).collect::<Option<Vec<_>>>()?;
    Some(Hint { records, end })
}

fn load(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, false)?;
    let size = file.size()?;
    read_exact_at(&*file, 0, usize::try_from(size).map_err(io::Error::other)?)
}
