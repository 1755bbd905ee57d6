//! Enhanced status codes: class, subject and detail, as `5.7.1` (RFC 3463 §2, RFC 2034, registry RFC 5248).

use std::fmt;

/// An enhanced mail system status code (RFC 3463 §2). The class always agrees with the reply code's first digit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedCode {
    pub class: u8,
    pub subject: u16,
    pub detail: u16,
}

impl EnhancedCode {
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// Reads `class "." subject "." detail` from the start of `text`; gives the code and what follows it.
    ///
    /// RFC 3463 §2: `status-code = class "." subject "." detail`, class one of 2, 4, 5, the others one to three digits
    /// without leading zeros. Leading zeros are tolerated, as some peers write them.
    pub fn parse_prefix(text: &str) -> Option<(Self, &str)> {
        let (class, rest) = number(text, 1)?;
        let (subject, rest) = number(rest.strip_prefix('.')?, 3)?;
        let (detail, rest) = number(rest.strip_prefix('.')?, 3)?;
        let ends = rest.is_empty() || rest.starts_with([' ', '\t']);
        let class = u8::try_from(class).ok().filter(|c| matches!(c, 2 | 4 | 5))?;
        ends.then(|| (Self { class, subject, detail }, rest.trim_start_matches([' ', '\t'])))
    }
}

fn number(text: &str, most: usize) -> Option<(u16, &str)> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (head, rest) = text.split_at(digits);
    (digits > 0 && !rest.starts_with(|c: char| c.is_ascii_digit())).then_some((head.parse().ok()?, rest))
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
