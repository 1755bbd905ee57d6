//! One server: where it is, how it is spoken with, and the bare line to it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;
use smtp::client::ClientConfig;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::{Times, TlsLevel};
use crate::stream::Stream;
use crate::tls::{Tls, plain_words};
use crate::tls_memory::TlsMemory;
use crate::tls_policy::TlsPolicy;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// All that is needed to reach one server.
#[derive(Clone, Debug)]
pub(crate) struct Dial<'a> {
    /// `mx1.example.net [192.0.2.1]:25`.
    pub(crate) peer: String,
    pub(crate) address: Address,
    /// What the certificate should be for; `None` where TLS is out of the question.
    pub(crate) name: Option<ServerName<'static>>,
    pub(crate) policy: TlsPolicy,
    /// Why it is spoken with in plain, where the policy would have it otherwise.
    pub(crate) plain_because: Option<String>,
    /// Where failed handshakes are remembered; `None` where they are not.
    pub(crate) memory: Option<&'a TlsMemory>,
    pub(crate) session: ClientConfig,
    pub(crate) tls: &'a Tls,
    pub(crate) times: &'a Times,
    /// Somebody wants to see the dialog.
    pub(crate) transcript: bool,
}

impl Dial<'_> {
    /// The server in the memory of failed handshakes: only those that TLS is not asked of have a place there.
    pub(crate) fn remembered(&self) -> Option<(&TlsMemory, SocketAddr)> {
        match (&self.address, self.memory) {
            (Address::Tcp(address), Some(memory)) if self.policy.level == TlsLevel::Opportunistic => {
                Some((memory, *address))
            }
            _ => None,
        }
    }
}

/// A line to this server, if it takes one in time.
pub(crate) async fn connect(address: &Address, patience: Duration) -> io::Result<Stream> {
    let stream = async {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // Everything is written in whole groups; waiting for more would only cost time.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    };
    timeout(patience, stream).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Why a handshake failed, for a person.
pub(crate) fn handshake_words(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            format!("the certificate is not good: {}", plain_words(error))
        }
        Some(error) => error.to_string(),
        None => error.to_string(),
    }
}
