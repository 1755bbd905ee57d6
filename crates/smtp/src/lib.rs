//! The wire: SMTP commands, replies and both sessions as values.
//!
//! Nothing here touches a socket, a clock, a disk or a global. Bytes and the time go in by `handle_*`, what is to be
//! done comes out by `poll_output`; the rooms that own sockets ([`reception`] and [`delivery`] in the workspace) drive it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`address`] | [`Mailbox`], [`LocalPart`], [`Domain`], [`AddressLiteral`] |
//! | [`path`] | [`ReversePath`], [`ForwardPath`] |
//! | [`envelope`] | what MAIL and RCPT carry beside the paths |
//! | [`reply`], [`enhanced`] | [`Reply`], [`ReplyCode`], [`EnhancedCode`] |
//! | [`extension`] | what EHLO offers, on either side |
//! | [`command`] | one command line as a value, and its parser |
//! | [`data`] | the end of data, dot-stuffing, line discipline |
//! | [`sasl`] | PLAIN, LOGIN, SCRAM-SHA-256(-PLUS), both sides |
//! | [`server`], [`client`] | the two sessions |
//!
//! [`reception`]: ../reception/index.html
//! [`delivery`]: ../delivery/index.html
//!
//! # Invariants
//! - Whatever bytes a peer sends, no function here panics, and no buffer grows past the limit given for it.
//! - What a `Display` or `write` here emits, the parser here reads back to the same value.

pub mod address;
pub mod client;
pub mod command;
pub mod data;
mod datetime;
pub mod enhanced;
pub mod envelope;
pub mod extension;
pub mod path;
pub mod reply;
pub mod sasl;
pub mod secret;
pub mod server;
pub mod tls;
pub mod xtext;

pub use address::{AddressLiteral, Domain, Host, LocalPart, Mailbox};
pub use command::Command;
pub use enhanced::EnhancedCode;
pub use envelope::{Body, ByMode, DeliverBy, Hold, MailParams, Notify, OriginalRecipient, RcptParams, Ret};
pub use extension::Capabilities;
pub use path::{ForwardPath, ReversePath};
pub use reply::{Reply, ReplyCode, Severity};
pub use secret::Secret;
pub use tls::TlsInfo;
