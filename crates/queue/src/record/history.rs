//! The records of one letter, read back from the newest file to the oldest; packed ones as well.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::files::{self, Old};
use crate::letter::QueueId;

const CHUNK: u64 = 256 << 10;
/// An answer within a second or two is worth more than a complete one.
const SCAN_MOST: u64 = 512 << 20;

/// The records that name this letter, the oldest first; at most `most` of them. Blocks.
///
/// # Errors
/// A file cannot be read. That there are none is no error.
pub fn history(dir: &Path, id: QueueId, most: usize) -> io::Result<Vec<serde_json::Value>> {
    let mut scan = Scan { needle: format!("\"{id}\""), id: id.to_string(), found: Vec::new(), most, budget: SCAN_MOST };
    // The list is made first: a file that is put away meanwhile is then read as the current one or not at all.
    let old = match files::put_away(dir) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut complete = match File::open(dir.join(files::CURRENT)) {
        Ok(file) => scan.backwards(&file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    for file in old.iter().rev() {
        if complete {
            break;
        }
        complete = match file.packed {
            true => scan.forwards(file)?,
            false => scan.plain(file)?,
        };
    }
    scan.found.reverse();
    Ok(scan.found)
}

struct Scan {
    needle: String,
    id: String,
    /// The newest first.
    found: Vec<serde_json::Value>,
    most: usize,
    budget: u64,
}

impl Scan {
    fn plain(&mut self, old: &Old) -> io::Result<bool> {
        match File::open(&old.path) {
            Ok(file) => self.backwards(&file),
            // It was packed, or is not kept any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.forwards(old),
            Err(error) => Err(error),
        }
    }

    /// Reads a packed file, which has only one direction: the newest of its lines are kept, then handed on in turn.
    fn forwards(&mut self, old: &Old) -> io::Result<bool> {
        let mut lines = match old.open() {
            Ok(file) => BufReader::with_capacity(64 << 10, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let (mut kept, mut line) = (VecDeque::new(), Vec::new());
        while self.budget > 0 {
            line.clear();
            // What is damaged ends here; the lines before it count.
            let Ok(n @ 1..) = lines.read_until(b'\n', &mut line) else { break };
            self.budget = self.budget.saturating_sub(n as u64);
            if memchr::memmem::find(&line, self.needle.as_bytes()).is_some() {
                kept.push_back(line.clone());
                if kept.len() > self.most {
                    kept.pop_front();
                }
            }
        }
        Ok(kept.iter().rev().any(|line| self.line(line)) || self.budget == 0)
    }

    /// Reads the file chunk by chunk from its end. `true`: no need to look further back.
    fn backwards(&mut self, file: &File) -> io::Result<bool> {
        let mut end = file.metadata()?.len();
        // The beginning of a line whose end is in the chunk read before.
        let mut rest: Vec<u8> = Vec::new();
        while end > 0 {
            let start = end.saturating_sub(CHUNK);
            let mut chunk = vec![0; usize::try_from(end - start).unwrap_or_default()];
            file.read_exact_at(&mut chunk, start)?;
            chunk.extend_from_slice(&rest);
            let first_line = match start {
                0 => 0,
                _ => memchr::memchr(b'\n', &chunk).map_or(chunk.len(), |at| at + 1),
            };
            for line in chunk.get(first_line..).unwrap_or_default().rsplit(|c| *c == b'\n') {
                if self.line(line) {
                    return Ok(true);
                }
            }
            chunk.truncate(first_line);
            rest = chunk;
            self.budget = self.budget.saturating_sub(end - start);
            if self.budget == 0 {
                return Ok(true);
            }
            end = start;
        }
        Ok(false)
    }

    /// `true`: this was the first of the letter's records, or there are enough.
    fn line(&mut self, line: &[u8]) -> bool {
        if memchr::memmem::find(line, self.needle.as_bytes()).is_none() {
            return false;
        }
        let Ok(record) = serde_json::from_slice::<serde_json::Value>(line) else { return false };
        let names = |key: &str| record.get(key).and_then(|value| value.as_str()) == Some(self.id.as_str());
        if !names("id") && !names("report") {
            return false;
        }
        let first = names("id") && record.get("event").and_then(|event| event.as_str()) == Some("received");
        self.found.push(record);
        first || self.found.len() >= self.most
    }
}
