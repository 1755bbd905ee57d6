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
    let (outcomes, _) = house.send_as(attempt_with(&["ann@a.example"], body, utf8())).await;
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
    ] {
        let (outcomes, _) = house.send_as(attempt_with(&[to], body.as_bytes(), utf8())).await;
        assert_eq!(verdicts(&outcomes), [Failed], "{}", outcomes[0].reply);
        assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.6.7");
    }
    assert!(sink.seen.letters().is_empty());
}

#[tokio::test]
async fn a_letter_that_is_called_binary_and_is_text_goes_as_text() {
    let sink = Sink::new(Script::default()).await;
    let mut house = relay(&sink);
    let body = format!("Subject: x\r\n\r\n.dot \u{e9}\r\n{}\r\n", "x".repeat(998)).repeat(600);
    let (outcomes, _) = house.send_as(attempt_with(&["ann@a.example"], body.as_bytes(), binary())).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(sink.seen.letters()[0].body == body.as_bytes());
    assert!(sink.seen.commands().iter().any(|command| command.ends_with(" BODY=8BITMIME")));
}

#[tokio::test]
async fn a_binary_letter_goes_back() {
    let sink = Sink::new(Script::default()).await;
    let mut house = relay(&sink);
    let long = "x".repeat(999) + "\r\n";
    for body in ["a\0b\r\n", "a\nb\r\n", "a\r", &long] {
        let body = format!("Subject: x\r\n\r\n{body}");
        let (outcomes, _) = house.send_as(attempt_with(&["ann@a.example"], body.as_bytes(), binary())).await;
        assert_eq!(verdicts(&outcomes), [Failed], "{body:?}");
        assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.6.1");
    }
    assert!(sink.seen.letters().is_empty());
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
            let (outcomes, _) = house.send_body(&["ann@a.example", "bob@a.example"], body.as_bytes()).await;
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
