//! What EHLO offers (RFC 5321 §4.1.1.1), written by our server and read by our client.

mod read;
mod write;

/// The extensions of one side. On the server: what to offer; on the client: what the peer said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub pipelining: bool,
    /// `Some(0)`: offered without a limit (RFC 1870 §4).
    pub size: Option<u64>,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub chunking: bool,
    pub binarymime: bool,
    pub dsn: bool,
    pub enhanced_status_codes: bool,
    pub starttls: bool,
    pub requiretls: bool,
    /// AUTH mechanisms in upper case, in the order of the peer.
    pub auth: Vec<String>,
    /// LIMITS (RFC 9422 §4).
    pub limits: Limits,
    /// DELIVERBY (RFC 2852 §2): BY= may not name less seconds; 0: no such limit.
    pub deliver_by: Option<u32>,
    /// FUTURERELEASE (RFC 4865 §3).
    pub future_release: Option<FutureRelease>,
    /// MT-PRIORITY (RFC 6710 §3), in whatever profile.
    pub mt_priority: bool,
}

/// RFC 4865 §3: how far ahead a letter may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureRelease {
    /// HOLDFOR= in seconds.
    pub longest: u64,
    /// HOLDUNTIL= in seconds since 1970-01-01 UTC.
    pub latest: u64,
}

/// RFC 9422 §4: each is absent where no limit was named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub mail_max: Option<u32>,
    pub rcpt_max: Option<u32>,
    pub rcpt_domain_max: Option<u32>,
}
