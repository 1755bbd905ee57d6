//! Replies: the code, the enhanced code and the text, kept apart so that the compiler insists on all three.
//!
//! # Invariants
//! - A [`Reply`]'s text holds no CR and no other control character; lines are split by `\n`.
//! - The enhanced code's class is the reply code's first digit (RFC 2034 §4).

mod parse;

use std::borrow::Cow;
use std::fmt;

pub use parse::{ReplyError, ReplyParser};

use crate::enhanced::EnhancedCode;

/// Three digits, 200 to 599 (RFC 5321 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode(u16);

/// What a reply's first digit says (RFC 5321 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// 2yz: done.
    Positive,
    /// 3yz: go on, more is awaited.
    Intermediate,
    /// 4yz: not now; the same may succeed later.
    Transient,
    /// 5yz: no; the same will fail again.
    Permanent,
}

impl ReplyCode {
    /// A code known at compile time. Panics when it is out of range, which only our own source can cause.
    pub const fn new(code: u16) -> Self {
        assert!(code >= 200 && code <= 599);
        Self(code)
    }

    /// A code from a peer: `None` outside 200 to 599.
    pub fn from_wire(code: u16) -> Option<Self> {
        (200..=599).contains(&code).then_some(Self(code))
    }

    pub const fn as_u16(self) -> u16 {
        self.0
    }

    pub const fn severity(self) -> Severity {
        match self.0 / 100 {
            2 => Severity::Positive,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One reply, as sent by us or received from a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    pub code: ReplyCode,
    pub enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply of our own with a fixed text: `Reply::new(550, (5, 7, 1), "relaying is not permitted")`.
    pub const fn new(code: u16, enhanced: (u8, u16, u16), text: &'static str) -> Self {
        let (class, subject, detail) = enhanced;
        Self {
            code: ReplyCode::new(code),
            enhanced: Some(EnhancedCode::new(class, subject, detail)),
            text: Cow::Borrowed(text),
        }
    }

    /// A reply without an enhanced code: greetings, EHLO and 3yz have none (RFC 2034 §3).
    pub const fn plain(code: u16, text: &'static str) -> Self {
        Self { code: ReplyCode::new(code), enhanced: None, text: Cow::Borrowed(text) }
    }

    /// The same with a text made at run time; control characters become `?`, so that nothing a peer said can forge a line.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        let text: String = text.into();
        self.text = Cow::Owned(clean(&text));
        self
    }

    /// A reply as read from a peer.
    pub fn from_peer(code: ReplyCode, enhanced: Option<EnhancedCode>, text: &str) -> Self {
        Self { code, enhanced, text: Cow::Owned(clean(text)) }
    }

    /// The text without codes; several lines are separated by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    pub fn is_positive(&self) -> bool {
        matches!(self.severity(), Severity::Positive)
    }

    pub fn is_transient(&self) -> bool {
        matches!(self.severity(), Severity::Transient)
    }

    pub fn is_permanent(&self) -> bool {
        matches!(self.severity(), Severity::Permanent)
    }

    /// Appends the reply as it goes on the wire (RFC 5321 §4.2.1, RFC 2034 §4): every line with the code, every line
    /// with the enhanced code where there is one.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(enhanced.to_string().as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' || !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) { c } else { '?' })
        .collect()
}

impl fmt::Display for Reply {
    /// One line for a person: `550 5.7.1 relaying is not permitted`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.text.split('\n') {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}
