//! Reads a whole spool folder without changing anything: for the start, and for the tools.
//!
//! # How what is found becomes letters
//! - A removal record of an id, wherever it lies: the letter is done.
//! - Of several messages of one id (a letter that was moved) the one with the highest `seq` counts; where that is
//!   damaged, an older one.
//! - The state is the newest of the message's own and of the updates after it.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::compact::read_update;
use super::disk::{Disk, DiskFile};
use super::draft::large_path;
use super::hint;
use super::index::{Entry, IdMap, Place};
use super::record::{BadHead, FIRST, Front, Header, Kind, Large, SegmentHead};
use super::scan::{Hole, scan};
use super::segment::{list_segments, segment_path};
use super::{Problem, SpoolError};
use crate::letter::QueueId;

#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub segments: Vec<LoadedSegment>,
    /// Files that were being made into segments: nothing is in them.
    pub unborn: Vec<u64>,
    pub letters: BTreeMap<QueueId, LoadedLetter>,
    /// Where messages lie, also those of letters that are done.
    pub messages: IdMap<Vec<u32>>,
    pub removed: HashSet<QueueId>,
    pub problems: Vec<Problem>,
    /// No identifier up to this one may be given again.
    pub floor: u64,
    pub seq: u64,
    pub next_number: u64,
    /// Octets of records that were being written when the process ended.
    pub torn: u64,
}

#[derive(Debug)]
pub(super) struct LoadedSegment {
    pub head: SegmentHead,
    pub file: Arc<dyn DiskFile>,
    pub records: Vec<(u32, Header)>,
    pub end: u64,
    pub sealed: bool,
    pub hinted: bool,
    pub whole: bool,
    /// It has damage that could not be set aside.
    pub stuck: bool,
}

#[derive(Debug)]
pub(super) struct LoadedLetter {
    pub entry: Entry,
    pub large: Option<Large>,
    pub meta: Vec<u8>,
    pub state: Option<Vec<u8>>,
    pub size: u64,
}

/// Which folder, and how.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub disk: &'a dyn Disk,
    pub dir: &'a Path,
    pub large_dir: &'a Path,
    /// Otherwise each segment is read whole.
    pub use_hints: bool,
}

pub(super) fn trouble(what: &str, path: &Path, error: io::Error) -> SpoolError {
    SpoolError::Io { what: format!("{what} {}", path.display()), error: Arc::new(error) }
}

impl Source<'_> {
    pub fn load(&self) -> Result<Loaded, SpoolError> {
        let mut loaded = Loaded::default();
        let numbers = list_segments(self.disk, self.dir).map_err(|error| trouble("cannot read", self.dir, error))?;
        for number in numbers {
            loaded.next_number = number + 1;
            let path = segment_path(self.dir, number);
            self.segment(&mut loaded, number, &path).map_err(|error| match error {
                Stop::Io(error) => trouble("cannot read", &path, error),
                Stop::Version(version) => SpoolError::Version { file: path.display().to_string(), version },
            })?;
        }
        loaded.letters(self);
        Ok(loaded)
    }

    fn segment(&self, loaded: &mut Loaded, number: u64, path: &Path) -> Result<(), Stop> {
        let file = match self.disk.open(path, false) {
            // The tools read while the writer removes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let mut block = vec![0; FIRST as usize];
        let read = file.read_at(0, &mut block)?;
        block.truncate(read);
        let head = match SegmentHead::decode(&block) {
            Ok(head) if head.number == number => head,
            Err(BadHead::Version(version)) => return Err(Stop::Version(version)),
            _ if is_blank(&*file)? => {
                loaded.unborn.push(number);
                return Ok(());
            }
            _ => {
                let what = "the segment's head is damaged; its letters cannot be read".to_owned();
                loaded.problem(path, 0, file.size()?, what);
                return Ok(());
            }
        };
        let segment = self.records(loaded, head, file, path)?;
        loaded.floor = loaded.floor.max(head.floor);
        loaded.segments.push(segment);
        Ok(())
    }

    fn records(
        &self,
        loaded: &mut Loaded,
        head: SegmentHead,
        file: Arc<dyn DiskFile>,
        path: &Path,
    ) -> io::Result<LoadedSegment> {
        let size = file.size()?;
        let hint = self.use_hints.then(|| hint::read(self.disk, self.dir, head.number, head.salt, size)).flatten();
        if let Some(hint::Hint { records, end }) = hint {
            return Ok(LoadedSegment {
                head,
                file,
                records,
                end,
                sealed: true,
                hinted: true,
                whole: true,
                stuck: false,
            });
        }
        let found = scan(&*file, head.salt, FIRST)?;
        for Hole { start, end, damage } in &found.holes {
            match damage {
                true => loaded.problem(path, *start, end - start, "records are damaged".to_owned()),
                false => loaded.torn += end - start,
            }
        }
        let whole = found.holes.is_empty();
        Ok(LoadedSegment {
            head,
            file,
            records: found.records,
            end: found.end,
            sealed: found.sealed,
            hinted: false,
            whole,
            stuck: false,
        })
    }
}

