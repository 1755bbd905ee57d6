//! From a listener's configuration to a session's.

use smtp::sasl;
use smtp::server::{BareNewline, Protocol, ServerConfig};

use crate::config::{Auth, BareNewlines, Listener, Mechanism, Profile, Tls};
use crate::shared::Shared;

/// What a session of this listener is like.
pub(crate) fn session_config(listener: &Listener, shared: &Shared) -> ServerConfig {
    let mechanism = |mechanism: &Mechanism| match mechanism {
        Mechanism::ScramSha256Plus => sasl::Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256 => sasl::Mechanism::ScramSha256,
        Mechanism::Plain => sasl::Mechanism::Plain,
        Mechanism::Login => sasl::Mechanism::Login,
    };
    let all = [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
    let offered = listener.mechanisms.as_deref().unwrap_or(&all);
    let (tls, auth) = (listener.tls(), listener.auth());
    ServerConfig {
        hostname: shared.hostname.clone(),
        protocol: match listener.profile {
            Profile::Lmtp => Protocol::Lmtp,
            _ => Protocol::Smtp,
        },
        starttls: shared.tls.is_some() && matches!(tls, Tls::Starttls | Tls::Required),
        require_tls: tls == Tls::Required,
        auth: if auth == Auth::Off { Vec::new() } else { offered.iter().map(mechanism).collect() },
        require_auth: auth == Auth::Required,
        dsn: listener.dsn.unwrap_or(listener.profile != Profile::Relay),
        chunking: listener.chunking.unwrap_or(true),
        smtputf8: listener.smtputf8.unwrap_or(true),
        bare_newline: match listener.bare_newlines {
            Some(BareNewlines::Normalize) => BareNewline::Normalize,
            Some(BareNewlines::Reject) | None => BareNewline::Reject,
        },
        limits: shared.limits.session(&listener.limits),
        clock: std::time::SystemTime::now,
    }
}
