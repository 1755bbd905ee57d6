//! One connection of the sink, from greeting to end.

use std::io::{BufRead, BufReader, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Ill, Received, Stage, State, lock};

pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Wire {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Wire::Plain(stream) => stream.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

struct Dialog<'a> {
    wire: BufReader<Wire>,
    state: &'a State,
    letter: Received,
    has_mail: bool,
}

/// Speaks until QUIT or until the peer goes.
pub(super) fn serve(stream: TcpStream, state: &State, connection: usize) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let tls = state.implicit;
    let wire = match &state.tls {
        Some(config) if tls => secure(stream, config)?,
        _ => Wire::Plain(stream),
    };
    let letter = Received {
        connection,
        tls,
        hello: String::new(),
        user: None,
        mail: String::new(),
        rcpt: Vec::new(),
        from: String::new(),
        to: Vec::new(),
        bytes: Vec::new(),
        chunked: false,
    };
    let mut dialog = Dialog { wire: BufReader::with_capacity(65_536, wire), state, letter, has_mail: false };
    dialog.answer(Stage::Greeting, "", "220 sink.test ESMTP")?;
    while dialog.command()? {}
    Ok(())
}

fn secure(mut stream: TcpStream, config: &Arc<ServerConfig>) -> Result<Wire> {
    let mut session = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(Wire::Tls(Box::new(StreamOwned::new(session, stream))))
}

