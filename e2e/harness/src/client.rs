//! An SMTP client that does exactly what it is told, rightly or wrongly.
//!
//! ```no_run
//! # use harness::Client;
//! let mut client = Client::connect("127.0.0.1:2525".parse().unwrap());
//! client.expect(220);
//! client.say("EHLO client.test", 250);
//! client.send(b"MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\r\n");
//! ```

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::letter::{base64, dot_stuffed};

/// A reply of one or more lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// The text of each line, without code and separator.
    pub lines: Vec<String>,
}

impl Reply {
    /// Whether any line contains `text`, upper or lower case.
    pub fn says(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.lines.iter().any(|line| line.to_ascii_lowercase().contains(&text))
    }

    /// The parameters of an EHLO keyword, if it is offered.
    pub fn offers(&self, keyword: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            word.eq_ignore_ascii_case(keyword).then_some(rest)
        })
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / "))
    }
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

/// One connection and what was said on it.
pub struct Client {
    wire: Wire,
    buffer: Vec<u8>,
    dialog: String,
}

impl Client {
    /// Opens a connection; the greeting is not read.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn connect(to: SocketAddr) -> Client {
        Client::try_connect(to).unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"))
    }

    /// # Errors
    /// What the system says.
    pub fn try_connect(to: SocketAddr) -> std::io::Result<Client> {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Client { wire: Wire::Plain(stream), buffer: Vec::new(), dialog: String::new() })
    }

    /// How long a read may take before it counts as a hang.
    pub fn patience(&mut self, limit: Duration) {
        let _ = self.socket().set_read_timeout(Some(limit));
    }

    /// Changes to TLS now: at once for implicit TLS, after `220` for STARTTLS.
    ///
    /// # Panics
    /// When the handshake fails; see [`Client::try_tls`].
    pub fn tls(&mut self, config: &Arc<ClientConfig>, host: &str) {
        if let Err(error) = self.try_tls(config, host) {
            panic!("TLS with {host} failed: {error}\n{}", self.dialog);
        }
    }

    /// # Errors
    /// What rustls or the socket says.
    pub fn try_tls(&mut self, config: &Arc<ClientConfig>, host: &str) -> std::io::Result<()> {
        assert!(self.buffer.is_empty(), "bytes in clear before the handshake: {:?}", self.buffer);
        let Wire::Plain(mut stream) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            panic!("there is TLS already");
        };
        let name = ServerName::try_from(host.to_owned()).expect("a server name");
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        let _ = writeln!(self.dialog, "-- {:?}", session.protocol_version());
        self.wire = Wire::Tls(Box::new(StreamOwned::new(session, stream)));
        Ok(())
    }

    /// Protocol and cipher, where there is TLS.
    pub fn tls_facts(&self) -> Option<(String, String)> {
        let Wire::Tls(tls) = &self.wire else { return None };
        let version = format!("{:?}", tls.conn.protocol_version()?);
        let suite = format!("{:?}", tls.conn.negotiated_cipher_suite()?.suite());
        Some((version, suite))
    }

    /// Bytes, as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send(bytes) {
            panic!("cannot send: {error}\n{}", self.dialog);
        }
    }

    /// # Errors
    /// What the socket says.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.len() < 2000 {
            let _ = write!(self.dialog, "C: {}", String::from_utf8_lossy(bytes));
        } else {
            let _ = writeln!(self.dialog, "C: ({} bytes)", bytes.len());
        }
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Wire::Gone => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// One line out, one reply in, which must have this code.
    pub fn say(&mut self, line: &str, code: u16) -> Reply {
        let reply = self.ask(line);
        self.insist(&reply, code);
        reply
    }

    /// One line out, any reply in.
    pub fn ask(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Reads a reply, which must have this code.
    pub fn expect(&mut self, code: u16) -> Reply {
        let reply = self.reply();
        self.insist(&reply, code);
        reply
    }

    fn insist(&self, reply: &Reply, code: u16) {
        assert_eq!(reply.code, code, "expected {code}, was told {reply}\n{}", self.dialog);
    }

    /// Reads a reply.
    ///
    /// # Panics
    /// When none comes.
    pub fn reply(&mut self) -> Reply {
        match self.try_reply() {
            Ok(reply) => reply,
            Err(error) => panic!("no reply: {error}\n{}", self.dialog),
        }
    }

    /// # Errors
    /// What the socket says; `UnexpectedEof` where the server closed.
    pub fn try_reply(&mut self) -> std::io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let _ = writeln!(self.dialog, "S: {line}");
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code else {
                return Err(std::io::Error::other(format!("not a reply: {line:?}")));
            };
            lines.push(line.get(4..).unwrap_or("").to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    fn line(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let Some(line) = line.strip_suffix(b"\r\n") else {
                    return Err(std::io::Error::other(format!("a line without CRLF: {line:?}")));
                };
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut chunk = [0u8; 4096];
        let count = match &mut self.wire {
            Wire::Plain(stream) => stream.read(&mut chunk)?,
            Wire::Tls(stream) => stream.read(&mut chunk)?,
            Wire::Gone => 0,
        };
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// Whether the server has closed: waits for the end, and hands out what came before it.
    ///
    /// # Panics
    /// When the connection stays open longer than the client's patience.
    pub fn rest(&mut self) -> String {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the server did not close\n{}", self.dialog);
                }
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// Reads the greeting and says EHLO.
    pub fn hello(&mut self) -> Reply {
        self.expect(220);
        self.say("EHLO client.test", 250)
    }

    /// STARTTLS and EHLO again.
    pub fn start_tls(&mut self, config: &Arc<ClientConfig>, host: &str) -> Reply {
        self.say("STARTTLS", 220);
        self.tls(config, host);
        self.say("EHLO client.test", 250)
    }

    /// AUTH PLAIN with an initial response.
    pub fn auth_plain(&mut self, user: &str, password: &str) -> Reply {
        self.ask(&format!("AUTH PLAIN {}", base64(format!("\0{user}\0{password}").as_bytes())))
    }

    /// One transaction with DATA; every step before the last must succeed. The reply is that to the final dot.
    pub fn deliver(&mut self, from: &str, to: &[&str], letter: &[u8]) -> Reply {
        self.say(&format!("MAIL FROM:<{from}>"), 250);
        for recipient in to {
            self.say(&format!("RCPT TO:<{recipient}>"), 250);
        }
        self.say("DATA", 354);
        self.send(&dot_stuffed(letter));
        self.reply()
    }

    /// The same, but an error anywhere ends it quietly: for clients whose server is killed under them.
    ///
    /// # Errors
    /// What the socket says, or the reply that was not the one wished for.
    pub fn try_deliver(&mut self, from: &str, to: &str, letter: &[u8]) -> std::io::Result<Reply> {
        for (line, code) in
            [(format!("MAIL FROM:<{from}>"), 250), (format!("RCPT TO:<{to}>"), 250), ("DATA".into(), 354)]
        {
            self.try_send(format!("{line}\r\n").as_bytes())?;
            let reply = self.try_reply()?;
            if reply.code != code {
                return Err(std::io::Error::other(reply.to_string()));
            }
        }
        self.try_send(&dot_stuffed(letter))?;
        self.try_reply()
    }

    /// Ends our direction of the connection.
    pub fn shut(&self) {
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// What was said so far.
    pub fn dialog(&self) -> &str {
        &self.dialog
    }

    fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
            Wire::Gone => panic!("the connection is gone"),
        }
    }
}
