//! Everything that the spool asks of a file system.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

/// Everything that the spool asks of a file system, so that a simulated one can stand in.
pub trait Disk: Send + Sync + Debug {
    /// Makes the folder and those above it.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// A new file, for reading and writing; it must not be there yet.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of the files in a folder, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes creations, removals and renames in this folder durable.
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
    fn sync_data(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Gives the file room up to `len` and makes it that long; what was not written reads as zeros.
    fn preallocate(&self, len: u64) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;
