//! `gatepost route`: where a letter to an address would go now, and why.

use delivery::{ChangeExplained, Explained, ServerExplained};
use queue::units::write_duration;
use smtp::Mailbox;

use super::queue::suspend;
use super::{Route, print_json};
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{HEAD, paint};
use crate::server;

/// Columns beside the names.
const WIDTH: usize = 68;

/// The JSON form.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    explained: &'a Explained,
    /// Where it is not the general one.
    retry: Option<&'a str>,
    /// By an operator: no attempt begins.
    suspended: &'a [queue::Suspension],
}

pub fn run(arguments: &Route) -> Result<(), Fault> {
    let address = &arguments.address;
    let recipient: Mailbox = address.parse().map_err(|error| {
        Fault::new(Exit::Usage, format!("{address} is no address: {error}")).help("write name@domain")
    })?;
    let loaded = config::load(&arguments.file.config)?;
    let explained = server::runtime()?.block_on(async {
        let router = server::house::router(&loaded.config)?;
        Ok::<_, Fault>(router.explain(&recipient).await)
    })?;
    let retry = special_retry(&loaded.config, &explained.site, &recipient);
    let data_dir = &loaded.config.server.data_dir;
    let suspended = suspend::of_route(data_dir, &explained.site, explained.source.as_deref(), &recipient);
    if arguments.json {
        print_json(&Told { explained: &explained, retry: retry.as_deref(), suspended: &suspended })?;
    } else {
        print(&explained, retry.as_deref());
        suspended.iter().for_each(|suspension| line("but", &suspend::words(suspension)));
    }
    match &explained.trouble {
        None => Ok(()),
        Some(trouble) => {
            let then = if trouble.is_transient { "it would be tried again" } else { "it would go back to its sender" };
            Err(Fault::failed(format!("no letter can be sent to {address} now: {}; {then}", trouble.reply)))
        }
    }
}

fn print(explained: &Explained, retry: Option<&str>) {
    line("decided by", &explained.route);
    line("goes to", &explained.next_hop);
    for (number, server) in explained.servers.iter().enumerate() {
        line(if number == 0 { "servers" } else { "" }, &server_words(server));
    }
    line("site", &explained.site);
    if let Some(source) = &explained.source {
        line("from", source);
    }
    line("connections", &format!("at most {} at once", explained.connections));
    if let Some(limits) = &explained.limits {
        let most = |count: u32, what: &str| format!("at most {count} {what}");
        line("letters", &most(limits.letters_per_connection, "over one connection"));
        line("", &most(limits.recipients_per_transaction, "recipients of one letter at once"));
        line("rate", limits.rate.as_deref().unwrap_or("as fast as the site bears"));
        if let Some(until) = &limits.suspended_until {
            line("suspended", &format!("nothing is sent there before {until}"));
        }
    }
    explained.changes.iter().for_each(print_change);
    if let Some(tls) = &explained.tls {
        line("TLS", &tls.words);
        line("", &format!("by {}", tls.why));
    }
    if let Some(retry) = retry {
        line("retry", retry);
    }
}

/// A rule that a reply has brought into force.
fn print_change(change: &ChangeExplained) {
    line("in force", &change.limits);
    line("", &format!("until {}", change.until));
    line("", &format!("by the rule {}", change.rule));
    if !change.reason.is_empty() {
        line("", &change.reason);
    }
    line("", &format!("since {} said at {}:", change.by, change.since));
    line("", &change.reply);
}

/// A name, and words beside it, in lines that fit a terminal.
fn line(name: &str, words: &str) {
    for (number, part) in wrap(words, WIDTH).into_iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        anstream::println!("{} {part}", paint(HEAD, &format!("{name:<11}")));
    }
}

/// Broken between words; a word that is too long stands alone.
fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The schedule of `[queue.retry_site]` or `[queue.retry_domain]`, where one is for this recipient.
fn special_retry(config: &Config, site: &str, recipient: &Mailbox) -> Option<String> {
    let policy = config.queue.retry_for(site, recipient);
    if *policy == config.queue.retry {
        return None;
    }
    let waits: Vec<String> = policy.intervals.iter().map(|wait| write_duration(*wait)).collect();
    let (then, give_up) = (write_duration(policy.then), write_duration(policy.give_up));
    Some(format!("after {}, then each {then}; given up after {give_up}", waits.join(", ")))
}

fn server_words(server: &ServerExplained) -> String {
    let port = server.port.map(|port| format!(", port {port}")).unwrap_or_default();
    let preference = server.preference.map(|preference| format!("{preference} ")).unwrap_or_default();
    if server.addresses.is_empty() {
        format!("{preference}{}{port}", server.name)
    } else {
        format!("{preference}{} ({}){port}", server.name, server.addresses.join(", "))
    }
}
