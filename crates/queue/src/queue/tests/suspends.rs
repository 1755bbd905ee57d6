//! What is suspended is not tried, is kept over a restart, expires at its time, and is due when it is resumed.

use super::operators::at_rest;
use super::*;

async fn suspend(queue: &Queue, of: Suspended, until: Option<Timestamp>) {
    at_rest(queue, move |queue| queue.suspend(of, "they asked", until)).await.unwrap();
}

async fn resume(queue: &Queue, of: Suspended) -> bool {
    at_rest(queue, move |queue| queue.resume(of)).await.unwrap().is_some()
}

fn domain(name: &str) -> Suspended {
    Suspended::Domain(name.into())
}

fn site(name: &str) -> Suspended {
    Suspended::Site(name.into())
}

/// Nothing is in hand or about to be: all that is due was looked at.
async fn at_ease(queue: &Queue) {
    let due = || queue.inner.lock().scheduler.next_time().is_some_and(|at| at <= Timestamp::now());
    loop {
        until("the calendar is through", || !due()).await;
        let opened = queue.inner.lock().openings.len();
        if opened == 0 {
            return;
        }
        let mut worker = queue.next_worker().await.unwrap();
        assert!(worker.take().is_none(), "an attempt began");
    }
}

#[tokio::test]
async fn nothing_new_begins_at_a_suspended_site_and_what_runs_ends() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, letter("alice@near.example", &["a@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    suspend(&queue, site("FAR.example"), None).await;
    let waiting = submit(&queue, letter("alice@near.example", &["b@far.example"])).await;
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert!(worker.take().is_none());
    assert!(worker.take_within(Duration::from_secs(20)).await.is_none(), "the connection is given up");
    drop(worker);
    at_ease(&queue).await;
    let lane = queue.lanes().pop().unwrap();
    assert_eq!((lane.ready, lane.bound), (1, crate::Bound::Suspended { until: None }));
    let other = submit(&queue, letter("alice@near.example", &["c@other.example"])).await;
    assert_eq!(carry(&queue, vec![delivered()]).await, other);
    assert!(resume(&queue, site("far.example")).await);
    assert!(!resume(&queue, site("far.example")).await);
    assert_eq!(carry(&queue, vec![delivered()]).await, waiting);
}

#[tokio::test]
async fn a_suspended_domain_keeps_its_recipients_back_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, sites } = open(&dir);
    // Both are served by the same server: one job.
    sites.moved.lock().unwrap().extend([("one.example".into(), "s".into()), ("two.example".into(), "s".into())]);
    let id = submit(&queue, letter("alice@near.example", &["a@one.example", "b@two.example"])).await;
    suspend(&queue, domain("one.example"), None).await;
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!(attempt.recipients, [1]);
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    drop(worker);
    at_ease(&queue).await;
    assert_eq!(queue.flush(), 1, "an operator who retries does not end a suspension");
    at_ease(&queue).await;
    until("memory is free", || queue.inner.lock().warm.is_empty()).await;
    assert!(resume(&queue, domain("one.example")).await);
    assert_eq!(carry(&queue, vec![delivered()]).await, id);
    assert!(queue.inner.lock().scheduler.parked().is_empty());
    queue.recorder().flush();
    let records = std::fs::read_to_string(queue.recorder().dir().join("records.jsonl")).unwrap();
    assert!(
        records.contains(r#""event":"suspended","of":"domain","name":"one.example","text":"they asked""#),
        "{records}"
    );
    assert!(records.contains(r#""event":"resumed","of":"domain","name":"one.example","text":"by an operator""#));
}

#[tokio::test]
async fn suspensions_are_kept_over_a_restart_and_end_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    suspend(&queue, Suspended::Sender("alice@near.example".into()), None).await;
    let soon = Timestamp::now().after(Duration::from_secs(2));
    suspend(&queue, site("far.example"), Some(soon)).await;
    let alices = submit(&queue, letter("alice@near.example", &["a@other.example"])).await;
    let carols = submit(&queue, letter("carol@near.example", &["a@far.example"])).await;
    let before = queue.suspensions();
    assert_eq!(before.len(), 2);
    let suspended = Filter { state: Some(Standing::Suspended), ..Filter::default() };
    assert_eq!(queue.list(&suspended).len(), 2);
    drop(queue);
    assert_eq!(suspensions_at_rest(dir.path()).unwrap(), before);
    let suspended = Filter { state: Some(Standing::Suspended), ..Filter::default() };
    let at_rest = offline::list(dir.path(), &suspended).unwrap();
    // Only a running daemon knows the sites.
    assert_eq!(at_rest.iter().map(|letter| letter.id).collect::<Vec<_>>(), [alices]);
    let House { queue, .. } = open(&dir);
    assert_eq!(queue.suspensions(), before);
    assert_eq!(carry(&queue, vec![delivered()]).await, carols);
    assert!(Timestamp::now() >= soon);
    until("the file says so", || suspensions_at_rest(dir.path()).unwrap().len() == 1).await;
    at_ease(&queue).await;
    assert!(resume(&queue, Suspended::Sender("ALICE@near.example".into())).await);
    assert_eq!(carry(&queue, vec![delivered()]).await, alices);
}

#[tokio::test]
async fn a_suspended_domain_is_tried_when_its_end_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let end = Timestamp::now().after(Duration::from_millis(700));
    suspend(&queue, domain("far.example"), Some(end)).await;
    let id = submit(&queue, letter("alice@near.example", &["a@far.example"])).await;
    assert_eq!(carry(&queue, vec![delivered()]).await, id);
    assert!(Timestamp::now() >= end);
}

