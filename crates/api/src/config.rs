//! The window's part of the configuration.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Metrics for Prometheus (`/metrics`), health (`/healthz`) and readiness (`/readyz`) over HTTP. Off without an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port, on loopback: anyone who reaches it may read the figures, there is no login and no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Allows an address that is not on loopback. Keep strangers from it by other means.
    pub insecure_allow_remote: bool,
}

impl Config {
    /// Whether strangers could reach it without anybody having said that they may.
    pub fn is_exposed(&self) -> bool {
        !self.insecure_allow_remote && self.listen.is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }
}
