//! A letter made fit for a server that takes less than the letter has: 8-bit text becomes quoted-printable or base64, binary
//! content base64 (RFC 6152 §3, RFC 3030 §3).
//!
//! # How it is used
//! The letter is read twice, in whatever pieces it comes; memory holds a line's beginning, a field and a few octets per part.
//! ```text
//! let mut survey = Survey::new();                 // first: what is in it
//! survey.feed(piece); …; survey.finish();
//! let conversion = survey.convert(target)?;       // what has to be done, or why it cannot be done
//! let mut writer = Writer::new(&conversion);      // second: the letter as it goes out
//! writer.feed(piece, &mut out); …; writer.finish(&mut out);
//! ```
//!
//! # Invariants
//! - Each part decodes to the octets that it decoded to before. Octets that need no change are not changed.
//! - Multipart and message/rfc822 are never encoded themselves (RFC 2045 §6.4), what is signed or encrypted as a whole is not
//!   touched (RFC 1847 §2.1): the letter then has an [`Obstacle`].
//! - What was written is by its labels what the target takes, and needs no second conversion.
//!
//! # Limits
//! - Header fields with octets beyond ASCII and the text around the parts of a multipart stay as they are: there is no form for
//!   them that reads the same.
//! - At most [`MOST_PARTS`] parts, nested [`DEEPEST`] deep; boundaries as RFC 2231 §3 cuts them up are not put together.
//! - A signature over the body (DKIM, ARC) breaks; [`Conversion::broken_signatures`] says whose.

mod encode;
mod entity;
mod survey;
#[cfg(test)]
mod tests;
mod walk;
mod write;

pub use survey::{Conversion, Survey};
pub use write::Writer;

/// More parts than any program makes.
pub const MOST_PARTS: usize = 10_000;
/// What lies deeper is not looked into.
pub const DEEPEST: usize = 100;

/// What the next server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Octets beyond ASCII.
    pub eight_bit: bool,
    /// NUL, a CR or LF alone, lines of more than 998 octets. Also set where the letter is no binary one: what little of this
    /// stands in it then has always gone out as it is.
    pub binary: bool,
}

/// Why a letter cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("a part is signed or encrypted as a whole, or cut into pieces, and must not be changed")]
    Sealed,
    #[error("a part that is encoded already holds what its encoding does not allow")]
    Encoded,
    #[error("a header, or the text between the parts, is binary")]
    Structure,
    #[error("it has too many parts, or a header that cannot be read")]
    Unreadable,
}
