//! List, show, retry, drop; and the same of a stopped daemon.

use super::*;

/// What an operator asks blocks.
pub(super) async fn at_rest<T: Send + 'static>(queue: &Queue, ask: impl FnOnce(&Queue) -> T + Send + 'static) -> T {
    let queue = queue.clone();
    tokio::task::spawn_blocking(move || ask(&queue)).await.unwrap()
}

#[tokio::test]
async fn a_list_can_be_narrowed() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let first = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let second = submit(&queue, letter("", &["carol@other.example"])).await;
    let ids = |filter: Filter| queue.list(&filter).iter().map(|summary| summary.id).collect::<Vec<_>>();
    assert_eq!(ids(Filter::default()), [first, second]);
    assert_eq!(ids(Filter { from: Some("ALICE@".into()), ..Filter::default() }), [first]);
    assert_eq!(ids(Filter { from: Some("<>".into()), ..Filter::default() }), [second]);
    assert_eq!(ids(Filter { to: Some("other.example".into()), ..Filter::default() }), [second]);
    assert_eq!(ids(Filter { limit: Some(1), ..Filter::default() }), [first]);
    assert_eq!(ids(Filter { after: Some(first), limit: Some(1), ..Filter::default() }), [second]);
    assert_eq!(ids(Filter { after: Some(second), ..Filter::default() }), []);
}

#[tokio::test]
async fn show_tells_the_last_reply_in_the_remotes_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    assert_eq!(queue.show(id).unwrap().summary.standing, Standing::Ready);
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!(queue.show(id).unwrap().summary.standing, Standing::Trying);
    worker.finish(attempt, Outcome { recipients: vec![deferred()] });
    let details = queue.show(id).unwrap();
    let last = details.all_recipients[0].last.as_ref().unwrap();
    assert_eq!((last.code, last.enhanced.as_deref(), last.text.as_str()), (450, Some("4.2.1"), "mailbox busy"));
    assert_eq!(last.by, "mx.far.example [127.0.0.1]:25");
    assert_eq!(details.summary.last.as_ref(), Some(last));
    assert_eq!(details.records.len(), 2);
    let text = serde_json::to_string(&details).unwrap();
    assert_eq!(serde_json::from_str::<Details>(&text).unwrap(), details);
    assert!(queue.show(QueueId(1)).is_none());
}

#[tokio::test]
async fn a_dropped_letter_is_gone_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let trying = submit(&queue, letter("alice@near.example", &["bob@other.example"])).await;
    let mut open_now = Vec::new();
    for _ in 0..2 {
        let (mut worker, attempt) = next(&queue).await;
        if attempt.letter.id == id {
            worker.finish(attempt, Outcome { recipients: vec![deferred()] });
        } else {
            open_now.push((worker, attempt));
        }
    }
    let named = Selection::Ids(vec![id, trying, QueueId(3)]);
    assert_eq!(at_rest(&queue, move |queue| queue.drop(&named)).await.unwrap(), 2);
    assert_eq!((queue.count(), queue.flush()), (0, 0));
    assert_eq!(events(&queue, id), ["received", "deferred", "dropped"]);
    // What was being tried ends without a report, whatever comes of it.
    let (mut worker, attempt) = open_now.pop().unwrap();
    worker.finish(attempt, Outcome { recipients: vec![failed()] });
    assert_eq!(events(&queue, trying), ["received", "dropped", "failed"]);
    assert!(queue.inner.lock().warm.is_empty());
    drop(worker);
    queue.close(Duration::ZERO).await;
    drop(queue);
    assert_eq!(open(&dir).queue.count(), 0);
}

#[tokio::test]
async fn a_stopped_daemons_queue_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["a@far.example", "b@far.example"])).await;
    carry(&queue, vec![delivered(), deferred()]).await;
    let (listed, shown) = (queue.list(&Filter::default()), queue.show(id));
    let config = queue.inner.config();
    queue.close(Duration::ZERO).await;
    drop(queue);
    assert_eq!(offline::list(dir.path(), &Filter::default()).unwrap(), listed);
    assert_eq!(offline::show(dir.path(), &config, id).unwrap(), shown);
    assert_eq!(offline::show(dir.path(), &config, QueueId(1)).unwrap(), None);
}

#[tokio::test]
async fn retry_names_how_many_there_were() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![deferred()]).await;
    assert_eq!(queue.retry(&Selection::Ids(vec![id, QueueId(1)])), 1);
    assert_eq!(carry(&queue, vec![deferred()]).await, id);
    assert_eq!(queue.retry(&Selection::All), 1);
    carry(&queue, vec![delivered()]).await;
}
