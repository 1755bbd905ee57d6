//! What MAIL and RCPT say beside the paths: the parameters of the extensions, checked and decoded.

use std::fmt;

use crate::address::Mailbox;

/// BODY= (RFC 6152 §3, RFC 3030 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Body {
    #[default]
    SevenBit,
    EightBitMime,
    BinaryMime,
}

/// RET= (RFC 3461 §4.3): how much of the letter a failure report gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    Full,
    Headers,
}

/// NOTIFY= (RFC 3461 §4.1). `never` excludes the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notify {
    pub never: bool,
    pub success: bool,
    pub failure: bool,
    pub delay: bool,
}

/// ORCPT= (RFC 3461 §4.2, RFC 6533 §3): the address as the sender first wrote it, xtext decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient {
    /// `rfc822` or `utf-8`, in lower case; another registered type is kept as it came.
    pub address_type: String,
    /// Decoded; never holds a control character.
    pub address: String,
}

/// BY= (RFC 2852 §4): how soon the letter must be delivered, counted from the moment of MAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliverBy {
    /// At most nine digits; zero or less (a time that has passed) only with [`ByMode::Notify`].
    pub seconds: i64,
    pub mode: ByMode,
    /// Each server on the way tells the sender when it passes the letter on.
    pub trace: bool,
}

impl fmt::Display for DeliverBy {
    /// As the parameter's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.mode == ByMode::Return { 'R' } else { 'N' };
        write!(f, "{};{mode}{}", self.seconds, if self.trace { "T" } else { "" })
    }
}

/// What happens at the time that BY= names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByMode {
    /// The letter is given up and returned.
    Return,
    /// The sender is told of the delay, and delivery goes on.
    Notify,
}

/// HOLDFOR= and HOLDUNTIL= (RFC 4865 §4): not delivered before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Seconds from the moment of MAIL, at most nine digits.
    For(u64),
    /// Seconds since 1970-01-01 UTC.
    Until(u64),
}

/// All that MAIL FROM may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MailParams {
    /// SIZE= in octets (RFC 1870 §6.1).
    pub size: Option<u64>,
    pub body: Option<Body>,
    /// SMTPUTF8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    pub ret: Option<Ret>,
    /// ENVID=, xtext decoded, at most 100 characters (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// AUTH= (RFC 4954 §5): `Some(None)` is `AUTH=<>`.
    pub auth: Option<Option<Mailbox>>,
    /// REQUIRETLS (RFC 8689 §2).
    pub requiretls: bool,
    /// BY= (RFC 2852 §4).
    pub by: Option<DeliverBy>,
    /// HOLDFOR= or HOLDUNTIL= (RFC 4865 §4).
    pub hold: Option<Hold>,
    /// MT-PRIORITY=, from -9 to 9 (RFC 6710 §5.1).
    pub mt_priority: Option<i8>,
}

/// All that RCPT TO may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RcptParams {
    pub notify: Option<Notify>,
    pub orcpt: Option<OriginalRecipient>,
}
