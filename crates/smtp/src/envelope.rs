//! What MAIL and RCPT say beside the paths: the parameters of the extensions, checked and decoded.

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
}

/// All that RCPT TO may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RcptParams {
    pub notify: Option<Notify>,
    pub orcpt: Option<OriginalRecipient>,
}
