//! Loopback ports that nobody else uses.

use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

/// The ports of this process, each with the lock that keeps other test processes away.
static GIVEN: Mutex<Option<HashMap<u16, Option<File>>>> = Mutex::new(None);

/// The kernel hands out 32768 and above to outgoing connections; a port from there could be taken between the choice
/// and the moment when the program under test binds it. So ours lie below.
const FIRST: u16 = 15_000;
const SPAN: u16 = 17_000;

/// A port that can be bound now, for TCP and for UDP, and that no other test was given, in this process or another.
///
/// # Panics
/// When every port of the range is taken.
pub fn free_port() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let given = given.get_or_insert_with(HashMap::new);
    // Two test processes at once begin at different places.
    let offset = (std::process::id() as u16).wrapping_mul(97) % SPAN;
    for step in 0..SPAN {
        let port = FIRST + (offset + step) % SPAN;
        if given.contains_key(&port) || !is_free(port) {
            continue;
        }
        if let Ok(lock) = claim(&format!("port-{port}"), false) {
            given.insert(port, lock);
            return port;
        }
    }
    panic!("no loopback port is free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A name that only one test holds at a time; free again when dropped.
#[must_use = "the name is free again when this is dropped"]
pub struct Alone(#[allow(dead_code, reason = "the lock lives as long as the file is open")] Option<File>);

/// For what can be there only once on a machine, such as fixed ports: waits until no other test, in whatever process,
/// holds the same name.
pub fn alone(name: &str) -> Alone {
    Alone(claim(name, true).unwrap_or(None))
}

/// A lock on a file of this name. `Ok(None)`: there is no place for such files here, so nobody is kept away.
fn claim(name: &str, wait: bool) -> Result<Option<File>, ()> {
    let folder = std::env::temp_dir().join("gatepost-test-locks");
    // Another user's folder may be there already; then we go without.
    let _ = std::fs::create_dir(&folder);
    let Ok(file) = File::create(folder.join(name)) else { return Ok(None) };
    let locked = if wait { file.lock().map_err(|_| ()) } else { file.try_lock().map_err(|_| ()) };
    locked.map(|()| Some(file))
}
