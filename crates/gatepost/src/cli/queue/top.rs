//! `gatepost queue top`: the queue live. On a terminal each picture takes the place of the one before; else it is one after
//! the other, so that it can be kept.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use queue::{By, Filter, Group, LaneReport, Overview, Timestamp};

use super::arguments::Top;
use super::summary::{gather, shortened};
use super::{ask, data_dir, not_running, understood, why};
use crate::control::Request;
use crate::fault::Fault;
use crate::output;

mod screen;

use screen::Screen;

/// Sites in one picture, where no terminal says how many fit.
const SITES: usize = 1_000;
/// Counting letters takes at most this part of the server's time.
const COUNTING: u32 = 20;

/// What is known of letters that only wait: counted now and then, since each has to be read.
#[derive(Default)]
struct Counted {
    groups: Vec<Group>,
    at: Option<Instant>,
    took: Duration,
}

pub fn run(arguments: &Top) -> Result<(), Fault> {
    let data_dir = data_dir(&arguments.file)?;
    let mut screen = if arguments.json || !io::stdout().is_terminal() { None } else { Screen::open() };
    let (mut counted, mut before) = (Counted::default(), None);
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        left -= 1;
        let began = Instant::now();
        counted.renew(&data_dir)?;
        let now = overview(&data_dir)?;
        let shown = match (&mut screen, arguments.json) {
            (Some(screen), _) => screen.show(&picture(&now, before.as_ref(), &counted.groups, Some(screen.size()))),
            (None, true) => json(&now, before.as_ref()),
            (None, false) => plain(&picture(&now, before.as_ref(), &counted.groups, None)),
        };
        // Whoever read it has gone.
        let Ok(()) = shown else { return Ok(()) };
        before = Some(now);
        let rest = arguments.interval.saturating_sub(began.elapsed());
        let quit = match &mut screen {
            _ if left == 0 => true,
            Some(screen) => screen.wait(rest),
            None => {
                std::thread::sleep(rest);
                false
            }
        };
        if quit {
            break;
        }
    }
    Ok(())
}

fn overview(data_dir: &Path) -> Result<Overview, Fault> {
    understood(ask(data_dir, &Request::QueueOverview { most: SITES })?.ok_or_else(not_running)?)
}

impl Counted {
    fn renew(&mut self, data_dir: &Path) -> Result<(), Fault> {
        if self.at.is_some_and(|at| at.elapsed() < self.took * COUNTING) {
            return Ok(());
        }
        let began = Instant::now();
        let gathered = gather(data_dir, By::Site, &Filter::default(), |_, _, _| ())?.ok_or_else(not_running)?;
        (self.groups, self.at, self.took) = (gathered.groups, Some(began), began.elapsed());
        Ok(())
    }
}

/// How much more there was in a second.
fn speed(now: u64, before: Option<u64>, seconds: f64) -> f64 {
    before.map_or(0.0, |before| now.saturating_sub(before) as f64 / seconds)
}

fn seconds(now: &Overview, before: Option<&Overview>) -> f64 {
    before.map_or(1.0, |before| (now.at.0.saturating_sub(before.at.0) as f64 / 1_000.0).max(0.001))
}

fn json(now: &Overview, before: Option<&Overview>) -> io::Result<()> {
    let took = seconds(now, before);
    let mut value = serde_json::to_value(now)?;
    if let Some(object) = value.as_object_mut() {
        let received = speed(now.received, before.map(|before| before.received), took);
        let delivered = speed(now.delivered, before.map(|before| before.delivered), took);
        object.insert("received_per_second".into(), received.into());
        object.insert("delivered_per_second".into(), delivered.into());
    }
    writeln!(io::stdout().lock(), "{value}")
}

fn plain(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out)
}

