//! The driver on loopback, with real sockets, a real queue in a temporary folder and a real account file.

mod client;
mod house;
mod limits;
mod logins;
mod ports;
mod proxied;
mod stopping;
