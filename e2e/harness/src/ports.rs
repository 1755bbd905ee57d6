//! Loopback ports that nobody else uses.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// The kernel hands out 32768 and above to outgoing connections; a port from there could be taken between the choice
/// and the moment when the program under test binds it. So ours lie below.
const FIRST: u16 = 12_000;
const SPAN: u16 = 20_000;

/// A port that can be bound now, for TCP and for UDP, and that no other test of this process was given.
///
/// # Panics
/// When every port of the range is taken.
pub fn free_port() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let given = given.get_or_insert_with(HashSet::new);
    // Two test processes at once begin at different places.
    let offset = (std::process::id() as u16).wrapping_mul(97) % SPAN;
    (0..SPAN)
        .map(|step| FIRST + (offset + step) % SPAN)
        .find(|port| !given.contains(port) && is_free(*port) && given.insert(*port))
        .expect("no loopback port is free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
