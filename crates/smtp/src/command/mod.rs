//! One command line as a value (RFC 5321 §4.1.1 and the extensions), its parser and its writer.
//!
//! # How it is used
//! [`Verb::split`] finds the verb, so that a session can judge the order of commands before the arguments;
//! [`Command::parse`] reads the whole line. What is not understood comes back as the [`Reply`](crate::Reply) to give.
//!
//! # Invariants
//! - A line with an octet below 0x20, 0x7f, a C1 control or a Unicode line end is refused whole: 500 5.5.2.
//! - A parameter of an extension that was not offered is refused: 555 5.5.4; one that stands twice: 501 5.5.4.
//! - Every tolerance is a function named `quirk_…`.
//! - `parse(write(command)) == command`.
//!
//! # Limits
//! The length of a line is the session's business; nothing here allocates more than a few times the line.

mod params;
mod parse;
mod path;
pub(crate) mod refusal;
mod times;
mod verb;
mod write;

#[cfg(test)]
mod tests;

pub use parse::ParseContext;
pub use verb::Verb;

use crate::address::Host;
use crate::envelope::{MailParams, RcptParams};
use crate::path::{ForwardPath, ReversePath};
use crate::secret::Secret;

/// A command that was understood. Its parser refuses everything else with the [`Reply`](crate::Reply) to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Ehlo(Host),
    Helo(Host),
    Lhlo(Host),
    Mail {
        from: ReversePath,
        params: MailParams,
    },
    Rcpt {
        to: ForwardPath,
        params: RcptParams,
    },
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    Rset,
    Noop,
    Quit,
    Vrfy(String),
    Expn(String),
    Help,
    StartTls,
    /// `initial` is still base64; `None` where the client sent no initial response.
    Auth {
        mechanism: String,
        initial: Option<Secret>,
    },
}
