use proptest::prelude::*;

use super::*;
use crate::server::BareNewline;

/// Decodes in pieces cut at `cuts`; the letter, the octets behind the end of data if it was found, and the faults.
fn decode_at(wire: &[u8], cuts: &[usize], newline: BareNewline) -> (Vec<u8>, Option<Vec<u8>>, Faults) {
    let mut decoder = DataDecoder::new(newline);
    let mut letter = Vec::new();
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([wire.len()]).collect();
    ends.sort_unstable();
    let mut start = 0;
    for end in ends {
        if let Some(used) = decoder.decode(&wire[start..end], &mut letter) {
            return (letter, Some(wire[start + used..].to_vec()), decoder.faults());
        }
        start = end;
    }
    (letter, None, decoder.faults())
}

fn decode(wire: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, Faults) {
    decode_at(wire, &[], BareNewline::Reject)
}

fn encode_at(letter: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stuffer = DotStuffer::new();
    let mut wire = Vec::new();
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (letter.len() + 1)).chain([letter.len()]).collect();
    ends.sort_unstable();
    let mut start = 0;
    for end in ends {
        stuffer.encode(&letter[start..end], &mut wire);
        start = end;
    }
    stuffer.finish(&mut wire);
    wire
}

/// The definition, written as plainly as can be.
fn normalized(letter: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = letter.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&b'\n');
                out.extend(b"\r\n");
            }
            b'\n' => out.extend(b"\r\n"),
            _ => out.push(octet),
        }
    }
    out
}

fn has_bare_newline(octets: &[u8]) -> bool {
    let cr = |at: usize| octets.get(at) == Some(&b'\r');
    let lf = |at: usize| octets.get(at) == Some(&b'\n');
    (0..octets.len()).any(|at| (cr(at) && !lf(at + 1)) || (lf(at) && (at == 0 || !cr(at - 1))))
}

#[test]
fn dot_right_behind_the_data_line_is_an_empty_letter() {
    assert_eq!(decode(b".\r\nQUIT\r\n"), (vec![], Some(b"QUIT\r\n".to_vec()), Faults::default()));
}

#[test]
fn leading_dots_are_unstuffed_once() {
    let (letter, rest, faults) = decode(b"..\r\n...a\r\na.b\r\n.x\r\n.\r\n");
    assert_eq!((letter.as_slice(), rest.as_deref()), (b".\r\n..a\r\na.b\r\nx\r\n".as_slice(), Some(b"".as_slice())));
    assert_eq!(faults, Faults::default());
}

#[test]
fn normalized_newline_never_counts_towards_the_end() {
    for (wire, letter) in [
        (b"A\n.\nB\r\n.\r\n".as_slice(), b"A\r\n.\r\nB\r\n".as_slice()),
        (b"A\n.\r\nB\r\n.\r\n", b"A\r\n.\r\nB\r\n"),
        (b"A\r.\r\nB\r\n.\r\n", b"A\r\n.\r\nB\r\n"),
        (b"A\n..B\r\n.\r\n", b"A\r\n..B\r\n"),
        (b"A\r\n.\nB\r\n.\r\n", b"A\r\n\r\nB\r\n"),
        (b"A\r\n.\r\r\nB\r\n.\r\n", b"A\r\n\r\n\r\nB\r\n"),
    ] {
        let (got, rest, faults) = decode_at(wire, &[], BareNewline::Normalize);
        assert_eq!(got, letter, "{}", wire.escape_ascii());
        assert_eq!(rest.as_deref(), Some(b"".as_slice()));
        assert_eq!(faults, Faults::default());
    }
}

#[test]
fn nul_is_found_and_never_ends_a_string() {
    for wire in [b"A\r\n.\0\r\nB\r\n.\r\n".as_slice(), b"A\r\n\0.\r\nB\r\n.\r\n", b"\0\r\n.\r\n"] {
        let (_, rest, faults) = decode(wire);
        assert_eq!(rest.as_deref(), Some(b"".as_slice()), "{}", wire.escape_ascii());
        assert!(faults.nul);
    }
}

#[test]
fn chunks_keep_their_dots_and_their_cut_line_ends() {
    let mut decoder = DataDecoder::for_chunks(BareNewline::Reject);
    let mut letter = Vec::new();
    for piece in [b".a\r".as_slice(), b"\n.\r\n", b".", b"b\r"] {
        assert_eq!(decoder.decode(piece, &mut letter), None);
    }
    assert_eq!(decoder.faults(), Faults::default());
    decoder.end_of_chunks(&mut letter);
    assert!(decoder.faults().bare_newline);
    assert_eq!(letter, b".a\r\n.\r\n.b\r");
}

