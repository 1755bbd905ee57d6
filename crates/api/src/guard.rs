//! Limits of a connection: a client that is slow, greedy or one of many costs nearly nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

const CONNECTIONS: usize = 16;
/// From the first octet to the last, both ways.
const TIME: Duration = Duration::from_secs(10);
/// What a client may send.
const OCTETS: usize = 16 << 10;
/// After trouble with accepting.
const PAUSE: Duration = Duration::from_millis(200);

/// Accepts so many at a time; others wait in the system's backlog.
pub(crate) struct Guarded {
    socket: TcpListener,
    places: Arc<Semaphore>,
}

impl Guarded {
    pub(crate) fn new(socket: TcpListener) -> Self {
        Self { socket, places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Listener for Guarded {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        loop {
            // The semaphore is never closed.
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    let guest = Guest { stream, end: Box::pin(sleep(TIME)), left: OCTETS, _place: place };
                    return (guest, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection for metrics could not be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection whose time and whose words are limited.
pub(crate) struct Guest {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    left: usize,
    _place: Option<OwnedSemaphorePermit>,
}

impl Guest {
    fn overstayed(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.overstayed(cx)?;
        if self.left == 0 {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let mut octets = [0; 2048];
        let most = self.left.min(buffer.remaining()).min(octets.len());
        let mut part = ReadBuf::new(octets.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        self.left -= part.filled().len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.overstayed(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.overstayed(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
