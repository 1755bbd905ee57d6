//! What becomes of segments: the dead are removed, survivors of the nearly dead and the old are moved together.
//!
//! | segment | what is done |
//! |---|---|
//! | young, nothing needed in it, larger than one preallocation | a new one is begun |
//! | young, hardly anything needed in it, and the disk is nearly full | a new one is begun |
//! | sealed, nothing needed in it | removed |
//! | sealed, less than a quarter needed; or young and older than ten minutes | what is needed moves to the slow one |
//! | sealed for a while, still needed | gets a hint, for a quick start |
//!
//! # Why a removed letter does not come back
//! A removal record says that a letter is done wherever else it is found, so it must outlive each segment in which a
//! message of that letter lies. Every segment knows its removal records together with those segments
//! ([`Segment::removes`]). Before it goes, the records that are still needed are written again and synced. A segment is
//! gone only once its folder is synced, and segments go one by one: so at any crash either the message's segment is
//! gone for good, or a durable removal record is there.
//!
//! A letter that was moved has an old copy until its old segment is gone; [`Log::moved`] lists such segments, and
//! a removal is noted for each of them.
//!
//! No other copies are there: those of a move that found no room are cut off durably ([`Segment::cut`]), before anything
//! else is written.
//!
//! # Limits
//! A step moves at most [`STEP`] octets, so that those who wait for a sync are not held up.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroU32;

use bytes::Bytes;

use super::disk::{is_full, read_exact_at};
use super::hint;
use super::index::{Entry, Place};
use super::log::{Log, Trouble, header};
use super::record::{FIRST, Front, Generation, HEADER, Header, Kind};
use super::segment::{Segment, Unwritten, hint_path, segment_path};
use crate::letter::QueueId;

const STEP: u64 = 4 << 20;
/// Letters in a young segment of this age (ms) have come to stay.
const OLD: u64 = 10 * 60 * 1000;
/// A sealed segment that is needed after so long (ms) gets a hint.
const HINT_AFTER: u64 = 30 * 1000;
/// After the disk was found full, nothing is moved for so long (ms).
const REST: u64 = 15 * 1000;
/// So many small slow segments may lie about (each start may leave one) before they are merged.
const SMALL_ONES: usize = 8;

/// A segment whose survivors are on their way.
#[derive(Debug)]
pub(super) struct Moving {
    segment: u32,
    /// The next one last.
    letters: Vec<QueueId>,
}

/// A copy made, and the index entry that it stands for.
struct Copied {
    id: QueueId,
    old: Entry,
    record: Unwritten,
    prefix: u32,
}

impl Log {
    /// One step of tidying, if there is one to make; `false` when all is tidy.
    pub fn maintain(&mut self, now: u64) -> bool {
        if self.failure().is_some() {
            return false;
        }
        if self.young.is_none() && self.roll(0).is_ok() {
            return true;
        }
        // The newest young segment, open or not, knows which identifiers were given: it stays.
        let newest = self.segments.values().rfind(|s| s.head.generation == Generation::Young).map(Segment::number);
        let dead = self.segments.values().filter(|s| s.sealed && !s.stuck && s.live == 0).map(Segment::number);
        let dead: Vec<u32> = dead.filter(|number| Some(*number) != newest).collect();
        if dead.into_iter().any(|dead| self.reclaim(dead).is_ok()) {
            return true;
        }
        if self.end_dead_segment() {
            return true;
        }
        if now < self.rest_until {
            return false;
        }
        if self.moving.is_some() || self.choose(now) {
            return self.move_some(now);
        }
        self.write_a_hint(now)
    }

    /// A segment that is still written to, but in which nothing is needed, is sealed.
    fn end_dead_segment(&mut self) -> bool {
        let dead = |log: &Self, number: Option<u32>, more_than: u64| {
            number.and_then(|n| log.segments.get(&n)).filter(|s| s.live == 0 && s.end > more_than).map(|s| s.number())
        };
        if let Some(slow) = dead(self, self.slow, FIRST).filter(|_| self.moving.is_none()) {
            self.slow = None;
            return self.seal(slow).is_ok();
        }
        let Some(young) = self.young.and_then(|young| self.segments.get(&young)) else { return false };
        let usual = self.config.preallocate.min(self.config.segment_size / 2);
        let (dead, used) = (young.live == 0, young.end - FIRST);
        if !sparse(young.live_bytes, used) || used <= usual / 64 || (used <= usual && !self.is_pressed()) {
            return false;
        }
        // Removals that are still needed are written again: where most of it is those, tidying would never end.
        if !sparse(young.live_bytes + self.needed_removals(young), used) {
            return false;
        }
        // Survivors can be moved only out of a sealed segment; but while there is room, time may make it a dead one.
        if dead || self.is_pressed() { self.roll_and_give_back() } else { false }
    }

