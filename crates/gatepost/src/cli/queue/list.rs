//! `gatepost queue list`: the letters that wait, one after the other.

use std::path::Path;

use queue::{Filter, Summary, Timestamp};

use super::{List, ask, filter_of, hold, next, sender, since, suspend, tries, understood, unreadable, words};
use crate::cli::print_json;
use crate::control::Request;
use crate::fault::Fault;
use crate::output::{self, HEAD, WARN, paint};

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

pub fn list(what: &List, data_dir: &Path) -> Result<(), Fault> {
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
        if let Some(to) = &letter.redirect {
            println!("  redirected to {to}");
        }
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