#[test]
fn first_octet_of_the_letter_is_stuffed() {
    assert_eq!(encode_at(b".", &[]), b"..\r\n.\r\n");
    assert_eq!(encode_at(b"", &[]), b".\r\n");
    assert_eq!(encode_at(b".\n.\r.\r\n.", &[]), b"..\r\n..\r\n..\r\n..\r\n.\r\n");
}

#[test]
fn received_fields_are_counted_and_the_header_measured() {
    let letter = b"Received: a\r\n received: no\r\nRECEIVED : b\r\nReceived-SPF: no\r\nX: Received: no\r\n\r\nReceived: body\r\n";
    let mut inspector = BodyInspector::new();
    for octet in letter {
        inspector.inspect(&[*octet]);
    }
    assert_eq!(inspector.hops(), 2);
    assert_eq!(inspector.octets(), letter.len() as u64);
    assert_eq!(inspector.header_octets(), letter.len() as u64 - 16);
}

#[test]
fn line_that_is_no_field_does_not_end_the_header() {
    let mut inspector = BodyInspector::new();
    inspector.inspect(b"From somebody\r\nplain words\r\nReceived: y\r\n");
    assert_eq!((inspector.hops(), inspector.header_octets()), (1, 41));
}

#[test]
fn fields_are_counted_and_the_longest_is_measured_with_its_folds() {
    let letter =
        b"From x\r\nA: 1\r\n 23\r\n\t4\r\nplain words\r\nB: 1\r\n\r\nC: a field of the body, longer than all\r\n";
    let mut inspector = BodyInspector::new();
    for octet in letter {
        inspector.inspect(&[*octet]);
    }
    assert_eq!((inspector.fields(), inspector.longest_field()), (2, 15));
    let mut growing = BodyInspector::new();
    growing.inspect(b"A: 1\r\nB: 123456789");
    assert_eq!((growing.fields(), growing.longest_field()), (2, 12));
    growing.inspect(b"0");
    assert_eq!(growing.longest_field(), 13);
}

proptest! {
    #[test]
    fn letter_survives_the_wire_at_every_split(
        letter in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..80),
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
        more in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        let wire = encode_at(&letter, &cuts);
        prop_assert!(!has_bare_newline(&wire));
        prop_assert!(wire == b".\r\n" || wire.ends_with(b"\r\n.\r\n"));
        let mut wanted = normalized(&letter);
        if !wanted.is_empty() && !wanted.ends_with(b"\r\n") {
            wanted.extend(b"\r\n");
        }
        let mut followed = wire.clone();
        followed.extend(b"QUIT\r\n");
        let (got, rest, faults) = decode_at(&followed, &more, BareNewline::Reject);
        prop_assert_eq!(got, wanted);
        prop_assert_eq!(rest.as_deref(), Some(b"QUIT\r\n".as_slice()));
        prop_assert!(!faults.bare_newline);
    }

    #[test]
    fn decoding_does_not_depend_on_the_pieces(
        wire in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), Just(0), Just(b'A')], 0..40),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
        normalize: bool,
    ) {
        let newline = if normalize { BareNewline::Normalize } else { BareNewline::Reject };
        let whole = decode_at(&wire, &[], newline);
        prop_assert_eq!(&decode_at(&wire, &cuts, newline), &whole);
        // The end of data is the first CR LF . CR LF, that of the DATA line included.
        let framed = [b"\r\n".as_slice(), &wire].concat();
        let end = framed.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 3);
        prop_assert_eq!(whole.1.map(|rest| wire.len() - rest.len()), end);
        if normalize {
            prop_assert!(!has_bare_newline(whole.0.strip_suffix(b"\r").unwrap_or(&whole.0)));
        } else if let Some(end) = end {
            prop_assert_eq!(whole.2.bare_newline, has_bare_newline(&wire[..end]));
        }
    }

    #[test]
    fn inspection_does_not_depend_on_the_pieces(letter in "(Received|X|:| |\r\n|\r|\n|a){0,30}", cut: usize) {
        let seen = |i: &BodyInspector| (i.octets(), i.header_octets(), i.hops(), i.fields(), i.longest_field());
        let mut whole = BodyInspector::new();
        whole.inspect(letter.as_bytes());
        let (head, tail) = letter.as_bytes().split_at(cut % (letter.len() + 1));
        let mut split = BodyInspector::new();
        split.inspect(head);
        split.inspect(tail);
        prop_assert_eq!(seen(&whole), seen(&split));
    }
}
