//! Listening sockets, and the connections that come in by them.
//!
//! # Invariants
//! - Where there are too many connections, or too little memory, a new one gets 421 before anything else.
//! - Trouble with accepting (no file descriptors left) never makes the loop spin.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use smtp::Reply;
use smtp::server::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::admission::{Crowded, Place, Tally};
use crate::config::{Listener, Tls, in_haste};
use crate::drive::{self, Visit};
use crate::shared::{House, Shared};

/// Connections that the system keeps for us until we accept them.
const BACKLOG: i32 = 1024;

/// After trouble with accepting: connections that end meanwhile give back what is missing.
const PAUSE: Duration = Duration::from_millis(200);

/// A listening socket of this address. An IPv6 one takes no IPv4 connections.
///
/// # Errors
/// The operating system's; `AddrInUse` and `PermissionDenied` are what an administrator meets.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves one bound address until `stopping` becomes true (or its sender is dropped); the task ends when its last
/// connection has: idle ones get 421 at once, letters under way get up to 30 seconds.
///
/// `listener` may be changed while it runs (`store`): it counts for new connections. Must be called inside a tokio runtime.
///
/// # Errors
/// Where the socket cannot be handed to the runtime.
pub fn serve(
    listener: Arc<ArcSwap<Listener>>,
    socket: std::net::TcpListener,
    house: House,
    stopping: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from_std(socket)?;
    Ok(tokio::spawn(Door { listener, house, stopping, prepared: None }.serve(socket)))
}

struct Door {
    listener: Arc<ArcSwap<Listener>>,
    house: House,
    stopping: watch::Receiver<bool>,
    prepared: Option<Prepared>,
}

/// What all connections share until a reload.
struct Prepared {
    listener: Arc<Listener>,
    shared: Arc<Shared>,
    config: Arc<ServerConfig>,
    hasty: Arc<ServerConfig>,
    tally: Arc<Tally>,
}

impl Door {
    async fn serve(mut self, socket: TcpListener) {
        // Nothing is ever sent: the channel is closed when the last connection has dropped its end.
        let (alive, mut ended) = mpsc::channel::<Infallible>(1);
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer, alive.clone()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(listener = self.listener.load().name(), %error, "no connection can be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop((socket, alive));
        ended.recv().await;
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr, alive: mpsc::Sender<Infallible>) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let stopping = self.stopping.clone();
        let Prepared { listener, shared, config, hasty, tally } = self.prepared();
        tally.connections.add();
        let place = match admit(shared) {
            Ok(place) => place,
            Err(crowded) => {
                tally.crowded.add();
                return refuse(&stream, peer, listener, &crowded_reply(shared, crowded));
            }
        };
        let in_haste = shared.admission.connections() > shared.limits.haste_from();
        let visit = Visit {
            listener: Arc::clone(listener),
            shared: Arc::clone(shared),
            config: Arc::clone(if in_haste { hasty } else { config }),
            peer,
            place,
            tally: Arc::clone(tally),
            stopping,
        };
        tokio::spawn(async move {
            drive::receive(stream, visit).await;
            drop(alive);
        });
    }

    fn prepared(&mut self) -> &Prepared {
        let (listener, shared) = (self.listener.load_full(), self.house.load_full());
        let current = |old: &Prepared| Arc::ptr_eq(&old.listener, &listener) && Arc::ptr_eq(&old.shared, &shared);
        let prepared = self.prepared.take().filter(current);
        self.prepared.insert(prepared.unwrap_or_else(|| {
            let config = drive::session_config(&listener, &shared);
            let hasty = ServerConfig { limits: in_haste(config.limits.clone()), ..config.clone() };
            let tally = shared.admission.tally(listener.name());
            Prepared { listener, shared, config: Arc::new(config), hasty: Arc::new(hasty), tally }
        }))
    }
}

fn admit(shared: &Shared) -> Result<Place, Crowded> {
    shared.admission.memory(shared.limits.free_memory)?;
    shared.admission.enter(shared.limits.connections)
}

/// What a client hears for whom there is no place.
pub(crate) fn crowded_reply(shared: &Shared, crowded: Crowded) -> Reply {
    let hostname = &shared.hostname;
    match crowded {
        Crowded::All => {
            Reply::new(421, (4, 3, 2), "").with_text(format!("{hostname} has too many connections; try again later"))
        }
        Crowded::Memory => {
            Reply::new(421, (4, 3, 1), "").with_text(format!("{hostname} has too little memory; try again later"))
        }
        Crowded::Client => Reply::new(421, (4, 7, 0), "")
            .with_text(format!("{hostname} has too many connections from your address; close some and try again")),
    }
}

/// The socket is new, so its buffer takes one line at once, and no task is needed.
fn refuse(stream: &TcpStream, peer: SocketAddr, listener: &Listener, reply: &Reply) {
    tracing::warn!(listener = listener.name(), client = %peer.ip(), %reply, "connection refused");
    if listener.tls() != Tls::Implicit {
        let mut line = Vec::new();
        reply.write(&mut line);
        let _ = stream.try_write(&line);
    }
}

/// Whether only this one connection is lost (accept(2): errors of the new socket are passed on).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_socket_leaves_ipv4_to_others() {
        // Not every machine has IPv6.
        let Ok(six) = bind("[::]:0".parse().unwrap()) else { return };
        let port = six.local_addr().unwrap().port();
        assert!(bind(SocketAddr::new("0.0.0.0".parse().unwrap(), port)).is_ok());
    }

    #[test]
    fn an_address_is_bound_once() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
