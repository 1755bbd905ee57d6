//! The forms of a trace field, and that no peer can forge one.

use proptest::prelude::*;

use super::*;
use crate::header::fields;

const AT: u64 = 1_795_470_566_000;

fn received() -> Received {
    Received {
        helo: Some("client.example.net".into()),
        client: Some([192, 0, 2, 1].into()),
        by: "mx.example.com".into(),
        with: "ESMTPS".into(),
        tls: Some("TLSv1.3 TLS_AES_256_GCM_SHA384".into()),
        for_recipient: Some("user@example.com".into()),
    }
}

fn written(received: &Received) -> String {
    let mut out = b"before".to_vec();
    received.write("0000000000abc", AT, &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

#[test]
fn received_has_every_clause_in_its_order() {
    assert_eq!(
        written(&received()),
        "Received: from client.example.net ([192.0.2.1]) by mx.example.com with ESMTPS\r\n\
         \t(TLSv1.3 TLS_AES_256_GCM_SHA384) id 0000000000abc for <user@example.com>;\r\n\
         \tMon, 23 Nov 2026 21:49:26 +0000\r\n"
    );
}

#[test]
fn what_is_not_known_is_left_out() {
    let local = Received { by: "mx.example.com".into(), with: "local".into(), ..Received::default() };
    assert_eq!(
        written(&local),
        "Received: by mx.example.com with local id 0000000000abc;\r\n\tMon, 23 Nov 2026 21:49:26 +0000\r\n"
    );
    let nameless = Received { client: Some("2001:db8::1".parse().unwrap()), ..local };
    assert!(written(&nameless).starts_with("Received: from unknown ([IPv6:2001:db8::1]) by mx.example.com"));
}

#[test]
fn a_hostile_name_stays_one_word() {
    for (helo, word) in [
        ("x) by y", "x??by?y"),
        ("x (evil [192.0.2.9])", "x??evil?[192.0.2.9]?"),
        ("a\r\nSubject: b", "a??Subject:?b"),
        ("x;\"<>\\", "x?????"),
        ("", "?"),
        ("é", "??"),
    ] {
        let text = written(&Received { helo: Some(helo.into()), ..received() });
        let unfolded = text.replace("\r\n\t", " ");
        assert!(unfolded.starts_with(&format!("Received: from {word} ([192.0.2.1]) by mx.example.com")), "{text}");
    }
    let text = written(&Received { tls: Some("a) from b (c\r\n".into()), ..received() });
    assert!(text.contains("(a? from b ?c??)"), "{text}");
}

#[test]
fn a_recipient_beyond_ascii_is_named_only_after_smtputf8() {
    let plain = Received { for_recipient: Some("用户@example.com".into()), ..received() };
    assert!(!written(&plain).contains("for <"));
    let utf8 = Received { with: "UTF8SMTPS".into(), ..plain };
    assert!(written(&utf8).contains("for <用户@example.com>;"));
    let broken = Received { for_recipient: Some("a\r\nb@example.com".into()), ..received() };
    assert!(!written(&broken).contains("for <"));
}

#[test]
fn return_path_is_null_or_a_mailbox() {
    let mut out = Vec::new();
    write_return_path(&ReversePath::Null, &mut out);
    write_return_path(&ReversePath::Mailbox("\"a b\"@example.com".parse().unwrap()), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "Return-Path: <>\r\nReturn-Path: <\"a b\"@example.com>\r\n");
}

proptest! {
    #[test]
    fn whatever_is_said_it_is_one_field_in_short_lines(helo in ".{0,300}", with in ".{0,20}", to in ".{0,90}") {
        let received = Received { helo: Some(helo), with, for_recipient: Some(to), ..received() };
        let text = written(&received);
        prop_assert_eq!(fields(text.as_bytes()).count(), 1);
        prop_assert!(text.ends_with("21:49:26 +0000\r\n"));
        let lines: Vec<&str> = text.split("\r\n").collect();
        prop_assert!(lines.iter().all(|line| !line.contains(['\r', '\n']) && line.len() < 500));
    }
}
