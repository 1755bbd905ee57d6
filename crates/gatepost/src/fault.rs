//! What ends a command: a message for a person, what to do, and the exit code.

use crate::exit::Exit;

/// Printed as `error: …` with `help: …` below it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub exit: Exit,
    pub message: String,
    pub help: Option<String>,
}

impl Fault {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: None }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// An I/O error with what was being done: `cannot read /x: No such file or directory`.
    pub fn io(exit: Exit, doing: impl std::fmt::Display, error: &std::io::Error) -> Self {
        Self::new(exit, format!("{doing}: {error}"))
    }
}
