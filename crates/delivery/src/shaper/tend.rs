//! The task that heals what is over and writes down what has changed.

use std::sync::Arc;
use std::time::Duration;

use queue::{Queue, Timestamp};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Shaper, Told, file, tell};

/// The clock may be set, so none of our sleeps is longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Between two writes of the file.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Tends until `stop` turns true; then writes down what is in force and counted.
pub(crate) async fn run(queue: Queue, shaper: Arc<Shaper>, mut stop: watch::Receiver<bool>) {
    let mut before = Timestamp::now();
    let (mut seen, mut written) = (shaper.version(), Timestamp(0));
    loop {
        let now = Timestamp::now();
        if now < before {
            shaper.set_clock_back(now);
        }
        before = now;
        let healed: Vec<Told> = shaper.heal(now).into_iter().map(|change| Told { change, reply: None }).collect();
        tell(&queue, &healed);
        let dirty = shaper.version() != seen;
        if dirty && now.since(written) >= WRITE_PAUSE {
            (seen, written) = (shaper.version(), now);
            write(&shaper).await;
            continue;
        }
        let next = shaper.next_change(now).map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            () = shaper.changed.notified() => {}
            () = sleep(if dirty { next.min(WRITE_PAUSE) } else { next }) => {}
        }
    }
    write(&shaper).await;
}

async fn write(shaper: &Arc<Shaper>) {
    let Some(path) = shaper.file.clone() else { return };
    let state = shaper.remembered();
    let written = tokio::task::spawn_blocking(move || file::write(&path, &state).map_err(|error| (path, error)));
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err((path, error))) => {
            tracing::warn!(file = %path.display(), %error, "changed limits of sites cannot be kept over a restart");
        }
        Err(error) => tracing::error!(%error, "writing down the limits of sites failed"),
    }
}
