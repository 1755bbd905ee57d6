//! The file that lines are written to, and when it is put away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::config::RecordsConfig;
use super::files;
use crate::letter::Timestamp;

pub(super) struct Output {
    dir: PathBuf,
    file: File,
    size: u64,
    /// When its first line was written.
    begun: Option<Timestamp>,
    /// The last line may have no end.
    torn: bool,
}

impl Output {
    pub fn open(dir: &Path) -> io::Result<Self> {
        // Addresses are nobody else's business.
        let file =
            OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(dir.join(files::CURRENT))?;
        let size = file.metadata()?.len();
        let begun = if size > 0 { files::begun(&file) } else { None };
        Ok(Self { dir: dir.to_owned(), file, size, begun, torn: false })
    }

    /// Writes lines, at `now`. `true`: the file before was put away.
    pub fn write(&mut self, text: &[u8], reserve: u64, config: &RecordsConfig, now: Timestamp) -> io::Result<bool> {
        if reserve > 0 && free_space(&self.file).is_some_and(|free| free < reserve.saturating_add(text.len() as u64)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let full = self.size > 0 && self.size + text.len() as u64 > config.max_size;
        let put_away = full || self.is_aged(config, now);
        if put_away {
            self.put_away(now)?;
        }
        if std::mem::replace(&mut self.torn, true) {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(text)?;
        self.torn = false;
        self.size += text.len() as u64;
        self.begun.get_or_insert(now);
        Ok(put_away)
    }

    /// While nothing is written. `true`: the file was put away for its age.
    pub fn tend(&mut self, config: &RecordsConfig, now: Timestamp) -> io::Result<bool> {
        let aged = self.is_aged(config, now);
        if aged {
            self.put_away(now)?;
        }
        Ok(aged)
    }

    fn is_aged(&self, config: &RecordsConfig, now: Timestamp) -> bool {
        self.size > 0 && self.begun.is_some_and(|begun| now.since(begun) >= config.max_age)
    }

    fn put_away(&mut self, now: Timestamp) -> io::Result<()> {
        std::fs::rename(self.dir.join(files::CURRENT), files::next_name(&self.dir, now)?)?;
        *self = Self::open(&self.dir)?;
        Ok(())
    }
}

/// Octets free on the file system of this file.
pub(super) fn free_space(file: &File) -> Option<u64> {
    let info = rustix::fs::fstatvfs(file).ok()?;
    Some(info.f_bavail.saturating_mul(info.f_frsize))
}
