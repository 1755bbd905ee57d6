//! Accounts: names, passwords that nobody can read, and the addresses that they may send from.
//!
//! | module | what it holds |
//! |---|---|
//! | `account` | [`Account`], [`AddressPattern`] |
//! | `store` | [`AccountStore`]: the accounts in `state.db`, for the server and for the command line |
//! | `roster` | [`Roster`]: all accounts as they are now, in memory |
//! | `hash` | argon2id |
//! | `pool` | the threads that hash |
//! | `memory` | passwords that were right some minutes ago |
//! | `throttle` | what guessing costs |
//! | `verifier` | [`Verifier`]: all of these together |
//! | `password` | [`generate_password`] |
//!
//! # Invariants
//! - No password is written anywhere, in no form from which it can be had without guessing it.
//! - An unknown name costs as much time as a known one, and answers the same.
//! - No account is ever locked; only addresses and networks are, for a while.
//! - What the command line changes counts at the next login: the roster is read anew when the file has changed.

mod account;
mod hash;
mod memory;
mod password;
mod pool;
mod roster;
mod store;
mod throttle;
mod verifier;

#[cfg(test)]
mod tests;

pub use account::{Account, AddressPattern};
pub use password::generate_password;
pub use roster::Roster;
pub use store::{AccountStore, StoreError};
pub use verifier::{LoginRefusal, Verifier};
