//! Figures of a server session.

use std::time::Duration;

/// What one session may use. The defaults are those of docs/reference; each field says what happens beyond it.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Octets of a letter; 552 5.3.4 beyond.
    pub message_size: u64,
    /// Accepted RCPTs per transaction; 452 4.5.3 beyond (RFC 5321 §4.5.3.1.10).
    pub recipients: usize,
    /// Letters per session; 452 4.5.3 at MAIL beyond.
    pub messages: u32,
    /// Octets of a command line with its CRLF; 500 5.5.2 beyond, then 421.
    pub command_line: usize,
    /// The same for AUTH lines (RFC 4954 §4).
    pub auth_line: usize,
    /// Octets of the letter's header; 552 5.3.4 beyond.
    pub header_size: usize,
    /// Octets of one field of the header, its folds included; 552 5.3.4 beyond.
    pub header_field_size: usize,
    /// Fields of the header; 554 5.6.0 beyond.
    pub header_fields: usize,
    /// Octets beyond `message_size`, or of a refused chunk, that are read and thrown away so that the session stays in
    /// step; beyond, it is closed.
    pub discard: u64,
    /// Received fields; 554 5.4.6 beyond (RFC 5321 §6.3).
    pub hops: usize,
    /// Replies of 4yz and 5yz; 421 4.7.0 beyond. Refused recipients of a client that has authenticated are not among
    /// them: a list of a thousand addresses may well have some that are dead.
    pub errors: u32,
    /// NOOP, RSET, VRFY, HELP and the like without a letter between; 421 4.7.0 beyond.
    pub junk_commands: u32,
    /// Failed AUTHs; 421 4.7.0 beyond.
    pub auth_failures: u32,
    /// HOLDFOR= and HOLDUNTIL= reach at most so far (RFC 4865 §3); 501 5.5.4 beyond. Zero: FUTURERELEASE is not offered.
    pub longest_hold: Duration,
    /// BY= with R must name at least so many seconds (RFC 2852 §2); 555 5.5.4 below.
    pub least_deliver_by: Duration,
    /// A higher MT-PRIORITY= becomes this one, and the reply says so (RFC 6710 §3).
    pub highest_priority: i8,
    /// A whole command line must arrive within this time (RFC 5321 §4.5.3.2.7).
    pub command_timeout: Duration,
    /// A whole letter must arrive within this time.
    pub data_timeout: Duration,
    /// Octets per second that a letter must arrive with, after a grace of `data_grace`.
    pub data_rate: u64,
    pub data_grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            message_size: 50 * 1024 * 1024,
            recipients: 1000,
            messages: 10_000,
            command_line: 2048,
            auth_line: 12_288,
            header_size: 1024 * 1024,
            header_field_size: 100 * 1024,
            header_fields: 1000,
            discard: 64 * 1024 * 1024,
            hops: 100,
            errors: 20,
            junk_commands: 100,
            auth_failures: 3,
            longest_hold: Duration::from_secs(60 * 24 * 60 * 60),
            least_deliver_by: Duration::from_secs(10),
            highest_priority: 9,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(30 * 60),
            data_rate: 500,
            data_grace: Duration::from_secs(30),
        }
    }
}
