//! The server's session as a peer sees it. Attacks are listed with their tests in docs/attacks.md.

mod auth;
mod bdat;
mod dialogs;
mod end_of_data;
mod exhaustion;
mod flow;
mod injection;
mod peer;
mod random;
mod starttls;
mod state;
mod syntax;
