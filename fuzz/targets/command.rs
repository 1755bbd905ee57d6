//! A command line: never a panic, and what was read is written back to the same value. The first octet chooses what is
//! offered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::command::ParseContext;
use smtp::extension::FutureRelease;
use smtp::{Capabilities, Command, xtext};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, line)) = input.split_first() else { return };
    let bit = |n: u8| choice & (1 << n) != 0;
    let offered = Capabilities {
        size: bit(0).then_some(1000),
        eight_bit_mime: bit(1),
        smtputf8: bit(2),
        chunking: bit(3),
        binarymime: bit(3),
        dsn: bit(4),
        requiretls: bit(5),
        deliver_by: bit(5).then_some(10),
        future_release: bit(5).then_some(FutureRelease { longest: 86_400, latest: 4_000_000_000 }),
        mt_priority: bit(5),
        auth: if bit(6) { vec!["PLAIN".into()] } else { Vec::new() },
        ..Default::default()
    };
    let context = ParseContext { offered: &offered, smtputf8: bit(7) };
    match Command::parse(line, &context) {
        Ok(command) => {
            let mut written = Vec::new();
            command.write(&mut written);
            let written = written.strip_suffix(b"\r\n").expect("a line ends in CR LF");
            assert_eq!(Command::parse(written, &context).as_ref(), Ok(&command), "{}", written.escape_ascii());
        }
        Err(reply) => {
            assert!(reply.is_permanent());
            let mut said = Vec::new();
            reply.write(&mut said);
            assert_eq!(said.iter().filter(|&&octet| octet == b'\n').count(), 1, "a peer forged a line");
        }
    }
    if let Ok(word) = str::from_utf8(line) {
        for text in [xtext::decode(word), xtext::decode_utf8(word, bit(7))].into_iter().flatten() {
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
});
