//! What every connection looks at.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::admission::Admission;
use crate::config::{Limits, Relay};
use crate::credentials::Verifier;
use crate::directory::Directory;
use crate::tls::Identities;

/// One state of the configuration. A connection takes the current one when it is accepted and keeps it to its end.
pub struct Shared {
    /// Our own name: in the greeting, in Received, in hints.
    pub hostname: smtp::Host,
    pub directory: Directory,
    pub limits: Limits,
    pub relay: Relay,
    /// `None`: no TLS anywhere; STARTTLS is not offered.
    pub tls: Option<Arc<Identities>>,
    pub verifier: Arc<Verifier>,
    pub queue: queue::Queue,
    pub recorder: queue::Recorder,
    /// Counts connections; the same one through all reloads.
    pub admission: Arc<Admission>,
    /// How long a letter that is being received may go on after the server was told to stop.
    pub drain: Duration,
}

/// The current [`Shared`]. A reload is `house.store(Arc::new(shared))`.
pub type House = Arc<ArcSwap<Shared>>;
