//! What is a header, for good letters, bad ones and any octets at all.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn scan(pieces: &[&[u8]]) -> HeaderFacts {
    let mut scanner = HeaderScanner::new();
    pieces.iter().for_each(|piece| scanner.feed(piece));
    scanner.finish();
    *scanner.facts()
}

const LETTER: &[u8] =
    b"Received: from a\r\n\tby b; Mon\r\nreceived : c\r\nFROM: x@example.com\r\nSubject: one\r\n two\r\n\
    Date: now\r\nMessage-Id: <1@x>\r\nDates: no\r\nX-Message-ID: no\r\n\r\nFrom: the body\r\n";

#[test]
fn fields_are_counted_by_their_names() {
    let facts = scan(&[LETTER]);
    let counted = (facts.received, facts.from, facts.date, facts.message_id, facts.subject, facts.fields);
    assert_eq!(counted, (2, 1, 1, 1, 1, 8));
    assert_eq!(LETTER.get(facts.size as usize..), Some(&b"From: the body\r\n"[..]));
    assert!(!facts.eight_bit);
}

#[test]
fn the_scanner_knows_when_the_header_ended() {
    let mut scanner = HeaderScanner::new();
    scanner.feed(b"A: b\r\n");
    assert!(!scanner.ended());
    scanner.feed(b"\r");
    assert!(!scanner.ended());
    scanner.feed(b"\nReceived: not mine\r\n");
    assert!(scanner.ended());
    assert_eq!((scanner.facts().size, scanner.facts().received), (8, 0));
}

#[test]
fn values_are_unfolded_and_octets_kept() {
    let all: Vec<Field<'_>> = fields(LETTER).collect();
    assert_eq!(all[0].raw, b"Received: from a\r\n\tby b; Mon\r\n");
    assert_eq!(&*all[0].unfolded(), b"from a\tby b; Mon");
    assert_eq!((all[1].name(), all[1].is("RECEIVED")), (&b"received"[..], true));
    assert_eq!(&*all[3].unfolded(), b"one two");
    assert_eq!(all[3].body(), b" one\r\n two\r\n");
}

#[test]
fn a_line_that_is_no_field_begins_the_body() {
    for (letter, size) in [
        (&b"A: b\r\nno field here\r\nC: d\r\n"[..], 6),
        (b"A: b\r\n: no name\r\n", 6),
        (b"A: b\r\nsp ace: c\r\n", 6),
        (b"A: b\r\n\rC: d\r\n", 6),
        (b"A: b\r\nC\x0c: d\r\n", 6),
        (b"A: b\r\nC\0: d\r\n", 6),
        (b"A: b\r\n\xc3\xa9: d\r\n", 6),
        (b" A: b\r\n", 0),
        (b"A: b\r\n>From x\r\n", 6),
        (b"hello", 0),
    ] {
        assert_eq!(scan(&[letter]).size, size, "{}", letter.escape_ascii());
        assert_eq!(header(letter).len() as u64, size, "{}", letter.escape_ascii());
    }
}

#[test]
fn an_mbox_line_on_top_is_no_field() {
    let letter = b"From a@b Mon Nov 23 21:49:26 2026\nFrom: a@b\nFrom c: d\n\n";
    let facts = scan(&[letter]);
    assert_eq!((facts.fields, facts.from, facts.size), (1, 1, 44));
    assert_eq!(header(letter), &letter[..44]);
}

#[test]
fn bare_line_feeds_end_lines_and_eight_bit_is_seen() {
    let facts = scan(&[b"Subject: \xe9\nFrom: a\n\nbody"]);
    assert_eq!((facts.subject, facts.from, facts.size, facts.eight_bit), (1, 1, 20, true));
}

#[test]
fn nothing_is_an_empty_header() {
    assert_eq!(scan(&[]), HeaderFacts::default());
    assert_eq!(scan(&[b"\r\n"]).size, 2);
    assert_eq!(scan(&[b"\n"]).size, 1);
    assert_eq!(header(b""), b"");
}

/// Scanner and iterator, whole and in pieces.
fn agree(letter: &[u8], cut: usize) {
    let facts = scan(&[letter]);
    let (a, b) = letter.split_at(cut.min(letter.len()));
    assert_eq!(scan(&[a, b]), facts);
    assert_eq!(scan(&letter.chunks(7).collect::<Vec<_>>()), facts);

    let header = header(letter);
    let count = |name| fields(letter).filter(|field| field.is(name)).count();
    let (all, received, from) = (facts.fields as usize, facts.received as usize, facts.from as usize);
    assert_eq!((fields(letter).count(), count("Received"), count("from")), (all, received, from));
    assert_eq!((count("date"), count("message-ID")), (facts.date as usize, facts.message_id as usize));
    assert_eq!(facts.eight_bit, !header.is_ascii());
    let rest = letter.get(header.len()..).unwrap();
    let empty_line = [&b"\r\n"[..], b"\n"].into_iter().find(|end| rest.starts_with(end)).map_or(0, <[u8]>::len);
    assert_eq!(facts.size as usize, header.len() + empty_line);
    let pieces: Vec<&[u8]> = fields(letter).map(|field| field.raw).collect();
    assert!(header.ends_with(&pieces.concat()));
    fields(letter).for_each(|field| assert!(!field.unfolded().contains(&b'\n') && !field.name().is_empty()));
}

#[test]
fn only_a_space_makes_an_mbox_line() {
    for (letter, seen) in [("From x: y\r\nDate: z\r\n", 0), ("From\t: y\r\nDate: z\r\n", 1)] {
        agree(letter.as_bytes(), 5);
        assert_eq!((scan(&[letter.as_bytes()]).from, scan(&[letter.as_bytes()]).date), (seen, 1), "{letter:?}");
    }
}

#[test]
fn real_letters_are_read_alike_by_both() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/letters");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let letter = std::fs::read(&path).unwrap();
            for cut in (0..letter.len().min(3000)).step_by(13) {
                agree(&letter, cut);
            }
            let no_header = path.ends_with("chasquid-03-bad_message.eml");
            assert_eq!(scan(&[&letter]).fields > 2, !no_header, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen} letters");
}

proptest! {
    #[test]
    fn any_octets_are_read_alike_by_both(letter in any::<Vec<u8>>(), cut in 0_usize..100) {
        agree(&letter, cut);
    }

    #[test]
    fn anything_like_a_header_is_read_alike_by_both(
        lines in prop::collection::vec("(From |Received|from|Date|Message-ID|x| |\t|\u{c}|\u{e9})?[ \t]?:?[a: \t]{0,5}\r?\n?", 0..8),
        cut in 0_usize..60,
    ) {
        agree(lines.concat().as_bytes(), cut);
    }
}
