//! Finds out the sites of domains that the scheduler does not know: many at once, since each mostly waits.

use std::sync::Arc;

use queue::{Queue, Search};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Delivery;
use crate::worker::report;

/// Searches that run at once.
const MOST_SEARCHES: usize = 200;

/// Searches until the queue is closed or `stop` turns true.
pub(crate) async fn run(queue: Queue, delivery: Arc<Delivery>, mut stop: watch::Receiver<bool>) {
    let mut searches = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = searches.join_next(), if !searches.is_empty() => report(ended),
            next = queue.next_search(), if searches.len() < MOST_SEARCHES => match next {
                Some(search) => { searches.spawn(answer(queue.clone(), delivery.clone(), search)); }
                None => break,
            },
        }
    }
}

async fn answer(queue: Queue, delivery: Arc<Delivery>, search: Search) {
    let (site, via) = delivery.state().search(&search.domain).await;
    tracing::debug!(domain = %search.domain, ?site, "site found");
    queue.found(&search.domain, site, via);
}
