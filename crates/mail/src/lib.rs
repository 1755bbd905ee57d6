//! The letter: its header fields, trace, dates, message identifiers and reports.

pub mod convert;
pub mod date;
pub mod dsn;
pub mod header;
pub mod message_id;
pub mod trace;
