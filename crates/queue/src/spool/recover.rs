//! The start: reads what the last process left, sets damage aside, and begins a new segment.
//!
//! # Invariants
//! - Nothing is removed because of a record that is not durable: the segments that were still open are synced first.
//! - Old segments are never written to again (but for the seal), so that what lies in them keeps its meaning.
//! - What is damaged is removed only once a copy is in the folder `quarantine`; so are large texts that no letter speaks
//!   of, where not everything could be read.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, Lock};
use super::draft::large_path;
use super::ids::Ids;
use super::index::Shared;
use super::load::{Loaded, LoadedSegment, Message, Source, Take, trouble};
use super::log::{Log, Trouble};
use super::record::Kind;
use super::segment::{Segment, hint_path, segment_path};
use super::{Problem, SpoolConfig, SpoolError};

/// A piece of damage is copied in pieces of this size.
const PIECE: usize = 1 << 20;

pub(super) fn large_dir(config: &SpoolConfig) -> PathBuf {
    config.dir.join("big")
}

/// The lock is held until dropped.
pub(super) type LockGuard = Box<dyn std::fmt::Debug + Send + Sync>;

/// Gives each letter away as it is read: nothing but where it lies is kept.
pub(super) fn open(
    config: SpoolConfig,
    disk: Arc<dyn Disk>,
    take: Take<'_>,
) -> Result<(Log, Vec<Problem>, LockGuard), SpoolError> {
    let large_dir = large_dir(&config);
    for dir in [&config.dir, &large_dir] {
        disk.create_dir(dir).map_err(|error| trouble("cannot make", dir, error))?;
    }
    let lock_path = config.dir.join("lock");
    let guard = match disk.lock(&lock_path).map_err(|error| trouble("cannot lock", &lock_path, error))? {
        Lock::Taken(guard) => guard,
        Lock::Held(pid) => return Err(SpoolError::Locked { pid }),
    };
    let source = Source { disk: &*disk, dir: &config.dir, large_dir: &large_dir, use_hints: true };
    let mut loaded = source.load(take)?;
    let start = Start { config: &config, disk: &*disk, large_dir: &large_dir };
    start.settle(&mut loaded).map_err(|error| trouble("cannot start in", &config.dir, error))?;
    let shared = Arc::new(Shared::new(disk.clone(), large_dir.clone()));
    let ids = Arc::new(Ids::above(loaded.floor));
    let mut log = Log::new(config, disk, shared, ids);
    let problems = log.adopt(loaded);
    match log.roll(0) {
        // On a full disk letters are refused until some are delivered; those that are here go on.
        Ok(()) | Err(Trouble::Full) => Ok((log, problems, guard)),
        Err(Trouble::Failed) => Err(SpoolError::Failed(log.failure().cloned().unwrap_or_default())),
    }
}

#[cfg(test)]
pub(super) fn open_all(
    config: SpoolConfig,
    disk: Arc<dyn Disk>,
) -> Result<(Log, super::Recovered, LockGuard), SpoolError> {
    let mut letters = Vec::new();
    let (log, problems, guard) = open(config, disk, &mut |letter| letters.push(letter))?;
    letters.sort_unstable_by_key(|letter: &super::RecoveredLetter| letter.id);
    Ok((log, super::Recovered { letters, problems }, guard))
}

struct Start<'a> {
    config: &'a SpoolConfig,
    disk: &'a dyn Disk,
    large_dir: &'a PathBuf,
}

