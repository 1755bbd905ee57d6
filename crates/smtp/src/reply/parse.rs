//! Reading a peer's replies. A peer's reply is hostile input: it may be endless, binary, or made to forge log lines.
//!
//! ```text
//! while let Some(reply) = parser.read(&mut input)? { … }      // `input` is left empty
//! ```
//!
//! # Invariants
//! - No more than [`MAX_REPLY`] octets are ever held, whatever comes.
//! - The text of a reply read here has no control characters but the `\n` between its lines.
//!
//! # Limits
//! [`MAX_LINE`] (RFC 5321 §4.5.3.1.5 asks for 512), [`MAX_REPLY`], [`MAX_LINES`]; all three are errors, none truncates.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::{Reply, ReplyCode};
use crate::enhanced::EnhancedCode;

/// Octets of one line with its line end.
const MAX_LINE: usize = 4096;
/// Octets of all lines of one reply.
const MAX_REPLY: usize = 64 * 1024;
const MAX_LINES: usize = 512;

/// Why what a peer said is no reply. The peer's fault; nothing more can be read from this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.what())]
pub enum ReplyError {
    LongLine,
    LongReply,
    ManyLines,
    NoCode,
    MixedCodes,
}

impl ReplyError {
    pub const fn what(self) -> &'static str {
        match self {
            Self::LongLine => "a reply line is longer than 4096 octets",
            Self::LongReply => "a reply is longer than 64 KiB",
            Self::ManyLines => "a reply has more than 512 lines",
            Self::NoCode => "a reply line does not begin with a reply code",
            Self::MixedCodes => "the lines of one reply have different codes",
        }
    }
}

/// Takes octets as they come, gives replies as they are complete.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// The line that is not yet complete.
    line: Vec<u8>,
    /// Of the reply whose last line has not come yet.
    code: Option<ReplyCode>,
    enhanced: Option<EnhancedCode>,
    text: String,
    lines: usize,
    octets: usize,
}

impl ReplyParser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the octets seen so far end where a reply ends.
    pub fn is_idle(&self) -> bool {
        self.octets == 0
    }

    /// Reads the next reply from the front of `input` and moves `input` behind it. `None`: `input` is used up.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while !input.is_empty() {
            // quirk: a line may end in a bare LF. Nobody can profit: no text of ours that is reflected holds one.
            let end = memchr::memchr(b'\n', input).map(|at| at + 1);
            let (taken, rest) = input.split_at(end.unwrap_or(input.len()));
            *input = rest;
            self.count(taken.len())?;
            if end.is_none() {
                self.line.extend_from_slice(taken);
                return Ok(None);
            }
            let done = if self.line.is_empty() {
                self.take_line(taken)?
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(taken);
                let done = self.take_line(&line)?;
                line.clear();
                self.line = line;
                done
            };
            if let Some(reply) = done {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn count(&mut self, more: usize) -> Result<(), ReplyError> {
        self.octets = self.octets.saturating_add(more);
        if self.line.len().saturating_add(more) > MAX_LINE {
            return Err(ReplyError::LongLine);
        }
        if self.octets > MAX_REPLY {
            return Err(ReplyError::LongReply);
        }
        Ok(())
    }

    /// RFC 5321 §4.2:
    /// ```text
    /// Reply-line = *( Reply-code "-" [ textstring ] CRLF )
    ///              Reply-code [ SP textstring ] CRLF
    /// ```
    fn take_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (code, last, text) = split_line(line).ok_or(ReplyError::NoCode)?;
        if *self.code.get_or_insert(code) != code {
            return Err(ReplyError::MixedCodes);
        }
        if self.lines >= MAX_LINES {
            return Err(ReplyError::ManyLines);
        }
        self.push_text(code, &String::from_utf8_lossy(text));
        Ok(last.then(|| self.finish(code)))
    }

    /// RFC 2034 §4: the enhanced code stands in front of the text of each line; here it is kept once, apart from the text.
    fn push_text(&mut self, code: ReplyCode, text: &str) {
        let mut text = text;
        if let Some((enhanced, rest)) = EnhancedCode::parse_prefix(text) {
            // One that contradicts the reply code says nothing that could be relied on: it stays text.
            let agrees = u16::from(enhanced.class) == code.as_u16() / 100;
            if agrees && *self.enhanced.get_or_insert(enhanced) == enhanced {
                text = rest;
            }
        }
        if self.lines > 0 {
            self.text.push('\n');
        }
        self.lines += 1;
        self.text.push_str(&printable(text));
    }

    fn finish(&mut self, code: ReplyCode) -> Reply {
        self.code = None;
        self.lines = 0;
        self.octets = 0;
        Reply { code, enhanced: self.enhanced.take(), text: Cow::Owned(std::mem::take(&mut self.text)) }
    }
}

/// The code, whether this line is the last one, and the text.
fn split_line(line: &[u8]) -> Option<(ReplyCode, bool, &[u8])> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let number = digits.iter().try_fold(0u16, |n, d| d.is_ascii_digit().then(|| n * 10 + u16::from(d - b'0')))?;
    let code = ReplyCode::from_wire(number)?;
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// Control characters and the line breaks of Unicode become `?`, so that no reply can forge a line of a log or report.
fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Cow::Borrowed(text);
    }
    let one = |c: char| match c {
        '\t' => ' ',
        '\u{2028}' | '\u{2029}' => '?',
        c if c.is_control() => '?',
        c => c,
    };
    Cow::Owned(text.chars().map(one).collect())
}
