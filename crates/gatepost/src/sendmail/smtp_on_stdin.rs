//! `sendmail -bs`: SMTP on standard input and output, into the dropbox. What calls us is a user of this machine, who may
//! send to anyone.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use smtp::server::{
    Answer, BareNewline, Output, Protocol, Question, ServerConfig, ServerLimits, ServerSession, Transaction,
};
use smtp::{Domain, ForwardPath, Host, Reply};

use super::dropbox::{Dropbox, Slip};

/// Serves one caller to its QUIT or end of input.
pub fn run(hostname: &Domain, dropbox: &Dropbox) -> io::Result<()> {
    let config = Arc::new(ServerConfig {
        hostname: Host::Domain(hostname.clone()),
        protocol: Protocol::Smtp,
        starttls: false,
        require_tls: false,
        auth: Vec::new(),
        require_auth: false,
        dsn: false,
        chunking: true,
        smtputf8: true,
        bare_newline: BareNewline::Normalize,
        limits: ServerLimits::default(),
        clock: std::time::SystemTime::now,
    });
    let mut session = ServerSession::new(config, Instant::now());
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match session.poll_output() {
            Output::Ask(question) => {
                let answer = answer(&question, session.transaction(), &mut text, hostname, dropbox);
                session.handle_answer(Instant::now(), answer);
            }
            Output::Body(piece) => text.extend_from_slice(&piece),
            Output::Abandon => text.clear(),
            Output::Transmit(bytes) => {
                output.write_all(&bytes)?;
                output.flush()?;
            }
            Output::Event(_) => {}
            Output::Wait(_) => match input.read(&mut buffer)? {
                0 => session.handle_eof(Instant::now()),
                n => session.handle_input(Instant::now(), &buffer[..n]),
            },
            Output::StartTls | Output::Close => return Ok(()),
        }
    }
}

fn answer(
    question: &Question,
    transaction: Option<&Transaction>,
    text: &mut Vec<u8>,
    hostname: &Domain,
    dropbox: &Dropbox,
) -> Answer {
    if *question != Question::Message {
        return Answer::Accept;
    }
    let text = std::mem::take(text);
    let Some(transaction) = transaction else { return Answer::Accept };
    let recipients = transaction.recipients.iter().map(|(path, _)| match path {
        ForwardPath::Postmaster => format!("postmaster@{hostname}"),
        ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
    });
    let slip = Slip { from: transaction.from.to_string(), recipients: recipients.collect() };
    match dropbox.put(&slip, &text) {
        Ok(()) => Answer::Reply(Reply::new(250, (2, 0, 0), "kept; it is sent as soon as the server runs")),
        Err(_) => Answer::Reply(Reply::new(451, (4, 3, 0), "the letter could not be stored; try again later")),
    }
}
