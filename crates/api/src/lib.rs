//! The window: figures for Prometheus, health and readiness, over HTTP. The only room that knows HTTP.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | the address, and whom it may be shown to |
//! | [`metrics`] | what is counted, and its text |
//! | `guard` | limits of a connection: how many, how long, how much |
//!
//! ```ignore
//! api::start(socket, Arc::new(source))?;
//! ```
//!
//! # Invariants
//! - It only reads. Nothing that is asked here changes anything.
//! - Labels come from the configuration or from a fixed list, never from a letter or a peer.
//!
//! # Limits
//! One request a connection, 16 connections, 10 seconds and 16 KiB for each.

pub mod config;
mod guard;
pub mod metrics;
#[cfg(test)]
mod tests;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use queue::Queue;
use tokio::task::JoinHandle;

pub use config::Config;
pub use metrics::Door;

/// Where the figures come from.
pub trait Source: Send + Sync + 'static {
    fn queue(&self) -> &Queue;
    /// The listeners, by name.
    fn doors(&self) -> Vec<Door>;
    /// Connections inward at this moment.
    fn connections_in(&self) -> u64;
    /// Why no letter should be sent here now, beside what the queue says; in words for an operator.
    fn unready(&self) -> Vec<String>;
}

type Asked<S> = State<Arc<S>>;

/// Serves until the runtime ends. Must be called inside one.
///
/// # Errors
/// Where the socket cannot be handed to the runtime.
pub fn start<S: Source>(socket: TcpListener, source: Arc<S>) -> io::Result<JoinHandle<()>> {
    socket.set_nonblocking(true)?;
    let listener = guard::Guarded::new(tokio::net::TcpListener::from_std(socket)?);
    let router = Router::new()
        .route("/metrics", get(figures::<S>))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness::<S>))
        .with_state(source);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    }))
}

async fn figures<S: Source>(State(source): Asked<S>) -> Response {
    const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics::text(&*source) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT), (header::CONNECTION, "close")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Why the program should not be sent letters now; empty where it should.
pub fn reasons(source: &impl Source) -> Vec<String> {
    let refusal = source.queue().room_for(0).err().map(|refusal| refusal.to_string());
    refusal.into_iter().chain(source.unready()).collect()
}

async fn readiness<S: Source>(State(source): Asked<S>) -> Response {
    let reasons = reasons(&*source);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONNECTION, "close")];
    (status, headers, format!("{body}\n")).into_response()
}
