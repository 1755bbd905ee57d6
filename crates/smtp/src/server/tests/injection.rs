//! Control characters in commands, in escapes, and in what we say back.

use super::peer::{ENVELOPE, Peer, accept_all, config};
use crate::server::{Event, Question};

#[test]
fn control_character_in_a_command_is_refused_with_500() {
    for octet in (0u8..0x20).chain([0x7f]).filter(|octet| !matches!(octet, b'\n' | b'\r')) {
        let mut peer = Peer::greeted(config());
        let line = [b"MAIL FROM:<a".as_slice(), &[octet], b"@example.org>\r\nNOOP\r\n"].concat();
        let said = peer.ask(&line);
        assert!(said.starts_with("500 5.5.2 "), "{octet:#x}: {said}");
        assert!(said.ends_with("250 2.0.0 OK\r\n") && peer.mails() == 0, "{octet:#x}: {said}");
    }
}

#[test]
fn bare_newline_never_splits_a_command() {
    for line in [
        "MAIL FROM:<\"a\r\"@c.example>\r\n",
        "MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\r\n",
        "NOOP\nMAIL FROM:<a@example.org>\n\n\nRSET\r\n",
        "NOOP\rMAIL FROM:<a@example.org>\r\n",
        "\nMAIL FROM:<a@example.org>\r\n",
        "NOOP\n\r\n",
        "NOOP\r\r\n",
    ] {
        let single: Vec<usize> = (1..line.len()).collect();
        for cuts in [&[][..], &single] {
            let mut peer = Peer::greeted(config());
            peer.send_cut(line.as_bytes(), cuts);
            assert_eq!(peer.codes(), [500], "{line:?}");
            assert_eq!((peer.mails(), peer.codes_of("NOOP\r\n")), (0, vec![250]), "{line:?}");
        }
    }
}

#[test]
fn quoted_cr_lf_in_an_address_is_two_lines_and_none_is_run() {
    let mut peer = Peer::greeted(config());
    assert_eq!(peer.codes_of("MAIL FROM:<\"a\r\nb\"@c>\r\n"), [501, 500]);
    assert_eq!(peer.mails(), 0);
}

#[test]
fn client_that_ends_its_lines_in_lf_is_told_at_once() {
    let mut peer = Peer::new(config(), accept_all());
    peer.take();
    let said = peer.ask("EHLO c.example\n");
    assert!(said.starts_with("500 5.5.2 A command ends with CR LF"), "{said}");
}

