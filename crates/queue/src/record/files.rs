//! The files of a folder of records, by name: `records.jsonl` is being written; `records-20261124T031500.250Z.jsonl` was put
//! away at that time, and `.gz` behind it says that it is packed.
//!
//! # Invariants
//! - Names ascend with the order in which the files were put away, even where the clock goes back.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::letter::Timestamp;

pub(super) const CURRENT: &str = "records.jsonl";
const PUT_AWAY: &str = "records-";
const PLAIN: &str = ".jsonl";
const PACKED: &str = ".jsonl.gz";
/// A file that is being packed.
const UNFINISHED: &str = ".gz.part";

/// A file that was put away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Old {
    /// When, as its name says it.
    pub stamp: String,
    pub packed: bool,
    pub path: PathBuf,
}

impl Old {
    fn read(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix(PUT_AWAY)?;
        let (stamp, packed) = match name.strip_suffix(PACKED) {
            Some(stamp) => (stamp, true),
            None => (name.strip_suffix(PLAIN)?, false),
        };
        Some(Self { stamp: stamp.to_owned(), packed, path })
    }

    /// When it was put away; `None` where somebody else named it.
    pub fn at(&self) -> Option<Timestamp> {
        let at = self.stamp.parse::<jiff::Timestamp>().ok()?;
        u64::try_from(at.as_millisecond()).ok().map(Timestamp)
    }

    pub fn packed_path(&self) -> PathBuf {
        self.path.with_extension("jsonl.gz")
    }

    pub fn part_path(&self) -> PathBuf {
        self.path.with_extension("jsonl.gz.part")
    }

    /// Its lines, whether it is packed or not. While it is being packed the plain file may go: then the packed one is there.
    pub fn open(&self) -> io::Result<Box<dyn Read>> {
        match File::open(&self.path) {
            Ok(file) if self.packed => Ok(unpack(file)),
            Ok(file) => Ok(Box::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.packed => {
                File::open(self.packed_path()).map(unpack)
            }
            Err(error) => Err(error),
        }
    }
}

fn unpack(file: File) -> Box<dyn Read> {
    Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(64 << 10, file)))
}

/// What was put away, the oldest first. A file that is there plain and packed is given packed: it is complete.
pub(super) fn put_away(dir: &Path) -> io::Result<Vec<Old>> {
    let mut files = list(dir)?;
    // While a file is being packed, one look at the folder may come too early for the one form and too late for the other.
    files.append(&mut list(dir)?);
    files.sort();
    files.reverse();
    // Packed stands before plain now.
    files.dedup_by(|next, kept| next.stamp == kept.stamp);
    files.reverse();
    Ok(files)
}

fn list(dir: &Path) -> io::Result<Vec<Old>> {
    Ok(std::fs::read_dir(dir)?.flatten().filter_map(|entry| Old::read(entry.path())).collect())
}

/// All of them, the one that is plain beside its packed form included, and what a pack that was cut off left behind.
pub(super) fn leftovers(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let kept = put_away(dir)?;
    let all = std::fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let is_unfinished = |path: &Path| path.to_str().is_some_and(|path| path.ends_with(UNFINISHED));
    // What was put away since `kept` was listed has no other form, and stays.
    let has_other = |old: &Old| kept.iter().any(|kept| kept.stamp == old.stamp && kept != old);
    let is_double = |path: &Path| Old::read(path.to_owned()).is_some_and(|old| has_other(&old));
    Ok(all.filter(|path| is_unfinished(path) || is_double(path)).collect())
}

/// A name for the file that is put away now: later than every other.
pub(super) fn next_name(dir: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let newest = put_away(dir)?.iter().filter_map(Old::at).max();
    let at = newest.map_or(now, |newest| now.max(Timestamp(newest.0.saturating_add(1))));
    let stamp: String = at.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    Ok(dir.join(format!("{PUT_AWAY}{stamp}{PLAIN}")))
}

/// When the first line of a file was written.
pub(super) fn begun(file: &File) -> Option<Timestamp> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 128];
    let n = file.read_at(&mut start, 0).ok()?;
    let text = std::str::from_utf8(start.get(..n)?).ok()?;
    let time = text.split_once("\"time\":\"")?.1.split_once('"')?.0;
    u64::try_from(time.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok().map(Timestamp)
}
