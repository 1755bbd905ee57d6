//! `gatepost queue` and `gatepost queue summary`: how many letters wait where, and why.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::Path;

use queue::{By, Filter, Group, LaneReport, Overview, Tally, Timestamp};
use serde::Serialize;

use super::arguments::{GroupBy, Summary};
use super::{ask, data_dir, filter_of, next, not_running, since, understood, unreadable, why};
use crate::cli::print_json;
use crate::control::Request;
use crate::fault::Fault;
use crate::output::{self, HEAD, WARN, paint};

/// Letters that the server counts at once.
const PAGE: usize = 50_000;

/// The queue in groups, those with most letters first; and what the lanes do, where a server runs.
pub struct Gathered {
    pub groups: Vec<Group>,
    pub overview: Option<Overview>,
}

#[derive(Serialize)]
struct Row<'g> {
    #[serde(flatten)]
    group: &'g Group,
    why: String,
    /// Connections, rate and bound of its lane.
    #[serde(rename = "now")]
    lane_now: Option<&'g LaneReport>,
}

pub fn run(arguments: &Summary) -> Result<(), Fault> {
    let (by, filter) = (by(arguments.by), filter_of(&arguments.filter));
    let data_dir = data_dir(&arguments.file)?;
    let gathered = match gather(&data_dir, by, &filter, progress)? {
        Some(gathered) => gathered,
        None if filter.site.is_some() => return Err(not_running()),
        None => at_rest(&data_dir, by, &filter)?,
    };
    if arguments.json {
        return print_json(&json(&gathered, by));
    }
    if gathered.overview.is_none() {
        anstream::println!("{} no server is running; this is what lies on disk", paint(WARN, "note:"));
    }
    print(&gathered, arguments);
    Ok(())
}

fn by(by: GroupBy) -> By {
    match by {
        GroupBy::Site => By::Site,
        GroupBy::Domain => By::Domain,
        GroupBy::Sender => By::Sender,
        GroupBy::State => By::State,
    }
}

/// Asks the server page by page, and tells how far it is: letters looked at, letters in all, whether it is done. `None`
/// where no server runs.
pub fn gather(
    data_dir: &Path,
    by: By,
    filter: &Filter,
    progress: impl Fn(usize, usize, bool),
) -> Result<Option<Gathered>, Fault> {
    let overview = |value| understood::<Overview>(value);
    let Some(overview) = ask(data_dir, &Request::QueueOverview { most: usize::MAX })?.map(overview).transpose()? else {
        return Ok(None);
    };
    let mut all: HashMap<(String, String), Group> = HashMap::new();
    let (mut after, mut seen) = (None, 0);
    loop {
        let filter = Filter { after, ..filter.clone() };
        let Some(value) = ask(data_dir, &Request::QueueTally { by, filter, most: PAGE })? else { return Ok(None) };
        let tally: Tally = understood(value)?;
        seen += tally.seen;
        for group in tally.groups {
            let key = (group.name.clone(), group.source.clone());
            match all.entry(key) {
                std::collections::hash_map::Entry::Occupied(mut entry) => entry.get_mut().merge(group),
                std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(group)),
            }
        }
        progress(seen, overview.letters, tally.after.is_none());
        after = tally.after;
        if after.is_none() {
            return Ok(Some(Gathered { groups: sorted(all.into_values()), overview: Some(overview) }));
        }
    }
}

fn at_rest(data_dir: &Path, by: By, filter: &Filter) -> Result<Gathered, Fault> {
    let tally = queue::offline::tally(data_dir, by, filter).map_err(unreadable)?;
    Ok(Gathered { groups: sorted(tally.groups), overview: None })
}

fn sorted(groups: impl IntoIterator<Item = Group>) -> Vec<Group> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable_by(|a, b| b.letters.cmp(&a.letters).then_with(|| a.name.cmp(&b.name)));
    groups
}

/// On a terminal.
pub fn progress(seen: usize, all: usize, done: bool) {
    let mut terminal = std::io::stderr();
    if all <= PAGE || !terminal.is_terminal() {
        return;
    }
    let words = if done { String::new() } else { format!("looked at {seen} of {all} letters …") };
    // Nothing is lost where it cannot be shown.
    let _ = write!(terminal, "\r\x1b[K{words}").and_then(|()| terminal.flush());
}

impl Gathered {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let now = Timestamp::now();
        let most = self.overview.as_ref().map_or(0, |overview| overview.connections_most);
        let lanes: HashMap<(&str, &str), &LaneReport> = match &self.overview {
            Some(overview) => overview.lanes.iter().map(|l| ((l.site.as_str(), l.source.as_str()), l)).collect(),
            None => HashMap::new(),
        };
        self.groups.iter().map(move |group| {
            let lane = group.lane.as_ref().and_then(|(site, source)| lanes.get(&(site.as_str(), source.as_str())));
            let lane_now = lane.copied();
            Row { group, why: why::of_group(group, lane_now, most, now), lane_now }
        })
    }
}

