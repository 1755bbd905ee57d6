//! `gatepost serve`.

use std::path::Path;

use crate::config;
use crate::fault::Fault;
use crate::server::{self, Server, Signals};

/// Serves until a signal: SIGTERM and SIGINT drain and stop, SIGHUP reads the configuration again.
pub fn run(path: &Path) -> Result<(), Fault> {
    let loaded = config::load(path)?;
    let logging = server::log::start(&loaded.config.log);
    let sockets = server::bind_all(&loaded.config)?;
    server::runtime()?.block_on(async {
        let signals = Signals::catch()?;
        let server = Server::start(loaded, sockets, logging).await?;
        server.until_told_to_stop(signals).await
    })
}
