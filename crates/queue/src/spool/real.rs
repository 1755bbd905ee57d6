//! The file system of this machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::disk::{Disk, DiskFile, Lock};

/// How many parts one `pwritev` takes (IOV_MAX).
const MOST_PARTS: usize = 1024;

/// The file system of this machine. Files are for this user alone: letters are private.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // Only the last step is synced: the data folder above was made long before.
        dir.parent().filter(|above| !above.as_os_str().is_empty()).map_or(Ok(()), |above| self.sync_dir(above))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(writable).open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let info = rustix::fs::statvfs(dir)?;
        Ok(info.f_bavail.saturating_mul(info.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Lock::Taken(Box::new(file)))
            }
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.take(32).read_to_string(&mut text)?;
                Ok(Lock::Held(text.trim().parse().ok()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, mut offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut rest = parts;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let now = rest.len().min(MOST_PARTS);
            match rustix::io::pwritev(&self.0, rest.get(..now).unwrap_or_default(), offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn preallocate(&self, size: u64) -> io::Result<()> {
        let from = self.size()?;
        if size <= from {
            return Ok(());
        }
        // A signal may come between: that is no failure of the disk.
        let room = || rustix::fs::fallocate(&self.0, FallocateFlags::empty(), from, size - from);
        match rustix::io::retry_on_intr(room) {
            Ok(()) => Ok(()),
            // A file system without it: room is found out at the write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.0.set_len(size),
            Err(error) => Err(error.into()),
        }
    }
}