fn json(gathered: &Gathered, by: By) -> serde_json::Value {
    let overview = gathered.overview.as_ref().map(|overview| {
        serde_json::json!({
            "letters": overview.letters,
            "active": overview.active,
            "connections": overview.connections,
            "busy": overview.busy,
            "connections_most": overview.connections_most,
            "searching": overview.searching,
        })
    });
    let rows: Vec<Row<'_>> = gathered.rows().collect();
    serde_json::json!({ "by": by, "running": overview.is_some(), "server": overview, "groups": rows })
}

fn print(gathered: &Gathered, arguments: &Summary) {
    if gathered.groups.is_empty() {
        let all = filter_of(&arguments.filter) == Filter::default();
        println!("{}", if all { "The queue is empty." } else { "No letter in the queue is like that." });
        return;
    }
    let head = match (arguments.by, &gathered.overview) {
        // Only a running server knows the sites.
        (GroupBy::Domain, _) | (GroupBy::Site, None) => "DOMAIN",
        (GroupBy::Site, Some(_)) => "SITE",
        (GroupBy::Sender, _) => "SENDER",
        (GroupBy::State, _) => "STATE",
    };
    anstream::println!(
        "{}",
        paint(HEAD, &line([head, "LETTERS", "TRYING", "READY", "WAITING", "HELD", "OLDEST", "CONN"]))
    );
    let most = if arguments.most == 0 { usize::MAX } else { arguments.most };
    let now = Timestamp::now();
    gathered.rows().take(most).for_each(|row| print_row(&row, now));
    let hidden: Vec<&Group> = gathered.groups.iter().skip(most).collect();
    if !hidden.is_empty() {
        let letters = hidden.iter().map(|group| group.letters).sum();
        println!("and {} more with {} (--most 0 shows all)", hidden.len(), output::letters(letters));
    }
    if let Some(overview) = &gathered.overview {
        let (connections, most) = (overview.connections, overview.connections_most);
        println!("{} in the queue; {connections} of {most} connections open.", output::letters(overview.letters));
    }
}

fn print_row(row: &Row<'_>, now: Timestamp) {
    let group = row.group;
    let source = if group.source.is_empty() { String::new() } else { format!(" from {}", group.source) };
    let connections = row.lane_now.map_or_else(|| "-".to_owned(), |lane| format!("{}/{}", lane.open, lane.allowed));
    let oldest = group.oldest.map_or_else(|| "-".to_owned(), |oldest| output::span(since(now, oldest)));
    let count = |count: usize| if count == 0 { "-".to_owned() } else { count.to_string() };
    println!(
        "{}",
        line([
            &format!("{}{source}", group.name),
            &group.letters.to_string(),
            &count(group.trying),
            &count(group.ready),
            &count(group.waiting),
            &count(group.held + group.suspended),
            &oldest,
            &connections,
        ])
    );
    let mut why = row.why.clone();
    if let Some(rate) = row.lane_now.and_then(why::rate).filter(|rate| !why.starts_with(rate)) {
        why = format!("{why}; {rate}");
    }
    if group.waiting > 0 && !why.starts_with("next try") {
        why = format!("{why}; next try of the waiting {}", next(now, group.next));
    }
    output::indented(&why, 4).iter().for_each(|line| println!("{line}"));
    if let Some(last) = &group.last {
        let meaning = group.meaning.as_ref().map(|meaning| format!(" ({meaning})")).unwrap_or_default();
        let words =
            format!("{}{meaning}, {} ago", shortened(&super::words(last), 200), output::span(since(now, last.at)));
        output::indented(&words, 4).iter().for_each(|line| println!("{line}"));
    }
}

/// Eighty columns: names to the left, figures to the right.
fn line(cells: [&str; 8]) -> String {
    const WIDTHS: [usize; 8] = [24, 7, 6, 7, 7, 7, 6, 7];
    let mut line = String::new();
    for (column, (cell, width)) in cells.into_iter().zip(WIDTHS).enumerate() {
        match column {
            0 => line.push_str(&format!("{:<width$}", shortened(cell, width))),
            _ => line.push_str(&format!(" {cell:>width$}")),
        }
    }
    line
}

/// At most so many characters.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let front: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{front}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_eighty_columns_and_cuts_no_figure() {
        let name = "mx1.example.com,mx2.example.com";
        let shown = line([name, "1000000", "500", "999500", "1000000", "1000000", "59m", "500/500"]);
        assert!(shown.chars().count() <= 80, "{shown}");
        assert!(shown.starts_with("mx1.example.com,mx2.exa… "), "{shown}");
        assert_eq!(shown.matches("1000000").count(), 3, "{shown}");
    }
}
