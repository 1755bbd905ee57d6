//! A server for tests: takes letters, says what it is told to, and remembers what it saw.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

pub(super) trait Line: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// What the sink says to a command, where it is not the usual. `CLOSE` closes without a word; `421` closes behind it.
pub(super) type Answers = Arc<dyn Fn(&Heard<'_>) -> Option<String> + Send + Sync>;

/// A command and where it was heard.
pub(super) struct Heard<'a> {
    /// `""` is the connection itself, `"."` the end of a letter; in LMTP `". <recipient>"`.
    pub(super) command: &'a str,
    pub(super) connection: usize,
    /// Letters taken on this connection before.
    pub(super) letters: usize,
}

#[derive(Clone)]
pub(super) struct Script {
    pub(super) offers: Vec<&'static str>,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) implicit: bool,
    pub(super) lmtp: bool,
    pub(super) answers: Answers,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            offers: vec!["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"],
            tls: None,
            implicit: false,
            lmtp: false,
            answers: Arc::new(|_| None),
        }
    }
}

impl Script {
    pub(super) fn saying(answers: impl Fn(&Heard<'_>) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        Self { answers: Arc::new(move |heard| answers(heard).map(str::to_owned)), ..Self::default() }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Letter {
    pub(super) connection: usize,
    pub(super) tls: bool,
    pub(super) to: Vec<String>,
    pub(super) body: Vec<u8>,
}

/// What the sink has seen.
#[derive(Default)]
pub(super) struct Seen {
    connections: AtomicUsize,
    letters: Mutex<Vec<Letter>>,
    commands: Mutex<Vec<String>>,
}

impl Seen {
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }

    pub(super) fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

pub(super) struct Sink {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
}

impl Sink {
    pub(super) async fn new(script: Script) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(super) async fn at(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let to = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(Box::new(stream), script.clone(), to.clone()));
            }
        });
        Self { address, seen }
    }

    pub(super) fn unix(path: &Path, script: Script) -> Arc<Seen> {
        let listener = UnixListener::bind(path).unwrap();
        let seen = Arc::new(Seen::default());
        let to = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(Box::new(stream), script.clone(), to.clone()));
            }
        });
        seen
    }

    /// How outcomes call it where a route names its address.
    pub(super) fn peer(&self) -> String {
        format!("[{}]:{}", self.address.ip(), self.address.port())
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn talk(line: Box<dyn Line>, script: Script, seen: Arc<Seen>) {
    let connection = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let tls = script.tls.clone();
    let line: Box<dyn Line> = match (script.implicit, tls) {
        (true, Some(config)) => match TlsAcceptor::from(config).accept(line).await {
            Ok(line) => Box::new(line),
            Err(_) => return,
        },
        _ => line,
    };
    let encrypted = script.implicit;
    let talk = Talk { script, seen, connection, encrypted, letters: 0, letter: Letter::default() };
    talk.run(BufReader::new(line)).await;
}

struct Talk {
    script: Script,
    seen: Arc<Seen>,
    connection: usize,
    encrypted: bool,
    letters: usize,
    letter: Letter,
}

impl Talk {
    async fn run(mut self, mut line: BufReader<Box<dyn Line>>) {
        if !self.say(&mut line, "", "220 sink.example ESMTP").await {
            return;
        }
        let mut command = String::new();
        loop {
            command.clear();
            if line.read_line(&mut command).await.unwrap_or(0) == 0 {
                return;
            }
            let command = command.trim_end();
            self.seen.commands.lock().unwrap().push(command.to_owned());
            let verb = command.split(' ').next().unwrap().to_ascii_uppercase();
            let goes_on = match verb.as_str() {
                "EHLO" | "LHLO" => {
                    let hello = self.hello();
                    self.say(&mut line, command, &hello).await
                }
                "RCPT" => self.recipient(&mut line, command).await,
                "DATA" => self.data(&mut line).await,
                "BDAT" => self.chunk(&mut line, command).await,
                "STARTTLS" => {
                    let said = self.answer(command, "220 go ahead");
                    if !self.write(&mut line, &said).await {
                        return;
                    }
                    if said.starts_with("220") {
                        let Some(config) = self.script.tls.clone() else {
                            // Not what a client expects in answer to its first words.
                            let _ = line.fill_buf().await;
                            self.write(&mut line, "500 5.5.1 what?").await;
                            return;
                        };
                        let Ok(tls) = TlsAcceptor::from(config).accept(line.into_inner()).await else { return };
                        self.encrypted = true;
                        line = BufReader::new(Box::new(tls));
                    }
                    true
                }
                "QUIT" => {
                    self.say(&mut line, command, "221 2.0.0 bye").await;
                    return;
                }
                "AUTH" => self.say(&mut line, command, "235 2.7.0 welcome").await,
                "MAIL" => {
                    self.letter = Letter { connection: self.connection, tls: self.encrypted, ..Letter::default() };
                    self.say(&mut line, command, "250 2.1.0 sender fine").await
                }
                _ => self.say(&mut line, command, "250 2.0.0 fine").await,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn hello(&self) -> String {
        let mut lines = vec!["sink.example"];
        lines.extend(self.script.offers.iter().filter(|offer| !(self.encrypted && **offer == "STARTTLS")));
        let last = lines.pop().unwrap();
        lines.iter().map(|line| format!("250-{line}\r\n")).collect::<String>() + "250 " + last
    }

    async fn recipient(&mut self, line: &mut BufReader<Box<dyn Line>>, command: &str) -> bool {
        let said = self.answer(command, "250 2.1.5 recipient fine");
        if said.starts_with('2') {
            let to = command.split(['<', '>']).nth(1).unwrap();
            self.letter.to.push(to.to_owned());
        }
        self.write(line, &said).await
    }

    async fn data(&mut self, line: &mut BufReader<Box<dyn Line>>) -> bool {
        let said = self.answer("DATA", "354 go ahead");
        if !self.write(line, &said).await {
            return false;
        }
        if !said.starts_with('3') {
            return true;
        }
        let mut row = Vec::new();
        loop {
            row.clear();
            if line.read_until(b'\n', &mut row).await.unwrap_or(0) == 0 {
                return false;
            }
            match row.as_slice() {
                b".\r\n" => return self.taken(line).await,
                [b'.', rest @ ..] => self.letter.body.extend_from_slice(rest),
                row => self.letter.body.extend_from_slice(row),
            }
            // A server may have had enough before the end.
            let said = self.answer(&format!("AFTER {}", self.letter.body.len()), "");
            if !said.is_empty() {
                return self.write(line, &said).await;
            }
        }
    }

    async fn chunk(&mut self, line: &mut BufReader<Box<dyn Line>>, command: &str) -> bool {
        let mut words = command.split(' ').skip(1);
        let mut chunk = vec![0; words.next().unwrap().parse().unwrap()];
        if line.read_exact(&mut chunk).await.is_err() {
            return false;
        }
        self.letter.body.extend_from_slice(&chunk);
        if self.answer(command, "").starts_with('5') {
            self.letter.body.clear();
            self.say(line, command, "").await
        } else if words.next() == Some("LAST") {
            self.taken(line).await
        } else {
            self.say(line, command, "250 2.0.0 more").await
        }
    }

    async fn taken(&mut self, line: &mut BufReader<Box<dyn Line>>) -> bool {
        let letter = std::mem::take(&mut self.letter);
        let to: Vec<_> = if self.script.lmtp { letter.to.clone() } else { vec![String::new()] };
        self.seen.letters.lock().unwrap().push(letter);
        for to in to {
            let end = if to.is_empty() { ".".into() } else { format!(". <{to}>") };
            if !self.say(line, &end, "250 2.0.0 taken").await {
                return false;
            }
        }
        self.letters += 1;
        true
    }

    fn answer(&self, command: &str, usual: &str) -> String {
        let heard = Heard { command, connection: self.connection, letters: self.letters };
        (self.script.answers)(&heard).unwrap_or_else(|| usual.into())
    }

    /// Whether the connection goes on.
    async fn say(&self, line: &mut BufReader<Box<dyn Line>>, command: &str, usual: &str) -> bool {
        let said = self.answer(command, usual);
        self.write(line, &said).await
    }

    async fn write(&self, line: &mut BufReader<Box<dyn Line>>, said: &str) -> bool {
        if said == "CLOSE" {
            return false;
        }
        let written = line.write_all(format!("{said}\r\n").as_bytes()).await.is_ok() && line.flush().await.is_ok();
        written && !said.starts_with("421")
    }
}

/// Counts how often something was said, by its first words.
pub(super) fn count<'a>(commands: impl IntoIterator<Item = &'a String>) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    for command in commands {
        *counts.entry(command.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    counts
}
