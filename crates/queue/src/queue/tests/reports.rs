//! Who is told what, and who is left in peace.

use super::*;

async fn report(queue: &Queue) -> (QueueId, String) {
    let (mut worker, attempt) = next(queue).await;
    assert!(attempt.letter.from.is_null());
    let text = text_of(&attempt);
    let id = attempt.letter.id;
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    (id, text)
}

#[tokio::test]
async fn a_failed_recipient_gives_the_sender_exactly_one_report() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example", "carol@far.example"])).await;
    carry(&queue, vec![failed(), delivered()]).await;
    let (report_id, text) = report(&queue).await;
    for expected in [
        "To: <alice@near.example>",
        "Final-Recipient: rfc822; bob@far.example",
        "550 5.1.1 no such user",
        "Subject: tea",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("carol@far.example"), "{text}");
    until("both are gone", || queue.count() == 0).await;
    assert_eq!(events(&queue, id), ["received", "failed", "delivered", "report"]);
    // The report's own history begins with what it is about.
    assert_eq!(events(&queue, report_id), ["received", "report", "delivered"]);
}

#[tokio::test]
async fn several_failures_of_one_attempt_are_told_in_one_report() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, letter("alice@near.example", &["bob@far.example", "carol@far.example"])).await;
    carry(&queue, vec![failed(), failed()]).await;
    let (_, text) = report(&queue).await;
    assert_eq!(text.matches("Final-Recipient:").count(), 2);
    until("all are gone", || queue.count() == 0).await;
}

#[tokio::test]
async fn nobody_is_told_about_a_letter_from_the_null_path() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("", &["bob@far.example"])).await;
    carry(&queue, vec![failed()]).await;
    assert_eq!(queue.count(), 0);
    assert_eq!(events(&queue, id), ["received", "failed"]);
}

#[tokio::test]
async fn a_report_that_fails_makes_no_report() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![failed()]).await;
    let report = carry(&queue, vec![failed()]).await;
    until("all are gone", || queue.count() == 0).await;
    assert_eq!(events(&queue, report), ["received", "report", "failed"]);
    assert!(no_worker_waits(&queue));
}

#[tokio::test]
async fn who_asked_for_silence_is_told_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let mut new = letter("alice@near.example", &["bob@far.example", "carol@far.example"]);
    new.recipients[0].params.notify = Some(Notify { never: true, success: false, failure: false, delay: false });
    new.recipients[1].params.notify = Some(Notify { never: false, success: true, failure: false, delay: false });
    submit(&queue, new).await;
    carry(&queue, vec![failed(), failed()]).await;
    assert_eq!(queue.count(), 0);
    assert!(no_worker_waits(&queue));
}

#[tokio::test]
async fn a_letter_whose_time_ran_out_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.give_up = Duration::from_millis(300);
    let House { queue, .. } = open_with(config);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![deferred()]).await;
    let (_, text) = report(&queue).await;
    assert!(text.contains("Status: 4.4.7") && text.contains("mailbox busy"), "{text}");
    until("both are gone", || queue.count() == 0).await;
    assert_eq!(events(&queue, id), ["received", "deferred", "expired", "report"]);
}

#[tokio::test]
async fn who_is_given_up_by_domain_or_site_goes_back_alone_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let short = |millis| crate::RetryOverride {
        give_up: Some(Duration::from_millis(millis)),
        ..crate::RetryOverride::default()
    };
    config.retry_domain.insert("far.example".into(), short(300));
    config.retry_site.insert("slow.example".into(), short(600));
    let House { queue, .. } = open_with(config);
    let id = submit(&queue, letter("alice@near.example", &["b@far.example", "c@slow.example", "d@good.example"])).await;
    for _ in 0..3 {
        carry(&queue, vec![deferred()]).await;
    }
    let (_, first) = report(&queue).await;
    assert!(first.contains("b@far.example") && !first.contains("c@slow.example"), "{first}");
    let (_, second) = report(&queue).await;
    assert!(second.contains("c@slow.example") && !second.contains("d@good.example"), "{second}");
    until("one is left", || queue.show(id).is_some_and(|shown| shown.summary.pending == 1)).await;
    assert!(queue.show(id).unwrap().summary.next.is_some(), "and is tried again");
}