    /// Octets of the removal records in there that have to be written again before it goes.
    fn needed_removals(&self, segment: &Segment) -> u64 {
        let needed = segment.removes.iter().filter(|(_, other)| self.segments.contains_key(other));
        let ids: BTreeSet<QueueId> = needed.map(|(id, _)| *id).collect();
        (ids.len() * HEADER) as u64
    }

    /// Room on disk is short: what can be given back is.
    fn is_pressed(&self) -> bool {
        let short = 4 * self.config.preallocate;
        self.pressed || self.disk.free_space(&self.config.dir).is_ok_and(|free| free < short)
    }

    /// On a full disk the old segment's spare room makes place for its successor.
    fn roll_and_give_back(&mut self) -> bool {
        let rolled = self.roll(0);
        let young = self.young.and_then(|young| self.segments.get_mut(&young)).filter(|young| young.room > young.end);
        let Some(young) = young.filter(|_| rolled == Err(Trouble::Full)) else { return rolled.is_ok() };
        young.room = young.end;
        if young.file.set_size(young.end).is_ok() && self.roll(0).is_ok() {
            return true;
        }
        // It did not do: the room is taken back.
        let need = self.removals() + self.successor();
        if let Some(young) = self.young.and_then(|young| self.segments.get_mut(&young)) {
            let end = young.end + need;
            let _ = young.extend(end, end);
        }
        false
    }

    /// Removes a sealed segment in which nothing is needed.
    pub fn reclaim(&mut self, number: u32) -> Result<(), Trouble> {
        let Some(segment) = self.segments.get(&number) else { return Ok(()) };
        let mut needed: BTreeMap<QueueId, Vec<u32>> = BTreeMap::new();
        for (id, other) in &segment.removes {
            if *other != number && self.segments.contains_key(other) {
                needed.entry(*id).or_default().push(*other);
            }
        }
        if !needed.is_empty() {
            for (id, segments) in needed {
                self.bury(id, segments)?;
            }
            self.flush()?;
        }
        // What replaces something in the segment (a newer state, a removal) must be durable before it goes.
        self.sync();
        match self.failure() {
            None => self.unlink(number),
            Some(_) => Err(Trouble::Failed),
        }
    }

    fn unlink(&mut self, number: u32) -> Result<(), Trouble> {
        let dir = &self.config.dir;
        // Without the segment the hint says nothing, so that it goes first.
        let _ = self.disk.remove(&hint_path(dir, number.into()));
        if let Err(error) = self.disk.remove(&segment_path(dir, number.into())) {
            tracing::error!(segment = number, %error, "segment not removed");
            self.segments.get_mut(&number).into_iter().for_each(|segment| segment.stuck = true);
            return Ok(());
        }
        if let Err(error) = self.disk.sync_dir(dir) {
            if is_full(&error) {
                // Too many files are open. It may come back at a crash, so that it counts as being there.
                self.segments.get_mut(&number).into_iter().for_each(|segment| segment.stuck = true);
                return Ok(());
            }
            return Err(self.fail("cannot sync the spool folder", &error));
        }
        self.segments.remove(&number);
        self.moved.retain(|moved| *moved != number);
        self.shared.index().files.remove(&number);
        Ok(())
    }

