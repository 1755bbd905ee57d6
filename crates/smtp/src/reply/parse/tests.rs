use proptest::prelude::*;

use super::*;

fn all(input: &[u8]) -> Result<Vec<Reply>, ReplyError> {
    let mut parser = ReplyParser::new();
    let mut input = input;
    let mut replies = Vec::new();
    while let Some(reply) = parser.read(&mut input)? {
        replies.push(reply);
    }
    Ok(replies)
}

fn one(input: &str) -> Reply {
    let mut replies = all(input.as_bytes()).unwrap();
    assert_eq!(replies.len(), 1, "{input:?}");
    replies.remove(0)
}

#[test]
fn code_enhanced_code_and_text_are_kept_apart() {
    let reply = one("550 5.7.1 relaying is not permitted\r\n");
    assert_eq!(reply, Reply::new(550, (5, 7, 1), "relaying is not permitted"));
}

#[test]
fn a_code_alone_is_a_reply() {
    assert_eq!(one("250\r\n"), Reply::plain(250, ""));
    assert_eq!(one("250 \r\n"), Reply::plain(250, ""));
}

#[test]
fn lines_are_joined_and_each_loses_the_enhanced_code() {
    let reply = one("550-5.1.1 no such user;\r\n550-5.1.1 see\r\n550 5.1.1 example.net\r\n");
    assert_eq!(reply, Reply::new(550, (5, 1, 1), "no such user;\nsee\nexample.net"));
}

#[test]
fn an_enhanced_code_may_come_on_the_last_line_only() {
    let reply = one("550-go away\r\n550 5.7.1 please\r\n");
    assert_eq!((reply.enhanced, reply.text()), (Some(EnhancedCode::new(5, 7, 1)), "go away\nplease"));
}

#[test]
fn an_enhanced_code_of_another_class_stays_text() {
    let reply = one("250 5.1.1 strange\r\n");
    assert_eq!((reply.enhanced, reply.text()), (None, "5.1.1 strange"));
}

#[test]
fn a_second_enhanced_code_stays_text() {
    let reply = one("550-5.1.1 a\r\n550 5.2.2 b\r\n");
    assert_eq!((reply.enhanced, reply.text()), (Some(EnhancedCode::new(5, 1, 1)), "a\n5.2.2 b"));
}

#[test]
fn quirk_bare_lf_ends_a_line() {
    assert_eq!(one("250-a\n250 b\n").text(), "a\nb");
}

#[test]
fn control_characters_never_leave_here() {
    let reply = one("250 a\u{1b}[2J\0b\rc\td\u{85}\u{2028}e\r\n");
    assert_eq!(reply.text(), "a?[2J?b?c d??e");
}

#[test]
fn octets_that_are_no_utf8_are_replaced() {
    assert_eq!(all(b"250 \xff\xfeok\r\n").unwrap()[0].text(), "\u{fffd}\u{fffd}ok");
}

#[test]
fn what_is_no_reply_is_an_error() {
    for input in
        ["\r\n", "25\r\n", "2500 x\r\n", "250x\r\n", "abc d\r\n", "199 x\r\n", "600 x\r\n", " 250 x\r\n", "+OK\r\n"]
    {
        assert_eq!(all(input.as_bytes()), Err(ReplyError::NoCode), "{input:?}");
    }
    assert_eq!(all(b"250-a\r\n251 b\r\n"), Err(ReplyError::MixedCodes));
}

#[test]
fn a_line_may_have_4096_octets_and_not_one_more() {
    let line = |text: usize| format!("250 {}\r\n", "x".repeat(text));
    assert_eq!(one(&line(MAX_LINE - 6)).text().len(), MAX_LINE - 6);
    assert_eq!(all(line(MAX_LINE - 5).as_bytes()), Err(ReplyError::LongLine));
}

#[test]
fn a_banner_of_10_mb_is_refused_after_4096_octets() {
    let mut parser = ReplyParser::new();
    let mut fed = 0;
    let piece = [b'2'; 1000];
    while parser.read(&mut &piece[..]).is_ok() {
        fed += piece.len();
        assert!(fed <= MAX_LINE && parser.line.len() <= MAX_LINE);
    }
}

#[test]
fn continuation_for_ever_is_refused() {
    let mut parser = ReplyParser::new();
    let lines = (0..).take_while(|_| parser.read(&mut &b"250-\r\n"[..]).is_ok()).count();
    assert_eq!(lines, MAX_LINES);
    let long = format!("250-{}\r\n", "x".repeat(4000));
    let mut parser = ReplyParser::new();
    let lines = (0..).take_while(|_| parser.read(&mut long.as_bytes()).is_ok()).count();
    assert_eq!(lines, MAX_REPLY / long.len());
}

#[test]
fn what_stands_behind_a_reply_is_left_in_the_input() {
    let mut parser = ReplyParser::new();
    let mut input = &b"220 ready\r\n250-AUTH"[..];
    assert_eq!(parser.read(&mut input).unwrap(), Some(Reply::plain(220, "ready")));
    assert_eq!(input, b"250-AUTH");
    assert!(parser.is_idle());
    assert_eq!(parser.read(&mut input), Ok(None));
    assert!(!parser.is_idle());
}

proptest! {
    #[test]
    fn what_we_write_we_read(
        code in 200u16..600,
        subject in 0u16..1000,
        detail in 0u16..1000,
        with_enhanced: bool,
        // A line that begins with a space, or with what looks like an enhanced code, is not kept apart from it on the wire.
        lines in proptest::collection::vec("([a-zA-Zé][ -~é]{0,80})?", 1..6),
    ) {
        let class = (code / 100) as u8;
        let enhanced = (with_enhanced && class != 3).then(|| EnhancedCode::new(class, subject, detail));
        let reply = Reply::from_peer(ReplyCode::from_wire(code).unwrap(), enhanced, &lines.join("\n"));
        let mut wire = Vec::new();
        reply.write(&mut wire);
        prop_assert_eq!(all(&wire), Ok(vec![reply]));
    }

    #[test]
    fn pieces_make_no_difference(input in proptest::collection::vec(prop_oneof![
        Just(b"250".to_vec()), Just(b"-".to_vec()), Just(b" ".to_vec()), Just(b"\r\n".to_vec()), Just(b"5.1.1 ".to_vec()),
        Just(b"550".to_vec()), proptest::collection::vec(any::<u8>(), 0..4),
    ], 0..40), cut in 1usize..9) {
        let input = input.concat();
        let mut parser = ReplyParser::new();
        let mut replies = Vec::new();
        let mut error = None;
        'pieces: for piece in input.chunks(cut) {
            let mut piece = piece;
            loop {
                match parser.read(&mut piece) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(e) => { error = Some(e); break 'pieces; }
                }
            }
        }
        match all(&input) {
            Ok(whole) => { prop_assert_eq!(error, None); prop_assert_eq!(whole, replies); }
            Err(e) => prop_assert_eq!(error, Some(e)),
        }
    }
}
