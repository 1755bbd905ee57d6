//! Letters of any shape, read back by a second reader that knows only letters that are well-formed.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Tree {
    Leaf { media: Option<&'static str>, label: Option<&'static str>, content: Vec<u8> },
    Multipart { label: Option<&'static str>, parts: Vec<Tree>, closed: bool },
    Message(Box<Tree>),
}

impl Tree {
    /// `number`: of boundaries so far; they are prefixes of each other.
    fn write(&self, number: &mut usize, out: &mut Vec<u8>) {
        match self {
            Self::Leaf { media, label, content } => {
                field("Content-Type", *media, out);
                field("Content-Transfer-Encoding", *label, out);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(content);
            }
            Self::Multipart { label, parts, closed } => {
                *number += 1;
                let boundary = format!("B={}", "x".repeat(*number));
                field("Content-Type", Some(&format!("multipart/mixed; (a \";) boundary=\"{boundary}\"")), out);
                field("Content-Transfer-Encoding", *label, out);
                out.extend_from_slice(b"\r\npreamble");
                for part in parts {
                    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
                    part.write(number, out);
                }
                if *closed {
                    out.extend_from_slice(format!("\r\n--{boundary}--").as_bytes());
                }
            }
            Self::Message(letter) => {
                field("Content-Type", Some("message/rfc822"), out);
                out.extend_from_slice(b"\r\nSubject: within\r\n");
                letter.write(number, out);
            }
        }
    }

    fn leaves<'a>(&'a self, out: &mut Vec<&'a [u8]>) {
        match self {
            Self::Leaf { content, .. } => out.push(content),
            Self::Multipart { parts, .. } => parts.iter().for_each(|part| part.leaves(out)),
            Self::Message(letter) => letter.leaves(out),
        }
    }
}

fn field(name: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[ -~]{0,30}".prop_map(String::into_bytes),
        3 => Just(b"\r\n".to_vec()),
        2 => "[a-z ]{0,20}\u{e9}[ \t]{0,2}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
        1 => Just(b"x".repeat(1200)),
        1 => Just(b"\r\n--B=".to_vec()),
        1 => Just(b"\r".to_vec()),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn tree() -> impl Strategy<Value = Tree> {
    let media = prop::sample::select(vec![
        None,
        Some("text/plain"),
        Some("TEXT/html; charset=utf-8"),
        Some("application/pdf; name=\"boundary=x\""),
    ]);
    let label = prop::sample::select(vec![None, Some("7bit"), Some("8bit"), Some("Binary (as it is)")]);
    let leaf =
        (media, label.clone(), content()).prop_map(|(media, label, content)| Tree::Leaf { media, label, content });
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let parts = (label.clone(), vec(inner.clone(), 1..4), any::<bool>())
            .prop_map(|(label, parts, closed)| Tree::Multipart { label, parts, closed });
        prop_oneof![3 => parts, 1 => inner.prop_map(|inner| Tree::Message(Box::new(inner)))]
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn value<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The second reader.
fn read(entity: &[u8], leaves: &mut Vec<Vec<u8>>, most: u8) {
    let entity = [b"\r\n", entity].concat();
    let end = find(&entity, b"\r\n\r\n").expect("an empty line");
    let (header, body) = (String::from_utf8(entity[..end].to_vec()).unwrap(), &entity[end + 4..]);
    let (media, label) = (value(&header, "Content-Type"), value(&header, "Content-Transfer-Encoding"));
    if let Some(boundary) = media.and_then(|media| media.split_once("boundary=\"B=")) {
        assert!(most > 0 || !matches!(label, Some("8bit") | Some("Binary (as it is)")), "{header}");
        let delimiter = format!("\r\n--B={}", boundary.1.trim_end_matches('"'));
        let body = [b"\r\n", body].concat();
        let (mut rest, mut first) = (body.as_slice(), true);
        while let Some(at) = delimiter_in(rest, delimiter.as_bytes()) {
            if !std::mem::take(&mut first) {
                read(&rest[..at], leaves, most);
            }
            rest = &rest[at + delimiter.len()..];
            if rest.starts_with(b"--") {
                return;
            }
            rest = &rest[2..];
        }
        return read(rest, leaves, most);
    }
    if media == Some("message/rfc822") {
        return read(body, leaves, most);
    }
    leaves.push(match label {
        Some("base64") => decode_base64(body),
        Some("quoted-printable") => decode_quoted_printable(body),
        _ => body.to_vec(),
    });
}

fn delimiter_in(text: &[u8], delimiter: &[u8]) -> Option<usize> {
    let is_end = |rest: &[u8]| rest.is_empty() || rest.starts_with(b"\r\n") || rest.starts_with(b"--");
    (0..text.len()).find(|at| text[*at..].strip_prefix(delimiter).is_some_and(is_end))
}

fn decode_base64(text: &[u8]) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for octet in text.iter().filter(|octet| !matches!(octet, b'\r' | b'\n' | b'=')) {
        bits = bits << 6 | alphabet.iter().position(|a| a == octet).expect("base64") as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 255) as u8);
        }
    }
    out
}

pub(super) fn decode_quoted_printable(text: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        if text[at..].starts_with(b"=\r\n") {
            at += 3;
        } else if text[at] == b'=' {
            out.push(u8::from_str_radix(std::str::from_utf8(&text[at + 1..at + 3]).unwrap(), 16).unwrap());
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

proptest! {
    #[test]
    fn each_part_decodes_to_what_it_was(tree in tree(), piece in 1_usize..2000, target in 0..3) {
        let target = [SEVEN_BIT, SEVEN_BIT_TEXT, EIGHT_BIT_TEXT][target as usize];
        let mut letter = b"MIME-Version: 1.0\r\n".to_vec();
        tree.write(&mut 0, &mut letter);
        let out = convert_in(&letter, target, usize::MAX).unwrap();
        prop_assert!(convert_in(&letter, target, piece).unwrap() == out, "the cut matters");
        prop_assert!(target.eight_bit || out.is_ascii());
        if !target.binary {
            prop_assert!(!out.contains(&0));
            for line in out.split_inclusive(|octet| *octet == b'\n') {
                prop_assert!(line.len() <= 1000);
                let line = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").expect("CR LF")).unwrap_or(line);
                prop_assert!(!line.contains(&b'\r'));
            }
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        tree.leaves(&mut before);
        read(&out, &mut after, u8::from(target.eight_bit));
        prop_assert_eq!(before, after);
    }

    #[test]
    fn no_octets_are_too_strange(letter in strange(), at in 0_usize..500, target in 0..3) {
        let target = [SEVEN_BIT, SEVEN_BIT_TEXT, EIGHT_BIT_TEXT][target as usize];
        let out = convert_in(&letter, target, usize::MAX);
        prop_assert!(convert_in(&letter, target, at + 1) == out);
        if let Ok(out) = out {
            prop_assert!(convert_in(&out, target, 3) == Ok(out), "converted twice");
        }
    }
}

/// What MIME is made of, put together without sense.
fn strange() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "--b",
        "--b--",
        "--bb",
        " ",
        "Content-Type: ",
        "multipart/mixed; boundary=b",
        "message/rfc822",
        "Content-Type: multipart/digest; boundary=\"bb\"\r\n\r\n",
        "Content-Transfer-Encoding: ",
        "base64",
        "8bit",
        "\u{e9}",
        "=",
        "quoted-printable",
        ":",
        "From x",
        "\0",
        "text",
        "\r\n\r\n",
        "multipart/signed; boundary=b",
    ]);
    let piece = prop_oneof![8 => word.prop_map(|word| word.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}
