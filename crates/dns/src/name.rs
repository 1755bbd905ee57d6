//! Names as this house writes them: ASCII, lower case, without the trailing dot; the root is the empty name.

use std::fmt::Write as _;
use std::net::IpAddr;

/// A name from a configuration or a DNS answer in the form that is compared: lower case, without the trailing dot.
pub fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Where the PTR records of an address are (RFC 1035 §3.5, RFC 3596 §2.5). An IPv4-mapped address is the IPv4 one.
pub fn reverse_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let mut name = String::with_capacity(72);
            for octet in ip.octets().iter().rev() {
                // Writing into a String cannot fail.
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            name + "ip6.arpa"
        }
    }
}
