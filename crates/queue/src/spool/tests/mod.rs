mod crash;
mod damage;
mod driver;
mod real_disk;
mod segments;

use super::*;

/// Small enough that a test fills a few.
pub(super) fn small(dir: impl Into<PathBuf>) -> SpoolConfig {
    SpoolConfig { segment_size: 64 << 10, inline_size: 2048, preallocate: 8 << 10, ..SpoolConfig::new(dir) }
}

pub(super) fn read_all(body: &Body) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let piece = body.read_at(text.len() as u64, 700).unwrap();
        if piece.is_empty() {
            return text;
        }
        text.extend_from_slice(&piece);
    }
}
