//! A next hop that records every letter it is given, and misbehaves on demand.
//!
//! ```no_run
//! # use harness::{Sink, Stage};
//! let sink = Sink::start();
//! sink.answer(Stage::Rcpt, "bob@", "450 4.2.1 mailbox busy", 2); // the first two times
//! // ... let the program deliver ...
//! assert_eq!(sink.wait_for(1)[0].to, ["<bob@b.test>"]);
//! ```
//!
//! # Limits
//! A thread for every connection. Letters stay in memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ServerConfig;

use crate::ports::free_port;
use crate::wait::wait_until;

mod dialog;
mod ill;

pub use ill::Ill;

/// Where in the dialog an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Greeting,
    Hello,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    /// The answer to DATA.
    Data,
    /// The answer to the end of the letter, by DATA or BDAT.
    End,
    Rset,
    Quit,
}

/// One letter as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which connection brought it, counted from 1.
    pub connection: usize,
    pub tls: bool,
    /// The line of EHLO, HELO or LHLO.
    pub hello: String,
    /// The user name of AUTH, if any.
    pub user: Option<String>,
    /// What followed `MAIL FROM:`, with parameters.
    pub mail: String,
    /// What followed each accepted `RCPT TO:`, with parameters.
    pub rcpt: Vec<String>,
    /// The paths alone, with their angle brackets.
    pub from: String,
    pub to: Vec<String>,
    /// The letter, dots undone.
    pub bytes: Vec<u8>,
    /// Whether it came by BDAT.
    pub chunked: bool,
}

impl Received {
    /// Whether the letter contains `text`.
    pub fn contains(&self, text: &str) -> bool {
        crate::maildir::contains(&self.bytes, text)
    }
}

struct Rule {
    stage: Stage,
    contains: String,
    ill: Ill,
    left: usize,
}

/// What the connections share.
struct State {
    offers: Vec<String>,
    tls: Option<Arc<ServerConfig>>,
    implicit: bool,
    lmtp: bool,
    rules: Mutex<Vec<Rule>>,
    delays: Mutex<Vec<(Stage, Duration)>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    paused: Mutex<bool>,
    resumed: Condvar,
    stop: AtomicBool,
}

/// How a sink shall be.
pub struct Builder {
    offers: Vec<String>,
    tls: Option<Arc<ServerConfig>>,
    implicit: bool,
    lmtp: bool,
    ip: IpAddr,
    port: Option<u16>,
}

/// A running sink; it takes no new connection once dropped.
pub struct Sink {
    address: SocketAddr,
    state: Arc<State>,
}

impl Builder {
    /// Offers exactly these keywords at EHLO (STARTTLS comes by itself).
    pub fn offer(mut self, keywords: &[&str]) -> Builder {
        self.offers = keywords.iter().map(|keyword| keyword.to_string()).collect();
        self
    }

    /// Offers STARTTLS.
    pub fn start_tls(mut self, config: Arc<ServerConfig>) -> Builder {
        self.tls = Some(config);
        self
    }

    /// TLS from the first byte.
    pub fn implicit_tls(mut self, config: Arc<ServerConfig>) -> Builder {
        self.tls = Some(config);
        self.implicit = true;
        self
    }

    /// Speaks LMTP: LHLO, and one answer for each recipient after the letter.
    pub fn lmtp(mut self) -> Builder {
        self.lmtp = true;
        self
    }

    /// Listens on another address of 127.0.0.0/8.
    pub fn ip(mut self, ip: &str) -> Builder {
        self.ip = ip.parse().expect("an address");
        self
    }

    /// Listens on this port; without it, on a free one.
    pub fn port(mut self, port: u16) -> Builder {
        self.port = Some(port);
        self
    }

    /// Starts listening.
    pub fn start(self) -> Sink {
        let address = SocketAddr::from((self.ip, self.port.unwrap_or_else(free_port)));
        let listener = TcpListener::bind(address).expect("a port for the sink");
        let state = Arc::new(State {
            offers: self.offers,
            tls: self.tls,
            implicit: self.implicit,
            lmtp: self.lmtp,
            rules: Mutex::default(),
            delays: Mutex::default(),
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            paused: Mutex::new(false),
            resumed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &shared));
        Sink { address, state }
    }
}

impl Sink {
    /// A sink that offers what a modern server offers, without TLS.
    pub fn start() -> Sink {
        Sink::builder().start()
    }

    pub fn builder() -> Builder {
        let keywords = ["PIPELINING", "SIZE 1000000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN"];
        let offers = keywords.iter().map(|keyword| keyword.to_string()).collect();
        Builder { offers, tls: None, implicit: false, lmtp: false, ip: Ipv4Addr::LOCALHOST.into(), port: None }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers `reply` at `stage`, for lines that contain `contains`, the next `times` times. An empty reply closes
    /// the connection instead.
    pub fn answer(&self, stage: Stage, contains: &str, reply: &str, times: usize) {
        let ill = if reply.is_empty() { Ill::Close } else { Ill::Say(reply.to_owned()) };
        self.ail(stage, contains, ill, times);
    }

    /// The same for whatever else a server may do instead of answering.
    pub fn ail(&self, stage: Stage, contains: &str, ill: Ill, times: usize) {
        lock(&self.state.rules).push(Rule { stage, contains: contains.to_owned(), ill, left: times });
    }

    /// Back to saying yes.
    pub fn relent(&self) {
        lock(&self.state.rules).clear();
        lock(&self.state.delays).clear();
    }

    /// Every answer at `stage` comes so much later.
    pub fn delay(&self, stage: Stage, time: Duration) {
        lock(&self.state.delays).push((stage, time));
    }

    /// From now on nobody gets the answer to the end of a letter, until [`Sink::resume`].
    pub fn pause(&self) {
        *lock(&self.state.paused) = true;
    }

    pub fn resume(&self) {
        *lock(&self.state.paused) = false;
        self.state.resumed.notify_all();
    }

    /// Every letter so far.
    pub fn letters(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// How many letters so far.
    pub fn count(&self) -> usize {
        lock(&self.state.received).len()
    }

    /// Looks at the letters without copying them.
    pub fn look<T>(&self, see: impl FnOnce(&[Received]) -> T) -> T {
        see(&lock(&self.state.received))
    }

    /// Waits for this many letters, half a minute at most.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_at_most(count, Duration::from_secs(30))
    }

    pub fn wait_at_most(&self, count: usize, limit: Duration) -> Vec<Received> {
        wait_until(limit, &format!("{count} letters at the sink"), || self.count() >= count);
        self.letters()
    }

    /// How many connections were ever opened.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many are open now.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.resume();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let state = Arc::clone(state);
        let connection = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
        state.open.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(move || {
            // A peer that goes away ends the thread; what it had not finished is not recorded.
            let _ = dialog::serve(stream, &state, connection);
            state.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}
