//! The PROXY header: the same at any cut, and never an octet more than it has is asked for.
//!
//! The parser is taken in by its file: its crate would bring TLS and SQLite.
#![no_main]

#[path = "../../crates/reception/src/proxy/mod.rs"]
#[allow(dead_code)]
mod proxy;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use proxy::{Progress, parse, read};

fuzz_target!(|input: &[u8]| {
    let whole = parse(input).ok();
    let mut stream = input;
    // Octets at hand never make a reader wait.
    let Poll::Ready(taken) = pin!(read(&mut stream)).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for more than there is");
    };
    let Some(Progress::Done { header, length }) = whole else {
        assert!(taken.is_err());
        return;
    };
    assert_eq!((taken.ok(), stream.len()), (Some(header), input.len() - length));
    for cut in 0..length {
        match parse(&input[..cut]) {
            Ok(Progress::Needs(more)) => assert!(more > 0 && cut + more <= length, "{more} more at {cut}"),
            other => panic!("{other:?} at {cut} of {length}"),
        }
    }
    assert_eq!(parse(&input[..length]).ok(), whole, "what is behind a header changes it");
});