/// One line for each site, the busiest first; as many and as wide as fit.
fn picture(now: &Overview, before: Option<&Overview>, groups: &[Group], size: Option<(usize, usize)>) -> Vec<String> {
    let (columns, rows) = size.unwrap_or((usize::MAX, SITES));
    let took = seconds(now, before);
    let received = speed(now.received, before.map(|before| before.received), took);
    let delivered = speed(now.delivered, before.map(|before| before.delivered), took);
    let mut lines = vec![
        format!(
            "{}; {} being tried; connections {}/{}; in {received:.0}/s, out {delivered:.0}/s",
            output::letters(now.letters),
            now.busy,
            now.connections,
            now.connections_most
        ),
        format!("{:<20} {:>7} {:>6} {:>4} {:>6} {:>6}  WHY", "SITE", "LETTERS", "READY", "TRY", "CONN", "/S"),
    ];
    let mut sites: Vec<_> = sites(now, groups);
    sites.sort_by_key(|(lane, group)| {
        let lane = lane.map_or((0, 0), |lane| (lane.running, lane.ready));
        std::cmp::Reverse((lane, group.map_or(0, |group| group.letters)))
    });
    let earlier: Begun<'_> = before.map(begun).unwrap_or_default();
    let shown = sites.iter().take(rows.saturating_sub(3));
    lines.extend(shown.map(|(lane, group)| row(now, &earlier, *lane, *group, took)));
    lines.iter().map(|line| shortened(line, columns)).collect()
}

/// Attempts begun at each lane.
type Begun<'o> = HashMap<(&'o str, &'o str), u64>;

fn begun(overview: &Overview) -> Begun<'_> {
    overview.lanes.iter().map(|lane| ((lane.site.as_str(), lane.source.as_str()), lane.begun)).collect()
}

fn row(now: &Overview, earlier: &Begun<'_>, lane: Option<&LaneReport>, group: Option<&Group>, took: f64) -> String {
    let before = |lane: &LaneReport| earlier.get(&(lane.site.as_str(), lane.source.as_str())).copied();
    let per_second = lane.map_or(0.0, |lane| speed(lane.begun, before(lane), took));
    let name = match (lane, group) {
        (Some(lane), _) if !lane.source.is_empty() => format!("{} from {}", lane.site, lane.source),
        (Some(lane), _) => lane.site.clone(),
        (None, group) => group.map(|group| group.name.clone()).unwrap_or_default(),
    };
    let bound = lane.and_then(|lane| why::of_lane(lane, now.connections_most, now.at));
    let why = bound.or_else(|| group.map(|group| why::of_group(group, lane, now.connections_most, Timestamp::now())));
    format!(
        "{:<20} {:>7} {:>6} {:>4} {:>6} {per_second:>6.1}  {}",
        shortened(&name, 20),
        group.map_or(0, |group| group.letters),
        group.map(|group| group.ready).or(lane.map(|lane| lane.ready)).unwrap_or(0),
        lane.map_or(0, |lane| lane.running),
        lane.map_or_else(|| "-".to_owned(), |lane| format!("{}/{}", lane.open, lane.allowed)),
        why.unwrap_or_default()
    )
}

/// Lanes with what waits there, and groups that have no lane now.
fn sites<'a>(now: &'a Overview, groups: &'a [Group]) -> Vec<(Option<&'a LaneReport>, Option<&'a Group>)> {
    let mut by_lane: HashMap<(&str, &str), &Group> =
        groups.iter().map(|group| ((group.name.as_str(), group.source.as_str()), group)).collect();
    let key = |lane: &'a LaneReport| (lane.site.as_str(), lane.source.as_str());
    let busy = |lane: &LaneReport| lane.open + lane.ready + lane.running > 0;
    let sites = now.lanes.iter().map(|lane| (Some(lane), by_lane.remove(&key(lane))));
    // Of a lane without letters only its past is remembered.
    let mut sites: Vec<_> = sites.filter(|(lane, group)| group.is_some() || lane.is_some_and(busy)).collect();
    sites.extend(by_lane.into_values().map(|group| (None, Some(group))));
    sites
}
