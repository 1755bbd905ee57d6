//! The letter on the wire: where it ends, how its lines are kept apart, what is counted while it passes.
//!
//! | value | side | what it does |
//! |---|---|---|
//! | [`DataDecoder`] | server | finds the end of data, undoes dot-stuffing, finds bare CR, bare LF and NUL |
//! | [`BodyInspector`] | server | counts octets, header octets and Received fields |
//! | [`DotStuffer`] | client | writes any octets so that the reader finds the end where we meant it |
//!
//! # Invariants
//! - RFC 5321 §4.1.1.4: only CR LF `.` CR LF ends data. The first CR LF may be that of the DATA line. Nothing that was
//!   normalised, unstuffed or found bare counts towards it.
//! - The result does not depend on how the octets were cut into pieces.
//! - `decode(encode(x))` is `x` with its bare CR and LF made CR LF and its last line ended.
//!
//! # Limits
//! None of the three keeps more than a few octets of state; the caller bounds what it stores.

mod decode;
mod inspect;
mod stuff;

#[cfg(test)]
mod tests;

pub use decode::{DataDecoder, Faults};
pub use inspect::BodyInspector;
pub use stuff::DotStuffer;
