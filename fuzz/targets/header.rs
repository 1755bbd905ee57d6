//! A letter's header: scanner and iterator agree on what a field is, for any octets and any cut. The first octet says
//! where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::header::{HeaderFacts, HeaderScanner, fields, header};

fn scan(pieces: &[&[u8]]) -> HeaderFacts {
    let mut scanner = HeaderScanner::new();
    pieces.iter().for_each(|piece| scanner.feed(piece));
    scanner.finish();
    assert!(scanner.ended());
    *scanner.facts()
}

fuzz_target!(|input: &[u8]| {
    let Some((&at, letter)) = input.split_first() else { return };
    let facts = scan(&[letter]);
    let (head, tail) = letter.split_at(usize::from(at) % (letter.len() + 1));
    assert_eq!(scan(&[head, tail]), facts);
    assert_eq!(scan(&letter.chunks(1).collect::<Vec<_>>()), facts);

    let header = header(letter);
    let count = |name| fields(letter).filter(|field| field.is(name)).count() as u32;
    assert_eq!(fields(letter).count() as u32, facts.fields);
    for (name, seen) in [
        ("Received", facts.received),
        ("From", facts.from),
        ("Date", facts.date),
        ("Message-ID", facts.message_id),
        ("Subject", facts.subject),
    ] {
        assert_eq!(count(name), seen, "{name}");
    }
    assert_eq!(facts.eight_bit, !header.is_ascii());
    let rest = letter.get(header.len()..).expect("a header is the front of its letter");
    let empty_line = [b"\r\n".as_slice(), b"\n"].into_iter().find(|end| rest.starts_with(end)).map_or(0, <[u8]>::len);
    assert_eq!(facts.size as usize, header.len() + empty_line);
    assert!(header.ends_with(&fields(letter).map(|field| field.raw).collect::<Vec<_>>().concat()));
    for field in fields(letter) {
        assert!(!field.name().is_empty() && !field.unfolded().contains(&b'\n'));
    }
});
