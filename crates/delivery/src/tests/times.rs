//! What is left of BY= at the next server, and the priority.

use queue::Verdict::{Failed, PassedOn, Relayed};
use smtp::{ByMode, DeliverBy, Hold, MailParams};

use super::queued::LETTER;
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

/// RFC 2852 §4: who set a time is told where nobody watches it, though the server would tell of success; and, with the trace
/// modifier, of each server.
#[tokio::test]
async fn who_set_a_time_is_told_of_the_servers_that_do_not_watch_it() {
    for (offers, by, verdict) in [
        (vec!["DSN"], (ByMode::Notify, false), Relayed),
        (vec!["DSN", "DELIVERBY"], (ByMode::Notify, false), PassedOn),
        (vec!["DSN", "DELIVERBY"], (ByMode::Notify, true), Relayed),
    ] {
        let sink = Sink::new(Script { offers: offers.clone(), ..Script::default() }).await;
        let by = Some(DeliverBy { seconds: 60, mode: by.0, trace: by.1 });
        let letter = attempt_with(&["ann@a.example"], LETTER, MailParams { by, ..MailParams::default() });
        assert_eq!(verdicts(&house(&sink).send_as(letter).await), [verdict], "{offers:?} {by:?}");
    }
}
