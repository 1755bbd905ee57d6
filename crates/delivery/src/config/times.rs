//! How long the client waits for what (RFC 5321 §4.5.3.2).

use std::time::Duration;

use smtp::client::ClientTimeouts;

/// `[delivery.timeout]`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    /// For a TCP connection to one address.
    #[serde(with = "queue::units::duration")]
    pub connect: Duration,
    /// For a TLS handshake.
    #[serde(with = "queue::units::duration")]
    pub tls: Duration,
    /// For the greeting (RFC 5321 §4.5.3.2.1).
    #[serde(with = "queue::units::duration")]
    pub greeting: Duration,
    /// For the replies to EHLO, STARTTLS and AUTH.
    #[serde(with = "queue::units::duration")]
    pub ehlo: Duration,
    /// For the reply to MAIL (§4.5.3.2.2).
    #[serde(with = "queue::units::duration")]
    pub mail: Duration,
    /// For the reply to RCPT (§4.5.3.2.3).
    #[serde(with = "queue::units::duration")]
    pub rcpt: Duration,
    /// For the reply to DATA (§4.5.3.2.4).
    #[serde(with = "queue::units::duration")]
    pub data_start: Duration,
    /// For the server to take one piece of the letter (§4.5.3.2.5).
    #[serde(with = "queue::units::duration")]
    pub data_block: Duration,
    /// For the reply to the end of the letter (§4.5.3.2.6). Shorter than the server's own work makes duplicates.
    #[serde(with = "queue::units::duration")]
    pub data_end: Duration,
    /// For the reply to QUIT.
    #[serde(with = "queue::units::duration")]
    pub quit: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let ClientTimeouts { greeting, ehlo, mail, rcpt, data_start, data_block, data_end, quit } =
            ClientTimeouts::default();
        let half_a_minute = Duration::from_secs(30);
        Self {
            connect: half_a_minute,
            tls: half_a_minute,
            greeting,
            ehlo,
            mail,
            rcpt,
            data_start,
            data_block,
            data_end,
            quit,
        }
    }
}

impl Times {
    /// Those that the session itself watches.
    pub(crate) fn session(&self) -> ClientTimeouts {
        ClientTimeouts {
            greeting: self.greeting,
            ehlo: self.ehlo,
            mail: self.mail,
            rcpt: self.rcpt,
            data_start: self.data_start,
            data_block: self.data_block,
            data_end: self.data_end,
            quit: self.quit,
        }
    }
}
