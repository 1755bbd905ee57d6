//! `gatepost send`: one letter with our own client, and the dialog for who wants to see it.

use std::io::{self, BufRead, IsTerminal, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use delivery::config::{Endpoint, Times};
use delivery::{Line, SendTo, send_one};
use queue::Body;
use smtp::client::{Credentials, Message, TlsMode};
use smtp::server::Protocol;
use smtp::{Domain, Host, MailParams, Mailbox, RcptParams, ReversePath, Secret};

use super::{Send, Tls};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{BAD, GOOD, paint};
use crate::resolver::SystemNames;
use crate::server;

/// What is sent.
pub struct Letter {
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub body: String,
}

/// Where to and how.
pub struct Target {
    /// `host:port`; the host is the name that the certificate must have.
    pub server: String,
    /// Connect here instead of asking for the host's address.
    pub connect: Option<SocketAddr>,
    pub tls: Tls,
    pub user: Option<(String, Secret)>,
    pub trust: Vec<PathBuf>,
    pub insecure_no_verify: bool,
    pub insecure_plaintext_auth: bool,
}

/// What was negotiated, and what became of each recipient.
pub struct Sent {
    /// `TLSv1.3 TLS_AES_256_GCM_SHA384`.
    pub tls: Option<String>,
    pub login: Option<String>,
    pub peer: String,
    pub recipients: Vec<(String, smtp::Reply)>,
}

pub fn run(arguments: Send) -> Result<(), Fault> {
    let body = match arguments.body.as_str() {
        "-" => {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Fault::io(Exit::Usage, "the text cannot be read from standard input", &error))?;
            text
        }
        text => text.to_owned(),
    };
    let user = arguments.user.clone().map(|user| password(&user).map(|password| (user, password))).transpose()?;
    let target = Target {
        tls: arguments.tls.unwrap_or_else(|| usual_tls(&arguments.server)),
        server: arguments.server,
        connect: None,
        user,
        trust: arguments.ca.into_iter().collect(),
        insecure_no_verify: arguments.insecure_no_verify,
        insecure_plaintext_auth: arguments.insecure_plaintext_auth,
    };
    let letter = Letter { from: arguments.from, to: arguments.to, subject: arguments.subject, body };
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = compose(&letter, &hostname)?;
    let watch: Option<Watch> = if arguments.verbose { Some(Box::new(print_line)) } else { None };
    let sent = server::runtime()?.block_on(deliver(&target, &letter, text, watch))?;
    report(&sent)
}

fn report(sent: &Sent) -> Result<(), Fault> {
    let tls = sent.tls.as_deref().unwrap_or("no TLS");
    let login =
        sent.login.as_deref().map_or_else(|| "no login".to_owned(), |mechanism| format!("login by {mechanism}"));
    anstream::println!("{} ({tls}, {login})", sent.peer);
    for (recipient, reply) in &sent.recipients {
        let word = if reply.is_positive() { paint(GOOD, "accepted") } else { paint(BAD, "refused") };
        anstream::println!("{word} {recipient}: {reply}");
    }
    let refused = sent.recipients.iter().filter(|(_, reply)| !reply.is_positive()).count();
    if refused == 0 {
        Ok(())
    } else {
        Err(Fault::failed(format!("{refused} of {} recipients refused", sent.recipients.len())))
    }
}

type Watch = Box<dyn FnMut(Line<'_>) + std::marker::Send>;

fn print_line(line: Line<'_>) {
    match line {
        Line::Connected(peer) => println!("   connected to {peer}"),
        Line::Sent(command) => println!("-> {command}"),
        Line::Received(reply) => {
            let mut wire = Vec::new();
            reply.write(&mut wire);
            for line in String::from_utf8_lossy(&wire).lines() {
                println!("<- {line}");
            }
        }
        // The line before was the same.
        Line::Refused { .. } => {}
        Line::Tls(tls) => {
            let verified = match &tls.verified {
                Ok(()) => "certificate verified".to_owned(),
                Err(why) => format!("certificate not verified: {why}"),
            };
            println!("   {} {}, {verified}", tls.protocol, tls.cipher);
        }
    }
}

/// The encryption that a port stands for.
fn usual_tls(server: &str) -> Tls {
    let loopback = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match server.rsplit_once(':') {
        Some((_, "465" | "2465")) => Tls::Implicit,
        Some((host, "25" | "2025")) if loopback(host) => Tls::None,
        _ => Tls::Starttls,
    }
}

/// From GATEPOST_PASSWORD, else typed.
fn password(user: &str) -> Result<Secret, Fault> {
    if let Some(password) = std::env::var_os("GATEPOST_PASSWORD") {
        return Ok(Secret::new(password.into_encoded_bytes()));
    }
    let input = io::stdin();
    if input.is_terminal() {
        eprint!("Password of {user}: ");
    }
    let _quiet = QuietTerminal::new();
    let mut line = String::new();
    input.lock().read_line(&mut line).map_err(|error| Fault::io(Exit::Usage, "the password cannot be read", &error))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Fault::new(Exit::Usage, format!("there is no password for {user}"))
            .help("set GATEPOST_PASSWORD, or give it on standard input")),
        password => Ok(Secret::new(password)),
    }
}