enum Stop {
    Io(io::Error),
    Version(u32),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether nothing was ever written after the head.
fn is_blank(file: &dyn DiskFile) -> io::Result<bool> {
    let (mut at, mut buffer) = (FIRST, vec![0; 1 << 20]);
    loop {
        let read = file.read_at(at, &mut buffer)?;
        if read == 0 {
            return Ok(true);
        }
        if buffer.get(..read).unwrap_or_default().iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += read as u64;
    }
}

/// Where a record was found: index of its segment, and the record.
type Found = (usize, u32, Header);

impl Loaded {
    pub fn problem(&mut self, file: &Path, offset: u64, len: u64, what: String) {
        let file = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.problems.push(Problem { file, offset, len, what });
    }

    /// Puts the records of all segments together.
    fn letters(&mut self, source: &Source<'_>) {
        let mut messages: IdMap<Vec<Found>> = IdMap::default();
        let mut updates: IdMap<Found> = IdMap::default();
        for (at, segment) in self.segments.iter().enumerate() {
            for (offset, header) in &segment.records {
                self.seq = self.seq.max(header.seq);
                self.floor = self.floor.max(header.id.0);
                match header.kind {
                    Kind::Message => messages.entry(header.id).or_default().push((at, *offset, *header)),
                    Kind::Update => {
                        let newest = updates.entry(header.id).or_insert((at, *offset, *header));
                        if newest.2.seq < header.seq {
                            *newest = (at, *offset, *header);
                        }
                    }
                    Kind::Remove => drop(self.removed.insert(header.id)),
                    Kind::Seal => {}
                }
            }
        }
        let numbers: Vec<u32> = self.segments.iter().map(|segment| segment.head.number as u32).collect();
        let number = |found: &Found| numbers.get(found.0).copied();
        self.messages = messages.iter().map(|(id, all)| (*id, all.iter().filter_map(number).collect())).collect();
        // In the order in which they lie on disk.
        let mut living: Vec<(QueueId, Vec<Found>)> =
            messages.into_iter().filter(|(id, _)| !self.removed.contains(id)).collect();
        living.iter_mut().for_each(|(_, all)| all.sort_unstable_by_key(|found| std::cmp::Reverse(found.2.seq)));
        living.sort_unstable_by_key(|(_, all)| all.first().map(|found| (found.0, found.1)));
        for (id, all) in living {
            let letter = all.iter().find_map(|found| self.letter(source, found, updates.get(&id)));
            self.letters.extend(letter.map(|letter| (id, letter)));
        }
    }

    /// The letter of this message record; `None` where it is damaged, which is noted.
    fn letter(&mut self, source: &Source<'_>, found: &Found, update: Option<&Found>) -> Option<LoadedLetter> {
        let (at, offset, header) = *found;
        let segment = self.segments.get(at)?;
        let (file, salt, path) =
            (segment.file.clone(), segment.head.salt, segment_path(source.dir, segment.head.number));
        let message = Place { segment: segment.head.number as u32, offset: NonZeroU32::new(offset)?, len: header.len };
        let entry = Entry { message, front: header.front, prefix: 0, state: None };
        let bytes = match entry.on_disk(header.id, file, salt, None).front() {
            Ok((_, bytes)) => bytes,
            Err(error) => {
                self.problem(&path, offset.into(), header.size(), format!("letter {}: {error}", header.id));
                return None;
            }
        };
        let Some(front) = Front::decode(&header, &bytes) else {
            let what = format!("letter {}: the envelope contradicts itself", header.id);
            self.problem(&path, offset.into(), header.size(), what);
            return None;
        };
        if let Some(large) = &front.large
            && let Err(error) = check_size(source, large)
        {
            self.floor = self.floor.max(large.number);
            let what = format!("letter {}: its text large/{:016x}: {error}", header.id, large.number);
            self.problem(&path, offset.into(), header.size(), what);
            return None;
        }
        self.floor = self.floor.max(front.large.map_or(0, |large| large.number));
        let update = update.filter(|update| update.2.seq > header.seq).and_then(|update| self.state(source, update));
        let (place, newer) = update.unzip();
        Some(LoadedLetter {
            entry: Entry { prefix: front.prefix.len() as u32, state: place, ..entry },
            large: front.large,
            size: front.size(),
            state: newer.or_else(|| front.state.map(<[u8]>::to_vec)),
            meta: front.meta.to_vec(),
        })
    }

    fn state(&mut self, source: &Source<'_>, found: &Found) -> Option<(Place, Vec<u8>)> {
        let (at, offset, header) = *found;
        let segment = self.segments.get(at)?;
        let place = Place { segment: segment.head.number as u32, offset: NonZeroU32::new(offset)?, len: header.len };
        match read_update(&*segment.file, segment.head.salt, header.id, &place) {
            Ok(state) => Some((place, state)),
            Err(error) => {
                let path = segment_path(source.dir, segment.head.number);
                self.problem(&path, offset.into(), header.size(), format!("letter {}: {error}", header.id));
                None
            }
        }
    }
}

fn check_size(source: &Source<'_>, large: &Large) -> io::Result<()> {
    let size = source.disk.open(&large_path(source.large_dir, large.number), false)?.size()?;
    if size == large.len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
