//! What is left of BY= at the next server, and the priority.

use queue::Verdict::{Failed, Relayed};
use smtp::{ByMode, DeliverBy, Hold, MailParams};

use super::sink::{Script, Sink};
use super::*;

fn house(sink: &Sink) -> House {
    let port = sink.port();
    House::new(&format!("[[route]]\ndomain = \"*\"\nto = \"127.0.0.1:{port}\"\n"))
}

fn letter(mode: ByMode) -> Attempt {
    let params = MailParams {
        by: Some(DeliverBy { seconds: 60, mode, trace: false }),
        hold: Some(Hold::For(5)),
        mt_priority: Some(3),
        ..MailParams::default()
    };
    attempt_with(&["ann@a.example"], b"Subject: x\r\n\r\nx\r\n", params)
}

fn mail_of(sink: &Sink) -> String {
    sink.seen.commands().into_iter().find(|command| command.starts_with("MAIL")).unwrap_or_default()
}

#[tokio::test]
async fn a_letter_to_be_returned_is_not_given_to_a_server_that_knows_no_time() {
    let sink = Sink::new(Script::default()).await;
    let outcomes = house(&sink).send_as(letter(ByMode::Return)).await;
    assert_eq!(verdicts(&outcomes), [Failed]);
    assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.4.7");
    assert!(sink.seen.letters().is_empty() && mail_of(&sink).is_empty());
    let outcomes = house(&sink).send_as(letter(ByMode::Notify)).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    assert!(!mail_of(&sink).contains("BY="));
}

/// The letters of these tests came in 1970.
#[tokio::test]
async fn what_is_left_of_the_time_goes_along_and_a_hold_does_not() {
    let offers = vec!["PIPELINING", "DELIVERBY", "MT-PRIORITY", "FUTURERELEASE 60 2027-01-15T08:00:00Z"];
    let sink = Sink::new(Script { offers, ..Script::default() }).await;
    let outcomes = house(&sink).send_as(letter(ByMode::Notify)).await;
    assert_eq!(verdicts(&outcomes), [Relayed], "{}", outcomes[0].reply);
    let mail = mail_of(&sink);
    assert!(mail.ends_with(" BY=-999999999;N MT-PRIORITY=3"), "{mail}");
}
