//! Reads a whole spool folder without changing anything: for the start, and for the tools.
//!
//! # How what is found becomes letters
//! - A removal record of an id, wherever it lies: the letter is done.
//! - Of several messages of one id (a letter that was moved) the one with the highest `seq` counts; where that is
//!   damaged, an older one.
//! - The state is the newest of the message's own and of the updates after it.
//!
//! # Invariants
//! - What is kept of a record is some 32 octets: a million letters are in memory one by one, while they are given away.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use super::compact::read_update;
use super::disk::{Disk, DiskFile};
use super::draft::large_path;
use super::hint;
use super::index::{Entry, Place};
use super::record::{BadHead, FIRST, Front, HEADER, Header, Kind, Large, SegmentHead};
use super::scan::{Hole, scan};
use super::segment::{list_segments, segment_path};
use super::{Problem, RecoveredLetter, SpoolError};
use crate::letter::QueueId;
use crate::table::{IdHasher, IdMap, Table};

#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub segments: Vec<LoadedSegment>,
    /// Files that were being made into segments: nothing is in them.
    pub unborn: Vec<u64>,
    pub letters: Table<Entry>,
    pub large: IdMap<Large>,
    /// Where messages lie, also those of letters that are done: by letter, the newest first.
    pub messages: Vec<Message>,
    updates: Vec<Update>,
    /// Past so many updates those that are outdated are thrown out.
    most_updates: usize,
    pub removed: HashSet<QueueId, BuildHasherDefault<IdHasher>>,
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
    /// Not of one that has a hint.
    pub records: Vec<(u32, Header)>,
    /// Letters of which it has a removal record.
    pub removes: Vec<QueueId>,
    pub end: u64,
    pub sealed: bool,
    pub hinted: bool,
    pub whole: bool,
    /// It has damage that could not be set aside.
    pub stuck: bool,
}

/// A message that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub id: QueueId,
    seq: u64,
    pub place: Place,
    front: u32,
}

/// A state that was found.
#[derive(Clone, Copy, Debug)]
struct Update {
    id: QueueId,
    seq: u64,
    place: Place,
}

/// Takes each letter that is found, in the order in which they lie on disk.
pub(super) type Take<'a> = &'a mut dyn FnMut(RecoveredLetter);

