//! Exit codes, the same for every command. `docs/reference/exit-codes.md` lists them for people.

use std::process::ExitCode;

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    /// What was asked could not be done.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was started.
    Usage = 2,
    /// An address could not be listened on.
    Bind = 3,
    /// The data folder belongs to another process, or cannot be used.
    DataDir = 4,
    /// A certificate or key cannot be used.
    Certificate = 5,
    /// The disk failed while serving; the program stopped so that nothing is promised that cannot be kept.
    Disk = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// `sendmail` speaks its callers' language (sysexits.h).
pub mod sysexits {
    pub const USAGE: u8 = 64;
    pub const DATAERR: u8 = 65;
    pub const CONFIG: u8 = 78;
    pub const TEMPFAIL: u8 = 75;
}
