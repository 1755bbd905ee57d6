//! Figures: what one connection, one client and all of them together may use.

use std::time::Duration;

use smtp::server::ServerLimits;

use super::LimitOverrides;

/// What one connection, one client and all together may use. Each says what happens beyond it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, on all listeners together; beyond it a new one gets 421.
    pub connections: u32,
    /// Connections at once from one client (one IPv4 address, one IPv6 /64); beyond it a new one gets 421.
    pub connections_per_client: u32,
    /// From this share of `connections` on, new connections are served in haste: a command must come within 10 seconds, and
    /// the second error or useless command ends the connection. "100%" turns it off.
    #[serde(with = "queue::units::percent")]
    pub haste: u8,
    /// Memory that must be free in the system; below it a new connection and a new letter get 421 or 452. "0" turns it off.
    #[serde(with = "queue::units::size")]
    pub free_memory: u64,
    /// Size of a letter; 552 beyond.
    #[serde(with = "queue::units::size")]
    pub message_size: u64,
    /// Recipients of a letter; 452 for each beyond. RFC 5321 asks for at least 100.
    pub recipients: usize,
    /// Letters in one connection; 452 at MAIL beyond.
    pub messages: u32,
    /// Octets of a command line; 500 beyond.
    pub command_line: usize,
    /// Octets of a line of a login; 500 beyond.
    pub auth_line: usize,
    /// Size of a letter's header; 552 beyond.
    #[serde(with = "queue::units::size")]
    pub header_size: u64,
    /// Size of one field of the header, folded lines and all; 552 beyond.
    #[serde(with = "queue::units::size")]
    pub header_field_size: u64,
    /// Fields of a letter's header; 554 beyond.
    pub header_fields: usize,
    /// Of a letter that is too large, this much more is read and thrown away, so that its sender hears why; beyond, the
    /// connection is closed.
    #[serde(with = "queue::units::size")]
    pub discard: u64,
    /// Received fields in a letter: beyond, it is going in circles and gets 554 5.4.6.
    pub hops: usize,
    /// Refused commands in one connection; 421 beyond. Refused recipients of a client that has logged in do not count.
    pub errors: u32,
    /// NOOP, RSET, VRFY and the like without a letter between; 421 beyond.
    pub junk_commands: u32,
    /// Failed logins in one connection; 421 beyond.
    pub auth_failures: u32,
    /// How far ahead a client that has logged in may have a letter held (HOLDFOR, HOLDUNTIL); 501 5.5.4 beyond. "0" turns
    /// FUTURERELEASE off.
    #[serde(with = "queue::units::duration")]
    pub longest_hold: Duration,
    /// The shortest time within which a letter may have to be delivered or returned (BY with R, after a login); 555 5.5.4
    /// below.
    #[serde(with = "queue::units::duration")]
    pub least_deliver_by: Duration,
    /// The highest priority (MT-PRIORITY, from -9 to 9) that a client that has logged in may give a letter; a higher one
    /// becomes this one, and the client is told.
    pub highest_priority: i8,
    /// Within this time a whole command must arrive, or the client gets 421. RFC 5321 asks for at least 5 minutes.
    #[serde(with = "queue::units::duration")]
    pub command_timeout: Duration,
    /// Within this time a whole letter must arrive.
    #[serde(with = "queue::units::duration")]
    pub data_timeout: Duration,
    /// Octets per second that a letter must come with, on average, once `data_grace` is over.
    pub data_rate: u64,
    /// For this long a letter may come as slowly as it likes.
    #[serde(with = "queue::units::duration")]
    pub data_grace: Duration,
    /// A TLS handshake must be done within this time.
    #[serde(with = "queue::units::duration")]
    pub handshake_timeout: Duration,
    /// How long submission ports listen before their greeting, to notice clients that begin with TLS and serve them so.
    #[serde(with = "queue::units::duration")]
    pub first_byte_wait: Duration,
    /// Addresses that one recipient may stand for after aliases, and how many may be for one letter ten times over.
    pub alias_expansion: usize,
    /// Failed logins, over all connections.
    pub login: LoginLimits,
}

