//! The text of a stored letter.

use bytes::Bytes;

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
    /// The same text without the memory; from disk where it lies there too.
    pub fn cool(&self) -> Self {
        unimplemented!()
    }
    /// The same text in memory, its checksum verified. Large ones stay on disk. Blocks unless in memory.
    pub fn warm(&self) -> std::io::Result<Self> {
        unimplemented!()
    }
}
