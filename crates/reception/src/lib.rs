//! The front door: listeners, the connections that come in by them, and who may send what to whom.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | what an administrator says about all this |
//! | [`listen`] | [`bind`], [`serve`]: connections are accepted, or refused with 421 where there are too many |
//! | [`shared`] | [`Shared`]: what every connection looks at, replaced whole by a reload |
//! | [`drive`] | bytes between a socket and a [`smtp::server::ServerSession`]; TLS |
//! | [`policy`] | answers to the session's questions |
//! | [`directory`] | which address is whose mailbox |
//! | [`credentials`] | accounts, passwords, and what guessing them costs |
//! | [`tls`] | certificates, chosen by the name asked for |
//! | [`proxy`] | the PROXY protocol |
//! | [`network`] | networks by address and prefix |
//!
//! # Invariants
//! - 250 is said after `queue.submit` returned, never before.
//! - A reload never ends a connection: each keeps the [`Shared`] that it began with.

pub mod admission;
pub mod config;
pub mod credentials;
pub mod directory;
pub mod drive;
pub mod listen;
pub mod network;
pub mod policy;
pub mod proxy;
pub mod shared;
pub mod tls;

pub use directory::Directory;
pub use listen::{bind, serve};
pub use network::IpNetwork;
pub use policy::resolve;
pub use shared::{House, Shared};
