//! A disk for tests. It forgets what was not synced the way a machine does that loses power: any sector of any write may
//! have reached the platter or not, in any order; lengths and names too.
//!
//! Every call that changes something is a step. At a chosen step the power fails, the disk is full, or a sync fails.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile, Lock};

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power fails: this call and all after it end in an error.
    PowerCut,
    /// No room for this call and so many steps after it; a write gets half way.
    Full { steps: u64 },
    /// From here on nothing syncs.
    SyncFails,
}

#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<(PathBuf, Option<usize>)>,
    steps: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    capacity: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                data.resize(data.len().max(at + bytes.len()), 0);
                data[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Resize(len) => data.resize(*len, 0),
        }
    }
}

/// A small deterministic source of randomness.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

impl SimDisk {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub fn steps(&self) -> u64 {
        self.world().steps
    }

    pub fn is_dead(&self) -> bool {
        self.world().dead
    }

    /// A start may fail.
    pub fn is_broken(&self) -> bool {
        let world = self.world();
        world.dead || matches!(world.fault, Some((_, Fault::SyncFails)))
    }

    pub fn die(&self) {
        self.world().dead = true;
    }

    /// From now on, counted from here.
    pub fn fault_in(&self, steps: u64, fault: Fault) {
        let mut world = self.world();
        world.fault = Some((world.steps + steps, fault));
    }

    pub fn no_fault(&self) {
        self.world().fault = None;
    }

    pub fn limit(&self, capacity: Option<u64>) {
        self.world().capacity = capacity;
    }

    pub fn used(&self) -> u64 {
        self.world().used()
    }

    pub fn names(&self) -> Vec<String> {
        self.world().names.keys().map(|path| path.display().to_string()).collect()
    }

    pub fn octets(&self, path: &Path) -> Vec<u8> {
        let world = self.world();
        world.inodes[world.names[path]].now.clone()
    }

    /// Changes an octet at rest.
    pub fn flip(&self, path: &Path, at: usize, mask: u8) {
        let mut world = self.world();
        let inode = world.names[path];
        world.inodes[inode].now[at] ^= mask;
        let now = world.inodes[inode].now.clone();
        world.inodes[inode] = Inode { durable: now.clone(), now, unsynced: Vec::new() };
    }

    /// The machine comes back after the power failed.
    pub fn after_power_cut(&self, dice: &mut Dice) -> Self {
        let world = self.world();
        let sector = if dice.below(2) == 0 { 512 } else { 4096 };
        let mut new = World { durable_names: world.durable_names.clone(), ..World::default() };
        // A journal keeps names in order; other file systems may not.
        let (ordered, keep) = (dice.below(2) == 0, dice.below(world.unsynced_names.len() + 1));
        for (nth, (path, inode)) in world.unsynced_names.iter().enumerate() {
            if if ordered { nth < keep } else { dice.below(2) == 0 } {
                set_name(&mut new.durable_names, path, *inode);
            }
        }
        new.names = new.durable_names.clone();
        new.inodes = world.inodes.iter().map(|inode| inode.after_power_cut(sector, dice)).collect();
        Self(Arc::new(Mutex::new(new)))
    }
}

fn set_name(names: &mut BTreeMap<PathBuf, usize>, path: &Path, inode: Option<usize>) {
    match inode {
        Some(inode) => names.insert(path.to_owned(), inode),
        None => names.remove(path),
    };
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    fn after_power_cut(&self, sector: usize, dice: &mut Dice) -> Self {
        let versions: Vec<Vec<u8>> = std::iter::once(self.durable.clone())
            .chain(self.unsynced.iter().scan(self.durable.clone(), |data, change| {
                change.apply(data);
                Some(data.clone())
            }))
            .collect();
        if versions.len() == 1 {
            return self.clone();
        }
        let len = versions[dice.below(versions.len())].len();
        let mut data = vec![0; len];
        // Now and then a write is lost or kept as a whole, which blind chance would hardly ever do.
        let whole = (dice.below(3) == 0).then(|| dice.below(versions.len()));
        for start in (0..len).step_by(sector) {
            let from = &versions[whole.unwrap_or_else(|| dice.below(versions.len()))];
            let end = (start + sector).min(len).min(from.len());
            if start < end {
                data[start..end].copy_from_slice(&from[start..end]);
            }
        }
        Self { durable: data.clone(), now: data, unsynced: Vec::new() }
    }
}

