//! Letters that an operator sends another way.

use super::operators::at_rest;
use super::*;

async fn redirect(queue: &Queue, to: Option<&'static str>) -> usize {
    at_rest(queue, move |queue| queue.redirect(&Selection::All, to)).await.unwrap()
}

#[tokio::test]
async fn a_redirected_letter_goes_the_other_way_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let id = submit(&queue, letter("alice@near.example", &["a@one.example", "b@two.example"])).await;
    for _ in 0..2 {
        carry(&queue, vec![deferred()]).await;
    }
    assert_eq!(redirect(&queue, Some("other.example")).await, 1);
    assert_eq!(redirect(&queue, Some("other.example")).await, 0, "it goes that way already");
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!((&*worker.lane.site.0, attempt.recipients.len()), ("other.example", 2));
    assert_eq!(attempt.redirect.as_deref(), Some("other.example"));
    worker.finish(attempt, Outcome { recipients: vec![deferred(), deferred()] });
    drop(worker);
    queue.close(Duration::ZERO).await;
    drop(queue);
    let House { queue, .. } = open(&dir);
    assert_eq!(queue.show(id).unwrap().summary.redirect.as_deref(), Some("other.example"));
    let elsewhere = Filter { site: Some("other.example".into()), ..Filter::default() };
    assert_eq!(at_rest(&queue, move |queue| queue.list(&elsewhere).len()).await, 1);
    assert_eq!(redirect(&queue, None).await, 1);
    let mut sites = Vec::new();
    for _ in 0..2 {
        let (mut worker, attempt) = next(&queue).await;
        sites.push(worker.lane.site.0.to_string());
        worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    }
    sites.sort();
    assert_eq!((sites, queue.count()), (vec!["one.example".to_owned(), "two.example".to_owned()], 0));
    assert_eq!(events(&queue, id).iter().filter(|event| *event == "redirected").count(), 2);
}

#[tokio::test]
async fn a_redirection_takes_what_waits_and_leaves_what_is_tried_or_held() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let trying = submit(&queue, letter("alice@near.example", &["a@one.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    let ready = submit(&queue, letter("alice@near.example", &["b@one.example"])).await;
    let held = submit(&queue, letter("alice@near.example", &["c@one.example"])).await;
    let named = Selection::Ids(vec![held]);
    assert_eq!(at_rest(&queue, move |queue| queue.hold(&named, "", None)).await.unwrap(), 1);
    assert_eq!(redirect(&queue, Some("other.example")).await, 3);
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert!(worker.take().is_none(), "nothing more goes the old way");
    assert!(queue.show(trying).is_none());
    drop(worker);
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!((attempt.letter.id, &*worker.lane.site.0), (ready, "other.example"));
    worker.finish(attempt, Outcome { recipients: vec![delivered()] });
    assert!(worker.take().is_none());
    assert_eq!(queue.show(held).unwrap().summary.standing, Standing::Held);
    drop(worker);
    at_rest(&queue, |queue| queue.release(&Selection::All)).await.unwrap();
    let (worker, attempt) = next(&queue).await;
    assert_eq!((attempt.letter.id, &*worker.lane.site.0), (held, "other.example"));
}

/// One way or the other: no power cut loses a letter, or a redirection that was told.
#[tokio::test]
async fn no_power_cut_in_a_bulk_redirection_loses_a_letter_or_what_was_told() {
    use crate::spool::sim::{Dice, Fault, SimDisk};
    let open = |disk: &SimDisk| {
        let mut config = config(Path::new("/data"));
        config.retry.intervals = vec![Duration::from_secs(3600)];
        Queue::open_on(config, Arc::new(Domains::default()), Arc::new(disk.clone()), Recorder::none()).unwrap()
    };
    let mut cut = 0;
    for step in 0..16 {
        let disk = SimDisk::new();
        let queue = open(&disk);
        for n in 0..30 {
            submit(&queue, letter("alice@near.example", &[&format!("b{n}@far.example")])).await;
        }
        disk.fault_in(step, Fault::PowerCut);
        let answer = at_rest(&queue, |queue| queue.redirect(&Selection::All, Some("other.example"))).await;
        disk.die();
        let disk = disk.after_power_cut(&mut Dice::new(step + 1));
        let queue = open(&disk);
        let letters = at_rest(&queue, |queue| queue.list(&Filter::default())).await;
        assert_eq!(letters.len(), 30, "step {step}");
        let redirected = letters.iter().filter(|letter| letter.redirect.is_some()).count();
        match answer {
            Ok(count) => assert_eq!((count, redirected), (30, 30), "step {step}"),
            Err(_) => cut += 1,
        }
    }
    assert!((1..16).contains(&cut), "the power was never cut in the middle, or always: {cut}");
}
