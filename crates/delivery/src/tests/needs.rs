//! Servers that offer less than a letter came with, or more than they know.

use queue::Verdict::{Failed, Relayed};
use smtp::{Body, MailParams};

use super::sink::{Heard, Script, Sink, count};
use super::{House, attempt_with, verdicts};

fn relay(sink: &Sink) -> House {
    House::new(&format!("[[route]]\ndomain = \"*\"\nto = \"127.0.0.1:{}\"\n", sink.port()))
}

fn utf8() -> MailParams {
    MailParams { smtputf8: true, ..MailParams::default() }
}

fn binary() -> MailParams {
    MailParams { body: Some(Body::BinaryMime), ..MailParams::default() }
}

#[tokio::test]
async fn a_letter_that_needs_no_smtputf8_goes_without_it() {
    let sink = Sink::new(Script::default()).await;
    let mut house = relay(&sink);
    let body = "Subject: plain\r\n\r\nK\u{f6}rper\r\n".as_bytes();
    let outcomes = house.send_as(attempt_with(&["ann@a.example"], body, utf8())).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(sink.seen.letters()[0].body == body);
    assert!(!sink.seen.commands().iter().any(|command| command.contains("SMTPUTF8")));
}

#[tokio::test]
async fn a_letter_that_needs_smtputf8_goes_back() {
    let sink = Sink::new(Script::default()).await;
    let mut house = relay(&sink);
    let long = format!("X-Long: {}\r\nSubject: \u{fc}ber\r\n\r\nbody\r\n", "x ".repeat(200_000));
    for (to, body) in [
        ("ann@a.example", "Subject: \u{fc}ber\r\n\r\n"),
        ("ann@a.example", &long),
        ("\u{fc}@a.example", "A: b\r\n\r\n"),
        (
            "ann@a.example",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: \u{fc}\r\n\r\n\r\n--b--\r\n",
        ),
    ] {
        let outcomes = house.send_as(attempt_with(&[to], body.as_bytes(), utf8())).await;
        assert_eq!(verdicts(&outcomes), [Failed], "{}", outcomes[0].reply);
        assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.6.7");
    }
    assert!(sink.seen.letters().is_empty());
}

#[tokio::test]
async fn an_internationalized_recipient_does_not_keep_the_letter_from_the_others() {
    let sink = Sink::new(Script::default()).await;
    let to = ["chlo\u{e9}@a.example", "bob@a.example", "j\u{f6}rg@a.example", "cat@a.example"];
    let outcomes = relay(&sink).send_as(attempt_with(&to, b"Subject: x\r\n\r\nx\r\n", utf8())).await;
    assert_eq!(verdicts(&outcomes), [Failed, Relayed, Failed, Relayed], "{}", outcomes[1].reply);
    assert_eq!(outcomes[2].reply.enhanced.unwrap().to_string(), "5.6.7");
    assert_eq!(sink.seen.letters()[0].to, ["bob@a.example", "cat@a.example"]);
    assert_eq!((sink.seen.letters().len(), sink.seen.connections()), (1, 1));
}

#[tokio::test]
async fn a_letter_that_is_called_binary_and_is_text_goes_as_text() {
    let sink = Sink::new(Script::default()).await;
    let mut house = relay(&sink);
    let body = format!("Subject: x\r\n\r\n.dot \u{e9}\r\n{}\r\n", "x".repeat(998)).repeat(600);
    let outcomes = house.send_as(attempt_with(&["ann@a.example"], body.as_bytes(), binary())).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(sink.seen.letters()[0].body == body.as_bytes());
    assert!(sink.seen.commands().iter().any(|command| command.ends_with(" BODY=8BITMIME")));
}

#[tokio::test]
async fn a_binary_letter_is_converted() {
    let sink = Sink::new(Script::default()).await;
    let mut house = relay(&sink);
    let long = "x".repeat(999) + "\r\n";
    for (body, sent) in [
        ("a\0b\r\n", "YQBiDQo=\r\n"),
        ("six\nof them in the caf\u{e9}\r\n", "six=0Aof them in the caf\u{e9}\r\n"),
        ("some of it\r", "some of it=0D"),
        (&long, "xxx"),
    ] {
        let body = format!("Subject: x\r\n\r\n{body}");
        let outcomes = house.send_as(attempt_with(&["ann@a.example"], body.as_bytes(), binary())).await;
        assert_eq!(verdicts(&outcomes), [Relayed], "{body:?}: {}", outcomes[0].reply);
        let letter = String::from_utf8(sink.seen.letters().pop().unwrap().body).unwrap();
        let (header, text) = letter.split_once("\r\n\r\n").unwrap();
        assert!(header.contains("Content-Transfer-Encoding: ") && header.contains("MIME-Version: 1.0"), "{letter}");
        assert!(text.starts_with(&sent.replace('\u{e9}', "=C3=A9")), "{letter}");
        assert!(letter.split("\r\n").all(|line| line.len() < 80 && !line.contains(['\r', '\n', '\0'])));
    }
    assert!(sink.seen.commands().iter().any(|command| command.ends_with(" BODY=8BITMIME")));
}

