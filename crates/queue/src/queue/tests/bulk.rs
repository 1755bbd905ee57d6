//! Hold, release, give back and drop, one letter and many, and the power going in between.

use super::operators::at_rest;
use super::*;
use crate::spool::sim::{Dice, Fault, SimDisk};

fn held(queue: &Queue) -> usize {
    queue.list(&Filter { state: Some(Standing::Held), ..Filter::default() }).len()
}

async fn hold(queue: &Queue, until: Option<Timestamp>) -> usize {
    at_rest(queue, move |queue| queue.hold(&Selection::All, "looks odd", until)).await.unwrap()
}

#[tokio::test]
async fn a_held_letter_is_not_tried_and_does_not_expire() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.give_up = Duration::from_millis(400);
    let House { queue, .. } = open_with(config.clone());
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    assert_eq!(hold(&queue, None).await, 1);
    let mut worker = queue.next_worker().await.unwrap();
    assert!(worker.take().is_none(), "what was ready is ready no more");
    drop(worker);
    assert_eq!(queue.flush(), 0, "to try a held letter, release it");
    drop(queue);
    let House { queue, .. } = open_with(config);
    let details = queue.show(id).unwrap();
    assert_eq!((details.summary.standing, details.summary.next), (Standing::Held, None));
    assert_eq!(details.summary.held.unwrap().reason, "looks odd");
    assert_eq!(details.all_recipients[0].standing, Standing::Held);
    until("its time would have run out", || {
        Timestamp::now() > details.summary.arrived.after(Duration::from_millis(600))
    })
    .await;
    assert!(no_worker_waits(&queue), "neither tried nor reported");
    assert_eq!(at_rest(&queue, |queue| queue.release(&Selection::All)).await.unwrap(), 1);
    assert_eq!(at_rest(&queue, |queue| queue.release(&Selection::All)).await.unwrap(), 0);
    assert_eq!(carry(&queue, vec![delivered()]).await, id);
    assert_eq!(events(&queue, id), ["received", "held", "released", "delivered"]);
}

#[tokio::test]
async fn a_hold_with_an_end_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    hold(&queue, Some(Timestamp::now().after(Duration::from_millis(100)))).await;
    until("the attempt begins", || !matches!(queue.show(id).unwrap().summary.standing, Standing::Held)).await;
    assert_eq!(carry(&queue, vec![delivered()]).await, id);
}

#[tokio::test]
async fn an_attempt_under_way_ends_as_it_ends_and_the_hold_stays() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["a@far.example", "b@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!(hold(&queue, None).await, 1);
    worker.finish(attempt, Outcome { recipients: vec![deferred(), delivered()] });
    let standings: Vec<_> = queue.show(id).unwrap().all_recipients.iter().map(|r| r.standing).collect();
    assert_eq!(standings, [Standing::Held, Standing::Delivered]);
    until("it is not kept in memory", || queue.inner.lock().warm.is_empty()).await;
    assert_eq!(held(&queue), 1);
}

#[tokio::test]
async fn a_letter_given_back_is_reported_with_the_operators_reason() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    let silent = submit(&queue, letter("", &["bob@far.example"])).await;
    hold(&queue, None).await;
    let given = at_rest(&queue, |queue| queue.bounce(&Selection::All, "wrong list")).await.unwrap();
    assert_eq!((given, queue.count()), (2, 1), "only the report is left");
    let (mut worker, attempt) = loop {
        let mut worker = queue.next_worker().await.unwrap();
        if let Some(attempt) = worker.take() {
            break (worker, attempt);
        }
    };
    let text = text_of(&attempt);
    assert!(text.contains("Action: failed\r\nStatus: 5.0.0"), "{text}");
    assert!(text.contains("an operator of this server gave the letter back: wrong list"), "{text}");
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert_eq!(events(&queue, id), ["received", "held", "failed", "report"]);
    assert_eq!(events(&queue, silent), ["received", "held", "failed"]);
}

