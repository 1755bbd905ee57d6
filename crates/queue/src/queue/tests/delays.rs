//! Who waits long is told so: once, and only who may be told.

use super::*;

fn config_with(dir: &Path, delay: u64) -> QueueConfig {
    let mut config = config(dir);
    config.reports.delay_after = Duration::from_millis(delay);
    config
}

async fn report_of_delay(queue: &Queue) -> String {
    let (mut worker, attempt) = next(queue).await;
    assert!(attempt.letter.from.is_null());
    let text = text_of(&attempt);
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    text
}

fn told(queue: &Queue, id: QueueId) -> usize {
    queue.inner.at_hand_or_load(id).unwrap().course.delay_told.len()
}

#[tokio::test]
async fn who_waits_is_told_once_and_what_will_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open_with(config_with(dir.path(), 50));
    let mut new = letter("alice@near.example", &["a@far.example", "b@far.example", "c@far.example"]);
    new.recipients[1].params.notify = Some(Notify { never: false, success: false, failure: true, delay: false });
    let id = submit(&queue, new).await;
    carry(&queue, vec![deferred(), deferred(), delivered()]).await;
    let text = report_of_delay(&queue).await;
    for expected in [
        "To: <alice@near.example>",
        "Subject: Your letter is delayed",
        "Final-Recipient: rfc822; a@far.example\r\nAction: delayed\r\nStatus: 4.2.1",
        "Will-Retry-Until: ",
        "mailbox busy",
        "please do not send it again",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("b@far.example") && !text.contains("c@far.example"), "{text}");
    until("it is written down", || told(&queue, id) == 1).await;
    until("the report is gone", || queue.count() == 1).await;
    // Deferred again, and after a restart: it was told.
    queue.flush();
    carry(&queue, vec![deferred(), deferred()]).await;
    queue.close(Duration::from_secs(20)).await;
    drop(queue);
    let House { queue, .. } = open_with(config_with(dir.path(), 50));
    queue.flush();
    carry(&queue, vec![deferred(), deferred()]).await;
    assert_eq!((told(&queue, id), queue.count()), (1, 1));
    assert_eq!(events(&queue, id).iter().filter(|event| *event == "report").count(), 1);
}

#[tokio::test]
async fn a_stranger_and_who_asked_for_silence_are_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open_with(config_with(dir.path(), 1));
    let mut stranger = letter("eve@strange.example", &["a@far.example"]);
    stranger.origin.client = Some([192, 0, 2, 1].into());
    let mut silent = letter("alice@near.example", &["a@far.example"]);
    silent.recipients[0].params.notify = Some(Notify { never: true, success: false, failure: false, delay: false });
    let report = letter("", &["a@far.example"]);
    for new in [stranger, silent, report] {
        let id = submit(&queue, new).await;
        carry(&queue, vec![deferred()]).await;
        let loaded = queue.inner.at_hand_or_load(id).unwrap();
        let due = queue.inner.lock().delay_due(&loaded.letter, &loaded.course);
        assert_eq!(due, None);
    }
    // The same stranger with a login is told.
    let mut known = letter("eve@strange.example", &["a@far.example"]);
    known.origin.client = Some([192, 0, 2, 1].into());
    known.origin.user = Some("eve".into());
    submit(&queue, known).await;
    carry(&queue, vec![deferred()]).await;
    assert!(report_of_delay(&queue).await.contains("eve@strange.example"));
    until("nothing else was written", || queue.count() == 4).await;
}

/// Its site may be dead, or slow, all the time.
#[tokio::test]
async fn who_waits_and_is_never_tried_is_told_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open_with(config_with(dir.path(), 200));
    let id = submit(&queue, letter("alice@near.example", &["a@far.example"])).await;
    // Somebody has the only connection, and takes nothing.
    let _worker = queue.next_worker().await.unwrap();
    until("it is written down", || told(&queue, id) == 1).await;
    until("the report waits", || queue.count() == 2).await;
    assert_eq!(queue.show(id).unwrap().summary.attempts, 0);
}

#[tokio::test]
async fn who_was_never_tried_is_told_what_ails_the_site() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open_with(config_with(dir.path(), 200));
    let tried = submit(&queue, letter("", &["a@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!(attempt.letter.id, tried);
    let waiting = submit(&queue, letter("alice@near.example", &["b@far.example"])).await;
    worker.weather(Weather::Trouble);
    worker.finish(attempt, Outcome { recipients: vec![deferred()] });
    until("it is written down", || told(&queue, waiting) == 1).await;
    drop(worker);
    // The report goes by another lane than the one that is taken.
    let text = loop {
        let (mut worker, attempt) = next(&queue).await;
        if attempt.letter.from.is_null() && attempt.letter.id != tried {
            break text_of(&attempt);
        }
        worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    };
    assert!(text.contains("mailbox busy"), "{text}");
}
