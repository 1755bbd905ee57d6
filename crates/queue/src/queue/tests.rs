//! The facade with a real disk: letters in, attempts out, crashes in between. A test waits on conditions, never on time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;
use smtp::{MailParams, Mailbox, Notify, RcptParams, ReversePath};
use tempfile::TempDir;

use super::*;
use crate::letter::{Origin, Recipient, Timestamp};
use crate::retry::RetryPolicy;
use crate::{offline, record};

mod bulk;
mod crash;
mod damage;
mod delays;
mod load;
mod operators;
mod redirects;
mod reports;
mod suspends;
mod tallies;
mod times;

/// A site is a recipient's domain; some have moved.
#[derive(Debug, Default)]
struct Domains {
    moved: Mutex<HashMap<String, String>>,
}

impl Sites for Domains {
    fn place_of(&self, _: &Letter, recipient: &Recipient, redirect: Option<&str>) -> Place {
        let domain = redirect.map_or_else(|| recipient.address.host.to_string(), str::to_owned);
        let moved = self.moved.lock().unwrap().get(&domain).cloned();
        if domain == "unknown.example" && moved.is_none() {
            return Place::Unknown { domain: domain.into(), source: Source("second".into()) };
        }
        Lane::of(Site(moved.unwrap_or(domain).into())).into()
    }
    fn limits(&self, _: &Lane) -> Limits {
        Limits::connections(2)
    }
}

struct House {
    queue: Queue,
    sites: Arc<Domains>,
}

fn config(dir: &Path) -> QueueConfig {
    let second = Duration::from_secs(1);
    QueueConfig {
        data_dir: dir.to_owned(),
        host_name: "mx.near.example".into(),
        min_free: 0,
        retry: RetryPolicy {
            intervals: vec![Duration::ZERO],
            then: 3600 * second,
            jitter: 0,
            ..RetryPolicy::default()
        },
        ..QueueConfig::default()
    }
}

fn open_with(config: QueueConfig) -> House {
    let sites = Arc::new(Domains::default());
    let queue = Queue::open(config, sites.clone()).unwrap();
    House { queue, sites }
}

fn open(dir: &TempDir) -> House {
    open_with(config(dir.path()))
}

fn mailbox(text: &str) -> Mailbox {
    text.parse().unwrap()
}

fn letter(from: &str, to: &[&str]) -> NewLetter {
    NewLetter {
        from: if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(mailbox(from)) },
        params: MailParams::default(),
        recipients: to.iter().map(|to| Recipient::new(mailbox(to), RcptParams::default())).collect(),
        expanded: Vec::new(),
        origin: Origin { listener: "test".into(), protocol: "ESMTP".into(), ..Origin::default() },
        received: mail::trace::Received {
            by: "mx.near.example".into(),
            with: "ESMTP".into(),
            ..mail::trace::Received::default()
        },
        complete_header: false,
    }
}

const TEXT: &[u8] = b"From: alice@near.example\r\nSubject: tea\r\n\r\nAt five?\r\n";

async fn submit(queue: &Queue, letter: NewLetter) -> QueueId {
    let mut draft = queue.draft();
    draft.write(TEXT).unwrap();
    queue.submit(letter, draft).await.unwrap()
}

fn said(verdict: Verdict, code: u16, enhanced: (u8, u16, u16), text: &'static str) -> RecipientOutcome {
    RecipientOutcome {
        verdict,
        reply: Reply::new(code, enhanced, text),
        by: "mx.far.example [127.0.0.1]:25".into(),
        tls: String::new(),
    }
}

fn delivered() -> RecipientOutcome {
    said(Verdict::Delivered, 250, (2, 0, 0), "taken")
}

fn deferred() -> RecipientOutcome {
    said(Verdict::Deferred, 450, (4, 2, 1), "mailbox busy")
}

fn failed() -> RecipientOutcome {
    said(Verdict::Failed, 550, (5, 1, 1), "no such user")
}

/// The next letter that the queue hands out, whatever its site.
async fn next(queue: &Queue) -> (Worker, Attempt) {
    let patience = Duration::from_secs(20);
    let work = async {
        loop {
            let mut worker = queue.next_worker().await.unwrap();
            if let Some(attempt) = worker.take() {
                return (worker, attempt);
            }
        }
    };
    tokio::time::timeout(patience, work).await.expect("nothing was handed out")
}

async fn carry(queue: &Queue, outcomes: Vec<RecipientOutcome>) -> QueueId {
    let (mut worker, attempt) = next(queue).await;
    let id = attempt.letter.id;
    assert_eq!(attempt.recipients.len(), outcomes.len());
    worker.finish(attempt, Outcome { recipients: outcomes });
    id
}

