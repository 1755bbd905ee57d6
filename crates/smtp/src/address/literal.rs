//! Address literals: an IP address where a domain might stand (RFC 5321 §4.1.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::AddressError;

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressLiteral(pub IpAddr);

impl FromStr for AddressLiteral {
    type Err = AddressError;

    /// RFC 5321 §4.1.3:
    /// ```abnf
    /// address-literal      = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
    /// IPv6-address-literal = "IPv6:" IPv6-addr
    /// ```
    /// General literals are refused: no other tag was ever registered. An IPv4-mapped IPv6 address is the IPv4 address,
    /// so that one host has one value. `::` may stand for a single group, as older peers write it.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(AddressError::BadLiteral)?;
        let address = match inner.split_at_checked(5) {
            Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
                address.parse::<Ipv6Addr>().map(|ip| IpAddr::V6(ip).to_canonical())
            }
            _ => inner.parse::<Ipv4Addr>().map(IpAddr::V4),
        };
        address.map(Self).map_err(|_| AddressError::BadLiteral)
    }
}

impl fmt::Display for AddressLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(ip) => write!(f, "[{ip}]"),
            IpAddr::V6(ip) => write!(f, "[IPv6:{ip}]"),
        }
    }
}
