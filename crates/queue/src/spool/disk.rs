//! Everything that the spool asks of a file system.
//!
//! [`RealDisk`](super::RealDisk) is this machine's; the tests have one that loses what was not synced.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

/// Folders and files by path. Shared between the writer and the readers.
pub trait Disk: Send + Sync + Debug {
    /// Makes the folder and those above it, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// A new file, for reading and writing; it must not be there yet.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of the files in a folder, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and removals in this folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Octets that may still be written.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
    /// Takes the lock file, or says whose it is.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
}

/// The answer of [`Disk::lock`].
#[derive(Debug)]
pub enum Lock {
    /// Held until dropped.
    Taken(Box<dyn Debug + Send + Sync>),
    /// By this process, as far as is known.
    Held(Option<u32>),
}

/// An open file. It stays readable after its name is removed.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all of it, in order.
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// As many octets as there are, up to the buffer's length.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Makes what was written durable, with the length.
    fn sync_data(&self) -> io::Result<()>;
    fn size(&self) -> io::Result<u64>;
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Gives the file room up to `size` and makes it that long; what was not written reads as zeros.
    fn preallocate(&self, size: u64) -> io::Result<()>;
}

/// Reads exactly so many octets; a shorter file is an error.
pub(super) fn read_exact_at(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; len];
    match file.read_at(offset, &mut buffer)? {
        read if read == len => Ok(buffer),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The disk is full, or this user's share of it, or too many files are open: nothing is broken, and room may come.
pub(super) fn is_full(error: &io::Error) -> bool {
    let files = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || error.raw_os_error().is_some_and(|error| files.contains(&error))
}
