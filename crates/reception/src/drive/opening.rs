//! The first moments of a connection: PROXY header, first byte, TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use smtp::{Secret, TlsInfo};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{Listener, Profile, Tls};
use crate::proxy::{self, Header, ProxyError};
use crate::shared::Shared;

/// A load balancer must say who the client is within this time.
const PROXY_WAIT: Duration = Duration::from_secs(5);
/// A client of a port with TLS from the first byte that says nothing for so long waits for our greeting.
const SILENCE: Duration = Duration::from_secs(5);

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Plain,
    /// `expected`: the port is for it. Else the client was set to TLS on a port with STARTTLS, and is served all the same.
    Tls {
        expected: bool,
    },
    /// The port has TLS from the first byte, and the client speaks or waits in the clear.
    WrongMode,
    Closed,
}

/// Who the client is: the peer, or who a load balancer says.
///
/// # Errors
/// Where the header that must be there is not.
pub(super) async fn client(
    stream: &mut TcpStream,
    peer: SocketAddr,
    listener: &Listener,
) -> Result<SocketAddr, ProxyError> {
    if !listener.proxy_protocol_from.iter().any(|network| network.contains(peer.ip())) {
        return Ok(peer);
    }
    let header = timeout(PROXY_WAIT, proxy::read(stream)).await;
    match header.map_err(|_| ProxyError::Io(io::ErrorKind::TimedOut.into()))?? {
        Header::Client(client) => Ok(client),
        Header::Local => Ok(peer),
    }
}

/// Looks at the first byte, where that tells anything. It stays where it is.
pub(super) async fn look(stream: &TcpStream, listener: &Listener, shared: &Shared) -> io::Result<Opening> {
    /// RFC 8446 §5.1: a record of type handshake.
    const HANDSHAKE: u8 = 0x16;
    let implicit = listener.tls() == Tls::Implicit;
    let helped = matches!(listener.profile, Profile::Submission | Profile::Alternative);
    let wait = match (implicit, helped) {
        (true, _) => SILENCE,
        (false, true) if shared.tls.is_some() && listener.tls() != Tls::None => shared.limits.first_byte_wait,
        // Never on port 25.
        _ => return Ok(Opening::Plain),
    };
    let mut first = [0u8; 1];
    Ok(match timeout(wait, stream.peek(&mut first)).await {
        Ok(Ok(0)) => Opening::Closed,
        Ok(Ok(_)) if first == [HANDSHAKE] => Opening::Tls { expected: implicit },
        Ok(Err(error)) => return Err(error),
        Ok(Ok(_)) | Err(_) if implicit => Opening::WrongMode,
        Ok(Ok(_)) | Err(_) => Opening::Plain,
    })
}

/// The server's side of a handshake. Tickets are off where servers come: some abort on them, and they have nothing to resume.
///
/// # Errors
/// The peer's fault, mostly; `TimedOut` where it did not finish in time.
pub(super) async fn handshake(
    stream: TcpStream,
    shared: &Shared,
    profile: Profile,
) -> io::Result<(TlsStream<TcpStream>, TlsInfo)> {
    let identities = shared.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let work = async {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let shown = identities.choose(&start.client_hello());
        let stream = start.into_stream(shown.config(profile != Profile::Relay)).await?;
        let info = describe(stream.get_ref().1, shown.end_point());
        Ok((stream, info))
    };
    timeout(shared.limits.handshake_timeout, work).await.map_err(|_| io::ErrorKind::TimedOut)?
}

fn describe(tls: &rustls::ServerConnection, end_point: &[u8]) -> TlsInfo {
    let modern = tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let suite = tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    // RFC 9266 §4.2: under TLS 1.2 the exporter is good only with the extended master secret, which cannot be asked here.
    let exporter = modern.then(|| tls.export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok());
    TlsInfo {
        protocol: if modern { "TLSv1.3" } else { "TLSv1.2" },
        // rustls says TLS13_AES_…, the registry TLS_AES_….
        cipher: suite.replacen("TLS13_", "TLS_", 1),
        server_name: tls.server_name().map(str::to_owned),
        exporter: exporter.flatten().map(Secret::new),
        end_point: Some(Secret::new(end_point)),
        verified: Ok(()),
    }
}
