//! Local mailboxes: one Maildir per user, `<root>/<domain>/<user>/{new,cur,tmp}`.
//!
//! A letter is written to `tmp`, synced, renamed into `new`, and the folder is synced; only then it is delivered. A reader
//! never sees half a letter, and a crash leaves at most a file in `tmp`.
//!
//! `Return-Path` and `Delivered-To` are put before it (RFC 5321 §4.4). All other octets stay what they are, the CR LF at
//! line ends too: readers such as Dovecot take both forms, and a letter sent as BINARYMIME would not survive a change.
//!
//! # Invariants
//! - Nothing in an address leads out of the root: letters, digits and a few signs stand for themselves, all else is
//!   percent-encoded, a leading dot included.
//! - An existing file is never written over.
//!
//! # Limits
//! - Users are told apart without regard to ASCII case.
//! - Everything here blocks on the disk.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use queue::Body;
use smtp::{Mailbox, Reply, ReversePath};

/// Octets read from the letter at once.
const PIECE: usize = 256 * 1024;
/// Octets of our own name in the name of a file, which has 255 at most.
const LONGEST_HOST: usize = 100;
/// Octets of header that are searched for Delivered-To.
const HEADER: usize = 1024 * 1024;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Why a letter is not in the mailbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStored {
    #[error("the letter has been in this mailbox before")]
    Loop,
    #[error("{}: {error}", path.display())]
    Disk { path: PathBuf, error: io::Error },
}

impl NotStored {
    /// What the sender may learn in the end; the path and the system's words are for the log only.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Loop => Reply::new(554, (5, 4, 6), "mail loop: the letter has been delivered to this mailbox before"),
            Self::Disk { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull => Reply::new(452, (4, 3, 1), "the mailbox's disk is full"),
                io::ErrorKind::QuotaExceeded => Reply::new(452, (4, 2, 2), "the mailbox is full"),
                // No later attempt makes it smaller.
                io::ErrorKind::FileTooLarge => {
                    Reply::new(552, (5, 2, 3), "the letter is larger than a file in the mailbox may be")
                }
                io::ErrorKind::InvalidFilename => {
                    Reply::new(550, (5, 1, 3), "the address is too long for the name of a mailbox here")
                }
                _ => Reply::new(451, (4, 3, 0), "the mailbox cannot be written now"),
            },
        }
    }
}

/// The Maildir of a recipient.
pub fn folder(root: &Path, recipient: &Mailbox, subaddress: &str) -> PathBuf {
    let local = recipient.local.as_str().to_ascii_lowercase();
    let user = match local.split_once(subaddress) {
        Some((user, _)) if !subaddress.is_empty() && !user.is_empty() => user,
        _ => &local,
    };
    let domain = match &recipient.host {
        smtp::Host::Domain(domain) => safe_name(domain.as_ascii()),
        smtp::Host::Literal(literal) => safe_name(&literal.to_string()),
    };
    root.join(domain).join(safe_name(user))
}

/// One path component that is no other than itself.
fn safe_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"-_+=@,~".contains(&byte) || (byte == b'.' && at > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// Whether the letter says that this address has had it.
pub(crate) fn has_been_here(body: &Body, recipient: &Mailbox) -> io::Result<bool> {
    let header = read_header(body)?;
    let address = recipient.to_string();
    let lines = header.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
    Ok(lines.take_while(|line| !line.is_empty()).any(|line| {
        let name = b"delivered-to:";
        let (head, value) = line.split_at_checked(name.len()).unwrap_or((line, &[]));
        head.eq_ignore_ascii_case(name) && value.trim_ascii().eq_ignore_ascii_case(address.as_bytes())
    }))
}

/// The letter's beginning, at least as far as its header goes, if that is not longer than [`HEADER`].
fn read_header(body: &Body) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    while header.len() < HEADER {
        let piece = body.read_at(header.len() as u64, 16 * 1024)?;
        // The line end before an empty line may stand in the piece before.
        let from = header.len().saturating_sub(3);
        header.extend_from_slice(&piece);
        let news = header.get(from..).unwrap_or_default();
        let ends = news.windows(2).any(|two| two == b"\n\n") || news.windows(3).any(|three| three == b"\n\r\n");
        if piece.is_empty() || ends {
            break;
        }
    }
    Ok(header)
}

/// One letter into the mailbox of one recipient.
pub(crate) fn deliver(
    folder: &Path,
    hostname: &str,
    from: &ReversePath,
    recipient: &Mailbox,
    body: &Body,
) -> Result<(), NotStored> {
    let fields = format!("Return-Path: <{from}>\r\nDelivered-To: {recipient}\r\n");
    store(folder, hostname, fields.as_bytes(), body).map_err(|error| NotStored::Disk { path: folder.into(), error })
}

fn store(folder: &Path, hostname: &str, fields: &[u8], body: &Body) -> io::Result<()> {
    match try_store(folder, hostname, fields, body) {
        // A new mailbox, or one of which a crash left only some folders.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folders(folder)?;
            try_store(folder, hostname, fields, body)
        }
        other => other,
    }
}

fn try_store(folder: &Path, hostname: &str, fields: &[u8], body: &Body) -> io::Result<()> {
    let (name, file) = create(folder, hostname, fields.len() as u64 + body.len())?;
    let temporary = folder.join("tmp").join(&name);
    let kept = fill(file, fields, body).and_then(|()| {
        std::fs::rename(&temporary, folder.join("new").join(&name))?;
        sync_folder(&folder.join("new"))
    });
    if kept.is_err() {
        // What went wrong is said already; a file left in tmp does no harm.
        let _ = std::fs::remove_file(&temporary);
    }
    kept
}

/// A new file in `tmp`, whose name nobody has had.
fn create(folder: &Path, hostname: &str, size: u64) -> io::Result<(String, File)> {
    loop {
        let name = unique_name(hostname, size);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("tmp").join(&name));
        match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (name, file)),
        }
    }
}

/// `seconds.M<microseconds>P<process>Q<count>R<random>.host,S=<size>`: the Maildir convention, with a random part for
/// machines that share a name, as containers do.
fn unique_name(hostname: &str, size: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (process, count) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let random = getrandom::u32().unwrap_or_default();
    // The convention: "replace / with \057 and : with \072".
    let host = hostname.get(..hostname.floor_char_boundary(LONGEST_HOST)).unwrap_or(hostname);
    let host = host.replace('/', "\\057").replace(':', "\\072");
    format!("{}.M{}P{process}Q{count}R{random:08x}.{host},S={size}", now.as_secs(), now.subsec_micros())
}

fn fill(file: File, fields: &[u8], body: &Body) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(64 * 1024, file);
    file.write_all(fields)?;
    let mut offset = 0;
    while offset < body.len() {
        let piece = body.read_at(offset, PIECE)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all(&piece)?;
        offset += piece.len() as u64;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// `new`, `cur` and `tmp`, and what is missing above them; only their owner may look in. `tmp` comes last: where it is,
/// all of them are, durably. So who finds it may deliver at once, even while another makes the folders, or after a crash.
fn make_folders(folder: &Path) -> io::Result<()> {
    let make = |name: &str| DirBuilder::new().recursive(true).mode(0o700).create(folder.join(name));
    make("new")?;
    make("cur")?;
    // The entries must survive a crash as the letter will: user, domain, root.
    let mut above = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    above.by_ref().take(3).try_for_each(sync_folder)?;
    // The root's own entry, where we may look there.
    let _ = above.next().map(sync_folder);
    make("tmp")
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
