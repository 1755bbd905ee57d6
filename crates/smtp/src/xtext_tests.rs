use proptest::prelude::*;

use super::*;

#[test]
fn encoded_nul_and_line_ends_are_refused() {
    for word in ["+00", "a+00b", "+0A", "a+0D+0Ab", "+7F", "+1B[2J"] {
        assert_eq!(decode(word), Err(XtextError::Control), "{word}");
        assert_eq!(decode_utf8(word, true), Err(XtextError::Control), "{word}");
    }
    for word in ["\\x{0A}", "\\x{00}", "\\x{7F}", "\\x{85}", "\\x{2028}"] {
        assert_eq!(decode_utf8(word, true), Err(XtextError::Control), "{word}");
    }
}

#[test]
fn lower_case_and_broken_escapes_are_refused() {
    for word in ["+2b", "+", "+2", "a+", "+G0", "++", "+2+2B"] {
        assert_eq!(decode(word), Err(XtextError::BadEscape), "{word}");
    }
    for word in ["\\", "\\x", "\\x{", "\\x{}", "\\x{4}", "\\x{e9}", "\\x{0000041}", "\\x{D800}", "\\x{110000}", "\\y"] {
        assert_eq!(decode_utf8(word, true), Err(XtextError::BadEscape), "{word}");
    }
}

#[test]
fn what_must_be_encoded_is_refused_when_it_is_not() {
    for word in ["a=b", "a b", "ü", "a\u{0}"] {
        assert_eq!(decode(word), Err(XtextError::NotEncoded), "{word}");
    }
    assert_eq!(decode("+C3+BC"), Err(XtextError::NotEncoded));
    assert_eq!(decode_utf8("ü", false), Err(XtextError::NotEncoded));
    assert_eq!(decode_utf8("ü", true).as_deref(), Ok("ü"));
}

#[test]
fn utf8_addresses_are_read_in_every_form() {
    assert_eq!(decode_utf8("j\\x{F6}rg\\x{2B}x@\\x{4F8B}.example", false).as_deref(), Ok("jörg+x@例.example"));
    assert_eq!(decode_utf8("user+2Btag@example.org", false).as_deref(), Ok("user+tag@example.org"));
}

proptest! {
    #[test]
    fn xtext_reads_what_it_writes(text in "[ -~]{0,60}") {
        prop_assert_eq!(decode(&encode(&text)), Ok(text));
    }

    #[test]
    fn utf8_orcpt_reads_what_it_writes(text in "\\PC{0,40}", raw: bool) {
        prop_assume!(!text.chars().any(is_control));
        prop_assert_eq!(decode_utf8(&encode_utf8(&text, raw), raw), Ok(text));
    }

    #[test]
    fn no_decoded_text_holds_a_control_character(word in "(\\+[0-9A-F]{2}|\\\\x\\{[0-9A-F]{2,6}\\}|\\PC){0,12}", raw: bool) {
        for text in [decode(&word), decode_utf8(&word, raw)].into_iter().flatten() {
            prop_assert!(!text.chars().any(is_control));
        }
    }
}
