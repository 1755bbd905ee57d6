//! What EHLO offers on a connection, at this moment of it.

use super::ServerConfig;
use crate::extension::{Capabilities, Limits};
use crate::sasl::{Mechanism, can_bind};
use crate::tls::TlsInfo;

pub(super) fn capabilities(config: &ServerConfig, tls: Option<&TlsInfo>, authenticated: bool) -> Capabilities {
    let limits = &config.limits;
    Capabilities {
        pipelining: true,
        size: Some(limits.message_size),
        eight_bit_mime: true,
        smtputf8: config.smtputf8,
        chunking: config.chunking,
        binarymime: config.chunking,
        dsn: config.dsn || config.require_auth || authenticated,
        enhanced_status_codes: true,
        // RFC 3207 §4.2: not offered once TLS is active.
        starttls: config.starttls && tls.is_none(),
        // RFC 8689 §2: "The REQUIRETLS SMTP service extension MUST only be advertised … over a TLS session".
        requiretls: tls.is_some(),
        auth: mechanisms(config, tls).map(|mechanism| mechanism.name().to_owned()).collect(),
        limits: Limits {
            mail_max: Some(limits.messages),
            rcpt_max: u32::try_from(limits.recipients).ok(),
            rcpt_domain_max: None,
        },
    }
}

/// Under TLS only; -PLUS only where there is a channel to bind to.
pub(super) fn mechanisms<'a>(
    config: &'a ServerConfig,
    tls: Option<&'a TlsInfo>,
) -> impl Iterator<Item = Mechanism> + use<'a> {
    let all = tls.is_some().then_some(config.auth.iter().copied()).into_iter().flatten();
    all.filter(move |mechanism| *mechanism != Mechanism::ScramSha256Plus || tls.is_some_and(can_bind))
}
