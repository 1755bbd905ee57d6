//! Networks in the configuration: `192.0.2.0/24`, `2001:db8::/32`, or a single address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network of either family. Host bits are refused when it is read: `192.0.2.1/24` is a slip, not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("`{0}` is not a network: write an address or address/prefix, such as 192.0.2.0/24 or 2001:db8::/32")]
    Syntax(String),
    #[error("the prefix of `{0}` is longer than the address: at most /32 for IPv4, /128 for IPv6")]
    Prefix(String),
    #[error("`{text}` has bits beyond its prefix: the network is {network}")]
    HostBits { text: String, network: IpNetwork },
}

impl IpNetwork {
    /// The network of this prefix that `address` lies in. A prefix that is too long means the address alone.
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        let address = address.to_canonical();
        let prefix = prefix.min(width(address));
        Self { address: mask(address, prefix), prefix }
    }

    /// IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && mask(address, self.prefix) == self.address
    }
}

/// A network of IPv4-mapped addresses is the IPv4 network: clients are compared as IPv4, and would never be in the other.
fn canonical(address: IpAddr, prefix: u8) -> (IpAddr, u8) {
    match (address.to_canonical(), prefix.checked_sub(96)) {
        (mapped @ IpAddr::V4(_), Some(rest)) if address.is_ipv6() => (mapped, rest),
        _ => (address, prefix),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let bits = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & bits))
        }
        IpAddr::V6(ip) => {
            let bits = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & bits))
        }
    }
}

impl FromStr for IpNetwork {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let syntax = || NetworkError::Syntax(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address.parse().map_err(|_| syntax())?;
        let prefix = match prefix {
            None => width(address),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| syntax())?,
            Some(_) => return Err(syntax()),
        };
        if prefix > width(address) {
            return Err(NetworkError::Prefix(text.to_owned()));
        }
        let (address, prefix) = canonical(address, prefix);
        let network = Self { address: mask(address, prefix), prefix };
        if network.address != address {
            return Err(NetworkError::HostBits { text: text.to_owned(), network });
        }
        Ok(network)
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

crate::config::text_serde!(IpNetwork);

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        assert!(network("192.0.2.0/24").contains("192.0.2.255".parse().unwrap()));
        assert!(!network("192.0.2.0/24").contains("192.0.3.0".parse().unwrap()));
        assert!(network("2001:db8::/32").contains("2001:db8:ffff::1".parse().unwrap()));
        assert!(!network("2001:db8::/32").contains("2001:db9::1".parse().unwrap()));
        assert!(network("0.0.0.0/0").contains("203.0.113.9".parse().unwrap()));
        assert!(!network("0.0.0.0/0").contains("2001:db8::1".parse().unwrap()));
        assert!(network("::/0").contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_mapped_ipv4_address_counts_as_ipv4() {
        assert!(network("192.0.2.1").contains("::ffff:192.0.2.1".parse().unwrap()));
        assert_eq!(IpNetwork::of("::ffff:192.0.2.77".parse().unwrap(), 24), network("192.0.2.0/24"));
    }

    #[test]
    fn a_network_of_mapped_addresses_is_the_ipv4_network() {
        assert_eq!(network("::ffff:192.0.2.0/120"), network("192.0.2.0/24"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_eq!(network("::ffff:0:0/96"), network("0.0.0.0/0"));
        assert!("::ffff:0:0/90".parse::<IpNetwork>().is_err());
    }

    #[test]
    fn host_bits_are_a_slip_and_the_network_meant_is_named() {
        let error = "192.0.2.1/24".parse::<IpNetwork>().unwrap_err();
        assert!(error.to_string().ends_with("the network is 192.0.2.0/24"), "{error}");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "/", "192.0.2.0/", "192.0.2.0/33", "::/129", "192.0.2.0/+8", "192.0.2/24", "host/8", "1.2.3.4/999"]
        {
            assert!(text.parse::<IpNetwork>().is_err(), "{text}");
        }
    }
}
