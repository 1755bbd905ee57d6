//! HOLDFOR, HOLDUNTIL and BY: not before, and not after.

use smtp::{ByMode, DeliverBy, Hold};

use super::*;

fn held(hold: Hold) -> NewLetter {
    let mut new = letter("alice@near.example", &["bob@far.example"]);
    new.params.hold = Some(hold);
    new
}

fn now() -> u64 {
    Timestamp::now().0 / 1000
}

#[tokio::test]
async fn a_held_letter_is_not_tried_before_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    for hold in [Hold::For(1), Hold::Until(now() + 2)] {
        let id = submit(&queue, held(hold)).await;
        let release = queue.inner.load(id).unwrap().letter.release();
        // A slow machine may be past it by now.
        assert!(no_worker_waits(&queue) || Timestamp::now() >= release);
        let (mut worker, attempt) = next(&queue).await;
        assert!(Timestamp::now() >= attempt.letter.release(), "{hold:?}");
        worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    }
    submit(&queue, held(Hold::Until(1))).await;
    carry(&queue, vec![delivered()]).await;
    until("all are gone", || queue.count() == 0).await;
}

#[tokio::test]
async fn a_letter_is_held_for_longer_than_any_retry_and_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let day = 24 * 60 * 60;
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, held(Hold::For(60 * day))).await;
    let release = queue.inner.load(id).unwrap().letter.release();
    queue.close(Duration::from_secs(5)).await;
    drop(queue);

    let House { queue, .. } = open(&dir);
    // The clock may have been set back: all are looked at, and this one still waits.
    let inner = Arc::clone(&queue.inner);
    {
        let mut state = inner.lock();
        let now = Timestamp::now();
        state.scheduler.handle_clock_back(now, now);
        inner.pump(&mut state);
    }
    until("it waits again", || queue.inner.lock().scheduler.next_time().is_some_and(|at| at == release)).await;
    assert!(no_worker_waits(&queue));
    let summary = queue.list(&Filter::default()).remove(0);
    assert_eq!((summary.next, summary.attempts, summary.standing), (Some(release), 0, Standing::Waiting));
    // An operator may send it on its way.
    assert_eq!(queue.flush(), 1);
    carry(&queue, vec![delivered()]).await;
}

#[tokio::test]
async fn the_time_to_give_up_begins_when_a_letter_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.give_up = Duration::from_millis(500);
    let House { queue, .. } = open_with(config);
    submit(&queue, held(Hold::For(1))).await;
    assert_eq!(text_of(&next(&queue).await.1).matches("At five?").count(), 1, "the letter, and no report about it");
}

#[tokio::test]
async fn a_letter_that_must_be_delivered_by_a_time_goes_back_then() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let mut new = letter("alice@near.example", &["bob@far.example"]);
    new.params.by = Some(DeliverBy { seconds: 1, mode: ByMode::Return, trace: false });
    let id = submit(&queue, new).await;
    let due = queue.inner.load(id).unwrap().letter.deadline().unwrap();
    carry(&queue, vec![deferred()]).await;
    let (mut worker, report) = next(&queue).await;
    let text = text_of(&report);
    assert!(report.letter.from.is_null() && text.contains("Status: 5.4.7"), "{text}");
    assert!(Timestamp::now() >= due, "not before its time");
    worker.finish(report, Outcome { recipients: vec![delivered()] });
    until("both are gone", || queue.count() == 0).await;
    assert_eq!(events(&queue, id), ["received", "deferred", "expired", "report"]);
}

#[tokio::test]
async fn who_wants_to_hear_of_a_delay_is_told_at_that_time() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let mut new = letter("alice@near.example", &["bob@far.example"]);
    new.params.by = Some(DeliverBy { seconds: 1, mode: ByMode::Notify, trace: false });
    let id = submit(&queue, new).await;
    let due = queue.inner.load(id).unwrap().letter.late_from().unwrap();
    carry(&queue, vec![deferred()]).await;
    let (mut worker, report) = next(&queue).await;
    let text = text_of(&report);
    assert!(report.letter.from.is_null() && text.contains("Action: delayed"), "{text}");
    assert!(Timestamp::now() >= due, "not before its time");
    worker.finish(report, Outcome { recipients: vec![delivered()] });
    until("the report is gone, and the letter goes on", || queue.count() == 1).await;
}

#[tokio::test]
async fn what_is_sent_to_many_is_known_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let user = |name: Option<&str>| {
        let mut new = letter("alice@near.example", &["bob@far.example"]);
        new.origin.user = name.map(str::to_owned);
        new.origin.client = Some(std::net::IpAddr::from([192, 0, 2, 1]));
        new
    };
    for (header, name, bulk) in [
        ("Precedence: list\r\n", None, true),
        ("X-Gatepost-Priority: low\r\n", None, false),
        ("X-Gatepost-Priority: low\r\n", Some("alice"), true),
        ("Subject: Precedence: list\r\n", None, false),
    ] {
        let mut draft = queue.draft();
        draft.write(format!("{header}\r\ntext\r\n").as_bytes()).unwrap();
        let id = queue.submit(user(name), draft).await.unwrap();
        assert_eq!(queue.inner.load(id).unwrap().letter.bulk, bulk, "{header:?} {name:?}");
    }
}

#[tokio::test]
async fn a_letter_that_expired_while_the_server_was_off_is_tried_once_more() {
    use crate::letter::{Course, codec};
    use crate::spool::{RealDisk, Spool, SpoolConfig};
    let dir = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    {
        let (spool, _) = Spool::open(SpoolConfig::new(dir.path().join("spool")), Arc::new(RealDisk)).unwrap();
        let long_ago = Timestamp(Timestamp::now().0 - (9 * day).as_millis() as u64);
        let letter = Letter {
            id: spool.next_id(),
            arrived: long_ago,
            from: ReversePath::Mailbox(mailbox("alice@near.example")),
            params: MailParams::default(),
            recipients: vec![Recipient::new(mailbox("bob@far.example"), RcptParams::default())],
            size: 0,
            origin: Origin::default(),
            bulk: false,
            tls_optional: false,
        };
        let course = Course::fresh(&letter, long_ago.after(day));
        spool.append(letter.id, codec::encode_meta(&letter), Vec::new(), spool.draft()).await.unwrap();
        spool.update_durably(letter.id, codec::encode_state(&course)).await.unwrap();
    }
    let House { queue, .. } = open(&dir);
    let (mut worker, attempt) = next(&queue).await;
    let said = attempt.recipients.iter().map(|_| deferred()).collect();
    let id = attempt.letter.id;
    worker.finish(attempt, Outcome { recipients: said });
    drop(worker);
    until("it is given back where that failed", || queue.show(id).is_none()).await;
}
