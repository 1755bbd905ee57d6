//! The program as its users meet it: the real binary, a made-up DNS, a next hop that records.
//!
//! Each module is a promise of the README or of docs/; each test's name is the promise in short. Everything runs on
//! loopback, in folders of its own, and in parallel. See `harness` for the tools.

mod commands;
mod config;
mod crash;
mod crowd;
mod disk;
mod failures;
mod ills;
mod inward;
mod letters;
mod life;
mod load;
mod local;
mod logins;
mod metrics;
mod operating;
mod outward;
mod ports;
mod proxy;
mod quickstart;
mod reports;
mod sendmail;
mod shaping;
mod times;

use harness::{Client, House, Profile, Program};

/// The user of most tests and her only address.
pub const ANNA: &str = "anna@example.test";
pub const PASSWORD: &str = "Correct-Horse+9/battery";

/// An empty house for the program under test.
pub fn house() -> House {
    House::new(env!("CARGO_BIN_EXE_gatepost"))
}

/// A house where anna lives, with every port open.
pub fn annas_house() -> House {
    house().listen_on_all().local("example.test", &["bob"]).account("anna", PASSWORD, &[ANNA])
}

/// A house that passes everything on from one relay port.
pub fn relay_house() -> House {
    house().listen(Profile::Relay).relay_from_loopback()
}

/// A client that has logged in as anna.
pub fn as_anna(program: &Program, profile: Profile) -> Client {
    program.submitter(profile, "anna", PASSWORD)
}

/// A client that has said EHLO on the relay port.
pub fn on_relay(program: &Program) -> Client {
    let mut client = program.client(Profile::Relay);
    client.hello();
    client
}

/// A letter from anna to `to` that says `mark`.
pub fn from_anna(to: &str, mark: &str) -> Vec<u8> {
    harness::letter(ANNA, to, mark)
}