impl World {
    /// Counts a step; an error where a fault strikes. `grows` is what the call needs of the disk.
    fn step(&mut self, grows: u64) -> Result<(), Fault> {
        self.steps += 1;
        if self.dead {
            return Err(Fault::PowerCut);
        }
        match self.fault {
            Some((at, Fault::PowerCut)) if self.steps > at => {
                self.dead = true;
                return Err(Fault::PowerCut);
            }
            Some((at, Fault::Full { steps })) if self.steps > at && self.steps <= at + steps && grows > 0 => {
                return Err(Fault::Full { steps });
            }
            Some((at, Fault::SyncFails)) if self.steps > at && grows == 0 => return Err(Fault::SyncFails),
            _ => {}
        }
        if self.capacity.is_some_and(|capacity| grows > 1 && self.used() + grows > capacity) {
            return Err(Fault::Full { steps: 0 });
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].now.len() as u64).sum()
    }

    fn rename(&mut self, path: &Path, inode: Option<usize>) {
        set_name(&mut self.names, path, inode);
        self.unsynced_names.push((path.to_owned(), inode));
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::PowerCut => io::Error::other("the power failed"),
            Fault::Full { .. } => io::ErrorKind::StorageFull.into(),
            Fault::SyncFails => io::Error::other("the sync failed"),
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.step(1)?;
        if world.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.inodes.push(Inode::default());
        let inode = world.inodes.len() - 1;
        world.rename(path, Some(inode));
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path, _writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        let inode = *self.world().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        let here = world.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        if !world.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match world.step(0) {
            Ok(()) | Err(Fault::SyncFails) => {}
            Err(fault) => return Err(fault.into()),
        }
        world.rename(path, None);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step(0)?;
        let (here, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut world.unsynced_names).into_iter().partition(|(path, _)| path.parent() == Some(dir));
        world.unsynced_names = rest;
        for (path, inode) in here {
            set_name(&mut world.durable_names, &path, inode);
        }
        Ok(())
    }

    fn free_space(&self, _dir: &Path) -> io::Result<u64> {
        let world = self.world();
        Ok(world.capacity.unwrap_or(u64::MAX).saturating_sub(world.used()))
    }

    fn lock(&self, _path: &Path) -> io::Result<Lock> {
        Ok(Lock::Taken(Box::new(())))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut world = self.disk.world();
        let mut bytes = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        let end = offset as usize + bytes.len();
        let grows = end.saturating_sub(world.inodes[self.inode].now.len()) as u64;
        let answer = world.step(grows.max(1));
        match answer {
            Ok(()) => {}
            Err(Fault::Full { .. }) => bytes.truncate(bytes.len() / 2),
            // It was on its way.
            Err(_) if world.steps == world.fault.map_or(0, |(at, _)| at + 1) => {}
            Err(fault) => return Err(fault.into()),
        }
        world.inodes[self.inode].change(Change::Write(offset as usize, bytes));
        answer.map_err(io::Error::from)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let world = self.disk.world();
        let rest = world.inodes[self.inode].now.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.step(0)?;
        let inode = &mut world.inodes[self.inode];
        inode.durable = inode.now.clone();
        inode.unsynced.clear();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.world().inodes[self.inode].now.len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        match world.step(0) {
            Ok(()) | Err(Fault::SyncFails) => {}
            Err(fault) => return Err(fault.into()),
        }
        world.inodes[self.inode].change(Change::Resize(size as usize));
        Ok(())
    }

    fn preallocate(&self, size: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let grows = size.saturating_sub(world.inodes[self.inode].now.len() as u64);
        if grows == 0 {
            return Ok(());
        }
        world.step(grows)?;
        world.inodes[self.inode].change(Change::Resize(size as usize));
        Ok(())
    }
}
