//! What is in force, on disk: `shaping.json` in the data folder.
//!
//! # Invariants
//! - The file is replaced whole, by a rename. One that cannot be read costs a warning and what it held, never the start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use deliverability::automation::State;

/// A larger file is none of ours.
const LARGEST: u64 = 64 << 20;

/// Blocks.
pub(super) fn read(path: &Path) -> State {
    match try_read(path) {
        Ok(state) => state,
        Err(error) if error.kind() == ErrorKind::NotFound => State::default(),
        Err(error) => {
            tracing::warn!(
                file = %path.display(), %error,
                "what replies had changed of the limits of sites cannot be read; it begins anew from the configuration"
            );
            State::default()
        }
    }
}

fn try_read(path: &Path) -> io::Result<State> {
    let file = File::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is too large"));
    }
    serde_json::from_reader(io::BufReader::new(file)).map_err(io::Error::from)
}

/// Blocks.
pub(super) fn write(path: &Path, state: &State) -> io::Result<()> {
    let new = path.with_extension("json.new");
    // Addresses of ours and others' words are nobody else's business.
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
