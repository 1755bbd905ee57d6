//! The end of data: the same however it is cut, held against the plainest definition, and the way back from the encoder.
//! The first octet chooses mode and cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::data::{BodyInspector, DataDecoder, DotStuffer, Faults};
use smtp::server::BareNewline;

type Decoded = (Vec<u8>, Option<usize>, Faults, [u64; 5]);

fn decode(mut decoder: DataDecoder, pieces: &[&[u8]], chunks: bool) -> Decoded {
    let (mut letter, mut used, mut end) = (Vec::new(), 0, None);
    let mut inspector = BodyInspector::new();
    for piece in pieces {
        let mut content = Vec::new();
        end = decoder.decode(piece, &mut content).map(|n| used + n);
        inspector.inspect(&content);
        letter.extend(content);
        if end.is_some() {
            break;
        }
        used += piece.len();
    }
    if chunks {
        let mut content = Vec::new();
        decoder.end_of_chunks(&mut content);
        inspector.inspect(&content);
        letter.extend(content);
    }
    let (fields, hops) = (inspector.fields() as u64, inspector.hops() as u64);
    assert!(hops <= fields && inspector.longest_field() <= inspector.header_octets());
    let counts = [inspector.octets(), inspector.header_octets(), inspector.longest_field(), fields, hops];
    (letter, end, decoder.faults(), counts)
}

fn encode(pieces: &[&[u8]]) -> Vec<u8> {
    let mut stuffer = DotStuffer::new();
    let mut wire = Vec::new();
    pieces.iter().for_each(|piece| stuffer.encode(piece, &mut wire));
    stuffer.finish(&mut wire);
    wire
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, octets)) = input.split_first() else { return };
    let newline = if choice & 1 == 0 { BareNewline::Reject } else { BareNewline::Normalize };
    let chunks = choice & 2 != 0;
    let decoder = || if chunks { DataDecoder::for_chunks(newline) } else { DataDecoder::new(newline) };
    let (head, tail) = octets.split_at(usize::from(choice >> 2) % (octets.len() + 1));
    let single: Vec<&[u8]> = octets.chunks(1).collect();

    let whole = decode(decoder(), &[octets], chunks);
    assert_eq!(decode(decoder(), &[head, tail], chunks), whole);
    assert_eq!(decode(decoder(), &single, chunks), whole);
    let framed = [b"\r\n".as_slice(), octets].concat();
    let end = framed.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 3).filter(|_| !chunks);
    assert_eq!(whole.1, end);

    let wire = encode(&[octets]);
    assert_eq!(encode(&[head, tail]), wire);
    assert_eq!(encode(&single), wire);
    let (letter, end, faults, _) = decode(DataDecoder::new(BareNewline::Reject), &[&wire], false);
    assert_eq!(end, Some(wire.len()), "the end of data is where we put it");
    assert!(!faults.bare_newline);
    let (mut normal, ..) = decode(DataDecoder::for_chunks(BareNewline::Normalize), &[octets], true);
    if !normal.is_empty() && !normal.ends_with(b"\r\n") {
        normal.extend(b"\r\n");
    }
    assert_eq!(letter, normal);
});
