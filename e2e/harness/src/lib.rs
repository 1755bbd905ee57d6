//! What the end-to-end tests stand on.
//!
//! A test starts the real program ([`House`], [`Program`]) with a configuration and a data folder of its own, gives it
//! a made-up DNS ([`FakeDns`]) and a next hop that records what it is given ([`Sink`]), and speaks to it line by line
//! ([`Client`]).
//!
//! # Invariants
//! - Nothing leaves the machine: every socket is on loopback.
//! - Nothing sleeps for a fixed time: every wait has a condition and a deadline ([`wait`]).
//! - Nothing of the program's own code is used, so that both cannot be wrong in the same way.
//! - A failed expectation panics with the dialog, the program's log, or the table that explains it.

pub mod ca;
pub mod client;
pub mod dns;
pub mod house;
pub mod letter;
pub mod maildir;
pub mod ports;
pub mod program;
pub mod sink;
pub mod wait;

pub use ca::{Ca, Leaf};
pub use client::{Client, Reply};
pub use dns::FakeDns;
pub use house::{House, Profile};
pub use letter::{base64, letter, to_crlf};
pub use maildir::Maildir;
pub use ports::free_port;
pub use program::{Ended, Program, run};
pub use sink::{Ill, Received, Sink, Stage};
pub use wait::{wait_for, wait_until};
