//! One command line as a value (RFC 5321 §4.1.1 and the extensions), and its parser.

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
