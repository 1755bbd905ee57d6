//! The log on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Level, Log};

/// The running log; its level can be changed.
pub struct Logging(Option<Box<dyn Fn(EnvFilter) + Send + Sync>>);

/// Starts it; once a process. RUST_LOG, where set, wins over the configuration.
pub fn start(log: &Log) -> Logging {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(log));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, as in tests, keeps the first one. A filter cannot be replaced only where the log is gone.
    let change: Box<dyn Fn(EnvFilter) + Send + Sync> = if log.json {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    } else {
        let builder = builder.with_ansi(colour).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    };
    Logging(std::env::var_os(EnvFilter::DEFAULT_ENV).is_none().then_some(change))
}

impl Logging {
    /// Another level from now on.
    pub fn change(&self, log: &Log) {
        if let Some(change) = &self.0 {
            change(filter(log));
        }
    }
}

fn filter(log: &Log) -> EnvFilter {
    let level = match log.level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    // The libraries below speak only when something is wrong.
    let own = ["gatepost", "reception", "delivery", "queue", "smtp", "mail", "dns", "api"];
    EnvFilter::new(own.iter().fold("warn".to_owned(), |all, name| format!("{all},{name}={level}")))
}
