//! `gatepost queue`: asks the running server; where none runs, reads the spool itself.

use std::path::Path;

use queue::spool::SpoolError;
use queue::{Details, Filter, Held, Last, QueueId, Selection, Standing, Summary, Timestamp};
use serde_json::Value;

use super::{ConfigFile, print_json};
use crate::config::{self, Config};
use crate::control::{self, Change, Request, Response};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{self, BAD, GOOD, HEAD, Table, WARN, paint};

mod arguments;
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
        QueueCommand::List(what) => list(&what, &data_dir(&what.file)?),
        QueueCommand::Show { id, json, file } => show(&id, json, &config::read(&file.config)?.config),
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

/// Page by page: the server has better things to do with its memory. `None` where none runs.
fn running_list(data_dir: &Path, wanted: &Filter) -> Result<Option<Vec<Summary>>, Fault> {
    const PAGE: usize = 5_000;
    let most = wanted.limit.unwrap_or(usize::MAX);
    let mut letters: Vec<Summary> = Vec::new();
    loop {
        let after = letters.last().map(|letter| letter.id);
        let filter = Filter { after, limit: Some(PAGE.min(most - letters.len())), ..wanted.clone() };
        let Some(value) = ask(data_dir, &Request::QueueList { filter })? else { return Ok(None) };
        let page = understood::<Vec<Summary>>(value)?;
        let is_last = page.is_empty();
        letters.extend(page);
        if is_last || letters.len() >= most {
            return Ok(Some(letters));
        }
    }
}

fn list(what: &List, data_dir: &Path) -> Result<(), Fault> {
    let filter = Filter { limit: what.limit, ..filter_of(&what.filter) };
    let (letters, running) = match running_list(data_dir, &filter)? {
        Some(letters) => (letters, true),
        None if filter.site.is_some() => {
            return Err(
                Fault::failed("no server is running: only a running one knows the sites").help("gatepost serve")
            );
        }
        None => (queue::offline::list(data_dir, &filter).map_err(unreadable)?, false),
    };
    if what.json {
        return print_json(&letters);
    }
    if !running {
        anstream::println!("{} no server is running; this is what lies on disk", paint(WARN, "note:"));
    }
    if letters.is_empty() {
        let all = filter == Filter::default();
        println!("{}", if all { "The queue is empty." } else { "No letter in the queue is like that." });
        return Ok(());
    }
    let now = Timestamp::now();
    for letter in &letters {
        anstream::println!("{}", paint(HEAD, &letter.id.to_string()));
        println!("  from  {}", sender(&letter.from));
        let more = letter.pending.saturating_sub(letter.to.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        println!("  to    {}{more}", letter.to.join(", "));
        println!(
            "  {}, {} old, {}, {}",
            output::size(letter.size),
            output::span(since(now, letter.arrived)),
            tries(letter.attempts),
            match (&letter.held, &letter.suspended) {
                (Some(held), _) => hold(now, held),
                (None, Some(_)) => "suspended".to_owned(),
                (None, None) => format!("next try {}", next(now, letter.next)),
            }
        );
        if let Some(suspension) = &letter.suspended {
            output::indented(&suspend::words(suspension), 2).iter().for_each(|line| println!("{line}"));
        }
        if let Some(last) = &letter.last {
            println!("  {}", words(last));
        }
    }
    println!("{}.", output::letters(letters.len()));
    Ok(())
}

fn show(id: &str, json: bool, config: &Config) -> Result<(), Fault> {
    let data_dir = &config.server.data_dir;
    let parsed: QueueId = id.parse().map_err(|error| Fault::new(Exit::Usage, format!("`{id}`: {error}")))?;
    let found = match ask(data_dir, &Request::QueueShow { id: id.to_owned() })? {
        Some(value) => understood::<Option<Details>>(value)?,
        None => queue::offline::show(data_dir, &config.queue, parsed).map_err(unreadable)?,
    };
    let records = match &found {
        Some(details) => details.records.clone(),
        None => queue::record::history(&data_dir.join("records"), parsed, 1000)
            .map_err(|error| Fault::io(Exit::Failed, "the records cannot be read", &error))?,
    };
    if found.is_none() && records.is_empty() {
        return Err(Fault::failed(format!("there is no letter {id}, and no record of one")));
    }
    if json {
        return match &found {
            Some(details) => print_json(details),
            None => print_json(&serde_json::json!({ "id": id, "records": records })),
        };
    }
    match &found {
        Some(details) => print_details(details),
        None => println!("{id} is not in the queue any more; its records:"),
    }
    print_records(&records);
    Ok(())
}

fn print_details(details: &Details) {
    let now = Timestamp::now();
    let letter = &details.summary;
    anstream::println!("{}", paint(HEAD, &letter.id.to_string()));
    println!("from      {}", sender(&letter.from));
    println!("size      {}", output::size(letter.size));
    println!(
        "arrived   {} ago by {} ({})",
        output::span(since(now, letter.arrived)),
        details.listener,
        details.protocol
    );
    if let Some(user) = &details.user {
        println!("user      {user}");
    }
    if let Some(client) = &details.client {
        println!("client    {client}, which called itself {}", details.helo.as_deref().unwrap_or("nothing"));
    }
    match &letter.held {
        Some(held) => println!("state     {}", hold(now, held)),
        None => println!("given up  in {}", output::span(details.expires.0.saturating_sub(now.0))),
    }
    if let Some(suspension) = &letter.suspended {
        let words = output::indented(&suspend::words(suspension), 10).join("\n");
        println!("but       {}", words.trim_start());
    }
    let mut table = Table::new(&["RECIPIENT", "STATE", "TRIES", "NEXT TRY"]);
    for recipient in &details.all_recipients {
        let state = format!("{:?}", recipient.standing).to_lowercase();
        let waits = recipient.standing == Standing::Held || letter.suspended.is_some();
        let next = if waits { "-".to_owned() } else { next(now, recipient.next) };
        table.row([recipient.to.clone(), state, recipient.attempts.to_string(), next]);
    }
    anstream::print!("\n{}", table.render());
    for recipient in &details.all_recipients {
        if let Some(last) = &recipient.last {
            println!("\n{}: {}", recipient.to, words(last));
        }
    }
}

/// One line for each step, the remote server's words below it.
fn print_records(records: &[Value]) {
    if records.is_empty() {
        return;
    }
    println!();
    for record in records {
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let event = text("event");
        let style = match event {
            "delivered" => GOOD,
            "failed" | "expired" => BAD,
            _ => HEAD,
        };
        let to = match record.get("to") {
            Some(Value::String(one)) => one.clone(),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            _ => String::new(),
        };
        anstream::println!("{}  {:<10} {to}", text("time"), paint(style, event));
        let reply = record.get("reply").map(reply_words).unwrap_or_default();
        if !reply.is_empty() {
            println!("    {} said: {reply}", text("by"));
        }
        if !text("tls").is_empty() {
            println!("    over {}", text("tls"));
        }
    }
}

fn reply_words(reply: &Value) -> String {
    let part = |key: &str| match reply.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    [part("code"), part("enhanced"), part("text")].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
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