/// A server without 8BITMIME.
fn old() -> Script {
    Script { offers: vec!["PIPELINING", "SIZE 100000000"], ..Script::default() }
}

#[tokio::test]
async fn a_letter_in_8_bits_is_converted_for_a_server_without_them() {
    let sink = Sink::new(old()).await;
    let mut house = relay(&sink);
    let text = "na\u{ef}ve, and as long as it is\r\n".repeat(40_000);
    let head =
        "DKIM-Signature: v=1; d=example.net; b=x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n";
    let body = format!("{head}\r\n{text}");
    for params in [eight_bit(), MailParams::default()] {
        let attempt = attempt_with(&["ann@a.example", "bob@a.example"], body.as_bytes(), params);
        let outcomes = house.send_as(attempt).await;
        assert_eq!(verdicts(&outcomes), [Relayed; 2], "{}", outcomes[0].reply);
        // The signature that breaks is named in the record.
        assert!(outcomes[1].reply.text().contains("breaks the DKIM-Signature of example.net"), "{}", outcomes[1].reply);
        let letter = sink.seen.letters().pop().unwrap().body;
        let expected =
            format!("{head}Content-Transfer-Encoding: quoted-printable\r\n\r\n{}", text.replace('\u{ef}', "=C3=AF"));
        assert!(letter == expected.as_bytes());
        let mail = sink.seen.commands().into_iter().rfind(|command| command.starts_with("MAIL")).unwrap();
        assert!(mail.ends_with(&format!(" SIZE={}", expected.len())), "{mail}");
    }
}

fn eight_bit() -> MailParams {
    MailParams { body: Some(Body::EightBitMime), ..MailParams::default() }
}

#[tokio::test]
async fn a_letter_that_must_not_be_changed_goes_back_unless_nobody_said_that_it_has_8_bits() {
    let sink = Sink::new(old()).await;
    let mut house = relay(&sink);
    let body = "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\u{e9}\r\n--b--\r\n";
    let outcomes = house.send_as(attempt_with(&["ann@a.example"], body.as_bytes(), eight_bit())).await;
    assert_eq!(verdicts(&outcomes), [Failed]);
    assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.6.3");
    assert!(sink.seen.letters().is_empty());
    let outcomes = house.send_body(&["ann@a.example"], body.as_bytes()).await;
    assert_eq!(verdicts(&outcomes), [Relayed]);
    assert!(sink.seen.letters()[0].body == body.as_bytes());
    assert_eq!(sink.seen.connections(), 1);
}

#[tokio::test]
async fn a_letter_in_7_bits_is_the_same_everywhere() {
    let sink = Sink::new(old()).await;
    let mut house = relay(&sink);
    for body in
        ["Subject: x\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain =\r\n", "Subject: \u{e9}\r\n\r\nplain =\r\n"]
    {
        let outcomes = house.send_as(attempt_with(&["ann@a.example"], body.as_bytes(), eight_bit())).await;
        assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
        assert!(sink.seen.letters().pop().unwrap().body == body.as_bytes());
    }
}

/// `answer` comes to each BDAT in place of the usual.
fn no_bdat(answer: &'static str) -> Script {
    let answers =
        move |heard: &Heard<'_>| (heard.command.starts_with("BDAT") || heard.command == "BDAT").then_some(answer);
    Script { offers: vec!["PIPELINING", "CHUNKING"], ..Script::saying(answers) }
}

#[tokio::test]
async fn a_server_that_offers_chunking_and_knows_no_bdat_gets_data() {
    for size in [10, 2_000_000] {
        let sink = Sink::new(no_bdat("500 5.5.1 unknown command")).await;
        let mut house = relay(&sink);
        let body = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(size));
        for _ in 0..2 {
            let outcomes = house.send_body(&["ann@a.example", "bob@a.example"], body.as_bytes()).await;
            assert_eq!(verdicts(&outcomes), [Relayed; 2], "{}", outcomes[0].reply);
        }
        let letters = sink.seen.letters();
        assert_eq!(letters.len(), 2);
        assert!(letters.iter().all(|letter| letter.body == body.as_bytes() && letter.to.len() == 2));
        assert_eq!(sink.seen.connections(), 1);
        assert_eq!(count(&sink.seen.commands())["DATA"], 2);
    }
}

#[tokio::test]
async fn a_server_that_refuses_the_letter_itself_by_bdat_is_believed() {
    let sink = Sink::new(no_bdat("550 5.7.1 spam")).await;
    let mut house = relay(&sink);
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Failed]);
    assert!(!count(&sink.seen.commands()).contains_key("DATA"));
}

#[tokio::test]
async fn a_server_that_refuses_bdat_and_data_has_the_last_word() {
    let refuses = |heard: &Heard<'_>| {
        (heard.command.starts_with("BDAT") || heard.command == "DATA").then_some("503 5.5.1 not now, not ever")
    };
    let sink = Sink::new(Script { offers: vec!["PIPELINING", "CHUNKING"], ..Script::saying(refuses) }).await;
    let mut house = relay(&sink);
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Failed]);
    assert_eq!(count(&sink.seen.commands())["BDAT"], 1);
}
