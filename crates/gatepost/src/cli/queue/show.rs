//! `gatepost queue show`: one letter, and the steps of its life.

use queue::{Details, QueueId, Standing, Timestamp};
use serde_json::Value;

use super::{ask, hold, next, sender, since, suspend, understood, unreadable, words};
use crate::cli::print_json;
use crate::config::Config;
use crate::control::Request;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{self, BAD, GOOD, HEAD, Table, paint};

pub fn show(id: &str, json: bool, config: &Config) -> Result<(), Fault> {
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
    if let Some(to) = &letter.redirect {
        println!("goes to   {to}, on an operator's word");
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
