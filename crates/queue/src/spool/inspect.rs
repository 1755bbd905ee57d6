//! Looks at a spool from outside: for `gatepost spool verify | list | export`. Changes nothing and needs no lock, so that
//! it may run beside the server.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::index::{Entry, Shared};
use super::load::{Loaded, Source};
use super::record::{Large, SegmentHead};
use super::scan::scan;
use super::{Body, Problem, RecoveredLetter, SpoolError};
use crate::letter::QueueId;
use crate::table::IdMap;

const PIECE: usize = 1 << 20;

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What a start reads: hints and envelopes.
    Quick,
    /// Every octet, against its checksum.
    Full,
}

#[derive(Debug)]
pub struct Inspection {
    pub segments: usize,
    /// Octets of records, those of removed letters included.
    pub octets: u64,
    /// Removal records that are still needed, or not yet cleared away.
    pub removed: usize,
    /// Octets of unfinished writes; a crash leaves some, and a server that runs may be writing them now.
    pub torn: u64,
    pub letters: Vec<InspectedLetter>,
    pub problems: Vec<Problem>,
}

#[derive(Debug)]
pub struct InspectedLetter {
    pub letter: RecoveredLetter,
    /// Its files are open: it can be read although the server removes it meanwhile.
    pub body: Body,
}

/// Looks at the spool in this folder.
///
/// # Errors
/// The folder cannot be read, or was written by a later version.
pub fn inspect(disk: Arc<dyn Disk>, dir: &Path, depth: Depth) -> Result<Inspection, SpoolError> {
    let mut found = look(&disk, dir, depth)?;
    if !found.problems.is_empty() {
        // What the server removed under our eyes is no damage: only what is there twice is.
        let first = std::mem::take(&mut found.problems);
        found = look(&disk, dir, depth)?;
        found.problems.retain(|problem| first.contains(problem));
    }
    Ok(found)
}

fn look(disk: &Arc<dyn Disk>, dir: &Path, depth: Depth) -> Result<Inspection, SpoolError> {
    let large_dir = dir.join("big");
    let use_hints = depth == Depth::Quick;
    let mut found: IdMap<RecoveredLetter> = IdMap::default();
    let mut take = |letter: RecoveredLetter| drop(found.insert(letter.id, letter));
    let mut loaded = Source { disk: &**disk, dir, large_dir: &large_dir, use_hints }.load(&mut take)?;
    let shared = Shared::new(disk.clone(), large_dir.clone());
    let mut letters = Vec::with_capacity(loaded.letters.len());
    let index = std::mem::take(&mut loaded.letters);
    for (id, entry) in index.iter() {
        let large = loaded.large.get(&id).copied();
        let Some(body) = body(&loaded, &shared, id, entry, large.as_ref()) else { continue };
        if let Some(large) = large.filter(|_| depth == Depth::Full)
            && let Err(error) = check_text(&body, entry.prefix.into(), &large)
        {
            let path = super::draft::large_path(&large_dir, large.number);
            loaded.problem(&path, 0, large.len, format!("letter {id}: {error}"));
        }
        letters.extend(found.remove(&id).map(|letter| InspectedLetter { letter, body }));
    }
    Ok(Inspection {
        segments: loaded.segments.len(),
        octets: loaded.segments.iter().map(|segment| segment.end).sum(),
        removed: loaded.removed.len(),
        torn: loaded.torn,
        letters,
        problems: loaded.problems,
    })
}

fn body(loaded: &Loaded, shared: &Shared, id: QueueId, entry: &Entry, large: Option<&Large>) -> Option<Body> {
    let segment = loaded.segment(entry.message.segment)?;
    let large = large.map(|large| Arc::new(shared.large_text(large)));
    Some(Body::on_disk(entry.on_disk(id, segment.file.clone(), segment.head.salt, large)))
}

fn check_text(body: &Body, mut at: u64, large: &Large) -> io::Result<()> {
    let mut crc = 0;
    loop {
        let piece = body.read_at(at, PIECE)?;
        if piece.is_empty() {
            break;
        }
        crc = crc32c::crc32c_append(crc, &piece);
        at += piece.len() as u64;
    }
    if crc == large.crc { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "the text is damaged")) }
}

/// For the fuzzer: reads any octets as a segment. Checksums are made right first, or no input would get far.
#[doc(hidden)]
pub fn fuzz_scan(bytes: &[u8]) {
    let head = SegmentHead { generation: super::record::Generation::Young, number: 1, salt: 7, created: 0, floor: 0 };
    let mut file = head.encode();
    file.extend_from_slice(bytes);
    assert_eq!(SegmentHead::decode(&file), Ok(head));
    let _ = SegmentHead::decode(bytes);
    super::record::forge(&mut file, super::record::FIRST as usize, head.salt);
    let size = file.len() as u64;
    let Ok(found) = scan(&Memory(file.clone()), head.salt, super::record::FIRST) else { return };
    let mut last = super::record::FIRST;
    for (offset, header) in &found.records {
        let (start, end) = (u64::from(*offset), u64::from(*offset) + header.size());
        assert!(start >= last && end <= size, "records overlap or leave the file");
        last = end;
        let from = *offset as usize + super::record::HEADER;
        let front = file.get(from..from + header.front as usize).unwrap_or_default();
        let _ = super::record::Front::decode(header, front);
    }
    assert_eq!(found.end, last);
}

#[derive(Debug)]
struct Memory(Vec<u8>);

impl DiskFile for Memory {
    fn write_at(&self, _offset: u64, _parts: &mut [io::IoSlice<'_>]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn set_size(&self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn preallocate(&self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