impl Start<'_> {
    /// Brings the folder into order.
    fn settle(&self, loaded: &mut Loaded) -> io::Result<()> {
        let orphans = self.orphans(loaded)?;
        let aside = loaded.problems.is_empty() || self.set_aside(loaded, &orphans);
        for number in &loaded.unborn {
            self.disk.remove(&segment_path(&self.config.dir, *number))?;
        }
        for segment in &mut loaded.segments {
            if !segment.hinted {
                self.settle_segment(segment, &mut loaded.seq)?;
            }
        }
        self.disk.sync_dir(&self.config.dir)?;
        for number in orphans.iter().filter(|_| aside) {
            self.disk.remove(&large_path(self.large_dir, *number))?;
        }
        Ok(())
    }

    /// Large texts that no letter speaks of.
    fn orphans(&self, loaded: &mut Loaded) -> io::Result<Vec<u64>> {
        let needed: HashSet<u64> = loaded.large.values().map(|large| large.number).collect();
        let names = self.disk.list(self.large_dir)?;
        let numbers: Vec<u64> = names.iter().filter_map(|name| u64::from_str_radix(name, 16).ok()).collect();
        loaded.floor = numbers.iter().copied().fold(loaded.floor, u64::max);
        Ok(numbers.into_iter().filter(|number| !needed.contains(number)).collect())
    }

    /// Copies what is damaged to the folder `quarantine`, with the large texts that may belong to it. Where that cannot be
    /// done, for want of room or because it cannot be read now, the segments stay as they are until another start can.
    fn set_aside(&self, loaded: &mut Loaded, orphans: &[u64]) -> bool {
        let mut all = true;
        for number in orphans {
            let path = large_path(self.large_dir, *number);
            all &= self.quarantine(&path, &format!("large-{number:016x}"), 0, u64::MAX);
        }
        for problem in &loaded.problems {
            tracing::error!(file = problem.file, offset = problem.offset, what = problem.what, "spool is damaged");
            let (path, name) =
                (self.config.dir.join(&problem.file), format!("{}-{:08x}", problem.file, problem.offset));
            let copied = self.quarantine(&path, &name, problem.offset, problem.len);
            for segment in loaded.segments.iter_mut().filter(|_| !copied || !all) {
                let path = segment_path(&self.config.dir, segment.head.number);
                segment.stuck |= path.file_name().is_some_and(|name| name == problem.file.as_str());
            }
        }
        all
    }

    /// A segment that was open when the last process ended: cut, closed, durable.
    fn settle_segment(&self, segment: &mut LoadedSegment, seq: &mut u64) -> io::Result<()> {
        let path = segment_path(&self.config.dir, segment.head.number);
        segment.file = self.disk.open(&path, true)?;
        if segment.file.size()? > segment.end && !segment.stuck {
            segment.file.set_size(segment.end)?;
        }
        // Before the seal: it says that all before it is durable.
        segment.file.sync_data()?;
        // Without it a later scan knows that a hole in the last group is no damage.
        if segment.whole && !segment.sealed {
            *seq += 1;
            let none = super::log::header(Kind::Seal, crate::letter::QueueId(0), 0, 0);
            let seal = super::record::Header { seq: *seq, durable: segment.end as u32, ..none };
            let bytes = seal.encode(segment.head.salt);
            if segment.file.write_at(segment.end, &mut [IoSlice::new(&bytes)]).is_ok() {
                segment.records.push((segment.end as u32, seal));
                segment.end += seal.size();
            }
        }
        Ok(())
    }

    fn quarantine(&self, from: &Path, name: &str, offset: u64, len: u64) -> bool {
        let dir = self.config.dir.join("quarantine");
        let path = dir.join(name);
        match self.copy(from, &dir, &path, offset, len) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(from = %from.display(), %error, "damage not copied to quarantine; it is left in place");
                // Half a copy is none.
                let _ = self.disk.remove(&path);
                false
            }
        }
    }

    fn copy(&self, from: &Path, dir: &Path, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        self.disk.create_dir(dir)?;
        let from = self.disk.open(from, false)?;
        let len = from.size()?.saturating_sub(offset).min(len);
        let to = match self.disk.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self.disk.open(path, false)?.size()? == len {
                    // By an earlier start.
                    return Ok(());
                }
                self.disk.remove(path)?;
                self.disk.create(path)?
            }
            to => to?,
        };
        let mut done = 0;
        while done < len {
            let mut piece = vec![0; PIECE.min(usize::try_from(len - done).unwrap_or(PIECE))];
            let read = from.read_at(offset + done, &mut piece)?;
            if read == 0 {
                break;
            }
            to.write_at(done, &mut [IoSlice::new(piece.get(..read).unwrap_or_default())])?;
            done += read as u64;
        }
        to.sync_data()?;
        self.disk.sync_dir(dir)
    }
}

impl Log {
    /// Takes over what was found.
    fn adopt(&mut self, loaded: Loaded) -> Vec<Problem> {
        let Loaded { segments, letters, large, messages, problems, seq, next_number, .. } = loaded;
        self.seq = seq;
        self.next_number = next_number as u32;
        for segment in segments {
            self.adopt_segment(segment, &messages);
        }
        let shared = self.shared.clone();
        let mut index = shared.index();
        for (_, entry) in letters.iter() {
            self.gain(entry.message);
            entry.state.into_iter().for_each(|state| self.gain(state));
        }
        // A letter that was moved has older copies.
        for copies in messages.chunk_by(|a, b| a.id == b.id).filter(|copies| copies.len() > 1) {
            let Some(entry) = copies.first().and_then(|newest| letters.get(newest.id)) else { continue };
            for Message { place, .. } in copies {
                if place.segment != entry.message.segment && !self.moved.contains(&place.segment) {
                    self.moved.push(place.segment);
                }
            }
        }
        (index.entries, index.large) = (letters, large);
        problems
    }

    fn adopt_segment(&mut self, found: LoadedSegment, messages: &[Message]) {
        let mut segment = Segment::new(found.head, found.file);
        let number = segment.number();
        for id in found.removes {
            let holders = Loaded::holders(messages, id).filter(|holder| *holder != number);
            segment.removes.extend(holders.map(|holder| (id, holder)));
        }
        (segment.end, segment.room, segment.durable) = (found.end, found.end, found.end);
        segment.sealed = true;
        segment.hinted = found.hinted;
        segment.stuck = found.stuck;
        segment.records = found.records;
        self.shared.index().files.insert(number, (segment.file.clone(), segment.head.salt));
        self.segments.insert(number, segment);
        if !found.hinted {
            // One that is in the way is not of this segment, or torn.
            let _ = self.disk.remove(&hint_path(&self.config.dir, number.into()));
        }
    }
}
