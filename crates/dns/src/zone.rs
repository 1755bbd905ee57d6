//! The fake: a table of names with their records and failures.

/// A resolver that answers from what it was told.
#[derive(Clone, Debug, Default)]
pub struct Zone {}
