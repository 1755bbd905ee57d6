//! Addresses: never a panic, no control character gets in, and what was read is written back to the same value.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use smtp::{Domain, Host, LocalPart, Mailbox};

fn law<T: FromStr + Display + PartialEq>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let written = value.to_string();
    assert!(!written.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{written:?}");
    assert!(written.parse::<T>().is_ok_and(|again| again == value), "{text:?} became {written:?}");
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    law::<Mailbox>(text);
    law::<LocalPart>(text);
    law::<Domain>(text);
    law::<Host>(text);
});
