//! `gatepost queue`: asks the running server; where none runs, reads the spool itself.

use std::path::Path;

use queue::spool::SpoolError;
use queue::{Filter, Held, Last, Selection, Standing, Timestamp};
use serde_json::Value;

use super::{ConfigFile, print_json};
use crate::config;
use crate::control::{self, Change, Request, Response};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output;

mod arguments;
mod list;
mod show;
mod summary;
pub mod suspend;
mod top;
mod when;
mod why;

use arguments::LetterState;
pub use arguments::{LetterFilter, List, QueueCommand, QueueLine, Redirect, Resume, Suspend, Which};

/// Without a command: the summary.
pub fn run_line(line: QueueLine) -> Result<(), Fault> {
    run(line.command.unwrap_or(QueueCommand::Summary(line.summary)))
}

pub fn run(command: QueueCommand) -> Result<(), Fault> {
    match command {
        QueueCommand::Summary(arguments) => summary::run(&arguments),
        QueueCommand::Top(arguments) => top::run(&arguments),
        QueueCommand::List(what) => list::list(&what, &data_dir(&what.file)?),
        QueueCommand::Show { id, json, file } => show::show(&id, json, &config::read(&file.config)?.config),
        QueueCommand::Retry { which } => change(&which, Change::Retry, "tried now"),
        QueueCommand::Hold { which, reason, lasting } => {
            change(&which, Change::Hold { reason, until: lasting.end() }, "held")
        }
        QueueCommand::Release { which } => change(&which, Change::Release, "released"),
        QueueCommand::Redirect(Redirect { target, which, .. }) => redirect(&which, target),
        QueueCommand::Suspend(what) => suspend::suspend(what),
        QueueCommand::Resume(what) => suspend::resume(what),
        QueueCommand::Suspensions { json, file } => suspend::list(json, &file),
        QueueCommand::Bounce { which, reason } => change(&which, Change::Bounce { reason }, "given back"),
        QueueCommand::Drop { which } => change(&which, Change::Drop, "dropped"),
    }
}

fn data_dir(file: &ConfigFile) -> Result<std::path::PathBuf, Fault> {
    Ok(config::read(&file.config)?.config.server.data_dir)
}

/// The server's answer; `None` where none runs.
fn ask(data_dir: &Path, request: &Request) -> Result<Option<Value>, Fault> {
    let socket = control::path(data_dir);
    match control::ask(data_dir, request) {
        Ok(Some(Response::Ok(value))) => Ok(Some(value)),
        Ok(Some(Response::Error(error))) => Err(Fault::failed(error)),
        Ok(None) => Ok(None),
        Err(error) => Err(Fault::io(Exit::Failed, format_args!("{} cannot be asked", socket.display()), &error)
            .help("the queue belongs to the user that the server runs as, and to root")),
    }
}

fn understood<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Fault> {
    serde_json::from_value(value).map_err(|error| {
        Fault::failed(format!("the server's answer is not understood: {error}")).help("is it of this version?")
    })
}

fn not_running() -> Fault {
    Fault::failed("no server is running on this data folder").help("gatepost serve")
}

fn unreadable(error: SpoolError) -> Fault {
    Fault::new(Exit::DataDir, error.to_string()).help("server.data_dir names the folder")
}

fn change(which: &Which, change: Change, done: &str) -> Result<(), Fault> {
    let letters = selection(which)?;
    let request = Request::QueueChange { change, letters, dry_run: which.dry_run };
    let Some(value) = ask(&data_dir(&which.file)?, &request)? else {
        return Err(not_running());
    };
    let count = value.get("count").and_then(Value::as_u64).unwrap_or(0) as usize;
    match (which.json, which.dry_run) {
        (true, dry_run) => print_json(&serde_json::json!({ "count": count, "dry_run": dry_run }))?,
        (false, true) => println!("{} would be {done}", output::letters(count)),
        (false, false) => println!("{} {done}", output::letters(count)),
    }
    match which.ids.len().saturating_sub(count) {
        0 => Ok(()),
        missing => Err(Fault::failed(format!("{missing} of those named are not in the queue, or not in a fit state"))),
    }
}

fn redirect(which: &Which, target: Option<String>) -> Result<(), Fault> {
    let done =
        target.as_ref().map_or_else(|| "left to go their own way".to_owned(), |to| format!("redirected to {to}"));
    change(which, Change::Redirect { to: target }, &done)
}

fn selection(which: &Which) -> Result<Selection, Fault> {
    if which.all {
        return Ok(Selection::All);
    }
    if !which.ids.is_empty() {
        let parse = |id: &String| id.parse().map_err(|error| Fault::new(Exit::Usage, format!("`{id}`: {error}")));
        return which.ids.iter().map(parse).collect::<Result<_, _>>().map(Selection::Ids);
    }
    Ok(Selection::Filter(filter_of(&which.filter)))
}

fn filter_of(letters: &LetterFilter) -> Filter {
    Filter {
        from: letters.from.clone(),
        to: letters.recipient.clone(),
        domain: letters.domain.clone(),
        site: letters.site.clone(),
        state: letters.state.map(|state| match state {
            LetterState::Waiting => Standing::Waiting,
            LetterState::Ready => Standing::Ready,
            LetterState::Trying => Standing::Trying,
            LetterState::Held => Standing::Held,
            LetterState::Suspended => Standing::Suspended,
        }),
        older: letters.older,
        younger: letters.younger,
        ..Filter::default()
    }
}

fn sender(from: &str) -> &str {
    if from.is_empty() { "<> (a report)" } else { from }
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 => "not tried yet".to_owned(),
        1 => "tried once".to_owned(),
        n => format!("tried {n} times"),
    }
}

fn since(now: Timestamp, then: Timestamp) -> u64 {
    now.0.saturating_sub(then.0)
}

fn next(now: Timestamp, next: Option<Timestamp>) -> String {
    match next {
        None => "now".to_owned(),
        Some(at) if at.0 < now.0 + 1000 => "now".to_owned(),
        Some(at) => format!("in {}", output::span(at.0 - now.0)),
    }
}

fn hold(now: Timestamp, held: &Held) -> String {
    let until = held.until.map(|until| format!(", released {}", next(now, Some(until)))).unwrap_or_default();
    format!("held since {} ({}){until}", output::span(since(now, held.since)), held.reason)
}

fn words(last: &Last) -> String {
    let enhanced = last.enhanced.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    format!("{} said: {}{enhanced} {}", last.by, last.code, last.text.replace('\n', " "))
}
