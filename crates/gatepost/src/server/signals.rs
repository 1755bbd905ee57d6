//! What the system tells the process to do.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::fault::Fault;

/// Signals from the moment of [`Signals::catch`] on: none is lost between then and the first look.
pub struct Signals {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) hangup: Signal,
}

impl Signals {
    /// To be called before anything is served. Until then each of them ends the process on the spot, SIGHUP included.
    ///
    /// # Errors
    /// When the system refuses; called outside a runtime, it panics.
    pub fn catch() -> Result<Self, Fault> {
        let listen = |kind| signal(kind).map_err(|error| Fault::io(Exit::Failed, "signals cannot be awaited", &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}
