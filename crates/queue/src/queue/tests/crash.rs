//! The process goes away without closing, and comes back.

use super::*;
use crate::spool::sim::{Dice, Fault, SimDisk};

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

/// What was done with a letter before the power failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Delivered,
    Failed,
    Deferred,
    Untried,
}

fn open_simulated(disk: &SimDisk) -> Result<Queue, OpenError> {
    let config = config(Path::new("/data"));
    Queue::open_on(config, Arc::new(Domains::default()), Arc::new(disk.clone()), Recorder::none())
}

/// Letters come in and meet their fates until the disk dies. Gives what was acknowledged.
async fn live(queue: &Queue) -> Vec<(QueueId, Fate)> {
    let mut known = Vec::new();
    for fate in [Fate::Failed, Fate::Deferred, Fate::Delivered, Fate::Failed, Fate::Untried] {
        let mut draft = queue.draft();
        draft.write(TEXT).unwrap();
        let Ok(id) = queue.submit(letter("alice@near.example", &["bob@far.example"]), draft).await else { break };
        known.push((id, fate));
        let outcome = match fate {
            Fate::Delivered => delivered(),
            Fate::Failed => failed(),
            Fate::Deferred => deferred(),
            Fate::Untried => break,
        };
        let (mut worker, attempt) = next(queue).await;
        assert_eq!(attempt.letter.id, id);
        worker.finish(attempt, Outcome { recipients: vec![outcome] });
        drop(worker);
        until("the letter is settled", || queue.inner.spool.failure().is_some() || queue.inner.lock().is_calm()).await;
        if queue.inner.spool.failure().is_some() {
            break;
        }
        // Reports stay where they are: nobody carries them here.
        queue.inner.lock().openings.clear();
    }
    known
}

#[tokio::test]
async fn no_power_cut_loses_a_letter_or_a_report() {
    let mut reports_seen = 0;
    for step in (0..90).step_by(2) {
        let disk = SimDisk::new();
        disk.fault_in(step, Fault::PowerCut);
        let known = match open_simulated(&disk) {
            Ok(queue) => live(&queue).await,
            Err(_) => Vec::new(),
        };
        disk.die();
        let disk = disk.after_power_cut(&mut Dice::new(step + 1));
        let queue = open_simulated(&disk).unwrap();
        let found = queue.list(&Filter::default());
        let reports = found.iter().filter(|summary| summary.from.is_empty()).count();
        let kept = |id: QueueId| found.iter().any(|summary| summary.id == id);
        let failed: Vec<_> = known.iter().filter(|(_, fate)| *fate == Fate::Failed).collect();
        let untold = failed.iter().filter(|(id, _)| kept(*id)).count();
        assert!(reports + untold >= failed.len(), "step {step}: {known:?}, found {found:?}");
        for (id, fate) in &known {
            assert!(kept(*id) || matches!(fate, Fate::Delivered | Fate::Failed), "step {step}: {id} {fate:?} is lost");
        }
        reports_seen += reports;
    }
    assert!(reports_seen > 10, "the power was cut too early to show anything: {reports_seen}");
}

#[tokio::test]
async fn a_failed_sync_is_told_and_nothing_more_is_taken() {
    let disk = SimDisk::new();
    let queue = open_simulated(&disk).unwrap();
    submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    disk.fault_in(0, Fault::SyncFails);
    let mut draft = queue.draft();
    draft.write(TEXT).unwrap();
    let refusal = queue.submit(letter("alice@near.example", &["carol@far.example"]), draft).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Spool(_)), "{refusal}");
    assert!(!queue.failed().await.is_empty());
    assert!(matches!(queue.room_for(1), Err(Refusal::Spool(_))));
    disk.no_fault();
    let again = queue.submit(letter("alice@near.example", &["carol@far.example"]), queue.draft()).await;
    assert!(again.is_err(), "a failed sync is never tried again");
}

#[tokio::test]
async fn a_full_disk_refuses_letters_and_forgets_no_deferral() {
    let disk = SimDisk::new();
    let queue = open_simulated(&disk).unwrap();
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    disk.fault_in(0, Fault::Full { steps: u64::MAX / 2 });
    let mut draft = queue.draft();
    draft.write(TEXT).unwrap();
    let refusal = queue.submit(letter("alice@near.example", &["carol@far.example"]), draft).await.unwrap_err();
    assert!(matches!(refusal, Refusal::NoSpace), "{refusal}");
    carry(&queue, vec![deferred()]).await;
    assert_eq!(queue.show(id).unwrap().all_recipients[0].attempts, 1);
    queue.flush();
    let (mut worker, attempt) = next(&queue).await;
    assert_eq!(submit::attempts(&attempt.letter.recipients[0].state), 1, "the newest state counts, on disk or not");
    disk.no_fault();
    worker.finish(attempt, Outcome { recipients: vec![deferred()] });
    until("it is written when there is room", || queue.inner.lock().warm.is_empty()).await;
    assert_eq!(queue.show(id).unwrap().all_recipients[0].attempts, 2);
}
