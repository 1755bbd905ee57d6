//! What `gatepost queue` is told.

use std::time::Duration;

use clap::{Args, Subcommand};
use queue::units::parse_duration;
use queue::{Suspended, Timestamp};

use super::super::ConfigFile;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct QueueLine {
    #[command(subcommand)]
    pub command: Option<QueueCommand>,
    #[command(flatten)]
    pub summary: Summary,
}

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// How many letters wait where, since when, what was said last, and which limit binds (the same as `gatepost queue`)
    Summary(Summary),
    /// The summary, live: each second anew, until q or Ctrl-C
    Top(Top),
    /// What waits, where to, since when, and what the remote server said last
    List(List),
    /// One letter: its recipients, its history, the remote server's own words
    Show {
        /// Its identifier, as `queue list` and the reply to the letter show it
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Try letters now; those that are held stay so
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Have letters wait until they are released: neither tried nor given up
    Hold {
        #[command(flatten)]
        which: Which,
        /// Why, for those who look at the queue
        #[arg(long, default_value = "held by an operator")]
        reason: String,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// End the hold of letters
    Release {
        #[command(flatten)]
        which: Which,
    },
    /// Send letters another way than their recipients' route, and try them now
    Redirect(Redirect),
    /// Begin no attempt at a site, from a source, for a domain or a sender; letters are still taken
    Suspend(Suspend),
    /// End a suspension, and what replies have changed of a site: what waits for it is due at once
    Resume(Resume),
    /// What is suspended, why, and until when
    Suspensions {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Give letters back to their senders now, with a report
    Bounce {
        #[command(flatten)]
        which: Which,
        /// Why, for the senders to read
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Remove letters; nobody is told
    Drop {
        #[command(flatten)]
        which: Which,
    },
}

/// How long something is to last.
#[derive(Debug, Args)]
pub struct Lasting {
    /// End by itself after this time, such as 2h or 3d
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub lasting: Option<Duration>,
    /// End by itself then: 14:05, 2026-11-24T14:05, or with a zone 2026-11-24T14:05Z
    #[arg(long, value_name = "WHEN", value_parser = super::when::parse, conflicts_with = "lasting")]
    pub until: Option<Timestamp>,
}

impl Lasting {
    pub fn end(&self) -> Option<Timestamp> {
        self.until.or_else(|| self.lasting.map(|lasting| Timestamp::now().after(lasting)))
    }
}

#[derive(Debug, Args)]
#[command(override_usage = "gatepost queue suspend --site|--domain|--sender|--source NAME [OPTIONS]")]
pub struct Suspend {
    #[command(flatten)]
    pub what: What,
    /// Why, for those who look at the queue
    #[arg(long, default_value = "by an operator")]
    pub reason: String,
    #[command(flatten)]
    pub lasting: Lasting,
    /// Only say how many letters would wait
    #[arg(long)]
    pub dry_run: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub file: ConfigFile,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "gatepost queue resume --site|--domain|--sender|--source NAME\n       gatepost queue resume --all"
)]
pub struct Resume {
    #[command(flatten)]
    pub what: What,
    /// All that is suspended
    #[arg(long, group = "What")]
    pub all: bool,
    /// Print what was resumed as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub file: ConfigFile,
}

/// What is suspended: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// What goes to this site, by the name that `gatepost queue` and `gatepost route` show
    #[arg(long)]
    pub site: Option<String>,
    /// Recipients in this domain
    #[arg(long)]
    pub domain: Option<String>,
    /// Letters from this address, from all of @example.com, or <> for reports
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// What leaves from this egress source; `default` where none is configured
    #[arg(long)]
    pub source: Option<String>,
}

impl What {
    pub fn suspended(self) -> Option<Suspended> {
        let Self { site, domain, sender, source } = self;
        let of = [
            site.map(Suspended::Site),
            domain.map(Suspended::Domain),
            sender.map(Suspended::Sender),
            source.map(Suspended::Source),
        ];
        of.into_iter().flatten().next()
    }
}

#[derive(Debug, Args)]
#[command(after_help = COST)]
pub struct Summary {
    /// What to put letters together by
    #[arg(long, value_enum, default_value_t = GroupBy::Site)]
    pub by: GroupBy,
    #[command(flatten)]
    pub filter: LetterFilter,
    /// Show so many groups, those with most letters first; 0 shows all
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    pub most: usize,
    /// As JSON, with all groups
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub file: ConfigFile,
}

const COST: &str = "\
Each letter is read for it, some 5 microseconds each: a million take seconds,
and the terminal shows how far it is. The server goes on meanwhile.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupBy {
    /// Where letters meet the same limits: a provider, a set of MX hosts, a route
    Site,
    /// The recipients' domains
    Domain,
    /// The senders
    Sender,
    /// What letters are doing
    State,
}

#[derive(Debug, Args)]
pub struct Top {
    /// How often it is shown anew
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    pub interval: Duration,
    /// End after so many times
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u64>,
    /// One line of JSON each time
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub file: ConfigFile,
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub filter: LetterFilter,
    /// At most so many, the oldest first
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub file: ConfigFile,
}

#[derive(Debug, Args)]
#[command(mut_arg("recipient", |recipient| recipient.visible_alias(None).long("recipient")))]
pub struct Redirect {
    /// Where to: HOST:PORT, lmtp:HOST:PORT, lmtp:/SOCKET, catch:/FOLDER, mx for what the DNS says, or route:DOMAIN for
    /// the route of that domain
    #[arg(long = "to", value_name = "TARGET", required_unless_present = "off")]
    pub target: Option<String>,
    /// Let them go their own way again
    #[arg(long, conflicts_with = "target")]
    pub off: bool,
    #[command(flatten)]
    pub which: Which,
}

/// Which letters: by identifier, or all that fit what is given.
#[derive(Debug, Args)]
pub struct Which {
    /// Their identifiers, as `queue list` shows them
    #[arg(required_unless_present_any = ["all", "LetterFilter"], conflicts_with = "LetterFilter")]
    pub ids: Vec<String>,
    /// All that there are
    #[arg(long, conflicts_with_all = ["ids", "LetterFilter"])]
    pub all: bool,
    #[command(flatten)]
    pub filter: LetterFilter,
    /// Only say how many these are
    #[arg(long)]
    pub dry_run: bool,
    /// Print the count as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub file: ConfigFile,
}

/// What letters are like. What is given must hold together.
#[derive(Debug, Default, Args)]
#[group(multiple = true)]
pub struct LetterFilter {
    /// From this sender, or part of the address; `<>` for reports
    #[arg(long, value_name = "ADDRESS", visible_alias = "sender")]
    pub from: Option<String>,
    /// To this recipient, or part of the address
    #[arg(long = "to", value_name = "ADDRESS", visible_alias = "recipient")]
    pub recipient: Option<String>,
    /// With a recipient left in this domain
    #[arg(long)]
    pub domain: Option<String>,
    /// With a recipient left who is served by this site
    #[arg(long)]
    pub site: Option<String>,
    /// In this state
    #[arg(long, value_enum)]
    pub state: Option<LetterState>,
    /// Here for at least this time, such as 30m, 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub older: Option<Duration>,
    /// Here for less than this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub younger: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LetterState {
    /// On the calendar
    Waiting,
    /// Due, but without a connection
    Ready,
    /// Being tried
    Trying,
    /// Held by an operator
    Held,
    /// What they belong to is suspended
    Suspended,
}
