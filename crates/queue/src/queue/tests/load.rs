//! Many threads at once: no letter is lost between two of them, none is carried twice, no worker's place leaks.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const SUBMITTERS: usize = 8;
const LETTERS: usize = 40;

/// A worker with moods: it delivers, defers, fails, drops letters and gives up waiting, in turn.
async fn moody(mut worker: Worker, mood: Arc<AtomicUsize>, taken: Arc<Mutex<HashMap<(QueueId, usize), usize>>>) {
    let mut next = worker.take();
    loop {
        let patience = Duration::from_millis(mood.load(Ordering::Relaxed) as u64 % 3);
        let Some(attempt) = next else { return };
        tokio::task::yield_now().await;
        let outcomes = attempt.recipients.iter().map(|index| match mood.fetch_add(1, Ordering::Relaxed) % 11 {
            0 | 1 => deferred(),
            2 => failed(),
            _ => {
                *taken.lock().unwrap().entry((attempt.letter.id, *index)).or_default() += 1;
                delivered()
            }
        });
        let outcome = Outcome { recipients: outcomes.collect() };
        worker.finish(attempt, outcome);
        next = match mood.fetch_add(1, Ordering::Relaxed) % 7 {
            // An attempt that is taken and dropped with its worker.
            0 => return drop(worker.take()),
            1 => return,
            _ => worker.take_within(patience).await,
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_letter_ends_exactly_once_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.retry.then = Duration::from_millis(2);
    // Fewer places than sites with work: lines form, workers are retired.
    config.workers = 4;
    let House { queue, .. } = open_with(config);
    let (mood, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashMap::new())));
    let carrying = tokio::spawn({
        let (queue, mood, taken) = (queue.clone(), mood.clone(), taken.clone());
        async move {
            while let Some(worker) = queue.next_worker().await {
                tokio::spawn(moody(worker, mood.clone(), taken.clone()));
            }
        }
    });
    let submitting: Vec<_> = (0..SUBMITTERS)
        .map(|submitter| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in 0..LETTERS {
                    let to = [format!("a@site{}.example", (n + submitter) % 7), format!("b@site{}.example", n % 5)];
                    submit(&queue, letter("alice@near.example", &[&to[0], &to[1]])).await;
                }
            })
        })
        .collect();
    for submitter in submitting {
        submitter.await.unwrap();
    }
    until("all letters and reports are done", || queue.count() == 0).await;
    until("all places are given back", || queue.inner.lock().scheduler.workers().1 == 0).await;
    assert!(taken.lock().unwrap().values().all(|times| *times == 1), "delivered twice");
    queue.close(Duration::from_secs(20)).await;
    carrying.await.unwrap();
    until("the workers are gone", || queue.inner.lock().scheduler.workers().0 == 0).await;
    let state = queue.inner.lock();
    assert!(state.warm.is_empty() && state.hot == 0 && state.idle.is_empty() && state.reports == 0);
}

#[tokio::test]
async fn long_envelopes_do_not_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let to: Vec<String> = (0..1000).map(|n| format!("b{n}@far.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for _ in 0..60 {
        submit(&queue, letter("alice@near.example", &to)).await;
    }
    let held: usize = queue.inner.lock().warm.values().map(|warm| warm.course.states.len()).sum();
    assert!(held <= 50_000, "{held}");
    while queue.count() > 0 {
        carry(&queue, vec![delivered(); 1000]).await;
    }
    let state = queue.inner.lock();
    assert_eq!((state.warm.len(), state.warm_recipients), (0, 0));
}
