//! The durable store of letters: an append-only segment log, one writer, group commit.

use bytes::Bytes;

/// The text of a letter while it comes in: in memory up to the inline size, then in a file of its own.
#[derive(Debug)]
pub struct Draft {}

impl Draft {
    /// Blocks only when the letter is larger than the inline size.
    pub fn write(&mut self, _chunk: &[u8]) -> std::io::Result<()> {
        unimplemented!()
    }
    pub fn len(&self) -> u64 {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The text of a stored letter, our trace fields first. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Body {}

impl Body {
    /// A letter that needs no disk; for tests and tools.
    pub fn from_bytes(_bytes: impl Into<Bytes>) -> Self {
        unimplemented!()
    }
    pub fn len(&self) -> u64 {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Up to `most` octets from `offset`; empty at the end. Blocks on the disk unless [`Body::in_memory`].
    pub fn read_at(&self, _offset: u64, _most: usize) -> std::io::Result<Bytes> {
        unimplemented!()
    }
    pub fn in_memory(&self) -> bool {
        unimplemented!()
    }
}
