use std::fs;
use std::path::Path;

use super::{DEEPEST, MOST_PARTS, Obstacle, Survey, Target, Writer};

mod trees;

/// For a letter that is not binary, and a server without 8BITMIME.
const SEVEN_BIT: Target = Target { eight_bit: false, binary: true };
/// For a binary letter, and a server without either.
const SEVEN_BIT_TEXT: Target = Target { eight_bit: false, binary: false };
const EIGHT_BIT_TEXT: Target = Target { eight_bit: true, binary: false };

fn survey(letter: &[u8], piece: usize) -> Survey {
    let mut survey = Survey::new();
    letter.chunks(piece).for_each(|piece| survey.feed(piece));
    survey.finish();
    survey
}

fn convert_in(letter: &[u8], target: Target, piece: usize) -> Result<Vec<u8>, Obstacle> {
    let conversion = survey(letter, piece).convert(target)?;
    let mut writer = Writer::new(&conversion);
    let (mut whole, mut out) = (Vec::new(), Vec::new());
    for piece in letter.chunks(piece) {
        out.clear();
        writer.feed(piece, &mut out);
        whole.extend_from_slice(&out);
    }
    out.clear();
    writer.finish(&mut out);
    whole.extend_from_slice(&out);
    Ok(whole)
}

fn convert(letter: impl AsRef<[u8]>, target: Target) -> Result<String, Obstacle> {
    convert_in(letter.as_ref(), target, usize::MAX).map(|out| String::from_utf8_lossy(&out).into_owned())
}

fn obstacle(letter: &str, target: Target) -> Option<Obstacle> {
    convert(letter, target).err()
}

/// testdata/convert: the first word of README says for whom.
#[test]
fn letters_are_converted_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/convert");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let case = entry.unwrap().path();
        let readme = fs::read_to_string(case.join("README")).unwrap();
        let target = match readme.split(':').next().unwrap() {
            "7bit" => SEVEN_BIT,
            "binary-7bit" => SEVEN_BIT_TEXT,
            "binary-8bit" => EIGHT_BIT_TEXT,
            other => panic!("{case:?}: {other}"),
        };
        let letter = fs::read(case.join("in.eml")).unwrap();
        let out = convert_in(&letter, target, usize::MAX).unwrap();
        if std::env::var_os("WRITE_GOLDEN").is_some() {
            fs::write(case.join("out.eml"), &out).unwrap();
        }
        let expected = fs::read(case.join("out.eml")).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected), "{case:?}");
        for piece in [1, 2, 7, 1000] {
            assert!(convert_in(&letter, target, piece).unwrap() == expected, "{case:?} in pieces of {piece}");
        }
        assert!(convert_in(&expected, target, 64).unwrap() == expected, "{case:?} is converted again");
        seen += 1;
    }
    assert!(seen >= 8, "{seen} letters");
}

#[test]
fn a_letter_that_fits_is_not_changed() {
    let letter = "Subject: K\u{f6}rper\r\nContent-Type: text/plain\r\n\r\nall = of \t\r\nthis\r\n";
    assert_eq!(convert(letter, SEVEN_BIT_TEXT).unwrap(), letter);
    let conversion = survey(letter.as_bytes(), 5).convert(SEVEN_BIT).unwrap();
    assert!(conversion.is_empty() && conversion.broken_signatures().is_empty());
    let eight = "Content-Transfer-Encoding: 8bit\r\n\r\nK\u{f6}rper\r\n";
    assert_eq!(convert(eight, EIGHT_BIT_TEXT).unwrap(), eight);
}

#[test]
fn a_label_says_no_more_than_the_server_takes() {
    let letter = |label| format!("Content-Transfer-Encoding: {label}\r\nMIME-Version: 1.0\r\n\r\nplain\r\n");
    assert_eq!(convert(letter("BINARY"), EIGHT_BIT_TEXT).unwrap(), letter("7bit"));
    assert_eq!(convert(letter("8bit"), SEVEN_BIT).unwrap(), letter("7bit"));
    assert_eq!(convert(letter("base64"), SEVEN_BIT).unwrap(), letter("base64"));
}

#[test]
fn a_letter_without_mime_becomes_text_of_an_unknown_charset() {
    assert_eq!(
        convert("Subject: x\r\n\r\ncaf\u{e9}, and more of it here\r\n", SEVEN_BIT).unwrap(),
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9, and more of it here\r\n"
    );
}

#[test]
fn quoted_printable_keeps_white_space_and_long_lines() {
    let text = format!("caf\u{e9} \r\n\t\r\n{}--b {}\r\nend ", "x".repeat(75), "y ".repeat(200));
    let letter = format!("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}");
    let out = convert(letter, SEVEN_BIT).unwrap();
    let body = out.split_once("\r\n\r\n").unwrap().1;
    assert!(body.split("\r\n").all(|line| line.len() <= 76), "{body}");
    assert!(body.contains("caf=C3=A9=20\r\n=09\r\n") && body.ends_with("end=20"), "{body}");
    assert!(body.contains("=\r\n=2D-b y"), "{body}");
    assert_eq!(trees::decode_quoted_printable(body.as_bytes()), text.as_bytes());
}