    /// Finds a segment whose survivors should move.
    fn choose(&mut self, now: u64) -> bool {
        let sealed = || self.segments.values().filter(|s| s.sealed && !s.stuck && s.live > 0);
        let small = |s: &&Segment| s.head.generation == Generation::Slow && s.end < self.config.segment_size / 4;
        let chosen = sealed().find(|s| {
            let old = s.head.generation == Generation::Young && now.saturating_sub(s.head.created) > OLD;
            old || sparse(s.live_bytes, s.end)
        });
        let merged = || sealed().find(small).filter(|_| sealed().filter(small).count() > SMALL_ONES);
        let Some(segment) = chosen.or_else(merged).map(|s| s.number()) else { return false };
        let index = self.shared.index();
        let in_it = |place: &Place| place.segment == segment;
        let here = |e: &Entry| in_it(&e.message) || e.state.as_ref().is_some_and(in_it);
        let mut found: Vec<(NonZeroU32, QueueId)> = index
            .entries
            .iter()
            .filter(|(_, entry)| here(entry))
            .map(|(id, entry)| (entry.message.offset, id))
            .collect();
        drop(index);
        found.sort_unstable_by(|a, b| b.cmp(a));
        self.moving = Some(Moving { segment, letters: found.into_iter().map(|(_, id)| id).collect() });
        true
    }

    /// Copies the next few survivors, syncs them, and lets the index point to the copies.
    fn move_some(&mut self, now: u64) -> bool {
        let Some(mut moving) = self.moving.take() else { return false };
        let from = moving.segment;
        match self.copy_step(&mut moving) {
            Ok(copies) => {
                if !moving.letters.is_empty() {
                    self.moving = Some(moving);
                } else if copies == 0 {
                    // All that it had went in the meantime, or cannot be found: never choose it for ever.
                    self.segments.get_mut(&from).filter(|s| s.live > 0).into_iter().for_each(|s| s.stuck = true);
                }
                true
            }
            Err(Trouble::Full) => {
                self.rest_until = now + REST;
                false
            }
            Err(Trouble::Failed) => false,
        }
    }

    fn copy_step(&mut self, moving: &mut Moving) -> Result<usize, Trouble> {
        let mut copies = Vec::new();
        let mut size = 0;
        // Where there is little room, little by little.
        let step = if self.pressed { self.successor() / 4 } else { STEP };
        while size < step.min(self.config.segment_size / 4) {
            let Some(id) = moving.letters.pop() else { break };
            match self.copy(id, moving.segment) {
                Ok(None) => {}
                Ok(Some(copied)) => {
                    size += copied.record.size();
                    copies.push(copied);
                }
                Err(error) => {
                    // What cannot be read stays where it is, for a person to look at.
                    tracing::error!(segment = moving.segment, letter = %id, %error, "letter in the spool is damaged");
                    self.segments.get_mut(&moving.segment).into_iter().for_each(|segment| segment.stuck = true);
                }
            }
        }
        if !copies.is_empty() {
            let start = self.write_slow(&copies, size)?;
            self.relocate(&copies, start, moving.segment);
        }
        Ok(copies.len())
    }

    /// The letter's records in this segment as one new record, checked.
    fn copy(&mut self, id: QueueId, segment: u32) -> io::Result<Option<Copied>> {
        let shared = self.shared.clone();
        let Some((old, disk, state)) = shared.find(id) else { return Ok(None) };
        let state = match &state {
            Some((place, file, salt)) => Some(read_update(&**file, *salt, id, place)?),
            None => None,
        };
        self.seq += 1;
        if old.message.segment != segment {
            let Some(state) = state.filter(|_| old.state.is_some_and(|s| s.segment == segment)) else {
                return Ok(None);
            };
            let header = header(Kind::Update, id, state.len() as u32, crc32c::crc32c(&state));
            let record =
                Unwritten { header: Header { seq: self.seq, ..header }, front: state.into(), text: Bytes::new() };
            return Ok(Some(Copied { id, old, record, prefix: 0 }));
        }
        let (header, payload) = disk.record()?;
        let (front, text) = (payload.slice(..header.front as usize), payload.slice(header.front as usize..));
        let decoded = Front::decode(&header, &front).ok_or(io::ErrorKind::InvalidData)?;
        let record = message(id, self.seq, Front { state: state.as_deref().or(decoded.state), ..decoded }, text);
        Ok(Some(Copied { id, old, record, prefix: old.prefix }))
    }

