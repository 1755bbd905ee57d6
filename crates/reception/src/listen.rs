//! Listening sockets, and the connections that come in by them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Listener;
use crate::shared::House;

/// A listening socket of this address. An IPv6 one takes no IPv4 connections.
///
/// # Errors
/// The operating system's; `AddrInUse` and `PermissionDenied` are what an administrator meets.
pub fn bind(_address: SocketAddr) -> io::Result<std::net::TcpListener> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Serves one bound address until `stopping` becomes true (or its sender is dropped); the task ends when its last
/// connection has: idle ones get 421 at once, letters under way get up to 30 seconds.
///
/// `listener` may be changed while it runs (`store`): it counts for new connections. Must be called inside a tokio runtime.
pub fn serve(
    _listener: Arc<ArcSwap<Listener>>,
    _socket: std::net::TcpListener,
    _house: House,
    _stopping: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    Err(io::ErrorKind::Unsupported.into())
}
