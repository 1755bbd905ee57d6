//! What a session waits for.

use crate::address::Host;
use crate::envelope::{MailParams, RcptParams};
use crate::path::{ForwardPath, ReversePath};
use crate::reply::Reply;
use crate::sasl::ServerExchange;

use super::letter::Pace;

/// What the next octets are.
#[derive(Debug)]
pub(super) enum Phase {
    /// A command line.
    Command,
    /// The rest of a line that was refused already.
    Skip {
        skipped: usize,
        cr: bool,
    },
    /// A response within AUTH.
    Sasl(Sasl),
    /// A letter, up to its end of data.
    Data,
    /// So many octets of a letter.
    Chunk {
        left: u64,
        last: bool,
    },
    /// So many octets of a chunk that is refused: the reply comes behind them, so often (LMTP).
    Drain {
        left: u64,
        reply: Reply,
        times: usize,
        pace: Pace,
    },
    /// STARTTLS was accepted; the reply is not transmitted yet.
    TlsNext,
    /// The driver does the handshake.
    Tls,
    /// To be closed once all is transmitted.
    Closing,
    Closed,
}

#[derive(Debug)]
pub(super) enum Sasl {
    Exchange(ServerExchange),
    /// SCRAM: our proof is sent, the client's empty response is awaited.
    Final {
        authcid: String,
    },
}

/// What goes on when the open question is answered.
#[derive(Debug)]
pub(super) enum Pending {
    Connect,
    Helo {
        host: Host,
        extended: bool,
    },
    Password {
        authcid: String,
    },
    Verifier(ServerExchange),
    Proved {
        authcid: String,
        final_message: Vec<u8>,
    },
    /// `lowered`: MT-PRIORITY is not what the client asked for.
    Mail {
        from: ReversePath,
        params: MailParams,
        lowered: bool,
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
    Message,
    Vrfy,
}
