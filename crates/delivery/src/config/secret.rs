//! Where passwords come from: a file or the environment, read when the configuration is loaded.

use std::path::{Path, PathBuf};

use smtp::Secret;

/// Why there is no password. Says where it was looked for, never what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("{} is empty; its first line is the password", .0.display())]
    EmptyFile(PathBuf),
    #[error("the environment variable {0} is not set, or empty")]
    NoVariable(String),
}

/// The first line of the file, without its line end.
pub(crate) fn from_file(path: &Path) -> Result<Secret, SecretError> {
    let whole = std::fs::read(path)
        .map(Secret::new)
        .map_err(|e| SecretError::Unreadable { path: path.into(), why: e.to_string() })?;
    let line = whole.expose().split(|&b| b == b'\n').next().unwrap_or_default();
    match line.strip_suffix(b"\r").unwrap_or(line) {
        [] => Err(SecretError::EmptyFile(path.into())),
        line => Ok(Secret::new(line)),
    }
}

pub(crate) fn from_env(name: &str) -> Result<Secret, SecretError> {
    match std::env::var_os(name) {
        Some(value) if !value.is_empty() => Ok(Secret::new(value.into_encoded_bytes())),
        _ => Err(SecretError::NoVariable(name.into())),
    }
}
