//! A segment file as the writer knows it.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::disk::{Disk, DiskFile};
use super::record::{FIRST, HEADER, Header, SegmentHead};
use crate::letter::QueueId;

#[derive(Debug)]
pub(super) struct Segment {
    pub head: SegmentHead,
    pub file: Arc<dyn DiskFile>,
    /// After the last record.
    pub end: u64,
    /// Up to here the file system has promised room.
    pub room: u64,
    /// Up to here all is synced.
    pub durable: u64,
    /// Messages and newest states in here that are needed.
    pub live: u64,
    pub live_bytes: u64,
    /// What was removed by records in here, with a segment that has a message of it: such a record is needed as long
    /// as that segment is there.
    pub removes: Vec<(QueueId, u32)>,
    /// For the hint; given up when that is written.
    pub records: Vec<(u32, Header)>,
    pub sealed: bool,
    pub hinted: bool,
    /// When it was sealed, in milliseconds since 1970.
    pub sealed_at: u64,
    /// Something in here could not be read or removed: left alone for good.
    pub stuck: bool,
}

/// A record about to be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub header: Header,
    pub front: Bytes,
    pub text: Bytes,
}

impl Unwritten {
    pub fn size(&self) -> u64 {
        self.header.size()
    }
}

impl Segment {
    pub fn new(head: SegmentHead, file: Arc<dyn DiskFile>) -> Self {
        Self {
            head,
            file,
            end: FIRST,
            room: FIRST,
            durable: FIRST,
            live: 0,
            live_bytes: 0,
            removes: Vec::new(),
            records: Vec::new(),
            sealed: false,
            hinted: false,
            sealed_at: 0,
            stuck: false,
        }
    }

    pub fn number(&self) -> u32 {
        self.head.number as u32
    }

    /// Writes the records after the last one, with one call. On an error nothing has changed but the file.
    pub fn write<'a>(&mut self, records: impl Iterator<Item = &'a Unwritten> + Clone) -> io::Result<()> {
        let durable = self.durable as u32;
        let encode = |record: &Unwritten| Header { durable, ..record.header }.encode(self.head.salt);
        let heads: Vec<[u8; HEADER]> = records.clone().map(encode).collect();
        let mut parts = Vec::with_capacity(3 * heads.len());
        for (head, record) in heads.iter().zip(records.clone()) {
            parts.push(IoSlice::new(head));
            parts.extend(
                [&record.front, &record.text].into_iter().filter(|part| !part.is_empty()).map(|p| IoSlice::new(p)),
            );
        }
        self.file.write_at(self.end, &mut parts)?;
        for record in records {
            self.records.push((self.end as u32, Header { durable, ..record.header }));
            self.end += record.size();
        }
        Ok(())
    }

    pub fn sync(&mut self) -> io::Result<()> {
        if self.durable < self.end {
            self.file.sync_data()?;
            self.durable = self.end;
        }
        Ok(())
    }

    /// Takes off what a failed write left after the last record, durably: whole records may be among it, and nobody would
    /// know of them before a start after a power cut finds them.
    pub fn cut(&mut self) -> io::Result<()> {
        self.room = self.end;
        self.file.set_size(self.end)?;
        self.file.sync_data()?;
        self.durable = self.end;
        Ok(())
    }

    /// Promises room up to there, more if that is to be had.
    pub fn extend(&mut self, wanted: u64, needed: u64) -> io::Result<()> {
        let least = if wanted > needed {
            self.file.preallocate(wanted).map(|()| wanted)
        } else {
            Err(io::ErrorKind::StorageFull.into())
        };
        self.room = least.or_else(|_| self.file.preallocate(needed).map(|()| needed))?;
        Ok(())
    }

    pub fn gain(&mut self, len: u32) {
        self.live += 1;
        self.live_bytes += HEADER as u64 + u64::from(len);
    }

    pub fn lose(&mut self, len: u32) {
        self.live = self.live.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(HEADER as u64 + u64::from(len));
    }
}

pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("seg-{number:016x}.log"))
}

pub(super) fn hint_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("seg-{number:016x}.idx"))
}

/// The numbers of the segments in a folder, ascending.
pub(super) fn list_segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let number = |name: &String| {
        let digits = name.strip_prefix("seg-")?.strip_suffix(".log")?;
        u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16)
    };
    let mut numbers: Vec<u64> = disk.list(dir)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
