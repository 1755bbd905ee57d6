//! A peer's replies: never a panic, nothing forged, and the same however they are cut. The first octet says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::Capabilities;
use smtp::reply::{Reply, ReplyError, ReplyParser};

fn read(pieces: &[&[u8]]) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    for &piece in pieces {
        let mut input = piece;
        loop {
            match parser.read(&mut input) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&at, wire)) = input.split_first() else { return };
    let whole = read(&[wire]);
    let (head, tail) = wire.split_at(usize::from(at) % (wire.len() + 1));
    assert_eq!(read(&[head, tail]), whole);
    assert_eq!(read(&wire.chunks(1).collect::<Vec<_>>()), whole);
    for reply in whole.0 {
        assert!(!reply.text().chars().any(|c| c.is_control() && c != '\n'), "{reply:?}");
        let capabilities = Capabilities::from_ehlo(&reply);
        assert!(capabilities.auth.len() <= 64);
        let mut written = Vec::new();
        reply.write(&mut written);
        // What we write is read again, though perhaps not to the same value: a text may look like an enhanced code.
        let (again, error) = read(&[&written]);
        assert!(again.len() == 1 && error.is_none() || written.len() > 4000, "{reply:?}");
    }
});
