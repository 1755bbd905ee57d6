//! The Received field (RFC 5321 §4.4).

use std::net::IpAddr;

/// What is known of a reception when it ends; `by`, `id` and the date are added by [`Received::write`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The name given in EHLO, validated, or an address literal.
    pub helo: Option<String>,
    pub client: Option<IpAddr>,
    /// Our own name.
    pub by: String,
    /// ESMTPSA and the like (RFC 3848).
    pub with: String,
    /// `TLSv1.3 TLS_AES_256_GCM_SHA384`, written as a comment.
    pub tls: Option<String>,
    /// The only recipient, where there is exactly one: more would disclose Bcc (RFC 5321 §7.2).
    pub for_recipient: Option<String>,
}
