//! Where each letter lies: the small part of a spool that is in memory, some 40 octets a letter.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::RecoveredLetter;
use super::body::{Body, LargeText, OnDisk};
use super::compact::read_update;
use super::disk::{Disk, DiskFile};
use super::draft::large_path;
use super::record::{Front, Large};
use crate::counters::{Histogram, SYNC};
use crate::letter::QueueId;
use crate::table::{IdMap, Table};

/// A record in a segment; `len` is that of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub segment: u32,
    /// No record lies at 0: the segment's head does.
    pub offset: NonZeroU32,
    pub len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub message: Place,
    pub front: u32,
    pub prefix: u32,
    /// The newest state, where it is not in the message's own record.
    pub state: Option<Place>,
}

/// A state's record, its file and that one's salt.
pub(super) type UpdateOnDisk = (Place, Arc<dyn DiskFile>, u32);

#[derive(Debug, Default)]
pub(super) struct Index {
    pub entries: Table<Entry>,
    /// Texts that have a file of their own.
    pub large: IdMap<Large>,
    /// Segment files with their salts.
    pub files: HashMap<u32, (Arc<dyn DiskFile>, u32)>,
}

/// What the writer and the readers of a spool share.
#[derive(Debug)]
pub(super) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub large_dir: PathBuf,
    pub index: Mutex<Index>,
    pub failure: watch::Sender<Option<Arc<str>>>,
    /// How long syncs took.
    pub sync_times: Histogram,
}

impl Shared {
    pub fn new(disk: Arc<dyn Disk>, large_dir: PathBuf) -> Self {
        Self {
            disk,
            large_dir,
            index: Mutex::default(),
            failure: watch::Sender::new(None),
            sync_times: Histogram::new(SYNC),
        }
    }

    /// Nothing in here can be left half done by a panic.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the letter lies, with the files held open.
    pub fn find(&self, id: QueueId) -> Option<(Entry, OnDisk, Option<UpdateOnDisk>)> {
        let index = self.index();
        let entry = *index.entries.get(id)?;
        let disk = self.on_disk(&index, id, &entry)?;
        let state = entry.state.and_then(|place| {
            let (file, salt) = index.files.get(&place.segment)?;
            Some((place, file.clone(), *salt))
        });
        Some((entry, disk, state))
    }

    /// Envelope and state, read from disk and checked.
    pub fn letter(&self, id: QueueId) -> io::Result<Option<RecoveredLetter>> {
        let Some((_, disk, update)) = self.find(id) else { return Ok(None) };
        let (header, bytes) = disk.front()?;
        let front = Front::decode(&header, &bytes).ok_or(io::ErrorKind::InvalidData)?;
        let newer = match &update {
            Some((place, file, salt)) => Some(read_update(&**file, *salt, id, place)?),
            None => None,
        };
        let state = newer.or_else(|| front.state.map(<[u8]>::to_vec));
        Ok(Some(RecoveredLetter { id, meta: front.meta.to_vec(), state, size: front.size() }))
    }

    pub fn body(&self, id: QueueId) -> Option<Body> {
        let index = self.index();
        let entry = index.entries.get(id)?;
        self.on_disk(&index, id, entry).map(Body::on_disk)
    }

    fn on_disk(&self, index: &Index, id: QueueId, entry: &Entry) -> Option<OnDisk> {
        let (file, salt) = index.files.get(&entry.message.segment)?;
        let large = index.large.get(&id).map(|large| Arc::new(self.large_text(large)));
        Some(entry.on_disk(id, file.clone(), *salt, large))
    }

    pub fn large_text(&self, large: &Large) -> LargeText {
        let path = large_path(&self.large_dir, large.number);
        LargeText { disk: self.disk.clone(), path, file: OnceLock::new(), len: large.len }
    }
}

impl Entry {
    pub fn on_disk(&self, id: QueueId, file: Arc<dyn DiskFile>, salt: u32, large: Option<Arc<LargeText>>) -> OnDisk {
        let (offset, len) = (u64::from(self.message.offset.get()), self.message.len);
        OnDisk { file, salt, id, offset, front: self.front, prefix: self.prefix, len, large }
    }
}
