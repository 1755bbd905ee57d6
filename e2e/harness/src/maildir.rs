//! Reading a Maildir as a mail reader would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait::wait_for;

/// A mailbox as a folder with `tmp`, `new` and `cur`.
#[derive(Clone, Debug)]
pub struct Maildir {
    folder: PathBuf,
}

impl Maildir {
    pub fn at(folder: impl AsRef<Path>) -> Maildir {
        Maildir { folder: folder.as_ref().to_path_buf() }
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Every delivered letter. What lies in `tmp` is not delivered.
    pub fn letters(&self) -> Vec<Vec<u8>> {
        self.files().iter().filter_map(|file| std::fs::read(file).ok()).collect()
    }

    /// The files of [`Maildir::letters`], by name.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = ["new", "cur"]
            .iter()
            .filter_map(|part| std::fs::read_dir(self.folder.join(part)).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        files.sort();
        files
    }

    /// Waits until a letter lies here that contains `text`.
    pub fn wait_for_letter(&self, text: &str) -> Vec<u8> {
        let what = format!("a letter with {text:?} in {}", self.folder.display());
        wait_for(Duration::from_secs(20), &what, || self.letters().into_iter().find(|letter| contains(letter, text)))
    }

    /// Whether a letter lies here that contains `text`.
    pub fn has(&self, text: &str) -> bool {
        self.letters().iter().any(|letter| contains(letter, text))
    }
}

/// Whether `text` is somewhere in `bytes`.
pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes())
}
