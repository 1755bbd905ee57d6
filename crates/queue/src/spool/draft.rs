//! The text of a letter while it comes in.
//!
//! # Invariants
//! - Memory stays flat: beyond the inline size the text streams to a file of its own; where all drafts together hold too
//!   much, any text of more than a few KiB does.
//! - That file is durable, name and all, before a record speaks of it.

use std::cmp::Ordering;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::SpoolConfig;
use super::body::LargeText;
use super::disk::{Disk, DiskFile, read_exact_at};
use super::ids::Ids;
use super::record::Large;

/// A large text is written in pieces of this size.
const PIECE: usize = 256 << 10;
/// Every draft may have so much memory without being counted: small letters, and pieces where memory is short.
const UNCOUNTED: usize = 16 << 10;
/// What a draft has beyond that is counted in steps of this size.
const STEP: usize = 64 << 10;

/// What all drafts of a spool share.
#[derive(Debug)]
pub(super) struct DraftHome {
    pub disk: Arc<dyn Disk>,
    /// The folder of large texts.
    pub dir: PathBuf,
    pub inline_size: u64,
    pub ids: Arc<Ids>,
    /// What all drafts together hold in memory, and may.
    pub held: AtomicUsize,
    pub most: usize,
}

/// The text of a letter while it comes in: in memory up to the inline size, then in a file of its own.
/// Dropped without being appended, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    home: Arc<DraftHome>,
    /// What is not yet in the file.
    buffer: Vec<u8>,
    len: u64,
    large: Option<LargeDraft>,
    /// Of [`DraftHome::held`].
    counted: usize,
}

/// A draft that is complete, and on disk where it is large.
#[derive(Debug)]
pub(super) enum Text {
    Inline(Bytes),
    Large(LargeDraft),
}

/// The file of a large text; removed when dropped, unless kept.
#[derive(Debug)]
pub(super) struct LargeDraft {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    number: u64,
    written: u64,
    crc: u32,
    kept: bool,
}

impl DraftHome {
    pub fn new(config: &SpoolConfig, disk: Arc<dyn Disk>, ids: Arc<Ids>) -> Self {
        let most = usize::try_from(config.draft_memory).unwrap_or(usize::MAX);
        let dir = super::recover::large_dir(config);
        Self { disk, dir, inline_size: config.inline_size, ids, held: AtomicUsize::new(0), most }
    }
}

impl Draft {
    pub(super) fn new(home: Arc<DraftHome>) -> Self {
        Self { home, buffer: Vec::new(), len: 0, large: None, counted: 0 }
    }

    /// Blocks only when the letter is larger than the inline size, or memory is short.
    ///
    /// # Errors
    /// The disk's. The draft is then of no use: drop it, refuse the letter.
    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(chunk);
        self.len += chunk.len() as u64;
        let crowded = self.buffer.len() > UNCOUNTED && self.count() > self.home.most;
        if self.large.is_none() && (crowded || self.len > self.home.inline_size) {
            self.large = Some(LargeDraft::create(&self.home)?);
        }
        let piece = if crowded { UNCOUNTED } else { PIECE };
        match &mut self.large {
            Some(large) if self.buffer.len() >= piece => {
                large.write(&self.buffer)?;
                self.buffer.clear();
                self.buffer.shrink_to(if crowded { UNCOUNTED } else { PIECE * 2 });
                self.count();
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts what this draft holds; gives what all hold.
    fn count(&mut self) -> usize {
        let beyond = self.buffer.capacity().saturating_sub(UNCOUNTED * 2);
        let counted = beyond.next_multiple_of(STEP);
        let before = std::mem::replace(&mut self.counted, counted);
        let held = &self.home.held;
        match counted.cmp(&before) {
            Ordering::Equal => held.load(Relaxed),
            Ordering::Greater => held.fetch_add(counted - before, Relaxed) + (counted - before),
            Ordering::Less => held.fetch_sub(before - counted, Relaxed) - (before - counted),
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Up to `most` octets from `offset`; empty at the end. Blocks only where [`Draft::as_slice`] is `None`.
    pub fn read_at(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let written = self.large.as_ref().map_or(0, |large| large.written);
        match (&self.large, offset.checked_sub(written)) {
            (Some(large), None) => {
                let most = (most as u64).min(written - offset) as usize;
                read_exact_at(&*large.file, offset, most).map(Bytes::from)
            }
            (_, from) => {
                let rest = self.buffer.get(from.unwrap_or_default() as usize..).unwrap_or_default();
                Ok(Bytes::copy_from_slice(rest.get(..most).unwrap_or(rest)))
            }
        }
    }

    /// All of it, where it is in memory.
    pub fn as_slice(&self) -> Option<&[u8]> {
        self.large.is_none().then_some(&self.buffer)
    }

    pub(super) fn is_large(&self) -> bool {
        self.large.is_some()
    }

    /// Octets of memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Completes the text. Blocks on the disk where it is large; its folder must still be synced.
    pub(super) fn finish(mut self) -> io::Result<Text> {
        match self.large.take() {
            None => Ok(Text::Inline(std::mem::take(&mut self.buffer).into())),
            Some(mut large) => {
                large.write(&self.buffer)?;
                large.file.sync_data()?;
                Ok(Text::Large(large))
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.home.held.fetch_sub(self.counted, Relaxed);
    }
}

impl LargeDraft {
    fn create(home: &DraftHome) -> io::Result<Self> {
        let number = home.ids.next().0;
        let path = large_path(&home.dir, number);
        let file = home.disk.create(&path)?;
        Ok(Self { disk: home.disk.clone(), path, file, number, written: 0, crc: 0, kept: false })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_at(self.written, &mut [IoSlice::new(piece)])?;
        self.crc = crc32c::crc32c_append(self.crc, piece);
        self.written += piece.len() as u64;
        Ok(())
    }

    pub fn large(&self) -> Large {
        Large { number: self.number, len: self.written, crc: self.crc }
    }

    /// A record speaks of the file, or may do so after a crash: it stays.
    pub fn keep(mut self) -> LargeText {
        self.kept = true;
        let file = OnceLock::from(self.file.clone());
        LargeText { disk: self.disk.clone(), path: self.path.clone(), file, len: self.written }
    }
}

impl Drop for LargeDraft {
    fn drop(&mut self) {
        // A file that stays is found to belong to no letter at the next start.
        if !self.kept
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "draft not removed");
        }
    }
}

/// Where the large text of this number lies.
pub(super) fn large_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}"))
}
