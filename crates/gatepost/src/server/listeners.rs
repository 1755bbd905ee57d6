//! The listeners that run, by address: started, changed and stopped as the configuration says.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;
use reception::config::Listener;
use reception::shared::House;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::bind::bind;
use crate::config::Config;
use crate::exit::Exit;
use crate::fault::Fault;

struct Running {
    config: Arc<ArcSwap<Listener>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

pub struct Listeners {
    running: BTreeMap<SocketAddr, Running>,
}

fn wanted(config: &Config) -> impl Iterator<Item = (SocketAddr, &Listener)> {
    config.listener.iter().flat_map(|listener| listener.address.0.iter().map(move |address| (*address, listener)))
}

impl Listeners {
    pub fn start(config: &Config, sockets: Vec<TcpListener>, house: &House) -> Result<Self, Fault> {
        let mut listeners = Self { running: BTreeMap::new() };
        for ((address, listener), socket) in wanted(config).zip(sockets) {
            listeners.add(address, listener, socket, house)?;
        }
        Ok(listeners)
    }

    fn add(
        &mut self,
        address: SocketAddr,
        listener: &Listener,
        socket: TcpListener,
        house: &House,
    ) -> Result<(), Fault> {
        let config = Arc::new(ArcSwap::from_pointee(listener.clone()));
        let (stop, stopping) = watch::channel(false);
        let task = reception::serve(Arc::clone(&config), socket, Arc::clone(house), stopping)
            .map_err(|error| Fault::io(Exit::Bind, format_args!("{address} cannot be served"), &error))?;
        self.running.insert(address, Running { config, stop, task });
        Ok(())
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.running.keys().copied().collect()
    }

    /// Sockets for the addresses that are new in a configuration.
    pub fn bind_new(&self, config: &Config) -> Result<Vec<(SocketAddr, TcpListener)>, Fault> {
        wanted(config)
            .filter(|(address, _)| !self.running.contains_key(address))
            .map(|(address, _)| Ok((address, bind(address).map_err(|fault| self.explain(address, fault))?)))
            .collect()
    }

    /// From `127.0.0.1:25` to `0.0.0.0:25`, say: the old one is ours, and held until the new one is there.
    fn explain(&self, address: SocketAddr, fault: Fault) -> Fault {
        let held = self.running.keys().find(|old| old.port() == address.port() && old.is_ipv4() == address.is_ipv4());
        match held.filter(|old| old.ip().is_unspecified() || address.ip().is_unspecified()) {
            Some(old) => {
                let what = format!("{address} cannot take the place of {old} while the server runs: restart it");
                Fault::new(Exit::Bind, what)
            }
            None => fault,
        }
    }

    /// New ones start, changed ones count for new connections, those that are gone accept no more.
    pub fn replace(&mut self, config: &Config, sockets: Vec<(SocketAddr, TcpListener)>, house: &House) {
        let mut sockets: BTreeMap<_, _> = sockets.into_iter().collect();
        for (address, listener) in wanted(config) {
            if let Some(running) = self.running.get(&address) {
                running.config.store(Arc::new(listener.clone()));
            } else if let Some(socket) = sockets.remove(&address)
                && let Err(fault) = self.add(address, listener, socket, house)
            {
                tracing::error!(%address, error = %fault.message, "the listener could not be started");
            }
        }
        let kept: Vec<SocketAddr> = wanted(config).map(|(address, _)| address).collect();
        self.running.retain(|address, running| {
            let keep = kept.contains(address);
            if !keep {
                running.stop.send_replace(true);
            }
            keep
        });
    }

    /// Tells all to stop; the tasks end with their last connection.
    pub fn stop(&mut self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.running)
            .into_values()
            .map(|running| {
                running.stop.send_replace(true);
                running.task
            })
            .collect()
    }
}
