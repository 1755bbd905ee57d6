//! What a header says of how the letter is to be carried: looked for in every letter, so with as little as can be.

use super::{Field, Fields, line};

/// How much of a letter is looked through.
pub const HINTED: usize = 16 * 1024;

/// What a letter's header asks of its carriers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// It is one of many, and may wait for others.
    pub bulk: bool,
    /// It goes without TLS rather than not at all: `TLS-Required: No` (RFC 8689 §3).
    pub tls_optional: bool,
}

/// What a letter with this beginning asks for.
///
/// `Precedence: bulk`, `list` or `junk` says that it is one of many, as the old programs wrote it (RFC 3834 §2 knows them).
/// Where `trusted`, as from our own users, `X-Gatepost-Priority: low` says so too, and `normal` or `high` that it is not,
/// whatever Precedence is.
pub fn hints(letter: &[u8], trusted: bool) -> Hints {
    let mut rest = letter.get(..HINTED).unwrap_or(letter);
    let (mut many, mut own, mut tls) = (false, None, None);
    // One search for the end of each line; all else only where a line begins as one of the three.
    while !matches!(rest, [] | [b'\r' | b'\n', ..]) {
        let one = line(rest);
        if matches!(one, [b'P' | b'p' | b'X' | b'x' | b'T' | b't', b'R' | b'r' | b'-' | b'L' | b'l', ..])
            && let Some(field) = (Fields { rest }).next()
        {
            match wish(&field, trusted) {
                // The first counts.
                Some(Wish::Own(low)) => _ = own.get_or_insert(low),
                Some(Wish::Precedence(bulk)) => many |= bulk,
                // RFC 8689 §3: there is one, and its value is `No`. Several that differ say nothing.
                Some(Wish::Tls(no)) => tls = Some(tls.unwrap_or(true) && no),
                None => {}
            }
        }
        rest = rest.get(one.len()..).unwrap_or_default();
    }
    Hints { bulk: own.unwrap_or(many), tls_optional: tls == Some(true) }
}

enum Wish {
    Precedence(bool),
    Own(bool),
    Tls(bool),
}

fn wish(field: &Field<'_>, trusted: bool) -> Option<Wish> {
    if field.is("Precedence") {
        return Some(Wish::Precedence(is_one_of(field, &["bulk", "list", "junk"])));
    }
    if field.is("TLS-Required") {
        return Some(Wish::Tls(is_one_of(field, &["no"])));
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
        hints(header.as_bytes(), trusted).bulk
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
        let far = format!("Subject: {}\r\nPrecedence: bulk\r\n\r\n", "x".repeat(HINTED));
        assert!(!bulk(&far, true));
    }

    /// RFC 8689 §3.
    #[test]
    fn only_a_plain_no_makes_tls_optional() {
        for (header, optional) in [
            ("TLS-Required: No\r\n\r\n", true),
            ("From: a@b\r\ntls-required:\tno \r\n\r\n", true),
            ("TLS-Required: Yes\r\n\r\n", false),
            ("TLS-Required: No\r\nTLS-Required: Yes\r\n\r\n", false),
            ("TLS-Required: No\r\nTLS-Required: No\r\n\r\n", true),
            ("TLS-Required:\r\n\r\n", false),
            ("Subject: x\r\n\r\nTLS-Required: No\r\n", false),
            ("X-Gatepost-Priority: low\r\nTLS-Required: No\r\n\r\n", true),
        ] {
            for trusted in [false, true] {
                assert_eq!(hints(header.as_bytes(), trusted).tls_optional, optional, "{header:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), trusted: bool) {
            let _ = hints(&octets, trusted);
            let _ = hints(&[b"Precedence:".as_slice(), &octets].concat(), trusted);
        }
    }
}
