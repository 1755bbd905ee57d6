//! The process goes away without closing, and comes back.

use super::*;

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(submit(&queue, letter("alice@near.example", &[&format!("b{n}@far.example")])).await);
    }
    let (worker, attempt) = next(&queue).await;
    // Under way when the process went: tried again.
    let under_way = attempt.letter.id;
    drop((worker, attempt, queue));
    let House { queue, .. } = open(&dir);
    let found: Vec<_> = queue.list(&Filter::default()).iter().map(|summary| summary.id).collect();
    assert_eq!(found, ids);
    assert!(found.contains(&under_way));
    queue.flush();
    let mut carried = Vec::new();
    while queue.count() > 0 {
        let (mut worker, attempt) = next(&queue).await;
        assert!(text_of(&attempt).ends_with("At five?\r\n"));
        carried.push(attempt.letter.id);
        worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    }
    carried.sort();
    assert_eq!(carried, ids);
}

#[tokio::test]
async fn a_deferral_keeps_its_count_and_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["a@far.example", "b@far.example"])).await;
    carry(&queue, vec![delivered(), deferred()]).await;
    let before = queue.show(id).unwrap();
    drop(queue);
    let House { queue, .. } = open(&dir);
    let after = queue.show(id).unwrap();
    assert_eq!(after, before);
    assert_eq!(after.all_recipients[1].attempts, 1);
    assert!(no_worker_waits(&queue), "it is not due");
    queue.flush();
    let (_worker, attempt) = next(&queue).await;
    assert_eq!(attempt.recipients, [1]);
}

#[tokio::test]
async fn what_was_due_while_we_were_away_is_tried_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.intervals = vec![Duration::ZERO, Duration::from_millis(200)];
    let House { queue, .. } = open_with(config.clone());
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![deferred()]).await;
    drop(queue);
    let House { queue, .. } = open_with(config);
    assert_eq!(carry(&queue, vec![delivered()]).await, id);
}

#[tokio::test]
async fn a_finished_letter_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![delivered()]).await;
    queue.close(Duration::ZERO).await;
    drop(queue);
    assert_eq!(open(&dir).queue.count(), 0);
}

#[tokio::test]
async fn a_second_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _house = open(&dir);
    let error = Queue::open(config(dir.path()), Arc::new(Domains::default())).unwrap_err();
    assert!(matches!(error, OpenError::Spool(SpoolError::Locked { .. })), "{error}");
}
