//! What a next hop may do instead of answering as it should.

use std::io::{ErrorKind, Read, Result};
use std::time::Duration;

use super::dialog::Wire;

/// What becomes of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ill {
    /// Another answer than the right one.
    Say(String),
    /// None; the connection stays open until the peer goes.
    Stall,
    /// None, and the connection is closed.
    Close,
    /// Half of the right answer, and the connection is closed.
    CloseWithin,
    /// The right answer, and the connection is closed.
    CloseBehind,
    /// The right answer, one octet at a time.
    Drip,
    /// These octets instead of an answer; the dialog goes on as if it had been the right one.
    Raw(Vec<u8>),
    /// The right answer in so many octets, all in one line.
    LongLine(usize),
    /// The right answer in so many octets, in a great many lines.
    ManyLines(usize),
    /// The right answer, and another like it at once.
    Twice,
    /// The right answer, when the peer is gone.
    Late,
}

/// Between two octets that drip.
const DRIP: Duration = Duration::from_millis(1);

impl Ill {
    /// Whether the server goes on as if it had said yes: it has the recipient, or the letter.
    pub(super) fn has_it(&self) -> bool {
        match self {
            Ill::Say(reply) => reply.starts_with(['2', '3']),
            _ => true,
        }
    }

    /// Does it where `right` would be the answer. An error ends the connection.
    pub(super) fn show(&self, wire: &mut Wire, right: &str) -> Result<()> {
        let line = format!("{right}\r\n");
        let code = right.get(..3).unwrap_or("250");
        let end = || Err(ErrorKind::ConnectionAborted.into());
        match self {
            Ill::Say(reply) => wire.write(format!("{reply}\r\n").as_bytes()),
            Ill::Stall => outlast(wire).and_then(|()| end()),
            Ill::Close => end(),
            Ill::CloseWithin => wire.write(&line.as_bytes()[..line.len() / 2]).and_then(|()| end()),
            Ill::CloseBehind => wire.write(line.as_bytes()).and_then(|()| end()),
            Ill::Drip => line.as_bytes().chunks(1).try_for_each(|octet| {
                std::thread::sleep(DRIP);
                wire.write(octet)
            }),
            Ill::Raw(octets) => wire.write(octets),
            Ill::LongLine(octets) => {
                wire.write(format!("{code} {}\r\n", "x".repeat(octets.saturating_sub(6))).as_bytes())
            }
            Ill::ManyLines(octets) => {
                let more = format!("{code}-{}\r\n", "x".repeat(94));
                wire.write(more.repeat(octets / more.len()).as_bytes()).and_then(|()| wire.write(line.as_bytes()))
            }
            Ill::Twice => wire.write(line.repeat(2).as_bytes()),
            Ill::Late => outlast(wire).and_then(|()| wire.write(line.as_bytes())).and_then(|()| end()),
        }
    }
}

/// Returns when the peer has closed its side, whatever it still says.
fn outlast(wire: &mut Wire) -> Result<()> {
    let mut heard = [0u8; 4096];
    while wire.read(&mut heard)? > 0 {}
    Ok(())
}
