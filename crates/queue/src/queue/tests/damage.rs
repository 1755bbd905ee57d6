//! What cannot be read, and code that panics: nothing is sent that is not what came in, and nothing is forgotten.

use std::path::PathBuf;

use super::*;
use crate::spool::sim::SimDisk;

fn open_on(dir: &TempDir, disk: &SimDisk, sites: Arc<dyn Sites>) -> Queue {
    let recorder = Recorder::open(dir.path().join("records"), 1 << 20).unwrap();
    Queue::open_on(config(dir.path()), sites, Arc::new(disk.clone()), recorder).unwrap()
}

/// Flips a bit of `text` in each segment that holds it, and says how many did.
fn damage(dir: &TempDir, disk: &SimDisk, text: &[u8]) -> usize {
    let dir = dir.path().join("spool").display().to_string();
    let segments = disk.names().into_iter().filter(|n| n.starts_with(&dir) && n.ends_with(".log")).map(PathBuf::from);
    let places = segments.filter_map(|segment| Some((memchr::memmem::find(&disk.octets(&segment), text)?, segment)));
    places.map(|(at, segment)| disk.flip(&segment, at, 1)).count()
}

#[tokio::test]
async fn a_letter_whose_text_is_damaged_is_not_sent_and_not_forgotten() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
    let queue = open_on(&dir, &disk, Arc::new(Domains::default()));
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![deferred()]).await;
    queue.close(Duration::from_secs(20)).await;
    drop(queue);
    let queue = open_on(&dir, &disk, Arc::new(Domains::default()));
    assert_eq!(queue.problems(), []);
    until("its text is nowhere", || damage(&dir, &disk, b"At five?") > 0).await;
    queue.flush();
    until("nobody noticed", || events(&queue, id).contains(&"problem".to_owned()) || !no_worker_waits(&queue)).await;
    let mut worker = queue.next_worker().await.unwrap();
    if let Some(attempt) = worker.take() {
        // It was on its way into another segment and read before the damage was done: then all of it is good.
        return assert!(text_of(&attempt).ends_with("\r\nAt five?\r\n"), "a damaged letter was handed out");
    }
    // Records are written by a thread of their own.
    until("no record of the problem", || events(&queue, id).contains(&"problem".to_owned())).await;
    assert_eq!(queue.count(), 1);
    assert!(queue.list(&Filter::default())[0].next.is_some());
}

/// A router with a bug.
#[derive(Debug)]
struct Panics(std::sync::atomic::AtomicBool);

impl Sites for Panics {
    fn place_of(&self, _: &Letter, recipient: &Recipient, _: Option<&str>) -> Place {
        let on = self.0.load(std::sync::atomic::Ordering::Relaxed);
        assert!(!on || recipient.address.host.to_string() != "bad.example", "a bug in the router, made for a test");
        Lane::of(Site(recipient.address.host.to_string().into())).into()
    }
    fn limits(&self, _: &Lane) -> Limits {
        Limits::connections(2)
    }
}

#[tokio::test]
async fn a_panic_about_one_letter_does_not_stop_the_calendar() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
    let sites = Arc::new(Panics(false.into()));
    let queue = open_on(&dir, &disk, sites.clone());
    let bad = submit(&queue, letter("alice@near.example", &["bob@bad.example"])).await;
    carry(&queue, vec![deferred()]).await;
    let good = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![deferred()]).await;
    sites.0.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(queue.flush(), 2);
    let (_worker, attempt) = next(&queue).await;
    assert_eq!(attempt.letter.id, good);
    // The other one stays, and is looked at again later.
    assert!(queue.list(&Filter::default()).iter().any(|summary| summary.id == bad));
    assert!(queue.inner.lock().scheduler.next_try(bad).is_some());
    assert!(events(&queue, bad).contains(&"problem".to_owned()));
    // And what comes in now is taken and kept.
    let new = submit(&queue, letter("alice@near.example", &["bob@bad.example"])).await;
    assert!(queue.inner.lock().scheduler.next_try(new).is_some());
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_once_does_not_hold_a_letter_for_years() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new());
    let queue = open_on(&dir, &disk, Arc::new(Domains::default()));
    let id = submit(&queue, letter("alice@near.example", &["bob@far.example"])).await;
    carry(&queue, vec![deferred()]).await;
    let mut course = queue.inner.load(id).unwrap().course;
    course.states[0].due = Timestamp::now().after(Duration::from_secs(10 * 365 * 86_400));
    queue.inner.spool.update_durably(id, crate::letter::codec::encode_state(&course)).await.unwrap();
    drop(queue);
    let queue = open_on(&dir, &disk, Arc::new(Domains::default()));
    let (_worker, attempt) = next(&queue).await;
    assert_eq!(attempt.letter.id, id);
}