#[test]
fn what_is_signed_as_a_whole_is_not_touched() {
    let signed = |text: &str| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n{text}\r\n\
             --b\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--b--\r\n"
        )
    };
    assert_eq!(obstacle(&signed("K\u{f6}rper"), SEVEN_BIT), Some(Obstacle::Sealed));
    assert_eq!(convert(signed("plain"), SEVEN_BIT).unwrap(), signed("plain"));
    let within = format!("Content-Type: message/rfc822\r\n\r\n{}", signed("K\u{f6}rper"));
    assert_eq!(obstacle(&within, SEVEN_BIT), Some(Obstacle::Sealed));
}

#[test]
fn what_is_encoded_badly_is_mended_or_goes_back() {
    let letter = |label, body| format!("MIME-Version: 1.0\r\nContent-Transfer-Encoding: {label}\r\n\r\n{body}\r\n");
    let mended = convert(letter("quoted-printable", "caf=C3=A9 \u{e9} =\r\nx"), SEVEN_BIT).unwrap();
    assert_eq!(mended, letter("quoted-printable", "caf=C3=A9 =C3=A9 =\r\nx"));
    assert_eq!(obstacle(&letter("base64", "\u{e9}"), SEVEN_BIT), Some(Obstacle::Encoded));
    assert_eq!(obstacle(&letter("x-uuencode", "\u{e9}"), SEVEN_BIT), Some(Obstacle::Encoded));
    let long = "\u{e9}".repeat(400);
    let mended = convert(letter("quoted-printable", &long), SEVEN_BIT).unwrap();
    assert!(mended.split("\r\n").all(|line| line.len() <= 76));
}

#[test]
fn structure_that_cannot_be_carried_goes_back() {
    let multipart = |preamble: &str, rest: &str| {
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{preamble}\r\n--b\r\n\r\n{rest}\r\n--b--\r\n")
    };
    assert_eq!(obstacle(&multipart("a\0b", "x"), SEVEN_BIT_TEXT), Some(Obstacle::Structure));
    assert_eq!(obstacle("Content-Type: multipart/mixed\r\n\r\n\u{e9}\r\n", SEVEN_BIT), Some(Obstacle::Sealed));
    let long = format!("Content-Type: text/plain; x={}\r\n\r\n\u{e9}\r\n", "x".repeat(70_000));
    assert_eq!(obstacle(&long, SEVEN_BIT), Some(Obstacle::Unreadable));
    let many =
        format!("Content-Type: multipart/mixed; boundary=b\r\n{}\r\n\u{e9}\r\n", "\r\n--b\r\n".repeat(MOST_PARTS));
    assert_eq!(obstacle(&many, SEVEN_BIT), Some(Obstacle::Unreadable));
}

#[test]
fn parts_are_looked_into_so_deep_and_no_deeper() {
    let nested = |depth: usize, text: &str| {
        format!("{}Subject: x\r\n\r\n{text}", "Content-Type: message/rfc822\r\n\r\n".repeat(depth))
    };
    assert!(convert(nested(DEEPEST, "\u{e9}"), SEVEN_BIT).unwrap().ends_with("w6k=\r\n"));
    assert_eq!(obstacle(&nested(DEEPEST + 1, "\u{e9}"), SEVEN_BIT), Some(Obstacle::Sealed));
    let deep = nested(20_000, "plain");
    assert_eq!(convert(&deep, SEVEN_BIT).unwrap(), deep);
}

#[test]
fn smtputf8_is_needed_for_headers_and_not_for_bodies() {
    let part = |header: &str| {
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{header}\r\n\r\n\u{e9}\r\n--b--\r\n")
    };
    for (letter, needs) in [
        (part("Content-Type: text/plain"), false),
        (part("Content-Disposition: attachment; filename=\u{e9}"), true),
        (part("Content-Type: message/global"), true),
        (part("Content-Type: message/global\r\nContent-Transfer-Encoding: base64"), false),
        ("Subject: \u{e9}\r\n\r\n".into(), true),
        (format!("X: {}\u{e9}\r\n\r\n", "x".repeat(100_000)), true),
    ] {
        assert_eq!(survey(letter.as_bytes(), 900).needs_smtputf8(), needs, "{letter:.200}");
    }
}

#[test]
fn signatures_that_break_are_named() {
    let letter = "DKIM-Signature: v=1; a=rsa-sha256;\r\n d=example.net; s=x; b=y\r\nARC-Message-Signature: i=1; d = a.example\r\n\
                  DKIM-Signature: nothing\r\n\r\n\u{e9}\r\n";
    let conversion = survey(letter.as_bytes(), 64).convert(SEVEN_BIT).unwrap();
    assert_eq!(conversion.broken_signatures(), ["DKIM-Signature of example.net", "ARC-Message-Signature of a.example"]);
    assert!(survey(letter.as_bytes(), 64).convert(EIGHT_BIT_TEXT).unwrap().broken_signatures().is_empty());
}

/// Fields that are added to a letter within would else be read as those of the part that holds it.
#[test]
fn a_letter_within_that_has_no_empty_line_before_it_gets_one() {
    for line in ["\r\u{e9}nt: x", "\u{e9}", "no field: caf\u{e9}"] {
        let letter = format!(
            "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n{line}\r\n"
        );
        let out = convert(&letter, SEVEN_BIT).unwrap();
        assert!(out.contains("Content-Transfer-Encoding: 7bit\r\n\r\nMIME-Version: 1.0\r\n"), "{out}");
        assert_eq!(convert(&out, SEVEN_BIT).as_ref(), Ok(&out), "converted twice");
    }
}
