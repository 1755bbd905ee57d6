//! Where `sendmail` leaves letters for the server, which may not be running: a folder that everybody on the machine may
//! put files into and nobody but the server may list.
//!
//! A file holds one line of JSON, [`Slip`], and then the letter. It is written under a temporary name, synced, renamed to
//! `*.letter`, and the folder is synced: then it is kept, and `sendmail` may say so. The server takes it into the
//! queue and removes it only when the queue has it on disk.
//!
//! # Invariants
//! - A file that cannot be understood is set aside in `bad/`, never deleted.
//! - Who a letter is from, as a user of the machine, is the file's owner, not what the file says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The envelope, as the first line of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Slip {
    /// Empty for the null reverse-path.
    pub from: String,
    pub recipients: Vec<String>,
}

/// A letter found in the folder.
#[derive(Debug)]
pub struct Dropped {
    pub path: PathBuf,
    pub slip: Slip,
    pub text: Vec<u8>,
    /// The owner's user id.
    pub uid: u32,
}

/// The folder in a data folder.
#[derive(Clone, Debug)]
pub struct Dropbox {
    folder: PathBuf,
}

const SUFFIX: &str = "letter";

impl Dropbox {
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("drop") }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder where the server never ran here; as root for the user that the data folder belongs to.
    pub fn create_for_owner(&self) -> io::Result<()> {
        let Some(owner) = self.folder.parent().and_then(|parent| fs::metadata(parent).ok()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        self.create()?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&self.folder, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(())
    }

    /// Makes the folder as the server: everybody may add to it, only the owner may list it (mode 1733).
    pub fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o1733).create(&self.folder)?;
        // The process's umask takes bits from what was asked for above.
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o1733))
    }

    /// Keeps a letter durably.
    pub fn put(&self, slip: &Slip, text: &[u8]) -> io::Result<()> {
        let mut noise = [0u8; 12];
        getrandom::fill(&mut noise).map_err(io::Error::other)?;
        let name: String = noise.iter().map(|b| format!("{b:02x}")).collect();
        let temporary = self.folder.join(format!("{name}.tmp"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
        // A caller's umask may keep its files from everybody else, and the server is somebody else.
        let written = file
            .set_permissions(fs::Permissions::from_mode(0o644))
            .and_then(|()| serde_json::to_writer(&mut file, slip).map_err(io::Error::from))
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.write_all(text))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, self.folder.join(format!("{name}.{SUFFIX}"))));
        if written.is_err() {
            // Best effort: the error that matters is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        // A folder that may not be listed may still be opened for its sync by its owner only; the rename of others is
        // made durable by the file system's own commit and by the server's pickup.
        match File::open(&self.folder) {
            Ok(folder) => folder.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The complete letters that wait, oldest name first, at most `most`.
    pub fn waiting(&self, most: usize) -> io::Result<Vec<PathBuf>> {
        let mut found: Vec<PathBuf> = fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|path| path.extension().is_some_and(|e| e == SUFFIX))
            .take(most)
            .collect();
        found.sort();
        Ok(found)
    }

    /// Reads one; `Ok(None)` where it was no letter of ours and was set aside.
    pub fn take(&self, path: &Path) -> io::Result<Option<Dropped>> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32 | rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            self.set_aside(path)?;
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let slip = bytes.iter().position(|b| *b == b'\n').and_then(|end| {
            let slip: Slip = serde_json::from_slice(&bytes[..end]).ok()?;
            Some((slip, end))
        });
        let Some((slip, end)) = slip else {
            self.set_aside(path)?;
            return Ok(None);
        };
        Ok(Some(Dropped { path: path.to_owned(), slip, text: bytes.split_off(end + 1), uid: metadata.uid() }))
    }

    pub fn set_aside(&self, path: &Path) -> io::Result<()> {
        let bad = self.folder.join("bad");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&bad)?;
        fs::rename(path, bad.join(path.file_name().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_whole() {
        let data = tempfile::tempdir().expect("a folder");
        let dropbox = Dropbox::new(data.path());
        dropbox.create().expect("made");
        let slip = Slip { from: String::new(), recipients: vec!["a@a.test".into()] };
        dropbox.put(&slip, b"A: b\r\n\r\n\nx").expect("kept");
        let waiting = dropbox.waiting(10).expect("listed");
        let dropped = dropbox.take(&waiting[0]).expect("read").expect("a letter");
        assert_eq!((dropped.slip, dropped.text.as_slice()), (slip, &b"A: b\r\n\r\n\nx"[..]));
    }

    #[test]
    fn rubbish_is_set_aside_and_links_are_not_followed() {
        let data = tempfile::tempdir().expect("a folder");
        let dropbox = Dropbox::new(data.path());
        dropbox.create().expect("made");
        let rubbish = data.path().join("drop/x.letter");
        fs::write(&rubbish, "no json").expect("written");
        assert!(dropbox.take(&rubbish).expect("read").is_none());
        assert!(data.path().join("drop/bad/x.letter").exists());
        let link = data.path().join("drop/y.letter");
        std::os::unix::fs::symlink("/etc/passwd", &link).expect("linked");
        assert!(dropbox.take(&link).is_err());
    }
}
