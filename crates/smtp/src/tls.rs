//! What a session needs to know of the TLS below it.

use crate::secret::Secret;

/// A finished TLS handshake, as told to a session by whoever drove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub protocol: &'static str,
    /// The cipher suite's IANA name, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The name asked for by SNI, where one was.
    pub server_name: Option<String>,
    /// Channel bindings for SCRAM-…-PLUS: `tls-exporter` (RFC 9266), and `tls-server-end-point` (RFC 5929 §4).
    pub exporter: Option<Secret>,
    pub end_point: Option<Secret>,
    /// Client side: whether the certificate was verified against the authorities and the name, else why not.
    pub verified: Result<(), String>,
}