#[tokio::test]
async fn suspended_letters_expire_at_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.give_up_reports = Duration::from_millis(300);
    let House { queue, .. } = open_with(config);
    for of in [domain("one.example"), site("two.example")] {
        suspend(&queue, of, None).await;
    }
    let ids =
        [submit(&queue, letter("", &["a@one.example"])).await, submit(&queue, letter("", &["a@two.example"])).await];
    at_ease(&queue).await;
    until("they expire", || queue.count() == 0).await;
    for id in ids {
        assert_eq!(events(&queue, id), ["received", "expired"]);
    }
}

#[tokio::test]
async fn what_cannot_be_suspended_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let past = Some(Timestamp(1));
    let answer = at_rest(&queue, move |queue| queue.suspend(site("far.example"), "", past)).await;
    assert!(matches!(answer, Err(SuspendError::Past)), "{answer:?}");
    let answer = at_rest(&queue, |queue| queue.suspend(domain("no domain"), "", None)).await;
    assert!(matches!(answer, Err(SuspendError::NoDomain(_))), "{answer:?}");
    assert!(queue.suspensions().is_empty());
    drop(queue);
    std::fs::write(dir.path().join("suspensions.json"), "nonsense").unwrap();
    let House { queue, .. } = open(&dir);
    assert!(queue.suspensions().is_empty());
    let aside = std::fs::read_to_string(dir.path().join("suspensions.json.unreadable")).unwrap();
    assert_eq!(aside, "nonsense");
}

/// Many letters of a suspended sender, in one lane: none is begun, all go when it is resumed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_parked_letters_are_all_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    suspend(&queue, Suspended::Sender("@near.example".into()), None).await;
    for n in 0..1_000 {
        submit(&queue, letter("alice@near.example", &[&format!("b{n}@far.example")])).await;
    }
    let working = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut carried = 0;
            while carried < 1_000 {
                let mut worker = queue.next_worker().await.unwrap();
                while let Some(attempt) = worker.take_within(Duration::from_millis(20)).await {
                    carried += 1;
                    assert!(queue.suspensions().is_empty(), "an attempt began");
                    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
                }
            }
        }
    });
    until("all are parked", || queue.inner.lock().scheduler.parked().len() == 1_000).await;
    assert!(resume(&queue, Suspended::Sender("@near.example".into())).await);
    tokio::time::timeout(Duration::from_secs(20), working).await.unwrap().unwrap();
    assert_eq!(queue.count(), 0);
}
