//! The log on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Level, Log};

/// Starts it; once a process. RUST_LOG, where set, wins over the configuration.
pub fn start(log: &Log) {
    let level = match log.level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    // The libraries below speak only when something is wrong.
    let own = ["gatepost", "reception", "delivery", "queue", "smtp", "mail", "dns"];
    let default = own.iter().fold("warn".to_owned(), |all, name| format!("{all},{name}={level}"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // A second start, as in tests, keeps the first one.
    let _ = if log.json { builder.json().try_init() } else { builder.with_ansi(colour).try_init() };
}