#[tokio::test]
async fn a_letter_expires_although_its_site_has_no_worker_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.give_up = Duration::from_millis(300);
    let House { queue, .. } = open_with(config);
    // Two workers is the limit; they never come back.
    let mut stuck = Vec::new();
    for _ in 0..2 {
        submit(&queue, letter("", &["bob@far.example"])).await;
        stuck.push(next(&queue).await);
    }
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let (_, text) = report(&queue).await;
    assert!(text.contains("could be tried"), "{text}");
    until("the report is recorded", || events(&queue, id).len() == 3).await;
    assert_eq!(events(&queue, id), ["received", "expired", "report"]);
}

#[tokio::test]
async fn what_is_deferred_after_its_time_expires_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.give_up = Duration::from_millis(1);
    let House { queue, .. } = open_with(config);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    // Whether the calendar or the attempt comes first: one report.
    let taken = queue.next_worker().await.and_then(|mut worker| worker.take().map(|attempt| (worker, attempt)));
    match taken {
        Some((mut worker, attempt)) if !attempt.letter.from.is_null() => {
            until("its time ran out", || Timestamp::now() > attempt.letter.arrived.after(Duration::from_millis(5)))
                .await;
            worker.finish(attempt, Outcome { recipients: vec![deferred()] });
            drop(worker);
            report(&queue).await;
        }
        Some((mut worker, attempt)) => worker.finish(attempt, Outcome { recipients: vec![delivered()] }),
        None => drop(report(&queue).await),
    }
    until("both are gone", || queue.count() == 0).await;
    assert_eq!(events(&queue, id).iter().filter(|event| *event == "report").count(), 1);
}

#[tokio::test]
async fn who_asked_for_success_is_told_by_us_where_nobody_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let asked = Notify { never: false, success: true, failure: true, delay: false };
    let mut new = letter("alice@near.example", &["a@far.example", "b@far.example", "c@far.example", "d@far.example"]);
    for recipient in new.recipients.iter_mut().take(3) {
        recipient.params.notify = Some(asked);
    }
    let id = submit(&queue, new).await;
    let with = |verdict: Verdict| said(verdict, 250, (2, 1, 5), "taken");
    let outcomes = [Verdict::Delivered, Verdict::Relayed, Verdict::PassedOn, Verdict::Relayed].map(with);
    carry(&queue, outcomes.to_vec()).await;
    let (_, text) = report(&queue).await;
    let part =
        |name: &str| text.split("Final-Recipient: rfc822; ").find(|part| part.starts_with(name)).map(str::to_owned);
    assert!(part("a@far.example").unwrap().contains("Action: delivered\r\nStatus: 2.1.5"), "{text}");
    assert!(part("b@far.example").unwrap().contains("Action: relayed"), "{text}");
    assert_eq!((part("c@far.example"), part("d@far.example")), (None, None), "{text}");
    until("all are gone", || queue.count() == 0).await;
    assert_eq!(events(&queue, id), ["received", "delivered", "delivered", "delivered", "delivered", "report"]);
}

/// RFC 3461 §5.2.7.3.
#[tokio::test]
async fn who_wants_to_hear_of_success_hears_that_an_alias_led_to_several() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let wants = |success, never| {
        let notify = Some(smtp::Notify { never, success, failure: false, delay: false });
        let params = RcptParams { notify, ..RcptParams::default() };
        Recipient::new(format!("info-{success}@near.example").parse().unwrap(), params)
    };
    let new = letter("alice@near.example", &["bob@far.example"]);
    submit(&queue, NewLetter { expanded: vec![wants(false, true), wants(true, false)], ..new }).await;
    carry(&queue, vec![delivered()]).await;
    let (_, text) = report(&queue).await;
    for expected in ["Final-Recipient: rfc822; info-true@near.example\r\n", "Action: expanded\r\n", "Status: 2.1.5\r\n"]
    {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("info-false") && !text.contains("bob@far.example"), "{text}");
    until("all are gone", || queue.count() == 0).await;
}