/// Fewer updates than these are not looked through for outdated ones.
const UPDATES: usize = 1 << 18;

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
    pub fn load(&self, take: Take<'_>) -> Result<Loaded, SpoolError> {
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
        loaded.letters(self, take);
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
        let mut segment = self.records(loaded, head, file, path)?;
        loaded.floor = loaded.floor.max(head.floor);
        loaded.take_in(&mut segment);
        if segment.hinted {
            segment.records = Vec::new();
        }
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
                removes: Vec::new(),
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
            removes: Vec::new(),
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

impl Loaded {
    pub fn problem(&mut self, file: &Path, offset: u64, len: u64, what: String) {
        let file = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.problems.push(Problem { file, offset, len, what });
    }

    /// The segments that have a message of this letter.
    pub fn holders(messages: &[Message], id: QueueId) -> impl Iterator<Item = u32> {
        let from = messages.partition_point(|message| message.id < id);
        let rest = messages.get(from..).unwrap_or_default();
        rest.iter().take_while(move |message| message.id == id).map(|message| message.place.segment)
    }

    pub fn segment(&self, number: u32) -> Option<&LoadedSegment> {
        let at = self.segments.binary_search_by_key(&u64::from(number), |segment| segment.head.number).ok()?;
        self.segments.get(at)
    }

    /// Puts what a segment has to that of the others.
    fn take_in(&mut self, segment: &mut LoadedSegment) {
        let number = segment.head.number as u32;
        for (offset, header) in &segment.records {
            let (id, seq) = (header.id, header.seq);
            self.seq = self.seq.max(seq);
            self.floor = self.floor.max(id.0);
            let Some(offset) = NonZeroU32::new(*offset) else { continue };
            let place = Place { segment: number, offset, len: header.len };
            match header.kind {
                Kind::Message => self.messages.push(Message { id, seq, place, front: header.front }),
                Kind::Update => self.updates.push(Update { id, seq, place }),
                Kind::Remove => {
                    self.removed.insert(id);
                    segment.removes.push(id);
                }
                Kind::Seal => {}
            }
        }
        if self.updates.len() > self.most_updates.max(UPDATES) {
            self.drop_outdated();
        }
    }

    /// Leaves the newest update of each letter, by letter.
    fn drop_outdated(&mut self) {
        let removed = &self.removed;
        self.updates.retain(|update| !removed.contains(&update.id));
        self.updates.sort_unstable_by_key(|update| (update.id, std::cmp::Reverse(update.seq)));
        self.updates.dedup_by_key(|update| update.id);
        self.most_updates = 2 * self.updates.len();
    }

    /// Puts the records of all segments together.
    fn letters(&mut self, source: &Source<'_>, take: Take<'_>) {
        self.drop_outdated();
        let updates = std::mem::take(&mut self.updates);
        let mut messages = std::mem::take(&mut self.messages);
        messages.sort_unstable_by_key(|message| (message.id, std::cmp::Reverse(message.seq)));
        let mut found = Vec::new();
        for copies in self.in_order(&messages) {
            let update = copies.first().and_then(|message| {
                let at = updates.binary_search_by_key(&message.id, |update| update.id).ok()?;
                updates.get(at)
            });
            if let Some((entry, letter)) = copies.iter().find_map(|message| self.letter(source, message, update)) {
                found.push((letter.id, entry));
                take(letter);
            }
        }
        // The index is fullest where it is filled in order.
        found.sort_unstable_by_key(|(id, _)| *id);
        for (id, entry) in found {
            self.letters.insert(id, entry);
        }
        self.messages = messages;
    }

    /// The messages of each letter that is not done, in the order in which the newest of them lie on disk.
    fn in_order<'m>(&self, messages: &'m [Message]) -> Vec<&'m [Message]> {
        let of_one = messages.chunk_by(|a, b| a.id == b.id);
        let living = |copies: &&[Message]| copies.first().is_some_and(|message| !self.removed.contains(&message.id));
        let mut all: Vec<&[Message]> = of_one.filter(living).collect();
        all.sort_unstable_by_key(|copies| copies.first().map(|newest| (newest.place.segment, newest.place.offset)));
        all
    }

    /// The letter of this message record; `None` where it is damaged, which is noted.
    fn letter(
        &mut self,
        source: &Source<'_>,
        message: &Message,
        update: Option<&Update>,
    ) -> Option<(Entry, RecoveredLetter)> {
        let Message { id, seq, place, front } = *message;
        let segment = self.segment(place.segment)?;
        let (file, salt, path) =
            (segment.file.clone(), segment.head.salt, segment_path(source.dir, segment.head.number));
        let (offset, size) = (place.offset.get().into(), HEADER as u64 + u64::from(place.len));
        let entry = Entry { message: place, front, prefix: 0, state: None };
        let (header, bytes) = match entry.on_disk(id, file, salt, None).front() {
            Ok(front) => front,
            Err(error) => {
                self.problem(&path, offset, size, format!("letter {id}: {error}"));
                return None;
            }
        };
        let Some(front) = Front::decode(&header, &bytes) else {
            self.problem(&path, offset, size, format!("letter {id}: the envelope contradicts itself"));
            return None;
        };
        if let Some(large) = &front.large {
            self.floor = self.floor.max(large.number);
            if let Err(error) = check_size(source, large) {
                let what = format!("letter {id}: its text large/{:016x}: {error}", large.number);
                self.problem(&path, offset, size, what);
                return None;
            }
            self.large.insert(id, *large);
        }
        let update = update.filter(|update| update.seq > seq).and_then(|update| self.state(source, update));
        let (place, newer) = update.unzip();
        let entry = Entry { prefix: front.prefix.len() as u32, state: place, ..entry };
        let state = newer.or_else(|| front.state.map(<[u8]>::to_vec));
        Some((entry, RecoveredLetter { id, meta: front.meta.to_vec(), state, size: front.size() }))
    }

    fn state(&mut self, source: &Source<'_>, update: &Update) -> Option<(Place, Vec<u8>)> {
        let Update { id, place, .. } = *update;
        let segment = self.segment(place.segment)?;
        match read_update(&*segment.file, segment.head.salt, id, &place) {
            Ok(state) => Some((place, state)),
            Err(error) => {
                let path = segment_path(source.dir, segment.head.number);
                let size = HEADER as u64 + u64::from(place.len);
                self.problem(&path, place.offset.get().into(), size, format!("letter {id}: {error}"));
                None
            }
        }
    }
}

fn check_size(source: &Source<'_>, large: &Large) -> io::Result<()> {
    let size = source.disk.open(&large_path(source.large_dir, large.number), false)?.size()?;
    if size == large.len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
