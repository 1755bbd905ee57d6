//! The thread that writes lines: callers append to a buffer, the thread takes it whole.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::config::RecordsConfig;
use super::keeper::{self, House};
use super::output::Output;
use crate::letter::Timestamp;

/// What may wait for the disk; past that lines are lost and counted.
const BUFFER_MOST: usize = 8 << 20;
/// How long lines gather before they are written: one wake-up and one write for many.
const GATHER: Duration = Duration::from_millis(20);
/// How often the age of the file is looked at while nothing is written.
const LOOK: Duration = Duration::from_secs(60);
/// How often a full disk is mentioned again.
const COMPLAIN: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    /// There is something to write, or to stop for.
    filled: Condvar,
    written: Condvar,
    /// Octets of the disk that are not for records.
    reserve: AtomicU64,
    config: Mutex<RecordsConfig>,
    /// For the keeper, which may be in the midst of a file.
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Buffer {
    text: Vec<u8>,
    lines: u64,
    lost: u64,
    /// Lines are out of the buffer but not in the file yet.
    writing: bool,
    hurry: bool,
    stop: bool,
}

impl Shared {
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl House for Shared {
    fn config(&self) -> RecordsConfig {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reserve(&self) -> u64 {
        self.reserve.load(Ordering::Relaxed)
    }

    fn stop(&self) -> &AtomicBool {
        &self.stop
    }
}

impl Writer {
    pub fn start(dir: &Path, config: RecordsConfig) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let output = Output::open(dir)?;
        let shared = Arc::new(Shared { config: Mutex::new(config), ..Shared::default() });
        let (bell, rung) = sync_channel(1);
        let (writes, keeps, folder) = (Arc::clone(&shared), Arc::clone(&shared), dir.to_owned());
        let writer = Builder::new().name("records".into()).spawn(move || run(&writes, output, &bell))?;
        let keeper = Builder::new().name("records-old".into()).spawn(move || keeper::run(&folder, &*keeps, &rung))?;
        Ok(Self { shared, threads: vec![writer, keeper] })
    }

    pub fn reconfigure(&self, config: RecordsConfig) {
        *self.shared.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub fn add(&self, line: &str) {
        let mut buffer = self.shared.buffer();
        if buffer.text.len() + line.len() > BUFFER_MOST {
            buffer.lost += 1;
            return;
        }
        buffer.text.extend_from_slice(line.as_bytes());
        buffer.lines += 1;
        if buffer.lines == 1 && !buffer.writing {
            self.shared.filled.notify_one();
        }
    }

    /// Leaves so much of the disk free: it is for letters.
    pub fn keep_free(&self, octets: u64) {
        self.shared.reserve.store(octets, Ordering::Relaxed);
    }

    pub fn lost(&self) -> u64 {
        self.shared.buffer().lost
    }

    pub fn flush(&self) {
        let mut buffer = self.shared.buffer();
        while (buffer.lines > 0 || buffer.writing) && !buffer.stop {
            buffer.hurry = true;
            self.shared.filled.notify_one();
            buffer = self.shared.written.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.buffer().stop = true;
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.filled.notify_one();
        for thread in self.threads.drain(..) {
            // A panic there was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// However the thread ends, nobody waits for it.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.buffer().stop = true;
        self.0.written.notify_all();
    }
}

fn run(shared: &Shared, mut output: Output, keeper: &SyncSender<()>) {
    let _end = End(shared);
    let mut complaint = Complaint::default();
    let mut spare = Vec::new();
    let mut buffer = shared.buffer();
    loop {
        while buffer.lines == 0 && !buffer.stop {
            buffer.hurry = false;
            shared.written.notify_all();
            let (waited, slept) = shared.filled.wait_timeout(buffer, LOOK).unwrap_or_else(PoisonError::into_inner);
            buffer = waited;
            if slept.timed_out() && buffer.lines == 0 {
                drop(buffer);
                complaint.hear(output.tend(&shared.config(), Timestamp::now()), 0, keeper);
                buffer = shared.buffer();
            }
        }
        if buffer.lines == 0 {
            shared.written.notify_all();
            return;
        }
        let idle = |buffer: &mut Buffer| !buffer.hurry && !buffer.stop;
        buffer = shared.filled.wait_timeout_while(buffer, GATHER, idle).unwrap_or_else(PoisonError::into_inner).0;
        std::mem::swap(&mut buffer.text, &mut spare);
        let lines = std::mem::take(&mut buffer.lines);
        buffer.writing = true;
        drop(buffer);
        let result = output.write(&spare, shared.reserve(), &shared.config(), Timestamp::now());
        spare.clear();
        // A burst need not be paid for forever.
        spare.shrink_to(256 << 10);
        buffer = shared.buffer();
        buffer.writing = false;
        buffer.lost += if result.is_err() { lines } else { 0 };
        complaint.hear(result, buffer.lost, keeper);
    }
}

/// When it was last said that records cannot be written: a disk stays full for many lines.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    /// Says what went wrong, and rings for the keeper where a file was put away.
    fn hear(&mut self, result: io::Result<bool>, lost: u64, keeper: &SyncSender<()>) {
        match result {
            Err(error) if self.0.is_none_or(|at| at.elapsed() >= COMPLAIN) => {
                self.0 = Some(Instant::now());
                tracing::error!(%error, lost, "records cannot be written; the lines are lost until they can");
            }
            Err(_) => {}
            Ok(put_away) => {
                if self.0.take().is_some() {
                    tracing::warn!(lost, "records are written again");
                }
                if put_away {
                    // It may be ringing already.
                    let _ = keeper.try_send(());
                }
            }
        }
    }
}
