//! `gatepost sendmail`, also as /usr/sbin/sendmail and mailq.
//!
//! The letter is kept in the dropbox, whether the server runs or not; a running one is told. Exit codes are those of
//! sysexits.h, which callers look at.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use smtp::{Domain, Mailbox};

use super::ConfigFile;
use super::queue::{LetterFilter, List, QueueCommand};
use crate::config::{self, Loaded};
use crate::control::{self, Request};
use crate::exit::sysexits;
use crate::sendmail::dropbox::{Dropbox, Slip};
use crate::sendmail::letter::{self, Letter};
use crate::sendmail::options::{Mode, Options};
use crate::sendmail::smtp_on_stdin;

pub(super) const HELP: &str = "\
gatepost sendmail [OPTIONS] [RECIPIENT]...
Takes a letter from standard input, the way /usr/sbin/sendmail does.

  -t            recipients are named in To, Cc and Bcc
  -i, -oi       a line with a single dot is part of the letter
  -f ADDRESS    whom the letter is from, for bounces
  -F NAME       the sender's name, where the letter has no From
  -bs           speak SMTP on standard input and output
  -bp           print the queue
  -C FILE       the configuration [GATEPOST_CONFIG, /etc/gatepost/gatepost.toml]

The letter is kept while the server does not run, and sent when it starts.
Exit codes (sysexits.h): 0 kept, 64 usage, 65 no or bad recipients, 75 try again
later, 78 configuration.
";

/// Where a sendmail command ends: what to say and the exit code.
struct Refused(u8, String);

pub fn run(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.into_iter().collect();
    if arguments.iter().any(|a| a == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(arguments).map_err(|e| Refused(sysexits::USAGE, e.to_string())).and_then(act) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refused(code, message)) => {
            eprintln!("sendmail: {}", message.trim_end());
            ExitCode::from(code)
        }
    }
}

fn act(options: Options) -> Result<(), Refused> {
    let path = options.config.clone().or_else(|| std::env::var("GATEPOST_CONFIG").ok());
    let path = PathBuf::from(path.unwrap_or_else(|| "/etc/gatepost/gatepost.toml".to_owned()));
    if options.mode == Mode::PrintQueue {
        let file = ConfigFile { config: path };
        let list = List { filter: LetterFilter::default(), limit: None, json: false, file };
        return super::queue::run(QueueCommand::List(list)).map_err(|fault| Refused(sysexits::TEMPFAIL, fault.message));
    }
    let loaded = config::read(&path).map_err(|fault| Refused(sysexits::CONFIG, fault.message))?;
    let dropbox = Dropbox::new(&loaded.config.server.data_dir);
    if !dropbox.folder().exists() {
        // Who may not make it hears so when the letter cannot be kept.
        let _ = dropbox.create_for_owner();
    }
    match options.mode {
        Mode::Smtp => smtp_on_stdin::run(&loaded.config.server.hostname.0, &dropbox)
            .map_err(|error| Refused(sysexits::TEMPFAIL, error.to_string()))?,
        _ => deliver(&options, &loaded, &dropbox)?,
    }
    // A server that does not run finds the letter when it starts; one that does looks by itself every few seconds.
    let _ = control::ask(&loaded.config.server.data_dir, &Request::Pickup);
    Ok(())
}

fn deliver(options: &Options, loaded: &Loaded, dropbox: &Dropbox) -> Result<(), Refused> {
    let hostname = &loaded.config.server.hostname.0;
    if io::stdin().is_terminal() {
        eprintln!("sendmail: type the letter, then a line with a single dot");
    }
    let mut letter = letter::read(&mut io::stdin().lock(), options.dots_are_data)
        .map_err(|error| Refused(sysexits::DATAERR, format!("the letter cannot be read: {error}")))?;
    let mut named = options.recipients.clone();
    if options.recipients_from_header {
        named.append(&mut letter.recipients);
    }
    let recipients = mailboxes(&named, hostname)?;
    if recipients.is_empty() {
        return Err(Refused(
            sysexits::DATAERR,
            "no recipients; name them, or use -t where To, Cc or Bcc name them".into(),
        ));
    }
    let from = reverse_path(options, hostname)?;
    add_from(&mut letter, options, &from, hostname);
    let slip = Slip { from, recipients };
    dropbox.put(&slip, &letter.text).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "; start the server once, it makes this folder",
            io::ErrorKind::PermissionDenied => "; every user must be able to pass through to it (mode 0711)",
            _ => "",
        };
        let folder = dropbox.folder().display();
        Refused(sysexits::TEMPFAIL, format!("the letter cannot be kept in {folder}: {error}{hint}"))
    })
}

/// `root` alone is `root` at this host.
fn qualified(text: &str, hostname: &Domain) -> Result<String, Refused> {
    let text = text.trim();
    let whole = if text.contains('@') { text.to_owned() } else { format!("{text}@{hostname}") };
    match whole.parse::<Mailbox>() {
        Ok(mailbox) => Ok(mailbox.to_string()),
        Err(error) => Err(Refused(sysexits::DATAERR, format!("`{text}` is no address: {error}"))),
    }
}

fn mailboxes(named: &[String], hostname: &Domain) -> Result<Vec<String>, Refused> {
    let mut all = Vec::new();
    // A recipient argument may itself be a list: `sendmail "a@x, b@x"`.
    for text in named.iter().flat_map(|text| crate::sendmail::addresses(text)) {
        let mailbox = qualified(&text, hostname)?;
        if !all.contains(&mailbox) {
            all.push(mailbox);
        }
    }
    Ok(all)
}

fn reverse_path(options: &Options, hostname: &Domain) -> Result<String, Refused> {
    match options.from.as_deref().map(str::trim) {
        Some("" | "<>") => Ok(String::new()),
        Some(address) => qualified(address.trim_start_matches('<').trim_end_matches('>'), hostname),
        None => qualified(&user_name(), hostname),
    }
}

/// Who calls: by the system's table of users, as the environment can be anything.
fn user_name() -> String {
    crate::sendmail::user_name(rustix::process::getuid().as_raw())
}

/// RFC 5322 §3.6: a letter has a From. One that has none gets the caller's.
fn add_from(letter: &mut Letter, options: &Options, from: &str, hostname: &Domain) {
    if letter.has_from {
        return;
    }
    let address = if from.is_empty() { format!("mailer-daemon@{hostname}") } else { from.to_owned() };
    let field = match &options.full_name {
        Some(name) => {
            let name: String = name.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
            format!("From: \"{name}\" <{address}>\r\n")
        }
        None => format!("From: {address}\r\n"),
    };
    letter.text.splice(0..0, field.into_bytes());
}
