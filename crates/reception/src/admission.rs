//! How many connections there are, in all and from each client.

/// Counts connections. One for the whole program; it outlives reloads.
#[derive(Debug, Default)]
pub struct Admission {}
