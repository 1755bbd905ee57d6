//! The records of one letter, read back from the end of the files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::writer::numbered;
use crate::letter::QueueId;

const CHUNK: u64 = 256 << 10;
/// An answer within a second is worth more than a complete one.
const SCAN_MOST: u64 = 512 << 20;

/// The records that name this letter, the oldest first; at most `most` of them. Blocks.
///
/// # Errors
/// A file cannot be read. That there are none is no error.
pub fn history(dir: &Path, id: QueueId, most: usize) -> io::Result<Vec<serde_json::Value>> {
    let newest = dir.join("records.jsonl");
    let mut scan = Scan { needle: format!("\"{id}\""), id: id.to_string(), found: Vec::new(), most, budget: SCAN_MOST };
    for n in 0.. {
        let file = match File::open(numbered(&newest, n)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        if scan.backwards(&file)? {
            break;
        }
    }
    scan.found.reverse();
    Ok(scan.found)
}

struct Scan {
    needle: String,
    id: String,
    found: Vec<serde_json::Value>,
    most: usize,
    budget: u64,
}

impl Scan {
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
            let first_line = if start == 0 { 0 } else { memchr_newline(&chunk).map_or(chunk.len(), |at| at + 1) };
            for line in chunk[first_line..].rsplit(|c| *c == b'\n') {
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
        let Ok(text) = std::str::from_utf8(line) else { return false };
        if !text.contains(&self.needle) {
            return false;
        }
        let Ok(record) = serde_json::from_str::<serde_json::Value>(text) else { return false };
        let names = |key: &str| record.get(key).and_then(|value| value.as_str()) == Some(self.id.as_str());
        if !names("id") && !names("report") {
            return false;
        }
        let first = names("id") && record.get("event").and_then(|event| event.as_str()) == Some("received");
        self.found.push(record);
        first || self.found.len() >= self.most
    }
}

fn memchr_newline(octets: &[u8]) -> Option<usize> {
    octets.iter().position(|c| *c == b'\n')
}
