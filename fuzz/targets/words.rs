//! Words of commands and of the configuration: what was read is written back to the same value. The first octet chooses
//! nothing but whether UTF-8 is read raw; every reader gets every text.
//!
//! Networks and targets are taken in by their files: their crates would bring TLS and SQLite.
#![no_main]

#[path = "../../crates/reception/src/network.rs"]
#[allow(dead_code)]
mod network;
#[path = "../../crates/delivery/src/config/target.rs"]
#[allow(dead_code)]
mod target;

/// What `network` has of its crate.
mod config {
    macro_rules! text_serde {
        ($type:ty) => {};
    }
    pub(crate) use text_serde;
}

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use network::IpNetwork;
use queue::letter::QueueId;
use queue::units::{parse_duration, parse_percent, parse_size, write_duration, write_size};
use smtp::xtext;
use target::{Endpoint, LocalTarget, RouteDomain, RouteTarget};

fn law<T: FromStr + Display + PartialEq>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let written = value.to_string();
    assert!(written.parse::<T>().is_ok_and(|again| again == value), "{text:?} became {written:?}");
}

fn escapes(text: &str, raw: bool) {
    if let Ok(decoded) = xtext::decode(text) {
        assert!(decoded.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{decoded:?}");
        assert_eq!(xtext::decode(&xtext::encode(&decoded)), Ok(decoded));
    }
    if let Ok(decoded) = xtext::decode_utf8(text, raw) {
        assert!(!decoded.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{decoded:?}");
        assert_eq!(xtext::decode_utf8(&xtext::encode_utf8(&decoded, raw), raw).as_ref(), Ok(&decoded));
        assert!(raw || xtext::encode_utf8(&decoded, raw).is_ascii());
    }
    // Whatever is encoded stays one word of a command.
    for word in [xtext::encode(text), xtext::encode_utf8(text, raw)] {
        assert!(!word.bytes().any(|octet| octet <= b' ' || octet == b'=' || octet == 0x7f), "{word:?}");
    }
}

fn units(text: &str) {
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&write_duration(duration)), Ok(duration));
        assert!(duration >= Duration::ZERO);
    }
    if let Ok(size) = parse_size(text) {
        assert_eq!(parse_size(&write_size(size)), Ok(size));
    }
    if let Ok(share) = parse_percent(text) {
        assert!(share <= 100);
        assert_eq!(parse_percent(&format!("{share}%")), Ok(share));
    }
}

fn networks(text: &str) {
    law::<IpNetwork>(text);
    let Ok(network) = text.parse::<IpNetwork>() else { return };
    let address = text.split('/').next().and_then(|address| address.parse().ok()).expect("it was read");
    assert!(network.contains(address), "{text} does not hold its own address");
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, octets)) = input.split_first() else { return };
    let Ok(text) = str::from_utf8(octets) else { return };
    escapes(text, choice & 1 != 0);
    units(text);
    networks(text);
    law::<Endpoint>(text);
    law::<LocalTarget>(text);
    law::<RouteTarget>(text);
    law::<RouteDomain>(text);
    law::<QueueId>(text);
});
