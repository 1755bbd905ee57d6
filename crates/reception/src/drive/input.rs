//! Waiting: for bytes, for a deadline, for the server's end.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smtp::server::ServerSession;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::wire::Wire;

/// Octets read at once. One such buffer for each thread, none for each connection.
const BUFFER: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

pub(super) enum Input {
    /// Bytes came, and the session has them.
    Handled,
    Eof,
    Timeout,
    Lost(io::Error),
    /// The server was told to stop; said once.
    Stopping,
    /// It was told so a while ago, and the time is up.
    Drained,
}

/// What a connection waits with.
pub(super) struct Waiting {
    /// Set anew only where it would be late: most deadlines are pushed back before they come.
    timer: Option<Pin<Box<Sleep>>>,
    stopping: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    drain: Option<Instant>,
    /// From the order to stop to the end of the drain.
    patience: Duration,
}

impl Waiting {
    pub(super) fn new(mut stopping: watch::Receiver<bool>, patience: Duration) -> Self {
        let stopping = Box::pin(async move {
            // An error means that whoever could have told is gone, which means the same.
            let _ = stopping.wait_for(|stop| *stop).await;
        });
        Self { timer: None, stopping: Some(stopping), drain: None, patience }
    }

    fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<Input> {
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.stopping = None;
            self.drain = Instant::now().checked_add(self.patience);
            return Poll::Ready(Input::Stopping);
        }
        let until = self.drain.map_or(until, |drain| drain.min(until));
        let wanted = tokio::time::Instant::from_std(until);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wanted)));
        if timer.deadline() > wanted {
            timer.as_mut().reset(wanted);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= until {
                let drained = self.drain.is_some_and(|drain| now >= drain);
                return Poll::Ready(if drained { Input::Drained } else { Input::Timeout });
            }
            timer.as_mut().reset(wanted);
        }
        Poll::Pending
    }
}

/// The next thing that happens.
pub(super) async fn next(wire: &mut Wire, session: &mut ServerSession, waiting: &mut Waiting, until: Instant) -> Input {
    poll_fn(|cx| match poll_bytes(wire, session, cx) {
        Poll::Ready(input) => Poll::Ready(input),
        Poll::Pending => waiting.poll(cx, until),
    })
    .await
}

fn poll_bytes(wire: &mut Wire, session: &mut ServerSession, cx: &mut Context<'_>) -> Poll<Input> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(wire).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Input::Eof),
            Poll::Ready(Err(error)) => Poll::Ready(Input::Lost(error)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Input::Eof),
            Poll::Ready(Ok(())) => {
                session.handle_input(Instant::now(), buffer.filled());
                Poll::Ready(Input::Handled)
            }
        }
    })
}

/// Reads what nobody wants to know; 0 at the end.
pub(super) fn discard(stream: &TcpStream) -> io::Result<usize> {
    SCRATCH.with_borrow_mut(|scratch| stream.try_read(scratch))
}