/// While it lives, what is typed is not shown.
struct QuietTerminal(Option<rustix::termios::Termios>);

impl QuietTerminal {
    fn new() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(io::stdin()) else { return Self(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        Self(tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).ok().map(|()| before))
    }
}

impl Drop for QuietTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing can be done where the terminal has gone.
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Flush, before);
            eprintln!();
        }
    }
}

fn mailbox(text: &str) -> Result<Mailbox, Fault> {
    text.parse().map_err(|error| Fault::new(Exit::Usage, format!("`{text}` is no address: {error}")))
}

/// The letter as it goes on the wire.
pub fn compose(letter: &Letter, hostname: &str) -> Result<Vec<u8>, Fault> {
    if letter.subject.contains(['\r', '\n']) {
        return Err(Fault::new(Exit::Usage, "the subject has a line break in it"));
    }
    let now = queue::Timestamp::now();
    let id = mail::message_id::generate(hostname);
    let mut text = format!(
        "From: {}\r\nTo: {}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: {id}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
        letter.from,
        letter.to.join(", "),
        letter.subject,
        mail::date::format(now.0),
    );
    for line in letter.body.lines() {
        text.push_str(&line.replace('\r', ""));
        text.push_str("\r\n");
    }
    Ok(text.into_bytes())
}

/// Sends it.
pub async fn deliver(target: &Target, letter: &Letter, text: Vec<u8>, watch: Option<Watch>) -> Result<Sent, Fault> {
    let named: Endpoint = target
        .server
        .parse()
        .map_err(|error| Fault::new(Exit::Usage, format!("{error}")).help("--server smtp.example.org:587"))?;
    let server = match target.connect {
        Some(address) => address.to_string().parse().map_err(|e| Fault::new(Exit::Usage, format!("{e}")))?,
        None => named.clone(),
    };
    let recipients =
        letter.to.iter().map(|to| Ok((mailbox(to)?, RcptParams::default()))).collect::<Result<Vec<_>, Fault>>()?;
    let from = match letter.from.as_str() {
        "" | "<>" => ReversePath::Null,
        address => ReversePath::Mailbox(mailbox(address)?),
    };
    let header_utf8 = !letter.subject.is_ascii();
    let params = MailParams { size: Some(text.len() as u64), smtputf8: header_utf8, ..MailParams::default() };
    let message = Message { from, params, recipients };
    let to = SendTo {
        server,
        protocol: Protocol::Smtp,
        tls: match target.tls {
            Tls::Implicit => TlsMode::Implicit,
            Tls::Starttls => TlsMode::StartTls,
            Tls::None => TlsMode::None,
        },
        tls_name: target.connect.is_some().then(|| named.host.to_string()),
        verify: !target.insecure_no_verify,
        credentials: target.user.clone().map(|(user, password)| Credentials { user, password }),
        insecure_allow_plaintext_auth: target.insecure_plaintext_auth,
        ehlo: own_name(),
        authorities: Arc::new(server::tls::roots(&target.trust)?),
        times: Times::default(),
    };
    let body = Body::from_bytes(text);
    let mut watch = watch.unwrap_or_else(|| Box::new(|_| {}));
    let sent = send_one(&to, &SystemNames, message, &body, &mut *watch)
        .await
        .map_err(|trouble| Fault::failed(format!("{} (said by {})", trouble.reply, trouble.by)))?;
    let replies = sent.delivery.recipients.into_iter().map(|r| r.reply);
    Ok(Sent {
        tls: sent.tls.map(|tls| format!("{} {}", tls.protocol, tls.cipher)),
        login: sent.auth,
        peer: sent.peer,
        recipients: letter.to.iter().cloned().zip(replies).collect(),
    })
}

/// What we call ourselves: the machine's name where it is one that EHLO may carry.
fn own_name() -> Host {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match name.parse::<Domain>() {
        Ok(domain) => Host::Domain(domain),
        Err(_) => Host::Literal(smtp::AddressLiteral(std::net::Ipv4Addr::LOCALHOST.into())),
    }
}