#[test]
fn escapes_that_decode_to_control_characters_are_refused() {
    for parameter in ["ENVID=+00", "ENVID=a+0Ab", "ENVID=+0a", "ENVID=+7F", "AUTH=+0A", "AUTH=a@b.example+0D+0A"] {
        let mut peer = Peer::with_tls(super::peer::submission(), accept_all());
        peer.send("EHLO c.example\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
        peer.take();
        let said = peer.ask(format!("MAIL FROM:<a@example.org> {parameter}\r\n"));
        assert!(said.starts_with("501 5.5.4 "), "{parameter}: {said}");
        assert_eq!(peer.mails(), 0);
    }
    for orcpt in ["rfc822;a+0D+0Ab", "rfc822;a+00", "utf-8;a\\x{0A}b", "utf-8;\\x{85}", "utf-8;a+0Ab", "rfc822;a+2b"] {
        let mut peer = Peer::greeted(config());
        peer.send("MAIL FROM:<a@example.org> SMTPUTF8\r\n");
        peer.take();
        let said = peer.ask(format!("RCPT TO:<b@example.com> ORCPT={orcpt}\r\n"));
        assert!(said.starts_with("501 5.5.4 "), "{orcpt}: {said}");
    }
}

#[test]
fn utf8_original_recipient_is_taken_in_all_its_forms() {
    for (orcpt, address) in [
        ("utf-8;j\\x{F6}rg@example.org", "jörg@example.org"),
        ("UTF-8;jörg@example.org", "jörg@example.org"),
        ("rfc822;a+2Bb@example.org", "a+b@example.org"),
    ] {
        let mut peer = Peer::greeted(config());
        peer.send("MAIL FROM:<a@example.org> SMTPUTF8\r\n");
        peer.take();
        assert_eq!(peer.codes_of(format!("RCPT TO:<b@example.com> ORCPT={orcpt}\r\n")), [250], "{orcpt}");
        let Some(Question::Rcpt { params, .. }) = peer.questions.last() else { panic!("not asked") };
        assert_eq!(params.orcpt.as_ref().unwrap().address, address);
    }
}

#[test]
fn hostile_helo_is_no_host_name() {
    for name in ["x) by y", "x y", "<script>", "a..b", "", "[1.2.3", "x;id", "x\"y", "ü.example"] {
        let mut peer = Peer::new(config(), accept_all());
        peer.take();
        assert_eq!(peer.codes_of(format!("EHLO {name}\r\n")), [501], "{name}");
        assert!(peer.session.helo().is_none());
    }
    let mut peer = Peer::new(config(), accept_all());
    peer.take();
    assert_eq!(peer.codes_of("HELO a\x1b[2J\r\n"), [500]);
    assert!(peer.commands().iter().all(|line| !line.contains('\x1b')), "{:?}", peer.commands());
}

#[test]
fn line_ends_of_unicode_are_refused_in_a_utf8_session() {
    for c in ['\u{85}', '\u{2028}', '\u{2029}', '\u{9b}'] {
        let mut peer = Peer::greeted(config());
        assert_eq!(peer.codes_of(format!("MAIL FROM:<a{c}b@example.org> SMTPUTF8\r\n")), [500], "{c:?}");
        assert!(peer.commands().iter().all(|line| !line.contains(c)));
    }
}

#[test]
fn eight_bit_address_without_smtputf8_is_refused() {
    for line in ["MAIL FROM:<ü@example.org>\r\n", "MAIL FROM:<a@exämple.org>\r\n", "VRFY ü\r\n"] {
        let mut peer = Peer::greeted(config());
        assert!(peer.ask(line).starts_with("553 5.6.7 "), "{line}");
    }
    let mut peer = Peer::greeted(config());
    assert_eq!(peer.codes_of(b"MAIL FROM:<\xfc@example.org> SMTPUTF8\r\n"), [553], "not UTF-8");
    assert_eq!(peer.codes_of("MAIL FROM:<a@example.org>\r\nRCPT TO:<ü@example.com>\r\n"), [250, 553]);
    assert_eq!(peer.codes_of("RSET\r\nMAIL FROM:<ü@example.org> SMTPUTF8\r\nRCPT TO:<ü@example.com>\r\n"), [250; 3]);
    assert_eq!(peer.session.protocol_word(), "UTF8SMTP");
}

#[test]
fn nothing_that_a_peer_sends_forges_a_reply() {
    let mut peer = Peer::greeted(config());
    let said = peer.ask("MAIL FROM:<a@example.org> X\u{85}250-OK=1\r\nMAIL FROM:<a@example.org> 250\u{a0}OK\r\n");
    assert!(said.lines().all(|line| line.starts_with('5')), "{said}");
    assert!(said.is_ascii());
    let replies = peer.events.iter().filter(|e| matches!(e, Event::Reply(_))).count();
    assert_eq!(said.lines().count() + 2, replies, "greeting and EHLO stand before them");
}

#[test]
fn vrfy_beyond_ascii_leaves_the_transaction_whole() {
    let mut peer = Peer::greeted(config());
    assert_eq!(
        peer.codes_of(format!("{ENVELOPE}VRFY ü\r\nVRFY ü SMTPUTF8\r\nDATA\r\n.\r\n")),
        [250, 250, 553, 252, 354, 250]
    );
    assert_eq!(peer.letters.len(), 1);
}
