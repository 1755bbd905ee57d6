//! What the running program answers on its control socket.

use delivery::Delivery;
use queue::{Filter, Queue, QueueId, Selection, Suspended, Timestamp};
use serde_json::json;

use super::{Server, lock};
use crate::control::{Answers, Change, Request, Response};

/// Letters in one answer: its memory is the server's.
const PAGE_MOST: usize = 5_000;

/// Letters that one answer counts: some tenths of a second.
const TALLY_MOST: usize = 50_000;

impl Answers for Server {
    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Status => self.status(),
            Request::QueueList { filter } => {
                let queue = self.rooms.queue.clone();
                let page = Filter { limit: Some(filter.limit.unwrap_or(PAGE_MOST).min(PAGE_MOST)), ..filter };
                blocking(move || json(&queue.list(&page))).await
            }
            Request::QueueTally { by, filter, most } => {
                let queue = self.rooms.queue.clone();
                blocking(move || json(&queue.tally(by, &filter, most.min(TALLY_MOST)))).await
            }
            Request::QueueOverview { most } => {
                let queue = self.rooms.queue.clone();
                blocking(move || json(&queue.overview(most))).await
            }
            Request::QueueShow { id } => match id.parse::<QueueId>() {
                Ok(id) => {
                    let queue = self.rooms.queue.clone();
                    blocking(move || json(&queue.show(id))).await
                }
                Err(error) => Response::Error(format!("`{id}`: {error}")),
            },
            Request::QueueChange { change: what, letters, dry_run } => {
                let queue = self.rooms.queue.clone();
                // A wrong target is refused before anything changes.
                let what = match self.rooms.understood(what) {
                    Ok(what) => what,
                    Err(error) => return Response::Error(error.to_string()),
                };
                blocking(
                    move || if dry_run { count(queue.matching(&letters)) } else { change(&queue, &what, &letters) },
                )
                .await
            }
            Request::Suspend { of, reason, until } => {
                let queue = self.rooms.queue.clone();
                blocking(move || suspend(&queue, of, &reason, until)).await
            }
            Request::Resume { of } => {
                let (queue, delivery) = (self.rooms.queue.clone(), self.rooms.delivery());
                blocking(move || resume(&queue, &delivery, of)).await
            }
            Request::Suspensions => {
                let mut all = self.rooms.queue.suspensions();
                all.extend(self.rooms.delivery().suspended_by_rules());
                json(&all)
            }
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

fn change(queue: &Queue, change: &Change, letters: &Selection) -> Response {
    let changed = match change {
        Change::Retry => Ok(queue.retry(letters)),
        Change::Hold { reason, until } => queue.hold(letters, reason, *until),
        Change::Release => queue.release(letters),
        Change::Redirect { to } => queue.redirect(letters, to.as_deref()),
        Change::Bounce { reason } => queue.bounce(letters, reason),
        Change::Drop => queue.drop(letters),
    };
    changed.map_or_else(|error| Response::Error(error.to_string()), count)
}

fn suspend(queue: &Queue, of: Suspended, reason: &str, until: Option<Timestamp>) -> Response {
    match queue.suspend(of, reason, until) {
        Ok(suspension) => {
            let is_known = match &suspension.of {
                Suspended::Site(name) => queue.lanes().iter().any(|lane| lane.lane.site.0.eq_ignore_ascii_case(name)),
                _ => true,
            };
            Response::Ok(json!({ "suspension": suspension, "is_known": is_known }))
        }
        Err(error) => Response::Error(error.to_string()),
    }
}

/// What an operator has suspended, and what a rule of shaping has changed there.
fn resume(queue: &Queue, delivery: &Delivery, of: Option<Suspended>) -> Response {
    let by_rules = delivery.end_rules(queue, of.as_ref());
    let of = of.map_or_else(|| queue.suspensions().into_iter().map(|all| all.of).collect(), |of| vec![of]);
    let mut ended = Vec::new();
    for of in of {
        match queue.resume(of) {
            Ok(one) => ended.extend(one),
            Err(error) => return Response::Error(error.to_string()),
        }
    }
    ended.extend(by_rules.into_iter().filter(|rule| ended.iter().all(|one| one.of != rule.of)).collect::<Vec<_>>());
    json(&ended)
}

fn count(found: usize) -> Response {
    Response::Ok(json!({ "count": found }))
}

fn json(value: &impl serde::Serialize) -> Response {
    serde_json::to_value(value).map_or_else(|error| Response::Error(error.to_string()), Response::Ok)
}

async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Response::Error(error.to_string()))
}
