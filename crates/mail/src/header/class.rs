//! Whether a letter was sent to many, as its header says: looked for in every letter, so with as little as can be.

use super::{Field, Fields, line};

/// How much of a header is looked through.
const LOOKED_AT: usize = 16 * 1024;

/// Whether a letter with this beginning may wait for others.
///
/// `Precedence: bulk`, `list` or `junk` says so, as the old programs wrote it (RFC 3834 §2 knows them). Where `trusted`, as
/// from our own users, `X-Gatepost-Priority: low` says so too, and `normal` or `high` that it is not, whatever Precedence is.
pub fn is_bulk(letter: &[u8], trusted: bool) -> bool {
    let mut rest = letter.get(..LOOKED_AT).unwrap_or(letter);
    let mut bulk = false;
    // One search for the end of each line; all else only where a line begins as one of the two.
    while !matches!(rest, [] | [b'\r' | b'\n', ..]) {
        let one = line(rest);
        if matches!(one, [b'P' | b'p' | b'X' | b'x', b'R' | b'r' | b'-', ..])
            && let Some(field) = (Fields { rest }).next()
        {
            match wish(&field, trusted) {
                Some(Wish::Own(own)) => return own,
                Some(Wish::Precedence(many)) => bulk |= many,
                None => {}
            }
        }
        rest = rest.get(one.len()..).unwrap_or_default();
    }
    bulk
}

enum Wish {
    Precedence(bool),
    Own(bool),
}

fn wish(field: &Field<'_>, trusted: bool) -> Option<Wish> {
    if field.is("Precedence") {
        return Some(Wish::Precedence(is_one_of(field, &["bulk", "list", "junk"])));
    }
    if !trusted || !field.is("X-Gatepost-Priority") {
        return None;
    }
    let low = is_one_of(field, &["low"]);
    (low || is_one_of(field, &["normal", "high"])).then_some(Wish::Own(low))
}

fn is_one_of(field: &Field<'_>, words: &[&str]) -> bool {
    let value = field.unfolded();
    words.iter().any(|word| value.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bulk(header: &str, trusted: bool) -> bool {
        is_bulk(header.as_bytes(), trusted)
    }

    #[test]
    fn what_lists_and_newsletters_say_is_heard_from_anyone() {
        for value in ["bulk", "list", "junk", "BULK", " bulk ", "\r\n bulk"] {
            assert!(bulk(&format!("From: a@b\r\nprecedence:{value}\r\n\r\nx"), false), "{value:?}");
        }
        for header in
            ["Precedence: first-class\r\n", "Precedence: bulky\r\n", "X-Precedence: bulk\r\n", "", "Precedence"]
        {
            assert!(!bulk(header, true), "{header:?}");
        }
    }

    #[test]
    fn our_own_users_have_the_last_word() {
        assert!(bulk("X-Gatepost-Priority: low\r\n\r\n", true));
        assert!(!bulk("X-Gatepost-Priority: low\r\n\r\n", false), "a stranger has no say");
        for value in ["normal", "High"] {
            let header = format!("Precedence: bulk\r\nX-Gatepost-Priority: {value}\r\n\r\n");
            assert!(!bulk(&header, true), "{value}");
            assert!(bulk(&header, false), "{value}");
        }
        assert!(bulk("X-Gatepost-Priority: soon\r\nPrecedence: list\r\n\r\n", true), "an unknown word says nothing");
    }

    #[test]
    fn the_body_and_what_is_far_down_are_not_looked_at() {
        assert!(!bulk("Subject: x\r\n\r\nPrecedence: bulk\r\n", true));
        assert!(!bulk("Subject: x\n\nPrecedence: bulk\n", true));
        assert!(!bulk("Subject: x\r\n Precedence: bulk\r\n\r\n", true), "a folded line is no field");
        let far = format!("Subject: {}\r\nPrecedence: bulk\r\n\r\n", "x".repeat(LOOKED_AT));
        assert!(!bulk(&far, true));
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), trusted: bool) {
            let _ = is_bulk(&octets, trusted);
            let _ = is_bulk(&[b"Precedence:".as_slice(), &octets].concat(), trusted);
        }
    }
}