/// Guessing of passwords. An account is never locked: that would let anyone lock anyone out.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginLimits {
    /// Failures from one address (IPv6: one /64) within `window`; beyond, logins from it get 421 for a while.
    pub failures_per_address: u32,
    /// Failures from one network (IPv4 /24, IPv6 /48) within `window`; beyond, logins from it get 421 for a while.
    pub failures_per_network: u32,
    /// The time over which failures are forgotten, evenly.
    #[serde(with = "queue::units::duration")]
    pub window: Duration,
    /// The reply to a failed login waits this long, twice as long for the next from the same address or for the same
    /// account, and so on.
    #[serde(with = "queue::units::duration")]
    pub delay: Duration,
    /// The longest such wait.
    #[serde(with = "queue::units::duration")]
    pub longest_delay: Duration,
}

/// How passwords are kept and checked.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Passwords {
    /// Memory that argon2id uses for one password.
    #[serde(with = "queue::units::size")]
    pub argon2_memory: u64,
    /// Passes of argon2id over that memory.
    pub argon2_passes: u32,
    /// Rounds of PBKDF2 in a SCRAM-SHA-256 verifier; at least 4096 (RFC 7677).
    pub scram_iterations: u32,
    /// For this long a password that was right is known again without argon2. Only a keyed hash of it is kept, in memory.
    #[serde(with = "queue::units::duration")]
    pub remember: Duration,
    /// Threads that hash; 0: one for each processor.
    pub threads: usize,
    /// Logins that may wait for these threads; beyond, 454 4.7.0.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let session = ServerLimits::default();
        Self {
            connections: 10_000,
            connections_per_client: 50,
            haste: 80,
            free_memory: 64 * 1024 * 1024,
            message_size: session.message_size,
            recipients: session.recipients,
            messages: session.messages,
            command_line: session.command_line,
            auth_line: session.auth_line,
            header_size: session.header_size as u64,
            header_field_size: session.header_field_size as u64,
            header_fields: session.header_fields,
            discard: session.discard,
            hops: session.hops,
            errors: session.errors,
            junk_commands: session.junk_commands,
            auth_failures: session.auth_failures,
            longest_hold: session.longest_hold,
            least_deliver_by: session.least_deliver_by,
            highest_priority: session.highest_priority,
            command_timeout: session.command_timeout,
            data_timeout: session.data_timeout,
            data_rate: session.data_rate,
            data_grace: session.data_grace,
            handshake_timeout: Duration::from_secs(30),
            first_byte_wait: Duration::from_millis(50),
            alias_expansion: 1000,
            login: LoginLimits::default(),
        }
    }
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            failures_per_address: 20,
            failures_per_network: 100,
            window: Duration::from_secs(600),
            delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(8),
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            // OWASP's first choice for argon2id with one lane.
            argon2_memory: 19 * 1024 * 1024,
            argon2_passes: 2,
            scram_iterations: 15_000,
            remember: Duration::from_secs(300),
            threads: 0,
            waiting: 256,
        }
    }
}

impl Limits {
    /// The figures of one session, with what a listener overrides.
    pub fn session(&self, overrides: &LimitOverrides) -> ServerLimits {
        ServerLimits {
            message_size: overrides.message_size.unwrap_or(self.message_size),
            recipients: overrides.recipients.unwrap_or(self.recipients),
            messages: self.messages,
            command_line: self.command_line,
            auth_line: self.auth_line,
            header_size: usize::try_from(self.header_size).unwrap_or(usize::MAX),
            header_field_size: usize::try_from(self.header_field_size).unwrap_or(usize::MAX),
            header_fields: self.header_fields,
            discard: self.discard,
            hops: self.hops,
            errors: overrides.errors.unwrap_or(self.errors),
            junk_commands: self.junk_commands,
            auth_failures: self.auth_failures,
            longest_hold: self.longest_hold,
            least_deliver_by: self.least_deliver_by,
            highest_priority: self.highest_priority.clamp(-9, 9),
            command_timeout: overrides.command_timeout.unwrap_or(self.command_timeout),
            data_timeout: overrides.data_timeout.unwrap_or(self.data_timeout),
            data_rate: self.data_rate,
            data_grace: self.data_grace,
        }
    }

    /// Connections from which on new ones are served in haste.
    pub fn haste_from(&self) -> u32 {
        let share = u64::from(self.connections) * u64::from(self.haste.min(100)) / 100;
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

/// What is left of a session's limits in haste.
pub fn in_haste(limits: ServerLimits) -> ServerLimits {
    ServerLimits {
        command_timeout: limits.command_timeout.min(Duration::from_secs(10)),
        errors: limits.errors.min(1),
        junk_commands: limits.junk_commands.min(1),
        ..limits
    }
}
