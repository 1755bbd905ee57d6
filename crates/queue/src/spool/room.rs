//! Room for what is to be written: segments are extended, begun and sealed.
//!
//! # Invariants
//! - A segment and its name are durable before anything is written to it.
//! - A new segment is there before the old one is sealed: on a full disk the old one, with the room that it keeps for
//!   removals, goes on.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::disk::is_full;
use super::log::{Log, Purpose, Trouble, header};
use super::record::{FIRST, Generation, HEADER, Header, Kind, SegmentHead};
use super::segment::{Segment, Unwritten, segment_path};
use crate::letter::{QueueId, Timestamp};

/// A chunk is written when it has this many records or octets.
const CHUNK_RECORDS: usize = 340;
const CHUNK_BYTES: u64 = 8 << 20;
/// A segment with so many records is full: until it has a hint, some 60 octets of each are in memory.
pub(super) const MOST_RECORDS: usize = if cfg!(test) { 2_000 } else { 1 << 18 };
/// Room kept beyond the removals, for states and the seal.
const MOST_SPARE: u64 = 16 << 10;
/// Room kept beyond all that, on a full disk given back to make place for the next segment and for the few letters that
/// move out of this one.
const SUCCESSOR: u64 = 32 << 10;

impl Log {
    /// Room for the removal of each letter.
    pub fn removals(&self) -> u64 {
        let letters = self.shared.index().entries.len() + self.chunk.len() + 1;
        (letters as u64 * HEADER as u64).min(self.config.segment_size / 4)
    }

    /// Octets that a record must leave free.
    fn keep_free(&self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Letter => self.removals() + MOST_SPARE.min(self.config.segment_size / 16),
            Purpose::State => self.removals(),
            Purpose::Removal => 0,
        }
    }

    pub fn successor(&self) -> u64 {
        SUCCESSOR.min(self.config.segment_size / 16)
    }

    /// Sees to it that the young segment has room for a record of this size after the chunk.
    pub fn make_room(&mut self, size: u64, purpose: Purpose) -> Result<(), Trouble> {
        if self.failure().is_some() {
            return Err(Trouble::Failed);
        }
        if self.chunk.len() >= CHUNK_RECORDS || self.chunk_bytes + size > CHUNK_BYTES {
            self.flush()?;
        }
        let need = self.chunk_bytes + size + self.keep_free(purpose);
        let successor = if purpose == Purpose::Removal { 0 } else { self.successor() };
        let Some(young) = self.young.and_then(|young| self.segments.get_mut(&young)) else { return self.roll(need) };
        let end = young.end + need;
        if end + successor <= young.room {
            return Ok(());
        }
        let full = end > self.config.segment_size || young.records.len() >= MOST_RECORDS;
        if full && young.end + self.chunk_bytes > FIRST {
            self.flush()?;
            return self.roll(size + self.keep_free(purpose));
        }
        let wanted = (end + self.config.preallocate).min(self.config.segment_size).max(end);
        match young.extend(wanted + successor, end + successor) {
            Ok(()) => {
                self.pressed = false;
                Ok(())
            }
            Err(error) if is_full(&error) => Err(Trouble::Full),
            Err(error) => Err(self.fail("cannot extend the segment", &error)),
        }
    }

    /// Begins a new young segment with that much room, and for all removals in any case; the old one is sealed.
    pub fn roll(&mut self, need: u64) -> Result<(), Trouble> {
        let new = self.create(Generation::Young, need.max(self.removals()))?;
        if let Some(old) = self.young.replace(new) {
            self.seal(old)?;
        }
        Ok(())
    }

    pub fn sync_young(&mut self) -> Result<(), Trouble> {
        if self.failure().is_some() {
            return Err(Trouble::Failed);
        }
        let Some(young) = self.young.and_then(|young| self.segments.get_mut(&young)) else { return Ok(()) };
        match young.sync() {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail("cannot sync the segment", &error)),
        }
    }

    /// A segment file, durable with its head and its name before anything is written to it.
    pub fn create(&mut self, generation: Generation, need: u64) -> Result<u32, Trouble> {
        let number = self.next_number;
        self.next_number += 1;
        let salt = getrandom::u32().unwrap_or(number.wrapping_mul(0x9e37_79b9) ^ self.seq as u32);
        let (created, floor) = (Timestamp::now().0, self.ids.last());
        let head = SegmentHead { generation, number: number.into(), salt, created, floor };
        let path = segment_path(&self.config.dir, head.number);
        match self.create_file(&path, head, need) {
            Ok(segment) => {
                self.pressed = false;
                self.shared.index().files.insert(number, (segment.file.clone(), salt));
                self.segments.insert(number, segment);
                Ok(number)
            }
            Err(error) if is_full(&error) => {
                // What stays of it has no records, and is removed at the next start.
                let _ = self.disk.remove(&path);
                Err(Trouble::Full)
            }
            Err(error) => Err(self.fail("cannot begin a segment", &error)),
        }
    }

    fn create_file(&self, path: &Path, head: SegmentHead, need: u64) -> io::Result<Segment> {
        let file = self.disk.create(path)?;
        let mut segment = Segment::new(head, file);
        let wanted = (FIRST + need + self.config.preallocate).min(self.config.segment_size);
        segment.extend(wanted, FIRST + need)?;
        segment.file.write_at(0, &mut [io::IoSlice::new(&head.encode())])?;
        segment.file.sync_data()?;
        self.disk.sync_dir(&self.config.dir)?;
        Ok(segment)
    }

    /// Nothing more is written to this segment. All of it is durable, its last record says so, spare room is given back.
    pub fn seal(&mut self, number: u32) -> Result<(), Trouble> {
        self.seq += 1;
        let seal = Header { seq: self.seq, ..header(Kind::Seal, QueueId(0), 0, 0) };
        let seal = Unwritten { header: seal, front: Bytes::new(), text: Bytes::new() };
        let Some(segment) = self.segments.get_mut(&number) else { return Ok(()) };
        let sealed = segment.sync().and_then(|()| match segment.write([&seal].into_iter()) {
            // It is a help for a later scan, no more.
            Err(error) if is_full(&error) => Ok(()),
            answer => answer,
        });
        if let Err(error) = sealed.and_then(|()| segment.file.set_size(segment.end)) {
            return Err(self.fail("cannot seal the segment", &error));
        }
        segment.durable = segment.end;
        segment.room = segment.end;
        segment.sealed = true;
        segment.sealed_at = Timestamp::now().0;
        Ok(())
    }
}
