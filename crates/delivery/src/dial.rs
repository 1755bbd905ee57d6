//! One server: where it is, how it is spoken with, and the bare line to it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;
use smtp::client::ClientConfig;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::Times;
use crate::stream::Stream;
use crate::tls::{Tls, Trust, plain_words};

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
    pub(crate) trust: Trust,
    pub(crate) session: ClientConfig,
    pub(crate) tls: &'a Tls,
    pub(crate) times: &'a Times,
    /// Somebody wants to see the dialog.
    pub(crate) transcript: bool,
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