fn text_of(attempt: &Attempt) -> String {
    let mut text = Vec::new();
    while text.len() < attempt.body.len() as usize {
        text.extend_from_slice(&attempt.body.read_at(text.len() as u64, 1 << 20).unwrap());
    }
    String::from_utf8(text).unwrap()
}

/// Waits until it is so.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn events(queue: &Queue, id: QueueId) -> Vec<String> {
    queue.recorder().flush();
    let records = record::history(queue.recorder().dir(), id, 100).unwrap();
    records.iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect()
}

fn no_worker_waits(queue: &Queue) -> bool {
    queue.inner.lock().openings.is_empty()
}

#[tokio::test]
async fn smtputf8_stays_only_where_something_needs_it() {
    let dir = TempDir::new().unwrap();
    let House { queue, .. } = open(&dir);
    let cases = [
        ("alice@near.example", "From: alice@near.example\r\n\r\n\u{e9}\r\n", false),
        ("alice@near.example", "Subject: caf\u{e9}\r\n\r\nx\r\n", true),
        ("\u{e9}@near.example", "Subject: x\r\n\r\nx\r\n", true),
    ];
    for (from, text, stays) in cases {
        let mut new = letter(from, &["bob@far.example"]);
        new.params.smtputf8 = true;
        let mut draft = queue.draft();
        draft.write(text.as_bytes()).unwrap();
        queue.submit(new, draft).await.unwrap();
        let (mut worker, attempt) = next(&queue).await;
        assert_eq!(attempt.letter.params.smtputf8, stays, "{from} {text}");
        worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    }
}

#[tokio::test]
async fn a_letter_is_carried_and_gone() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!((attempt.letter.id, worker.lane.site.0.as_ref()), (id, "far.example"));
    let text = text_of(&attempt);
    assert!(text.starts_with("Received: by mx.near.example with ESMTP"), "{text}");
    assert!(text.contains(&format!("id {id};")) && text.ends_with("Subject: tea\r\n\r\nAt five?\r\n"), "{text}");
    assert_eq!(attempt.letter.size, attempt.body.len());
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert_eq!(queue.count(), 0);
    assert!(worker.take().is_none());
    drop(worker);
    assert_eq!(events(&queue, id), ["received", "delivered"]);
    let state = queue.inner.lock();
    assert!(state.warm.is_empty() && state.hot == 0 && state.idle.is_empty());
    assert_eq!(state.scheduler.workers(), (0, 0));
}

#[tokio::test]
async fn a_submission_gets_what_its_header_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, NewLetter { complete_header: true, ..letter("alice@near.example", &["bob@far.example"]) }).await;
    let (mut worker, attempt) = next(&queue).await;
    let text = text_of(&attempt);
    assert!(text.contains("\r\nDate: ") && text.contains("\r\nMessage-ID: <"), "{text}");
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    let mut draft = queue.draft();
    draft.write(b"Date: Mon, 23 Nov 2026 21:49:26 +0000\r\nmessage-id: <a@b>\r\n\r\nx\r\n").unwrap();
    let complete = NewLetter { complete_header: true, ..letter("alice@near.example", &["bob@far.example"]) };
    queue.submit(complete, draft).await.unwrap();
    let text = text_of(&worker.take_within(Duration::from_secs(20)).await.unwrap());
    assert_eq!((text.matches("Date: ").count(), text.to_lowercase().matches("message-id: ").count()), (1, 1), "{text}");
}

/// What one reader shows and another one's DKIM verifies must be the same From.
#[tokio::test]
async fn a_submission_with_several_from_fields_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let client = || {
        let new = letter("alice@near.example", &["bob@far.example"]);
        let origin = Origin { client: Some([192, 0, 2, 1].into()), ..new.origin.clone() };
        NewLetter { complete_header: true, origin, ..new }
    };
    let two = b"From: a@near.example\r\nfrom : b@bank.example\r\n\r\nFrom: x\r\n";
    let one = b"From: a@near.example,\r\n b@near.example\r\n\r\nFrom: x\r\nFrom: y\r\n";
    for (new, text, taken) in [
        (client(), &two[..], false),
        (client(), &one[..], true),
        (NewLetter { complete_header: false, ..client() }, &two[..], true),
    ] {
        let mut draft = queue.draft();
        draft.write(text).unwrap();
        let answer = queue.submit(new, draft).await;
        assert_eq!(answer.is_ok(), taken, "{answer:?}");
        assert!(taken || answer.unwrap_err().reply().to_string().starts_with("550 5.6.0 "));
    }
}

