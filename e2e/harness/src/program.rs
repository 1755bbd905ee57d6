//! The program as a process: started, watched, told to stop, killed.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::house::{House, Profile};
use crate::maildir::Maildir;
use crate::wait::{wait_for, wait_until};

/// How long the program may take to listen, in a debug build on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A command that ran to its end.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ended {
    pub fn success(&self) -> bool {
        self.status.success()
    }

    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started, or has not ended after a minute.
pub fn run(mut command: Command, input: &[u8]) -> Ended {
    let begun = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let (_, stdout) = gather(child.stdout.take().expect("its output"));
    let (_, stderr) = gather(child.stderr.take().expect("its errors"));
    let mut stdin = child.stdin.take().expect("its input");
    // A program that does not want its input may end before it is written.
    let _ = stdin.write_all(input);
    drop(stdin);
    let status = wait_for_end(&mut child, Duration::from_secs(60)).unwrap_or_else(|| {
        let _ = child.kill();
        panic!("{command:?} did not end within a minute")
    });
    let (stdout, stderr) = (stdout.join().expect("its output"), stderr.join().expect("its errors"));
    Ended { status, stdout, stderr, took: begun.elapsed() }
}

fn wait_for_end(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads a pipe to its end on a thread, and lets others look at what came so far.
fn gather(mut pipe: impl Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<String>) {
    let so_far = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&so_far);
    let thread = std::thread::spawn(move || {
        let mut chunk = [0u8; 8192];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            lock(&shared).push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        lock(&shared).clone()
    });
    (so_far, thread)
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// `gatepost serve`, running. It is killed when dropped.
pub struct Program {
    pub house: House,
    child: Child,
    log: Arc<Mutex<String>>,
    /// How long the log was when this process began.
    log_begins: usize,
}

impl Program {
    /// Starts in a furnished house and waits until every listener takes connections.
    ///
    /// # Panics
    /// When the program ends instead, with what it said.
    pub fn start(house: House) -> Program {
        let mut program = Program::launch(house);
        program.wait_until_listening();
        program
    }

    /// Starts without waiting.
    pub fn launch(house: House) -> Program {
        let (child, log) = spawn(&house, &Arc::default());
        Program { house, child, log, log_begins: 0 }
    }

    /// Starts again in the same house, after the end of the last process.
    pub fn restart(&mut self) {
        assert!(self.ended().is_some(), "it still runs");
        self.log_begins = lock(&self.log).len();
        (self.child, self.log) = spawn(&self.house, &self.log);
        self.wait_until_listening();
    }

    /// A socket takes connections from the moment when it is bound; the program says so once it also serves them.
    fn wait_until_listening(&mut self) {
        let addresses: Vec<_> = self.house.every_address().collect();
        for address in addresses {
            wait_until(START, &format!("the program to listen on {address}"), || {
                if let Some(status) = self.ended() {
                    panic!("the program ended with {status}:\n{}", self.log());
                }
                let log = lock(&self.log);
                log.get(self.log_begins..).is_some_and(|log| log.contains(&format!("listening address={address}")))
            });
        }
    }

    /// A connection to the first listener of this profile.
    pub fn client(&self, profile: Profile) -> Client {
        Client::connect(self.house.address(profile))
    }

    /// A client on a submission port that has done TLS, EHLO and AUTH.
    pub fn submitter(&self, profile: Profile, user: &str, password: &str) -> Client {
        let config = self.house.ca().trusting();
        let mut client = self.client(profile);
        if profile == Profile::Submissions {
            client.tls(&config, crate::house::HOSTNAME);
            client.hello();
        } else {
            client.hello();
            client.start_tls(&config, crate::house::HOSTNAME);
        }
        let reply = client.auth_plain(user, password);
        assert_eq!(reply.code, 235, "AUTH as {user}: {reply}\n{}", client.dialog());
        client
    }

    pub fn maildir(&self, address: &str) -> Maildir {
        self.house.maildir(address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote on standard error and output so far.
    pub fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// Waits until the log contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        wait_until(Duration::from_secs(15), &format!("{text:?} in the log"), || self.log().contains(text));
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process id");
        kill_process(pid, signal).expect("a signal to our own child");
    }

    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end.
    pub fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        wait_for(limit, "the program to end", || self.ended())
    }

    /// SIGTERM, and a clean end.
    pub fn stop(&mut self) {
        self.terminate();
        let status = self.wait_for_end(Duration::from_secs(40));
        assert!(status.success(), "ended with {status}:\n{}", self.log());
    }

    /// Resident memory now, in bytes.
    pub fn resident(&self) -> u64 {
        self.status_field("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub fn resident_peak(&self) -> u64 {
        self.status_field("VmHWM:")
    }

    fn status_field(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
        line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// `gatepost queue list --json`.
    pub fn queue(&self) -> serde_json::Value {
        let ended = self.house.run(&["queue", "list", "--json"], b"");
        assert!(ended.success(), "queue list: {ended}");
        ended.json()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- configuration\n{}\n--- the program's log\n{}", self.house.toml(), self.log());
            if std::env::var_os("KEEP").is_some() {
                eprintln!("--- kept: {}", self.house.keep().display());
            }
        }
    }
}

fn spawn(house: &House, log: &Arc<Mutex<String>>) -> (Child, Arc<Mutex<String>>) {
    let mut command = house.serve();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    copy_into(child.stdout.take().expect("its output"), Arc::clone(log));
    copy_into(child.stderr.take().expect("its errors"), Arc::clone(log));
    (child, Arc::clone(log))
}

fn copy_into(mut pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut chunk = [0u8; 8192];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            lock(&log).push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    });
}
