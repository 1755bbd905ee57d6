//! What the running program shows through the window: figures, and whether it should be sent letters.

use std::net::TcpListener;
use std::sync::Arc;

use api::Door;
use queue::Queue;

use super::{Server, bind, lock};
use crate::config::Config;
use crate::exit::Exit;
use crate::fault::Fault;

/// The socket for metrics, where the configuration has one.
pub(super) fn socket(config: &Config) -> Result<Option<TcpListener>, Fault> {
    config.metrics.listen.map(bind).transpose()
}

/// Serves it until the process ends: while it stops, it still says so.
pub(super) fn open(server: &Arc<Server>, socket: Option<TcpListener>) -> Result<(), Fault> {
    let Some(socket) = socket else { return Ok(()) };
    let address = socket.local_addr().ok();
    api::start(socket, Arc::clone(server))
        .map_err(|error| Fault::io(Exit::Bind, "the metrics cannot be served", &error))?;
    if let Some(address) = address {
        tracing::info!(%address, "metrics are served");
    }
    Ok(())
}

impl api::Source for Server {
    fn queue(&self) -> &Queue {
        &self.rooms.queue
    }

    fn doors(&self) -> Vec<Door> {
        let tallies = self.rooms.house.load().admission.tallies();
        let door = |(name, tally): (String, Arc<reception::admission::Tally>)| Door {
            name,
            connections: tally.connections.get(),
            crowded: tally.crowded.get(),
            tls12: tally.tls12.get(),
            tls13: tally.tls13.get(),
            tls_failed: tally.tls_failed.get(),
            received: tally.received.get(),
            refused: tally.refused.get(),
            auth_failed: tally.auth_failed.get(),
        };
        tallies.into_iter().map(door).collect()
    }

    fn connections_in(&self) -> u64 {
        u64::from(self.rooms.house.load().admission.connections())
    }

    fn unready(&self) -> Vec<String> {
        let stopping = self.stopping.borrow().then(|| "the server is stopping".to_owned());
        let none = lock(&self.listeners).addresses().is_empty().then(|| "no listener is bound".to_owned());
        stopping.or(none).into_iter().collect()
    }
}