#[tokio::test]
async fn each_site_gets_its_own_recipients_and_each_recipient_its_own_end() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let to = ["a@one.example", "b@two.example", "c@one.example", "d@two.example", "e@one.example"];
    let id = submit(&queue, letter("alice@near.example", &to)).await;
    let mut seen = HashMap::new();
    let mut open = Vec::new();
    for _ in 0..2 {
        let (worker, attempt) = next(&queue).await;
        seen.insert(worker.lane.site.0.to_string(), attempt.recipients.clone());
        open.push((worker, attempt));
    }
    assert_eq!(seen["one.example"], [0, 2, 4]);
    assert_eq!(seen["two.example"], [1, 3]);
    open.sort_by_key(|(worker, _)| worker.lane.clone());
    let (mut two, attempt) = open.pop().unwrap();
    two.finish(attempt, Outcome { recipients: vec![delivered(), delivered()] });
    let (mut one, attempt) = open.pop().unwrap();
    one.finish(attempt, Outcome { recipients: vec![delivered(), deferred(), delivered()] });
    let details = queue.show(id).unwrap();
    let standings: Vec<_> = details.all_recipients.iter().map(|recipient| recipient.standing).collect();
    use Standing::{Delivered, Waiting};
    assert_eq!(standings, [Delivered, Delivered, Waiting, Delivered, Delivered]);
    queue.flush();
    let (mut worker, attempt) = (one.take_within(Duration::from_secs(20)).await).map(|attempt| (one, attempt)).unwrap();
    assert_eq!(attempt.recipients, [2]);
    assert_eq!(attempt.letter.recipients[2].state.last().unwrap().reply.text(), "mailbox busy");
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert_eq!(queue.count(), 0);
}

#[tokio::test]
async fn a_deferred_letter_comes_again_when_its_time_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let soon = Duration::from_millis(30);
    let mut config = config(dir.path());
    config.retry.intervals = vec![Duration::ZERO, soon, soon];
    let House { queue, .. } = open_with(config);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    for attempts in 0..3 {
        let (mut worker, attempt) = next(&queue).await;
        assert_eq!(submit::attempts(&attempt.letter.recipients[0].state), attempts);
        worker.finish(attempt, Outcome { recipients: vec![deferred()] });
    }
    let summary = queue.list(&Filter::default()).remove(0);
    assert_eq!((summary.attempts, summary.standing), (3, Standing::Waiting));
    assert!(summary.next.unwrap() > Timestamp::now().after(Duration::from_secs(3000)));
    assert_eq!(events(&queue, id), ["received", "deferred", "deferred", "deferred"]);
    until("what only waits is not in memory", || queue.inner.lock().warm.is_empty()).await;
}

#[tokio::test]
async fn the_first_attempt_waits_where_the_schedule_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.intervals = vec![Duration::from_secs(60)];
    let House { queue, .. } = open_with(config);
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    assert!(no_worker_waits(&queue));
    assert_eq!(queue.flush(), 1);
    carry(&queue, vec![delivered()]).await;
}

#[tokio::test]
async fn an_attempt_that_is_dropped_is_deferred() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    drop(next(&queue).await);
    let details = queue.show(id).unwrap();
    assert_eq!(details.summary.standing, Standing::Waiting);
    assert_eq!(details.all_recipients[0].attempts, 1);
    assert_eq!(details.all_recipients[0].last.as_ref().unwrap().text, "the attempt was interrupted");
    assert_eq!(details.records.last().unwrap()["event"], Value::from("deferred"));
    assert_eq!(queue.inner.lock().scheduler.workers(), (0, 0));
}

#[tokio::test]
async fn an_outcome_too_short_defers_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["a@far.example", "b@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    let standings: Vec<_> = queue.show(id).unwrap().all_recipients.iter().map(|r| r.standing).collect();
    assert_eq!(standings, [Standing::Delivered, Standing::Waiting]);
}

#[tokio::test]
async fn a_kept_connection_gets_the_next_letter() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    let waiting = tokio::spawn(async move {
        let attempt = worker.take_within(Duration::from_secs(20)).await;
        (worker, attempt)
    });
    until("the worker is idle", || queue.inner.lock().idle.len() == 1).await;
    let id = submit(&queue, letter("alice@near.example", &["carol@far.example"])).await;
    let (mut worker, attempt) = waiting.await.unwrap();
    let attempt = attempt.unwrap();
    assert_eq!(attempt.letter.id, id);
    assert!(no_worker_waits(&queue), "no second connection was asked for");
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert!(worker.take_within(Duration::from_millis(1)).await.is_none());
}

#[tokio::test]
async fn a_job_handed_to_a_worker_that_stopped_waiting_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    {
        let waiting = worker.take_within(Duration::from_secs(60));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        // It is handed over, but the future is never polled again.
        submit(&queue, letter("alice@near.example", &["carol@far.example"])).await;
        assert_eq!(queue.inner.lock().scheduler.workers(), (1, 1));
    }
    let attempt = worker.take().unwrap();
    assert_eq!(attempt.letter.recipients[0].address, mailbox("carol@far.example"));
}