#[tokio::test]
async fn a_filter_means_what_it_says_and_a_dry_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let one = submit(&queue, letter("alice@near.example", &["bob@one.example"])).await;
    let two = submit(&queue, letter("carol@near.example", &["bob@two.example", "bob@one.example"])).await;
    let hour = Some(Duration::from_secs(3600));
    let cases = [
        (Filter::default(), vec![one, two]),
        (Filter { domain: Some("ONE.example".into()), ..Filter::default() }, vec![one, two]),
        (Filter { domain: Some("example".into()), ..Filter::default() }, vec![]),
        (Filter { site: Some("two.example".into()), ..Filter::default() }, vec![two]),
        (Filter { from: Some("alice".into()), domain: Some("one.example".into()), ..Filter::default() }, vec![one]),
        (Filter { state: Some(Standing::Ready), ..Filter::default() }, vec![one, two]),
        (Filter { state: Some(Standing::Waiting), ..Filter::default() }, vec![]),
        (Filter { older: hour, ..Filter::default() }, vec![]),
        (Filter { younger: hour, limit: Some(1), ..Filter::default() }, vec![one]),
    ];
    for (filter, expected) in cases {
        let listed: Vec<_> = queue.list(&filter).iter().map(|summary| summary.id).collect();
        assert_eq!(listed, expected, "{filter:?}");
        let selection = Selection::Filter(filter);
        assert_eq!(at_rest(&queue, move |queue| queue.matching(&selection)).await, expected.len());
    }
    assert_eq!((held(&queue), queue.count()), (0, 2));
    let site = Selection::Filter(Filter { site: Some("two.example".into()), ..Filter::default() });
    assert_eq!(at_rest(&queue, move |queue| queue.hold(&site, "", None)).await.unwrap(), 1);
    assert_eq!(queue.show(two).unwrap().summary.standing, Standing::Held);
    let state = Selection::Filter(Filter { state: Some(Standing::Held), ..Filter::default() });
    assert_eq!(at_rest(&queue, move |queue| queue.drop(&state)).await.unwrap(), 1);
    assert_eq!(queue.count(), 1);
    let state = queue.inner.lock();
    assert_eq!((state.bulk, state.cool_later.len()), (0, 0));
}

fn open_simulated(disk: &SimDisk) -> Result<Queue, OpenError> {
    let config = config(Path::new("/data"));
    Queue::open_on(config, Arc::new(Domains::default()), Arc::new(disk.clone()), Recorder::none())
}

/// Before or after: no power cut loses a letter that is being held, and none that was said to be held is free.
#[tokio::test]
async fn no_power_cut_in_a_bulk_hold_loses_a_letter_or_a_hold_that_was_told() {
    let mut cut = 0;
    for step in 0..24 {
        let disk = SimDisk::new();
        let queue = open_simulated(&disk).unwrap();
        for n in 0..30 {
            submit(&queue, letter("alice@near.example", &[&format!("b{n}@far.example")])).await;
        }
        disk.fault_in(step, Fault::PowerCut);
        let answer = at_rest(&queue, |queue| queue.hold(&Selection::All, "stop", None)).await;
        disk.die();
        let disk = disk.after_power_cut(&mut Dice::new(step + 1));
        let queue = open_simulated(&disk).unwrap();
        assert_eq!(queue.count(), 30, "step {step}");
        match answer {
            Ok(count) => assert_eq!((count, held(&queue)), (30, 30), "step {step}"),
            Err(_) => cut += 1,
        }
    }
    assert!((1..24).contains(&cut), "the power was never cut in the middle, or always: {cut}");
}

/// Many sites, many letters: one command. The bound is wide, for slow machines and unoptimized code; it is there to see
/// a sync for each letter, or a lock held for all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_letters_are_held_by_few_syncs() {
    const LETTERS: usize = 10_000;
    let disk = SimDisk::new();
    let mut config = config(Path::new("/data"));
    // Nothing is tried at once.
    config.retry.intervals = vec![Duration::from_secs(3600)];
    let queue = Queue::open_on(config, Arc::new(Domains::default()), Arc::new(disk.clone()), Recorder::none()).unwrap();
    let submitting: Vec<_> = (0..100)
        .map(|part| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in 0..LETTERS / 100 {
                    submit(&queue, letter("alice@near.example", &[&format!("b{n}@site{part}.example")])).await;
                }
            })
        })
        .collect();
    for done in submitting {
        done.await.unwrap();
    }
    let began = std::time::Instant::now();
    assert_eq!(hold(&queue, None).await, LETTERS);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("{LETTERS} held in {took:?}");
    for (what, to) in [("redirected", Some("other.example")), ("redirected back", None)] {
        let began = std::time::Instant::now();
        let changed = at_rest(&queue, move |queue| queue.redirect(&Selection::All, to)).await.unwrap();
        println!("{changed} {what} in {:?}", began.elapsed());
        assert_eq!(changed, LETTERS);
    }
    let began = std::time::Instant::now();
    let groups = at_rest(&queue, |queue| queue.tally(By::Site, &Filter::default(), LETTERS)).await.groups;
    println!("{} groups of {LETTERS} in {:?}", groups.len(), began.elapsed());
    assert_eq!(groups.len(), 100);
    let known = Selection::Filter(Filter { domain: Some("site7.example".into()), ..Filter::default() });
    assert_eq!(at_rest(&queue, move |queue| queue.release(&known)).await.unwrap(), LETTERS / 100);
    assert_eq!(at_rest(&queue, held).await, LETTERS - LETTERS / 100);
    // The released are ready to be tried.
    until("memory is free again", || queue.inner.lock().warm.len() <= LETTERS / 100).await;
}
