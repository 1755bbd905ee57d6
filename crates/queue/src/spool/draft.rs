//! The text of a letter while it comes in.

/// The text of a letter while it comes in: in memory up to the inline size, then in a file of its own.
/// Dropped without being appended, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {}

impl Draft {
    /// Blocks only when the letter is larger than the inline size.
    ///
    /// # Errors
    /// The disk's. The draft is then of no use: drop it, refuse the letter.
    pub fn write(&mut self, _chunk: &[u8]) -> std::io::Result<()> {
        unimplemented!()
    }
    pub fn len(&self) -> u64 {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Up to `most` octets from `offset`, as [`Body::read_at`](super::Body::read_at): to read the header before it is kept.
    pub fn read_at(&self, _offset: u64, _most: usize) -> std::io::Result<bytes::Bytes> {
        unimplemented!()
    }
    /// All of it where it is in memory.
    pub fn as_slice(&self) -> Option<&[u8]> {
        unimplemented!()
    }
}
