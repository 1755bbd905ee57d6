//! The control socket: how the command line asks a running server. One line of JSON in, one line out.
//!
//! It lies in the data folder with mode 0600: whoever may read the letters may rule the queue.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader as AsyncBufReader};
use tokio::net::{UnixListener, UnixStream};

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    Status,
    /// One page: at most `limit` letters after `after`.
    QueueList {
        filter: queue::Filter,
    },
    /// Groups of at most `most` letters after `filter.after`.
    QueueTally {
        by: queue::By,
        filter: queue::Filter,
        most: usize,
    },
    /// The busiest lanes, and the whole in figures.
    QueueOverview {
        most: usize,
    },
    QueueShow {
        id: String,
    },
    /// Answered with how many letters it meant; with `dry_run` nothing is changed.
    QueueChange {
        change: Change,
        letters: queue::Selection,
        dry_run: bool,
    },
    /// Answered with the suspension as it is kept, and whether something is known of such a site.
    Suspend {
        of: queue::Suspended,
        reason: String,
        until: Option<queue::Timestamp>,
    },
    /// Answered with those that ended; without a name with all of them.
    Resume {
        of: Option<queue::Suspended>,
    },
    Suspensions,
    /// Letters were left in the dropbox.
    Pickup,
}

/// What may be done with letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Retry,
    Hold {
        reason: String,
        until: Option<queue::Timestamp>,
    },
    Release,
    /// `to` is read as the target of a route; `None`: the letters go their own way again.
    Redirect {
        to: Option<String>,
    },
    Bounce {
        reason: String,
    },
    Drop,
}

/// What comes back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    Ok(Value),
    Error(String),
}

/// Who answers: the running program.
pub trait Answers: Send + Sync + 'static {
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;
}

const LINE_MOST: u64 = 16 * 1024 * 1024;

pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Binds the socket; one that a dead process left is replaced (the data folder's lock is ours by now).
pub fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let path = path(data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until the listener is dropped.
pub async fn serve<A: Answers>(listener: UnixListener, answers: std::sync::Arc<A>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answers = std::sync::Arc::clone(&answers);
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &*answers).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket cannot accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn converse<A: Answers>(mut stream: UnixStream, answers: &A) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = AsyncBufReader::new(tokio::io::AsyncReadExt::take(read, LINE_MOST)).lines();
    while let Some(line) = lines.next_line().await? {
        let response = match serde_json::from_str::<Request>(&line) {
            Ok(request) => answers.answer(request).await,
            Err(error) => Response::Error(format!("the request was not understood: {error}")),
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        write.write_all(&text).await?;
    }
    Ok(())
}

/// Asks the server of this data folder; `Ok(None)` where none is running.
pub fn ask(data_dir: &Path, request: &Request) -> io::Result<Option<Response>> {
    let stream = match BlockingStream::connect(path(data_dir)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    Ok(Some(serde_json::from_str(&answer)?))
}