impl Dialog<'_> {
    /// Reads one command and answers it. `false` ends the connection.
    fn command(&mut self) -> Result<bool> {
        let line = self.line()?;
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "LHLO" | "HELO" => self.hello(&line)?,
            "STARTTLS" => return self.start_tls(),
            "AUTH" => self.auth(rest)?,
            "MAIL" => self.mail(rest)?,
            "RCPT" => self.rcpt(rest)?,
            "DATA" => self.data()?,
            "BDAT" => self.bdat(rest)?,
            "RSET" => {
                self.reset();
                self.answer(Stage::Rset, &line, "250 2.0.0 forgotten")?;
            }
            "NOOP" => self.reply("250 2.0.0 nothing done")?,
            "QUIT" => {
                self.answer(Stage::Quit, &line, "221 2.0.0 bye")?;
                return Ok(false);
            }
            _ => self.reply("500 5.5.1 the sink does not know that")?,
        }
        Ok(true)
    }

    fn hello(&mut self, line: &str) -> Result<()> {
        self.letter.hello = line.to_owned();
        self.reset();
        if line.to_ascii_uppercase().starts_with("HELO") {
            return self.answer(Stage::Hello, line, "250 sink.test").map(drop);
        }
        let mut offers = self.state.offers.clone();
        if self.state.tls.is_some() && !self.letter.tls {
            offers.push("STARTTLS".to_owned());
        }
        let mut text = String::from("250-sink.test\r\n");
        for offer in offers {
            text.push_str(&format!("250-{offer}\r\n"));
        }
        text.push_str("250 HELP");
        self.answer(Stage::Hello, line, &text).map(drop)
    }

    fn start_tls(&mut self) -> Result<bool> {
        let Some(config) = self.state.tls.as_ref().filter(|_| !self.letter.tls) else {
            self.reply("503 5.5.1 no TLS here")?;
            return Ok(true);
        };
        if !self.wire.buffer().is_empty() {
            self.reply("554 5.5.0 bytes after STARTTLS")?;
            return Ok(false);
        }
        if !self.answer(Stage::StartTls, "", "220 2.0.0 go ahead")? {
            return Ok(true);
        }
        let Wire::Plain(stream) = self.wire.get_ref() else { return Ok(false) };
        let secured = secure(stream.try_clone()?, config)?;
        self.wire = BufReader::with_capacity(65_536, secured);
        self.letter.tls = true;
        Ok(true)
    }

    /// AUTH PLAIN and LOGIN; what is said is believed and kept, undecoded.
    fn auth(&mut self, rest: &str) -> Result<()> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut said = initial.to_owned();
        let prompts = if mechanism.eq_ignore_ascii_case("LOGIN") { 2 } else { usize::from(initial.is_empty()) };
        for prompt in 0..prompts {
            if prompt > 0 || initial.is_empty() {
                self.reply(["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"][prompt])?;
                let answer = self.line()?;
                said = if said.is_empty() { answer } else { format!("{said} {answer}") };
            }
        }
        if self.answer(Stage::Auth, rest, "235 2.7.0 welcome")? {
            self.letter.user = Some(said);
        }
        Ok(())
    }

    fn mail(&mut self, rest: &str) -> Result<()> {
        if self.has_mail {
            return self.reply("503 5.5.1 one at a time");
        }
        if self.answer(Stage::Mail, rest, "250 2.1.0 ok")? {
            self.has_mail = true;
            (self.letter.from, self.letter.mail) = path_and_all(rest);
        }
        Ok(())
    }

    fn rcpt(&mut self, rest: &str) -> Result<()> {
        if !self.has_mail {
            return self.reply("503 5.5.1 MAIL first");
        }
        if self.answer(Stage::Rcpt, rest, "250 2.1.5 ok")? {
            let (path, all) = path_and_all(rest);
            self.letter.to.push(path);
            self.letter.rcpt.push(all);
        }
        Ok(())
    }

    fn data(&mut self) -> Result<()> {
        if self.letter.to.is_empty() {
            return self.reply("554 5.5.1 no valid recipients");
        }
        if !self.answer(Stage::Data, "", "354 go ahead")? {
            return Ok(());
        }
        let mut ended = true;
        loop {
            let start = self.letter.bytes.len();
            if self.wire.read_until(b'\n', &mut self.letter.bytes)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = &self.letter.bytes[start..];
            // Only CRLF "." CRLF ends the letter; RFC 5321 §4.5.2 takes one dot away at the start of a line.
            if ended && line == b".\r\n" {
                self.letter.bytes.truncate(start);
                break;
            }
            let next_ended = line.ends_with(b"\r\n");
            if ended && line.starts_with(b".") {
                self.letter.bytes.remove(start);
            }
            ended = next_ended;
        }
        self.end()
    }

    fn bdat(&mut self, rest: &str) -> Result<()> {
        let mut words = rest.split_whitespace();
        let size: usize = words.next().and_then(|size| size.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let start = self.letter.bytes.len();
        self.letter.bytes.resize(start + size, 0);
        self.wire.read_exact(&mut self.letter.bytes[start..])?;
        if self.letter.to.is_empty() {
            self.letter.bytes.clear();
            return self.reply("554 5.5.1 no valid recipients");
        }
        self.letter.chunked = true;
        if last { self.end() } else { self.reply("250 2.0.0 more") }
    }

    /// The letter is whole: it is recorded before the answer goes out.
    fn end(&mut self) -> Result<()> {
        let count = if self.state.lmtp { self.letter.to.len() } else { 1 };
        let mut replies = Vec::new();
        let mut kept = self.letter.clone();
        kept.to.clear();
        kept.rcpt.clear();
        for place in 0..count {
            let about = if self.state.lmtp { self.letter.to[place].clone() } else { self.letter.to.join(" ") };
            let ill = self.ruled(Stage::End, &about);
            if ill.as_ref().is_none_or(Ill::has_it) {
                let range = if self.state.lmtp { place..place + 1 } else { 0..self.letter.to.len() };
                kept.to.extend_from_slice(&self.letter.to[range.clone()]);
                kept.rcpt.extend_from_slice(&self.letter.rcpt[range]);
            }
            replies.push(ill);
        }
        if !kept.to.is_empty() {
            lock(&self.state.received).push(kept);
        }
        self.reset();
        self.wait(Stage::End);
        let mut paused = lock(&self.state.paused);
        while *paused {
            paused = self.state.resumed.wait(paused).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        drop(paused);
        replies.iter().try_for_each(|ill| self.say(ill.as_ref(), "250 2.0.0 the sink has it"))
    }

    fn reset(&mut self) {
        self.has_mail = false;
        self.letter.to.clear();
        self.letter.rcpt.clear();
        self.letter.bytes = Vec::new();
        self.letter.chunked = false;
    }

    /// Says `yes`, or what a rule says. Whether it was a yes.
    fn answer(&mut self, stage: Stage, line: &str, yes: &str) -> Result<bool> {
        self.wait(stage);
        let ill = self.ruled(stage, line);
        self.say(ill.as_ref(), yes).map(|()| ill.is_none_or(|ill| ill.has_it()))
    }

    fn say(&mut self, ill: Option<&Ill>, yes: &str) -> Result<()> {
        match ill {
            None => self.reply(yes),
            Some(ill) => ill.show(self.wire.get_mut(), yes),
        }
    }

    fn ruled(&self, stage: Stage, line: &str) -> Option<Ill> {
        let mut rules = lock(&self.state.rules);
        let rule = rules.iter_mut().find(|r| r.stage == stage && r.left > 0 && line.contains(&r.contains))?;
        rule.left = rule.left.saturating_sub(1);
        Some(rule.ill.clone())
    }

    fn wait(&self, stage: Stage) {
        let delay: Duration =
            lock(&self.state.delays).iter().filter(|(at, _)| *at == stage).map(|(_, time)| *time).sum();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }

    fn reply(&mut self, text: &str) -> Result<()> {
        self.wire.get_mut().write(format!("{text}\r\n").as_bytes())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        if self.wire.read_until(b'\n', &mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let line = line.strip_suffix(b"\r\n").ok_or(ErrorKind::InvalidData)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }
}

/// From ` FROM:<a@b> SIZE=1` or `FROM:<a@b> SIZE=1`: `<a@b>` and `<a@b> SIZE=1`.
fn path_and_all(rest: &str) -> (String, String) {
    let all = rest.split_once(':').map_or(rest, |(_, all)| all).trim();
    let end = all.rfind('>').map_or(all.len(), |end| end + 1);
    (all[..end].to_owned(), all.to_owned())
}
