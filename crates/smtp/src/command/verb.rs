//! The first word of a command line.

use super::refusal;
use crate::reply::Reply;
use crate::xtext::is_control;

/// A command that we know, whatever its case on the wire (RFC 5321 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Ehlo,
    Helo,
    Lhlo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    StartTls,
    Auth,
}

impl Verb {
    pub const ALL: [Self; 15] = [
        Self::Ehlo,
        Self::Helo,
        Self::Lhlo,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Bdat,
        Self::Rset,
        Self::Noop,
        Self::Quit,
        Self::Vrfy,
        Self::Expn,
        Self::Help,
        Self::StartTls,
        Self::Auth,
    ];

    /// The word as we write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::Lhlo => "LHLO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Bdat => "BDAT",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Quit => "QUIT",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Help => "HELP",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
        }
    }

    /// The verb of a line (without its CRLF) and the argument behind it, without the spaces around.
    ///
    /// # Errors
    /// The peer's fault: 500 5.5.2 for what is no text, 500 5.5.1 for a command that we do not know.
    pub fn split(line: &[u8]) -> Result<(Self, &str), Reply> {
        // RFC 5321 §2.3.8: control characters other than the CRLF at the end have no place in a command line.
        if line.iter().any(u8::is_ascii_control) {
            return Err(refusal::CONTROL);
        }
        let (word, argument) = line.split_at(line.iter().position(|&b| b == b' ').unwrap_or(line.len()));
        let verb = Self::ALL.into_iter().find(|verb| word.eq_ignore_ascii_case(verb.as_str().as_bytes()));
        let verb = verb.ok_or(refusal::UNKNOWN)?;
        let argument = str::from_utf8(argument).map_err(|_| verb.not_utf8())?;
        if !argument.is_ascii() && argument.chars().any(is_control) {
            return Err(refusal::CONTROL);
        }
        Ok((verb, quirk_spaces_around(argument)))
    }

    fn not_utf8(self) -> Reply {
        if matches!(self, Self::Mail | Self::Rcpt) { refusal::NEEDS_SMTPUTF8 } else { refusal::NOT_UTF8 }
    }
}

/// RFC 5321 §4.1.1: "receivers SHOULD tolerate trailing white space".
fn quirk_spaces_around(argument: &str) -> &str {
    argument.trim_matches(' ')
}
