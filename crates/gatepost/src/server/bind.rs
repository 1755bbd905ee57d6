//! Listening sockets, and one clear message each for what keeps us from them.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::exit::Exit;
use crate::fault::Fault;

/// Binds an address.
///
/// # Errors
/// Exit code 3, with the process that holds the port where the system tells, or with what gives the right to it.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    reception::bind(address).map_err(|error| explain(address, &error))
}

fn explain(address: SocketAddr, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let whom = holder(address.port()).map_or_else(String::new, |whom| format!(" by {whom}"));
            Fault::new(Exit::Bind, format!("{address} is already in use{whom}"))
                .help("stop that program, or give the listener another address")
        }
        io::ErrorKind::PermissionDenied => {
            Fault::new(Exit::Bind, format!("{address}: ports below 1024 need a right that this process does not have"))
                .help(
                    "one of: run under systemd with AmbientCapabilities=CAP_NET_BIND_SERVICE; \
             setcap cap_net_bind_service=+ep on the program; ports above 1024; \
             or `gatepost quickstart`, which needs no right at all",
                )
        }
        io::ErrorKind::AddrNotAvailable => {
            Fault::new(Exit::Bind, format!("{address}: this machine does not have that address"))
                .help("`ip address` lists those it has; 0.0.0.0 and [::] stand for all of them")
        }
        _ => Fault::io(Exit::Bind, format_args!("{address} cannot be listened on"), error),
    }
}

/// The process that listens on this port, as `postfix (pid 123)`: Linux tells by way of /proc, other users' processes
/// only to root.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| listening_inode(table, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) else { continue };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()));
        if holds {
            let program = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", program.trim()));
        }
    }
    None
}

/// A line is `sl local:port remote:port state … inode`; state 0A listens.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    let wanted = format!(":{port:04X}");
    fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(3) == Some(&"0A") && fields.get(1).is_some_and(|local| local.ends_with(&wanted));
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_port_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = held.local_addr().expect("its address");
        let fault = explain(address, &io::ErrorKind::AddrInUse.into());
        assert!(fault.message.contains(&format!("(pid {})", std::process::id())), "{}", fault.message);
        assert_eq!(fault.exit, Exit::Bind);
    }

    #[test]
    fn a_missing_right_says_what_gives_it() {
        let fault = explain(([0, 0, 0, 0], 25).into(), &io::ErrorKind::PermissionDenied.into());
        assert!(fault.help.is_some_and(|help| help.contains("CAP_NET_BIND_SERVICE") && help.contains("quickstart")));
    }
}