#[tokio::test]
async fn a_site_is_decided_anew_at_each_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, sites } = open(&dir);
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![deferred()]).await;
    sites.moved.lock().unwrap().insert("far.example".into(), "relay".into());
    queue.flush();
    let (worker, _attempt) = next(&queue).await;
    assert_eq!(worker.lane.site.0.as_ref(), "relay");
}

#[tokio::test]
async fn who_goes_elsewhere_now_is_placed_anew_at_once_and_no_attempt_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, sites } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example", "carol@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    sites.moved.lock().unwrap().insert("far.example".into(), "relay".into());
    let moved = RecipientOutcome { verdict: Verdict::Moved, ..deferred() };
    worker.finish(attempt, Outcome { recipients: vec![delivered(), moved] });
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!((worker.lane.site.0.as_ref(), attempt.letter.id, attempt.recipients.clone()), ("relay", id, vec![1]));
    // The router does not think so: not again and again.
    worker.finish(attempt, Outcome { recipients: vec![RecipientOutcome { verdict: Verdict::Moved, ..deferred() }] });
    assert!(worker.take().is_none());
    let details = queue.show(id).unwrap();
    assert_eq!(details.summary.attempts, 0);
    assert!(details.summary.next.is_some());
    assert_eq!(events(&queue, id), ["received", "delivered"]);
}

#[tokio::test]
async fn letters_for_an_unknown_domain_wait_for_one_search_and_keep_their_source() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    for _ in 0..2 {
        submit(&queue, letter("alice@near.example", &["bob@unknown.example"])).await;
    }
    let search = queue.next_search().await.unwrap();
    assert_eq!(&*search.domain, "unknown.example");
    queue.found(&search.domain, Site("mx".into()), Via("mx1".into()));
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!((&*worker.lane.site.0, &*worker.lane.source.0), ("mx", "second"));
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert!(worker.take().is_some());
    drop(search);
    queue.close(Duration::ZERO).await;
    assert!(queue.next_search().await.is_none());
}

#[tokio::test]
async fn a_letter_that_is_not_in_memory_is_read_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open_with(QueueConfig { hot_memory: 0, ..config(dir.path()) });
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example", "carol@far.example"])).await;
    queue.inner.lock().forget(id);
    let (mut worker, attempt) = next(&queue).await;
    assert!(text_of(&attempt).ends_with("At five?\r\n"));
    worker.finish(attempt, Outcome { recipients: vec![delivered(), deferred()] });
    assert_eq!(queue.show(id).unwrap().summary.pending, 1);
}

#[tokio::test]
async fn no_room_is_said_before_the_letter_comes() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open_with(QueueConfig { min_free: u64::MAX / 2, ..config(dir.path()) });
    assert!(matches!(queue.room_for(1_000), Err(Refusal::NoSpace)));
    queue.reconfigure(config(dir.path()));
    assert!(queue.room_for(1_000).is_ok());
    assert!(matches!(queue.room_for(u64::MAX), Err(Refusal::NoSpace)));
    queue.close(Duration::ZERO).await;
    assert!(matches!(queue.room_for(1), Err(Refusal::Stopping)));
}

#[tokio::test]
async fn closing_waits_for_the_attempt_under_way_and_hands_out_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let kept = submit(&queue, letter("alice@near.example", &["bob@other.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    let closing = tokio::spawn({
        let queue = queue.clone();
        async move { queue.close(Duration::from_secs(20)).await }
    });
    until("it is closing", || queue.inner.lock().closed).await;
    assert!(queue.next_worker().await.is_none());
    assert!(matches!(queue.submit(letter("", &["a@b.example"]), queue.draft()).await, Err(Refusal::Stopping)));
    assert!(!closing.is_finished());
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert!(worker.take().is_none());
    drop(worker);
    closing.await.unwrap();
    drop(queue);
    let House { queue, .. } = open(&dir);
    let ids: Vec<_> = queue.list(&Filter::default()).iter().map(|summary| summary.id).collect();
    assert_eq!(ids, [kept]);
}

#[tokio::test]
async fn a_letter_whose_client_went_away_is_delivered_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let mut draft = queue.draft();
    draft.write(TEXT).unwrap();
    {
        let submitting = queue.submit(letter("alice@near.example", &["bob@far.example"]), draft);
        tokio::pin!(submitting);
        // Polled once, then dropped: as when the session's task is cancelled.
        let _ = futures_once(submitting.as_mut()).await;
    }
    carry(&queue, vec![delivered()]).await;
}

/// Polls a future exactly once.
async fn futures_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut future = Some(future);
    std::future::poll_fn(move |cx| {
        let polled = future.take().map(|future| future.poll(cx));
        std::task::Poll::Ready(match polled {
            Some(std::task::Poll::Ready(output)) => Some(output),
            _ => None,
        })
    })
    .await
}
