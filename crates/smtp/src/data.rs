//! The end of data.
