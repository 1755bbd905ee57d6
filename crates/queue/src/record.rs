//! One line of JSON for each step of a letter's life.

/// Takes records and writes them elsewhere; never makes the caller wait.
#[derive(Clone, Debug)]
pub struct Recorder {}
