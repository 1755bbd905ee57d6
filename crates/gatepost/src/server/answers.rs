//! What the running program answers on its control socket.

use queue::{Filter, QueueId, Selection};
use serde_json::json;

use super::{Server, lock};
use crate::control::{Answers, Request, Response};

/// Letters in one answer: its memory is the server's.
const PAGE_MOST: usize = 5_000;

impl Answers for Server {
    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Status => self.status(),
            Request::QueueList { after, most } => {
                let queue = self.rooms.queue.clone();
                let page = Filter { after, limit: Some(most.min(PAGE_MOST)), ..Filter::default() };
                blocking(move || json(&queue.list(&page))).await
            }
            Request::QueueShow { id } => match id.parse::<QueueId>() {
                Ok(id) => {
                    let queue = self.rooms.queue.clone();
                    blocking(move || json(&queue.show(id))).await
                }
                Err(error) => Response::Error(format!("`{id}`: {error}")),
            },
            Request::QueueRetry { ids } if ids.is_empty() => count(self.rooms.queue.retry(&Selection::All)),
            Request::QueueRetry { ids } => match parse(&ids) {
                Ok(ids) => count(self.rooms.queue.retry(&Selection::Ids(ids))),
                Err(response) => response,
            },
            Request::QueueDrop { ids } => match parse(&ids) {
                Ok(ids) => {
                    let queue = self.rooms.queue.clone();
                    blocking(move || count(queue.drop(&ids))).await
                }
                Err(response) => response,
            },
            Request::Pickup => {
                self.dropbox_filled.notify_one();
                Response::Ok(json!({}))
            }
        }
    }
}

impl Server {
    fn status(&self) -> Response {
        Response::Ok(json!({
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "letters": self.rooms.queue.count(),
            "listening": lock(&self.listeners).addresses(),
            "reload_error": *lock(&self.reload_error),
            "spool_problems": self.rooms.queue.problems().len(),
        }))
    }
}

fn count(found: usize) -> Response {
    Response::Ok(json!({ "count": found }))
}

fn json(value: &impl serde::Serialize) -> Response {
    serde_json::to_value(value).map_or_else(|error| Response::Error(error.to_string()), Response::Ok)
}

fn parse(ids: &[String]) -> Result<Vec<QueueId>, Response> {
    ids.iter().map(|id| id.parse().map_err(|error| Response::Error(format!("`{id}`: {error}")))).collect()
}

async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Response::Error(error.to_string()))
}
