//! The thread that writes lines: callers append to a buffer, the thread takes it whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What may wait for the disk; past that lines are lost and counted.
const BUFFER_MOST: usize = 8 << 20;
/// How long lines gather before they are written: one wake-up and one write for many.
const GATHER: Duration = Duration::from_millis(20);
const OLD_FILES: u32 = 9;
/// How often a full disk is mentioned again.
const COMPLAIN: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    /// There is something to write, or to stop for.
    filled: Condvar,
    written: Condvar,
    /// Octets of the disk that are not for records.
    reserve: AtomicU64,
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

impl Writer {
    pub fn start(dir: &Path, most: u64) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let output = Output::open(dir.join("records.jsonl"), most)?;
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("records".into()).spawn(move || run(&for_thread, output))?;
        Ok(Self { shared, thread: Some(thread) })
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
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
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

fn run(shared: &Shared, mut output: Output) {
    let _end = End(shared);
    let mut complained: Option<Instant> = None;
    let mut spare = Vec::new();
    let mut buffer = shared.buffer();
    loop {
        while buffer.lines == 0 && !buffer.stop {
            buffer.hurry = false;
            shared.written.notify_all();
            buffer = shared.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
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
        let result = output.write(&spare, shared.reserve.load(Ordering::Relaxed));
        spare.clear();
        // A burst need not be paid for forever.
        spare.shrink_to(256 << 10);
        buffer = shared.buffer();
        buffer.writing = false;
        buffer.lost += if result.is_err() { lines } else { 0 };
        let lost = buffer.lost;
        match result {
            // A disk stays full for many lines.
            Err(error) if complained.is_none_or(|at| at.elapsed() >= COMPLAIN) => {
                complained = Some(Instant::now());
                tracing::error!(%error, lost, "records cannot be written; the lines are lost until they can");
            }
            Ok(()) if complained.take().is_some() => tracing::warn!(lost, "records are written again"),
            _ => {}
        }
    }
}

struct Output {
    path: PathBuf,
    file: File,
    size: u64,
    most: u64,
    /// The last line may have no end.
    torn: bool,
}

impl Output {
    fn open(path: PathBuf, most: u64) -> io::Result<Self> {
        // Addresses are nobody else's business.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file, size, most, torn: false })
    }

    fn write(&mut self, text: &[u8], reserve: u64) -> io::Result<()> {
        if reserve > 0 && self.free_space().is_some_and(|free| free < reserve.saturating_add(text.len() as u64)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.size > 0 && self.size + text.len() as u64 > self.most {
            self.rotate()?;
        }
        if std::mem::replace(&mut self.torn, true) {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(text)?;
        self.torn = false;
        self.size += text.len() as u64;
        Ok(())
    }

    fn free_space(&self) -> Option<u64> {
        let info = rustix::fs::fstatvfs(&self.file).ok()?;
        Some(info.f_bavail.saturating_mul(info.f_frsize))
    }

    fn rotate(&mut self) -> io::Result<()> {
        for n in (0..OLD_FILES).rev() {
            let (from, to) = (numbered(&self.path, n), numbered(&self.path, n + 1));
            match std::fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        *self = Self::open(self.path.clone(), self.most)?;
        Ok(())
    }
}

/// `records.jsonl` is the newest, `records.1.jsonl` the one before it.
pub(super) fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 0 { path.to_owned() } else { path.with_extension(format!("{n}.jsonl")) }
}
