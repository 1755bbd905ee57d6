//! Last words.

use std::io;
use std::time::Duration;

use smtp::Reply;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::input;
use super::wire::Wire;

/// How long a client is given to read our last words.
const LINGER: Duration = Duration::from_secs(2);

pub(super) async fn say_and_close(mut wire: Wire, reply: &Reply) {
    let mut bytes = Vec::new();
    reply.write(&mut bytes);
    if matches!(timeout(LINGER, wire.write_all(&bytes)).await, Ok(Ok(()))) {
        linger(wire, false).await;
    }
}

/// Closes so that our last words arrive: data that is left unread would make the system reset the connection and take them
/// back.
pub(super) async fn linger(mut wire: Wire, farewell: bool) {
    let close = async {
        wire.shutdown().await?;
        let stream = match &wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
            Wire::Gone => return Ok(()),
        };
        for _ in 0..if farewell { 0 } else { 64 } {
            stream.readable().await?;
            match input::discard(stream) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        io::Result::Ok(())
    };
    // Whatever goes wrong now, the connection is over.
    let _ = timeout(LINGER, close).await;
}
