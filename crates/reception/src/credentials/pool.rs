//! The threads that hash passwords: a few, so that a flood of logins leaves processors for letters.

use std::io;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Ends its threads when it is dropped, after the work that is waiting.
pub(super) struct Pool {
    jobs: SyncSender<Job>,
}

/// As many wait as may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Pool {
    /// `threads` 0: one for each processor. `waiting`: how many may wait.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn new(threads: usize, waiting: usize) -> io::Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            some => some,
        };
        let (jobs, receiver) = sync_channel(waiting);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new().name(format!("password-{number}")).spawn(move || work(&receiver))?;
        }
        Ok(Self { jobs })
    }

    /// Runs `job` on one of the threads.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, Full> {
        let (give, take) = oneshot::channel();
        // Whoever asked may have gone; then nobody wants to know, and the work is not done.
        let job: Job = Box::new(move || {
            if !give.is_closed() {
                let _ = give.send(job());
            }
        });
        self.jobs.try_send(job).map(|()| take).map_err(|_| Full)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting: the others wait for the lock instead, which is the same.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
