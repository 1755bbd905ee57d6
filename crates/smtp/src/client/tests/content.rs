//! Laws of the letter's content on its way out.

use std::time::Instant;

use proptest::prelude::*;

use super::support::{after, config, drain, message, transmitted};
use crate::client::{ClientConfig, ClientSession, Output, RecipientReply, Stage};

/// What a letter is once its line ends are right, said as simply as it can be.
fn normalized(letter: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut octets = letter.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&b'\n');
                lines.extend_from_slice(b"\r\n");
            }
            b'\n' => lines.extend_from_slice(b"\r\n"),
            _ => lines.push(octet),
        }
    }
    if !lines.is_empty() && !lines.ends_with(b"\r\n") {
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// What a receiver makes of a DATA stream, by RFC 5321 §4.5.2 alone; none where it does not end where it should.
fn received(stream: &[u8]) -> Option<Vec<u8>> {
    let text = stream.strip_suffix(b".\r\n")?;
    let mut letter = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
        let (line, tail) = rest.split_at(end);
        if line == b".\r\n" || line[..end - 2].iter().any(|b| matches!(b, b'\r' | b'\n')) {
            return None;
        }
        letter.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = tail;
    }
    Some(letter)
}

fn until_body(chunking: bool) -> ClientSession {
    let offered = "250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    let mut session = after(ClientConfig { chunking, ..config() }, &["220 x\r\n", offered]);
    session.deliver(Instant::now(), message(&["one@example.net"]));
    drain(&mut session);
    let replies = if chunking { "250 ok\r\n250 ok\r\n" } else { "250 ok\r\n250 ok\r\n354 go\r\n" };
    session.handle_input(Instant::now(), replies.as_bytes());
    assert_eq!(drain(&mut session), [Output::NeedBody]);
    session
}

/// Gives the letter in pieces of these sizes, the last one repeated; `eager` drains between them.
fn stream(letter: &[u8], cuts: &[usize], eager: bool, chunking: bool) -> Vec<u8> {
    let mut session = until_body(chunking);
    let mut out = Vec::new();
    let mut rest = letter;
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(cuts.next().unwrap_or(usize::MAX).clamp(0, rest.len()));
        session.handle_body(Instant::now(), piece);
        if eager {
            out.extend(transmitted(&drain(&mut session)));
        }
        rest = tail;
    }
    session.handle_body_end(Instant::now());
    out.extend(transmitted(&drain(&mut session)));
    out
}

/// The chunks of a BDAT stream, and whether only the last one is LAST.
fn chunks(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut rest = stream;
    let mut last = false;
    while !rest.is_empty() {
        assert!(!last, "something came behind LAST");
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let size = line.strip_prefix("BDAT ").unwrap();
        last = size.ends_with(" LAST");
        let size: usize = size.trim_end_matches(" LAST").parse().unwrap();
        chunks.push(rest[end + 2..end + 2 + size].to_vec());
        rest = &rest[end + 2 + size..];
    }
    assert!(last, "nothing was LAST");
    chunks
}

fn letters() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\r\n".to_vec()),
        2 => Just(b".".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n.\r\n".to_vec()),
        1 => Just(b"\0".to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..6),
        2 => "[a-z ]{0,80}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_received_is_the_letter(
        letter in letters(),
        cuts in proptest::collection::vec(1usize..40, 1..5),
        eager: bool,
    ) {
        let stream = stream(&letter, &cuts, eager, false);
        prop_assert_eq!(received(&stream), Some(normalized(&letter)));
    }

    #[test]
    fn bdat_carries_the_same_letter(
        letter in letters(),
        cuts in proptest::collection::vec(1usize..40, 1..5),
        eager: bool,
    ) {
        let stream = stream(&letter, &cuts, eager, true);
        prop_assert_eq!(chunks(&stream).concat(), normalized(&letter));
    }
}

#[test]
fn the_first_octet_of_a_letter_is_stuffed_too() {
    assert_eq!(stream(b".\r\nx\r\n", &[1], true, false), b"..\r\nx\r\n.\r\n");
}

#[test]
fn no_way_of_writing_a_dot_line_ends_data() {
    for eol in ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\r"] {
        let letter = format!("a{eol}.{eol}MAIL FROM:<evil@example.net>{eol}");
        for cut in 1..8 {
            let stream = stream(letter.as_bytes(), &[cut], false, false);
            assert_eq!(received(&stream), Some(normalized(letter.as_bytes())), "{eol:?} cut at {cut}");
        }
    }
}

#[test]
fn an_empty_letter_is_a_dot_or_an_empty_last_chunk() {
    assert_eq!(stream(b"", &[1], true, false), b".\r\n");
    assert_eq!(stream(b"", &[1], true, true), b"BDAT 0 LAST\r\n");
}

#[test]
fn a_letter_in_one_piece_is_one_chunk_and_a_long_one_is_a_few() {
    let letter = b"0123456789abcde\r\n".repeat(60_000);
    assert_eq!(chunks(&stream(&letter, &[letter.len()], true, true)).len(), 1);
    let several = chunks(&stream(&letter, &[16 * 1024], true, true));
    assert_eq!(several.concat(), letter);
    assert!(several.iter().rev().skip(1).all(|chunk| (256 * 1024..=272 * 1024).contains(&chunk.len())));
    assert!((3..6).contains(&several.len()));
}

#[test]
fn a_failed_chunk_stops_the_letter_and_resets_before_the_next() {
    let mut session = until_body(true);
    let now = Instant::now();
    for _ in 0..40 {
        session.handle_body(now, &[b'x'; 16 * 1024]);
    }
    assert!(!transmitted(&drain(&mut session)).is_empty());
    session.handle_input(now, b"552 5.3.4 too large\r\n");
    assert_eq!(drain(&mut session), [], "the other chunk that is on its way has no reply yet");
    session.handle_body(now, b"more");
    session.handle_body_end(now);
    assert_eq!(drain(&mut session), []);
    session.handle_input(now, b"503 5.5.1 no transaction\r\n");
    let outputs = drain(&mut session);
    let [Output::Done(delivery), Output::Ready] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(
        matches!(&delivery.recipients[..], [RecipientReply { stage: Stage::EndOfData, reply }] if reply.text() == "too large")
    );
    session.deliver(now, message(&["two@example.net"]));
    assert!(transmitted(&drain(&mut session)).starts_with(b"RSET\r\nMAIL"));
}
