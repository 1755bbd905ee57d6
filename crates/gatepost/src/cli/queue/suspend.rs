//! `gatepost queue suspend`, `resume` and `suspensions`.

use queue::{Suspended, Suspension, Timestamp, suspensions_at_rest};
use serde_json::Value;

use super::{Resume, Suspend, ask, data_dir, not_running, understood, when};
use crate::cli::{ConfigFile, print_json};
use crate::control::Request;
use crate::fault::Fault;
use crate::output::{self, Table, WARN, paint};

pub fn suspend(arguments: Suspend) -> Result<(), Fault> {
    let Suspend { what, reason, lasting, json, file } = arguments;
    let Some(of) = what.suspended() else { return Ok(()) };
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
    if answer.get("is_known").and_then(Value::as_bool) == Some(false) {
        let note = paint(WARN, "note:");
        anstream::println!(
            "{note} no letter was sent there lately; `gatepost queue` and `gatepost route` name the sites"
        );
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
