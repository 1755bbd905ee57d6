//! The thread that packs files that were put away, and deletes what is kept no longer.
//!
//! # Invariants
//! - Letters come first: it has the lowest priority, writes nothing into the room that is kept for them, and nobody waits
//!   for it.
//! - A file goes only when its packed form is whole and on disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::config::RecordsConfig;
use super::files::{self, Old};
use super::output::free_space;
use crate::letter::Timestamp;

/// How often age is looked at while nothing is put away.
const LOOK: Duration = Duration::from_secs(600);
const CHUNK: usize = 64 << 10;

/// What the keeper must know at each step: it changes while it works.
pub(super) trait House {
    fn config(&self) -> RecordsConfig;
    /// Octets of the disk that are not for records.
    fn reserve(&self) -> u64;
    fn stop(&self) -> &AtomicBool;
}

/// Works each time the bell rings, until its other end is gone.
pub(super) fn run(dir: &Path, house: &impl House, bell: &Receiver<()>) {
    // It is this thread's priority alone. Where it is refused, packing takes its share as the others do.
    let _ = rustix::process::setpriority_process(None, 19);
    loop {
        if let Err(error) = tend(dir, house, Timestamp::now()) {
            tracing::warn!(%error, "files of records that were put away could not be looked after; tried again later");
        }
        match bell.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// One round: packs, then deletes.
pub(super) fn tend(dir: &Path, house: &impl House, now: Timestamp) -> io::Result<()> {
    for left in files::leftovers(dir)? {
        remove(&left)?;
    }
    let packed = pack_all(dir, house);
    let expired = retain(files::put_away(dir)?, &house.config(), now);
    packed.and(expired)
}

fn pack_all(dir: &Path, house: &impl House) -> io::Result<()> {
    if !house.config().compress {
        return Ok(());
    }
    for old in files::put_away(dir)?.iter().filter(|old| !old.packed) {
        if house.stop().load(Ordering::Relaxed) {
            return Ok(());
        }
        let part = old.part_path();
        if let Err(error) = pack(old, &part, house) {
            let _ = std::fs::remove_file(&part);
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

fn pack(old: &Old, part: &Path, house: &impl House) -> io::Result<()> {
    let mut from = File::open(&old.path)?;
    // Addresses are nobody else's business.
    let to = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(part)?;
    let mut packer = GzEncoder::new(to, Compression::fast());
    let mut chunk = vec![0; CHUNK];
    loop {
        if house.stop().load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let reserve = house.reserve();
        if reserve > 0 && free_space(packer.get_ref()).is_some_and(|free| free < reserve.saturating_add(CHUNK as u64)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = from.read(&mut chunk)?;
        let Some(read) = chunk.get(..n).filter(|read| !read.is_empty()) else { break };
        packer.write_all(read)?;
    }
    packer.finish()?.sync_all()?;
    std::fs::rename(part, old.packed_path())?;
    remove(&old.path)
}

/// Deletes the oldest until the others are few, young and small enough.
fn retain(mut old: Vec<Old>, config: &RecordsConfig, now: Timestamp) -> io::Result<()> {
    old.reverse();
    let mut size = 0u64;
    for (n, file) in old.iter().enumerate() {
        size = size.saturating_add(std::fs::metadata(&file.path).map_or(0, |meta| meta.len()));
        let aged = file.at().is_some_and(|at| now.since(at) >= config.keep_for);
        if n >= config.keep || size > config.keep_size || aged {
            remove(&file.path)?;
        }
    }
    Ok(())
}

fn remove(path: &PathBuf) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
