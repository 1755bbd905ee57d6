//! The addresses of this machine, so that delivery finds itself among the servers of a domain.
//!
//! # Limits
//! Linux tells by way of /proc; where it does not, only the address that is written in the configuration is known, and a
//! letter that goes in circles is stopped by its hops.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Every address that a listener on `at` is reached by: `0.0.0.0` and `[::]` stand for all of the machine's.
pub fn heard_on(at: SocketAddr) -> Vec<SocketAddr> {
    let table = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let all: Vec<IpAddr> = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => ipv4(&table("/proc/net/fib_trie")),
        IpAddr::V6(ip) if ip.is_unspecified() => ipv6(&table("/proc/net/if_inet6")),
        _ => Vec::new(),
    };
    std::iter::once(at).chain(all.into_iter().map(|ip| SocketAddr::new(ip, at.port()))).collect()
}

/// The routing tables as a tree: an address stands in the line above `/32 host LOCAL`. Each is there in several tables.
fn ipv4(trie: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in trie.lines() {
        match line.trim_start().strip_prefix("|-- ") {
            Some(address) => last = address.trim().parse().ok(),
            None if line.trim() == "/32 host LOCAL" => found.extend(last.take().map(IpAddr::V4)),
            None => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

/// A line begins with the address as 32 hexadecimal digits.
fn ipv6(table: &str) -> Vec<IpAddr> {
    let words = table.lines().filter_map(|line| line.split_whitespace().next());
    words
        .filter(|digits| digits.len() == 32)
        .filter_map(|digits| u128::from_str_radix(digits, 16).ok())
        .map(|bits| Ipv6Addr::from(bits).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.7
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
";

    const TABLE: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000007 02 40 00 80     eth0
";

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn local_addresses_are_read_and_no_others() {
        assert_eq!(ipv4(TRIE), ips(&["127.0.0.1", "192.0.2.7"]));
        assert_eq!(ipv6(TABLE), ips(&["::1", "2001:db8::7"]));
        assert_eq!((ipv4("rubbish"), ipv6("rubbish")), (vec![], vec![]));
    }

    #[test]
    fn only_an_unspecified_address_stands_for_others() {
        let one = SocketAddr::from(([192, 0, 2, 1], 25));
        assert_eq!(heard_on(one), [one]);
        let all = heard_on(SocketAddr::from(([0, 0, 0, 0], 25)));
        assert!(all.contains(&SocketAddr::from(([127, 0, 0, 1], 25))), "{all:?}");
    }
}
