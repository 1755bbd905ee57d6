//! The command line: one file a command.

pub mod account;
pub mod config;
pub mod queue;
pub mod quickstart;
pub mod route;
pub mod send;
pub mod sendmail;
pub mod serve;
pub mod spool;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use queue::QueueLine;

/// Gatepost moves mail: four SMTP ports, one durable queue, and plain words when something does not work.
#[derive(Debug, Parser)]
#[command(name = "gatepost", version, max_term_width = 80, after_help = EXIT_CODES)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 an address
cannot be listened on, 4 the data folder is in use or unusable, 5 a certificate
cannot be used, 6 the disk failed while serving.

Start with: gatepost quickstart";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try everything on this machine: serve all ports on loopback and send a letter through each
    Quickstart(Quickstart),
    /// Run the server
    Serve(ConfigFile),
    /// Check, show or explain the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Accounts: who may send through the submission ports
    #[command(subcommand)]
    Account(AccountCommand),
    /// The letters that wait, and why; without a command, a summary by site
    Queue(Box<QueueLine>),
    /// Where a letter to an address would go now: route, site, servers, limits
    Route(Route),
    /// Send one letter with our own client and see the dialog
    Send(Send),
    /// Take a letter from a program, as /usr/sbin/sendmail does
    #[command(disable_help_flag = true)]
    Sendmail {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Look into the spool on disk
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Print a completion script for a shell
    Completions {
        /// Which one
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// Made where it is missing
        folder: PathBuf,
    },
}

/// Which configuration.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// The configuration file
    #[arg(
        short,
        long,
        env = "GATEPOST_CONFIG",
        hide_env_values = true,
        default_value = "/etc/gatepost/gatepost.toml",
        value_name = "FILE"
    )]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct Quickstart {
    /// Keep everything in this folder [default: a fresh folder below the system's temporary one]
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Stop after the table
    #[arg(long)]
    pub exit: bool,
    /// Print the table as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read the configuration and what it names; say what is wrong and where
    Check(ConfigFile),
    /// Print a configuration with every key explained
    Example,
    /// Print the configuration as it takes effect, defaults included
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what is shipped on large providers: limits, and rules on their replies, as [shaping] would have them
    Shaping,
}

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account; prints a generated password unless one is given
    Add {
        /// What it logs in with; an address is a good name
        name: String,
        /// An address that the account may send as; `*@example.com` is all of a domain. May be repeated
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// All accounts and the addresses that they own
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Give an account a new password
    Password {
        /// The account
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Let an account log in no more
    Disable {
        /// The account
        name: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Let a disabled account log in again
    Enable {
        /// The account
        name: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Remove an account
    Remove {
        /// The account
        name: String,
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Debug, Args)]
pub struct Route {
    /// The recipient's address
    pub address: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub file: ConfigFile,
}

#[derive(Debug, Args)]
pub struct Send {
    /// Whom the letter is for; may be repeated
    #[arg(long, required = true, value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// Whom it is from
    #[arg(long, value_name = "ADDRESS")]
    pub from: String,
    /// Its subject
    #[arg(long, default_value = "A letter from gatepost send")]
    pub subject: String,
    /// The text; `-` reads it from standard input
    #[arg(long, default_value = "Sent by gatepost send.")]
    pub body: String,
    /// The server and its port
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:587")]
    pub server: String,
    /// Encryption [default: implicit on ports 465 and 2465, else starttls]
    #[arg(long, value_enum)]
    pub tls: Option<Tls>,
    /// The account; its password comes from GATEPOST_PASSWORD or a prompt
    #[arg(long)]
    pub user: Option<String>,
    /// Trust this authority too (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Do not verify the server's certificate: anybody in between can read the letter and the password
    #[arg(long)]
    pub insecure_no_verify: bool,
    /// Send the password without TLS: anybody in between can read it
    #[arg(long)]
    pub insecure_plaintext_auth: bool,
    /// Print the dialog
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tls {
    Implicit,
    Starttls,
    None,
}

#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// Read every record and say what is damaged
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// The letters on disk; works while no server runs
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Write letters as .eml files into a folder
    Export {
        /// The folder for the .eml files
        #[arg(long, value_name = "FOLDER")]
        eml: PathBuf,
        /// Only these letters [default: all]
        ids: Vec<String>,
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// A completion script on standard output.
pub fn completions(shell: clap_complete::Shell) {
    let mut command = <CommandLine as clap::CommandFactory>::command();
    clap_complete::generate(shell, &mut command, "gatepost", &mut std::io::stdout());
}

/// Manual pages, one for each command.
pub fn manual(folder: &std::path::Path) -> Result<(), crate::fault::Fault> {
    use crate::exit::Exit;
    let command = <CommandLine as clap::CommandFactory>::command();
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .map_err(|error| crate::fault::Fault::io(Exit::Failed, format_args!("{}", folder.display()), &error))
}

/// JSON on standard output, for `--json`.
fn print_json(value: &impl serde::Serialize) -> Result<(), crate::fault::Fault> {
    let text = serde_json::to_string_pretty(value).map_err(|error| crate::fault::Fault::failed(error.to_string()))?;
    println!("{text}");
    Ok(())
}
