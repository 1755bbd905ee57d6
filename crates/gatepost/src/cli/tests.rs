//! The command line as people see it.

use clap::{Command, CommandFactory};

use super::CommandLine;

/// Help of a command and of those below it, as Markdown.
fn describe(mut command: Command, path: &str, out: &mut String) {
    // `sendmail` has a help text of its own, for callers who are used to another program.
    let help = match path {
        "gatepost sendmail" => super::sendmail::HELP.to_owned(),
        _ => command.clone().bin_name(path).term_width(80).render_help().to_string(),
    };
    let level = "#".repeat(path.split(' ').count().min(3));
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    out.push_str(&format!("\n{level}# `{path}`\n\n```text\n{}\n```\n", lines.join("\n")));
    for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
        let path = format!("{path} {}", below.get_name());
        describe(below.clone(), &path, out);
    }
}

fn page() -> String {
    let mut out = "# Commands\n\nMade from the program's own help by `make docs`; do not edit.\n".to_owned();
    describe(CommandLine::command(), "gatepost", &mut out);
    out
}

/// GATEPOST_WRITE_DOCS=1 writes it instead.
#[test]
fn the_page_of_commands_is_what_the_program_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    if std::env::var_os("GATEPOST_WRITE_DOCS").is_some() {
        std::fs::write(path, page()).expect("written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "docs/reference/cli.md is not up to date: make docs");
}

fn nothing_unsaid(command: &Command, path: &str) {
    for argument in command.get_arguments().filter(|_| path != "gatepost sendmail") {
        assert!(argument.get_help().is_some(), "nothing is said of {} of `{path}`", argument.get_id());
    }
    for below in command.get_subcommands() {
        nothing_unsaid(below, &format!("{path} {}", below.get_name()));
    }
}

#[test]
fn help_fits_a_terminal_and_leaves_nothing_unsaid() {
    for line in page().lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    nothing_unsaid(&CommandLine::command(), "gatepost");
}
