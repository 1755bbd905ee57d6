//! Gatepost: one program that moves mail, and says in plain words why it does not move.
//!
//! The rooms are crates of their own; this one puts them together: configuration, command line, adapters to the
//! resolver and to files, and the life of the process.

mod certificates;
mod cli;
mod config;
mod control;
mod exit;
mod fault;
mod output;
mod ports;
mod resolver;
mod sendmail;
mod server;

use std::process::ExitCode;

use clap::Parser;

use cli::{Command, CommandLine};
use exit::Exit;
use fault::Fault;

fn main() -> ExitCode {
    // As /usr/sbin/sendmail the program is called with sendmail's own options, and with its exit codes.
    let mut arguments = std::env::args();
    let called_as = arguments.next().unwrap_or_default();
    if std::path::Path::new(&called_as).file_name().is_some_and(|name| name == "sendmail" || name == "mailq") {
        let mailq = called_as.ends_with("mailq").then(|| "-bp".to_owned());
        return cli::sendmail::run(mailq.into_iter().chain(arguments));
    }
    let line = CommandLine::parse();
    if let Command::Sendmail { arguments } = line.command {
        return cli::sendmail::run(arguments);
    }
    if !matches!(line.command, Command::Serve(_) | Command::Quickstart(_)) {
        output::end_quietly_when_unread();
    }
    match run(line.command) {
        Ok(()) => Exit::Done.into(),
        Err(fault) => {
            print(&fault);
            fault.exit.into()
        }
    }
}

fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Quickstart(arguments) => cli::quickstart::run(&arguments),
        Command::Serve(file) => cli::serve::run(&file.config),
        Command::Config(command) => cli::config::run(command),
        Command::Account(command) => cli::account::run(command),
        Command::Queue(line) => cli::queue::run_line(*line),
        Command::Route(arguments) => cli::route::run(&arguments),
        Command::Send(arguments) => cli::send::run(arguments),
        Command::Spool(command) => cli::spool::run(command),
        Command::Completions { shell } => {
            cli::completions(shell);
            Ok(())
        }
        Command::Man { folder } => cli::manual(&folder),
        Command::Sendmail { .. } => Ok(()),
    }
}

fn print(fault: &Fault) {
    let error = output::paint(output::BAD, "error:");
    anstream::eprintln!("{error} {}", fault.message.trim_end());
    if let Some(help) = &fault.help {
        anstream::eprintln!("{} {help}", output::paint(output::HEAD, "help:"));
    }
}
