//! Bytes between a socket and a [`ServerSession`], and the session's questions to [`Policy`].
//!
//! # Invariants
//! - A connection that waits holds no buffer: it is read into one of its thread's, when there is something to read.
//! - Replies go out before anything that takes time is begun: a hash, a sync, a delay.
//! - 250 for a letter is said after the queue has it on disk.
//!
//! # Limits
//! A reply must be taken within `limits.command_timeout`; a handshake done within `limits.handshake_timeout`. When the server
//! stops, a letter under way has [`Shared::drain`].

mod close;
mod connection;
mod input;
mod opening;
mod session_config;
mod wire;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use smtp::Reply;
use smtp::server::{ServerConfig, ServerSession};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::admission::{Place, Tally};
use crate::config::{Listener, Tls};
use crate::shared::Shared;
use close::{linger, say_and_close};
use connection::{Connection, End};
use opening::Opening;
use wire::Wire;

pub(crate) use session_config::session_config;

/// What a new connection brings along.
pub(crate) struct Visit {
    pub(crate) listener: Arc<Listener>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
    pub(crate) tally: Arc<Tally>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Serves one connection to its end.
pub(crate) async fn receive(mut stream: TcpStream, mut visit: Visit) {
    let _ = stream.set_nodelay(true);
    let client = match opening::client(&mut stream, visit.peer, &visit.listener).await {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(balancer = %visit.peer, %error, "no PROXY header from a network that must send one");
            return;
        }
    };
    let most = visit.listener.limits.connections_per_client.unwrap_or(visit.shared.limits.connections_per_client);
    if let Err(crowded) = visit.place.belongs_to(client.ip(), most) {
        visit.tally.crowded.add();
        let reply = crate::listen::crowded_reply(&visit.shared, crowded);
        tracing::info!(client = %client.ip(), listener = visit.listener.name(), %reply, "connection refused");
        // On a port with TLS from the first byte nobody would understand it.
        if visit.listener.tls() != Tls::Implicit {
            say_and_close(Wire::Plain(stream), &reply).await;
        }
        return;
    }
    let begun = Instant::now();
    let name = visit.listener.name().to_owned();
    match Box::pin(open(stream, &visit, client)).await {
        Ok(Some(connection)) => {
            let place = visit.place;
            converse(connection, client, begun, &name).await;
            drop(place);
        }
        Ok(None) => {}
        Err(error) => tracing::info!(listener = name, client = %client.ip(), %error, "connection failed"),
    }
}

/// PROXY is done: TLS where it comes first, and the session.
async fn open(stream: TcpStream, visit: &Visit, client: SocketAddr) -> Result<Option<Box<Connection>>, End> {
    let (shared, listener) = (&visit.shared, &visit.listener);
    let now = Instant::now;
    let (wire, session) = match opening::look(&stream, listener, shared).await? {
        Opening::Plain => (Wire::Plain(stream), ServerSession::new(Arc::clone(&visit.config), now())),
        Opening::Tls { expected } => {
            if !expected {
                tracing::info!(
                    listener = listener.name(),
                    client = %client.ip(),
                    "the client began with TLS on a port with STARTTLS and is served so"
                );
            }
            let shaken = opening::handshake(stream, shared, listener.profile).await;
            let (stream, info) = shaken.map_err(|error| connection::unshaken(&visit.tally, error))?;
            visit.tally.encrypted(&info);
            let session = ServerSession::with_tls(Arc::clone(&visit.config), now(), info);
            (Wire::Tls(Box::new(stream)), session)
        }
        Opening::WrongMode => {
            let reply = Reply::new(421, (4, 7, 0), "").with_text(format!(
                "{} this port speaks TLS from the first byte; use implicit TLS here, or port 587 with STARTTLS",
                shared.hostname
            ));
            tracing::info!(listener = listener.name(), client = %client.ip(), %reply, "connection refused");
            say_and_close(Wire::Plain(stream), &reply).await;
            return Ok(None);
        }
        Opening::Closed => return Ok(None),
    };
    // Boxed, so that the task of a connection stays small: a future keeps room for each copy of what it moves.
    Ok(Some(Box::new(Connection::new(wire, session, visit, client.ip()))))
}

async fn converse(mut connection: Box<Connection>, client: SocketAddr, begun: Instant, listener: &str) {
    let end = match connection.run().await {
        Ok(end) | Err(end) => end,
    };
    tracing::info!(
        listener,
        client = %client.ip(),
        helo = connection.session.helo().map(tracing::field::display),
        user = connection.session.authenticated(),
        tls = connection.session.tls().map(|tls| tls.protocol),
        letters = connection.letters,
        refused = connection.refused,
        ms = begun.elapsed().as_millis() as u64,
        %end,
        "session ended"
    );
    if matches!(end, End::Closed | End::Stopped) {
        linger(connection.wire, connection.farewell).await;
    }
}

/// Octets of the task of one connection, and of what it keeps beside it.
#[cfg(test)]
pub(crate) fn sizes() -> usize {
    fn of<F: Future>(_: impl Fn(TcpStream, Visit) -> F) -> usize {
        size_of::<F>()
    }
    of(receive) + size_of::<Connection>()
}