    /// Writes to the slow segment, durably; a new one is begun where this one is full. Gives where the first record lies.
    fn write_slow(&mut self, copies: &[Copied], size: u64) -> Result<(u32, u64), Trouble> {
        let fits = |end: u64| end == FIRST || end + size + FIRST <= self.config.segment_size;
        let number = match self.slow.filter(|slow| self.segments.get(slow).is_some_and(|s| fits(s.end))) {
            Some(slow) => slow,
            None => {
                let new = self.create(Generation::Slow, size)?;
                if let Some(old) = self.slow.replace(new) {
                    self.seal(old)?;
                }
                new
            }
        };
        let Some(slow) = self.segments.get_mut(&number) else { return Err(Trouble::Full) };
        let start = slow.end;
        let end = start + size + HEADER as u64;
        let mut written = if end > slow.room { slow.extend(end, end) } else { Ok(()) };
        written = written.and_then(|()| slow.write(copies.iter().map(|copied| &copied.record)));
        if let Err(error) = written {
            if !is_full(&error) {
                return Err(self.fail("cannot move letters", &error));
            }
            return match slow.cut() {
                Ok(()) => Err(Trouble::Full),
                Err(error) => Err(self.fail("cannot cut the segment", &error)),
            };
        }
        match slow.sync() {
            Ok(()) => Ok((number, start)),
            Err(error) => Err(self.fail("cannot sync moved letters", &error)),
        }
    }

    fn relocate(&mut self, copies: &[Copied], (number, mut start): (u32, u64), from: u32) {
        if !self.moved.contains(&from) {
            self.moved.push(from);
        }
        let shared = self.shared.clone();
        let mut index = shared.index();
        for copied in copies {
            let offset = NonZeroU32::new(start as u32).unwrap_or(NonZeroU32::MIN);
            let place = Place { segment: number, offset, len: copied.record.header.len };
            start += copied.record.size();
            let Some(entry) = index.entries.get_mut(copied.id) else { continue };
            self.gain(place);
            copied.old.state.into_iter().for_each(|state| self.lose(state));
            *entry = if copied.record.header.kind == Kind::Update {
                Entry { state: Some(place), ..copied.old }
            } else {
                self.lose(copied.old.message);
                Entry { message: place, front: copied.record.header.front, prefix: copied.prefix, state: None }
            };
        }
    }

    fn write_a_hint(&mut self, now: u64) -> bool {
        let due = |s: &&mut Segment| {
            s.sealed && !s.hinted && !s.stuck && s.live > 0 && now.saturating_sub(s.sealed_at) >= HINT_AFTER
        };
        if self.is_pressed() {
            return false;
        }
        let Some(segment) = self.segments.values_mut().find(due) else { return false };
        hint::write(&*self.disk, &self.config.dir, segment);
        true
    }

    /// All is durable, closed in order, and quick to start from.
    pub fn close(&mut self) {
        self.write([]);
        self.sync();
        for number in [self.young.take(), self.slow.take()].into_iter().flatten() {
            if self.failure().is_some() || self.seal(number).is_err() {
                return;
            }
        }
        for segment in self.segments.values_mut().filter(|s| s.live > 0 && !s.hinted && !s.stuck) {
            hint::write(&*self.disk, &self.config.dir, segment);
        }
    }
}

/// Most of it is not needed any more.
fn sparse(live: u64, used: u64) -> bool {
    live < used / 4
}

/// A message's record, checksums and all; `seq` may be given later.
pub(super) fn message(id: QueueId, seq: u64, front: Front<'_>, text: Bytes) -> Unwritten {
    let has_state = front.state.is_some();
    let front = front.encode();
    let front_crc = crc32c::crc32c(&front);
    let payload_crc = crc32c::crc32c_append(front_crc, &text);
    let (front_len, len) = (front.len() as u32, (front.len() + text.len()) as u32);
    let header =
        Header { kind: Kind::Message, has_state, len, front: front_len, id, seq, durable: 0, front_crc, payload_crc };
    Unwritten { header, front: front.into(), text }
}

/// The state in an update's record, checked.
pub(super) fn read_update(
    file: &dyn super::disk::DiskFile,
    salt: u32,
    id: QueueId,
    place: &Place,
) -> io::Result<Vec<u8>> {
    let mut record = read_exact_at(file, place.offset.get().into(), HEADER + place.len as usize)?;
    let header = Header::decode(&record, salt).filter(|header| header.kind == Kind::Update && header.id == id);
    let state = record.split_off(HEADER);
    match header {
        Some(header) if header.payload_crc == crc32c::crc32c(&state) => Ok(state),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the letter's state is damaged")),
    }
}
