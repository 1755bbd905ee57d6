//! What EHLO offers on a connection, at this moment of it.

use std::time::SystemTime;

use super::ServerConfig;
use crate::extension::{Capabilities, FutureRelease, Limits};
use crate::sasl::{Mechanism, can_bind};
use crate::tls::TlsInfo;

pub(super) fn capabilities(config: &ServerConfig, tls: Option<&TlsInfo>, authenticated: bool) -> Capabilities {
    let limits = &config.limits;
    let auth: Vec<_> = mechanisms(config, tls).map(|mechanism| mechanism.name().to_owned()).collect();
    // Where a login is required, MAIL does not come before it: clients that read only the EHLO before it see all.
    let known = authenticated || config.require_auth && !auth.is_empty();
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
        auth,
        limits: Limits {
            mail_max: Some(limits.messages),
            rcpt_max: u32::try_from(limits.recipients).ok(),
            rcpt_domain_max: None,
        },
        deliver_by: known.then(|| u32::try_from(limits.least_deliver_by.as_secs()).unwrap_or(u32::MAX)),
        future_release: (known && !limits.longest_hold.is_zero()).then(|| future_release(config)),
        mt_priority: known,
    }
}

/// Seconds since 1970.
pub(super) fn time_of_day(config: &ServerConfig) -> u64 {
    (config.clock)().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn future_release(config: &ServerConfig) -> FutureRelease {
    // RFC 4865 §4: `future-release-interval` has nine digits.
    let longest = config.limits.longest_hold.as_secs().min(999_999_999);
    FutureRelease { longest, latest: time_of_day(config).saturating_add(longest) }
}

/// Under TLS only; -PLUS only where there is a channel to bind to.
pub(super) fn mechanisms<'a>(
    config: &'a ServerConfig,
    tls: Option<&'a TlsInfo>,
) -> impl Iterator<Item = Mechanism> + use<'a> {
    let all = tls.is_some().then_some(config.auth.iter().copied()).into_iter().flatten();
    all.filter(move |mechanism| *mechanism != Mechanism::ScramSha256Plus || tls.is_some_and(can_bind))
}
