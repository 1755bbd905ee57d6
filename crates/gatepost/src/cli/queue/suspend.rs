//! `gatepost queue suspend`, `resume` and `suspensions`.

use std::path::Path;

use queue::{By, Filter, Suspended, Suspension, Timestamp, suspensions_at_rest};
use serde_json::Value;
use smtp::Mailbox;

use super::summary::{gather, progress};
use super::{Resume, Suspend, ask, data_dir, not_running, understood, when};
use crate::cli::{ConfigFile, print_json};
use crate::control::Request;
use crate::fault::Fault;
use crate::output::{self, Table, WARN, paint};

pub fn suspend(arguments: Suspend) -> Result<(), Fault> {
    let Suspend { what, reason, lasting, dry_run: dry, json, file } = arguments;
    let Some(of) = what.suspended() else { return Ok(()) };
    if dry {
        return dry_run(&data_dir(&file)?, &of, json);
    }
    let concerned = concerned(&of);
    let request = Request::Suspend { of, reason, until: lasting.end() };
    let answer = ask(&data_dir(&file)?, &request)?.ok_or_else(not_running)?;
    let suspension: Suspension = understood(answer.get("suspension").cloned().unwrap_or_default())?;
    if json {
        return print_json(&suspension);
    }
    let end = match suspension.until {
        Some(until) => format!("until {}", when::shown(until)),
        None => "until it is resumed".to_owned(),
    };
    println!("{} is suspended {end}: {}", name(&suspension.of), suspension.reason);
    let count = count(&data_dir(&file)?, concerned)?;
    if let Some(count) = count {
        println!("{} in the queue {} for that", output::letters(count), if count == 1 { "waits" } else { "wait" });
    }
    if answer.get("is_known").and_then(Value::as_bool) == Some(false) && count == Some(0) {
        let note = paint(WARN, "note:");
        anstream::println!("{note} no letter was sent there lately; `gatepost queue` names the sites");
    }
    Ok(())
}

/// The letters that are meant; `None`: nobody counts by source.
fn concerned(of: &Suspended) -> Option<Filter> {
    let name = |name: &String| Some(name.trim().to_owned());
    match of {
        Suspended::Site(site) => Some(Filter { site: name(site), ..Filter::default() }),
        Suspended::Domain(domain) => Some(Filter { domain: name(domain), ..Filter::default() }),
        Suspended::Sender(sender) => Some(Filter { from: name(sender), ..Filter::default() }),
        Suspended::Source(_) => None,
    }
}

fn count(data_dir: &Path, concerned: Option<Filter>) -> Result<Option<usize>, Fault> {
    let Some(filter) = concerned else { return Ok(None) };
    let gathered = gather(data_dir, By::State, &filter, progress)?.ok_or_else(not_running)?;
    Ok(Some(gathered.groups.iter().map(|group| group.letters).sum()))
}

/// Changes nothing.
fn dry_run(data_dir: &Path, of: &Suspended, json: bool) -> Result<(), Fault> {
    let count = count(data_dir, concerned(of))?;
    if json {
        return print_json(&serde_json::json!({ "suspended": of, "count": count, "dry_run": true }));
    }
    match count {
        Some(count) => println!("{} would wait", output::letters(count)),
        None => println!("letters are not counted by source"),
    }
    Ok(())
}

pub fn resume(arguments: Resume) -> Result<(), Fault> {
    let Resume { what, all, json, file } = arguments;
    let of = what.suspended();
    let answer = ask(&data_dir(&file)?, &Request::Resume { of })?.ok_or_else(not_running)?;
    let ended: Vec<Suspension> = understood(answer)?;
    if json {
        print_json(&ended)?;
    } else {
        ended.iter().for_each(|ended| println!("{} is resumed", name(&ended.of)));
    }
    if ended.is_empty() && !all {
        return Err(Fault::failed("that is not suspended").help("`gatepost queue suspensions` shows what is"));
    }
    if ended.is_empty() && !json {
        println!("Nothing was suspended.");
    }
    Ok(())
}

pub fn list(json: bool, file: &ConfigFile) -> Result<(), Fault> {
    let data_dir = data_dir(file)?;
    let all: Vec<Suspension> = match ask(&data_dir, &Request::Suspensions)? {
        Some(value) => understood(value)?,
        None => suspensions_at_rest(&data_dir).map_err(|error| Fault::failed(error.to_string()))?,
    };
    if json {
        return print_json(&all);
    }
    if all.is_empty() {
        println!("Nothing is suspended.");
        return Ok(());
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["WHAT", "SINCE", "UNTIL", "WHY"]);
    for suspension in &all {
        let since = format!("{} ago", output::span(now.0.saturating_sub(suspension.since.0)));
        let until = suspension.until.map_or_else(|| "resumed".to_owned(), when::shown);
        table.row([name(&suspension.of), since, until, suspension.reason.clone()]);
    }
    anstream::print!("{}", table.render());
    Ok(())
}

/// What is suspended of where a letter to this recipient would go.
pub fn of_route(data_dir: &Path, site: &str, source: Option<&str>, recipient: &Mailbox) -> Vec<Suspension> {
    let of = [
        Suspended::Site(site.to_owned()),
        Suspended::Source(source.unwrap_or("default").to_owned()),
        Suspended::Domain(recipient.host.to_string()),
    ];
    let of: Vec<_> = of.into_iter().filter_map(|of| of.normal().ok()).collect();
    // Who may not read the folder may ask for the route all the same.
    let all = suspensions_at_rest(data_dir).unwrap_or_default();
    all.into_iter().filter(|suspension| of.contains(&suspension.of)).collect()
}

/// `the site google.com`.
fn name(of: &Suspended) -> String {
    let (kind, name) = of.parts();
    format!("the {kind} {name}")
}

/// `suspended until 14:05: they asked`.
pub fn words(suspension: &Suspension) -> String {
    let until = suspension.until.map(|until| format!(" until {}", when::shown(until))).unwrap_or_default();
    format!("{} is suspended{until}: {}", name(&suspension.of), suspension.reason)
}
