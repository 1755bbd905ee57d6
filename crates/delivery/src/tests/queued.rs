//! Letters that come out of a real queue, by the workers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dns::Zone;
use queue::queue::{Filter, Summary};

use queue::{Bound, NewLetter, Origin, Queue, QueueConfig, Recipient, RecipientState};
use rustls::RootCertStore;
use smtp::{MailParams, RcptParams, ReversePath};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::setup;
use super::sink::{Script, Sink, count};
use crate::{Delivery, Setup, run};

/// A queue with its back door, running.
pub(super) struct Running {
    folder: TempDir,
    pub(super) queue: Queue,
    pub(super) delivery: Arc<Delivery>,
    stop: watch::Sender<bool>,
    run: JoinHandle<()>,
}

impl Running {
    pub(super) fn new(config: &str) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), config)
    }

    fn in_folder(folder: TempDir, config: &str) -> Self {
        Self::with_names(folder, config, Zone::new())
    }

    pub(super) fn with_names(folder: TempDir, config: &str, names: Zone) -> Self {
        Self::with_setup(folder, setup(config, names, RootCertStore::empty()))
    }

    pub(super) fn with_setup(folder: TempDir, setup: Setup) -> Self {
        let delivery = Arc::new(Delivery::new(setup).unwrap());
        let config = QueueConfig { data_dir: folder.path().join("data"), min_free: 0, ..QueueConfig::default() };
        std::fs::create_dir(&config.data_dir).unwrap();
        let queue = Queue::open(config, delivery.clone()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let run = tokio::spawn(run(queue.clone(), delivery.clone(), stopped));
        Self { folder, queue, delivery, stop, run }
    }

    pub(super) async fn submit(&self, to: &[&str], text: &[u8]) {
        let recipient = |to: &&str| Recipient {
            address: to.parse().unwrap(),
            params: RcptParams::default(),
            state: RecipientState::Pending { attempts: 0, last: None },
        };
        let letter = NewLetter {
            // Nobody is told of a failure.
            from: ReversePath::Null,
            params: MailParams::default(),
            recipients: to.iter().map(recipient).collect(),
            expanded: Vec::new(),
            origin: Origin::default(),
            received: mail::trace::Received { by: "us.example".into(), with: "ESMTP".into(), ..Default::default() },
            complete_header: false,
        };
        let mut draft = self.queue.draft();
        draft.write(text).unwrap();
        self.queue.submit(letter, draft).await.unwrap();
    }

    pub(super) async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    pub(super) async fn empty(&self) {
        self.until("an empty queue", |running| running.queue.count() == 0).await;
    }

    pub(super) fn list(&self) -> Vec<Summary> {
        self.queue.list(&Filter::default())
    }
}

pub(super) fn relay(port: u16, more: &str) -> String {
    format!("{more}\n[[route]]\ndomain = \"*\"\nto = \"127.0.0.1:{port}\"\n")
}

pub(super) const LETTER: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_leave_the_queue_over_few_connections() {
    let sink = Sink::new(Script::default()).await;
    let house = Running::new(&relay(sink.port(), "connections_per_site = 2"));
    for _ in 0..40 {
        house.submit(&["ann@a.example", "bob@b.example"], LETTER).await;
    }
    house.empty().await;
    assert_eq!(sink.seen.letters().len(), 40);
    assert!(sink.seen.connections() <= 2, "{}", sink.seen.connections());
    for letter in sink.seen.letters() {
        assert!(letter.body.starts_with(b"Received: ") && letter.body.ends_with(LETTER));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_kept_for_a_while_and_then_closed_with_quit() {
    let sink = Sink::new(Script::default()).await;
    let house = Running::new(&relay(sink.port(), "idle = \"300ms\""));
    house.submit(&["ann@a.example"], LETTER).await;
    house.empty().await;
    house.submit(&["ann@a.example"], LETTER).await;
    house.empty().await;
    house.until("QUIT", |_| count(&sink.seen.commands()).contains_key("QUIT")).await;
    assert_eq!((sink.seen.letters().len(), sink.seen.connections()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_site_that_takes_nobody_is_left_alone() {
    let sink = Sink::new(Script::saying(|heard| heard.command.is_empty().then_some("421 4.3.2 not now"))).await;
    let house = Running::new(&relay(sink.port(), "connections_per_site = 1"));
    for _ in 0..20 {
        house.submit(&["ann@a.example"], LETTER).await;
    }
    let is_dead = |house: &Running| house.queue.lanes().iter().any(|lane| matches!(lane.bound, Bound::Dead { .. }));
    house.until("a dead lane", is_dead).await;
    let tried: Vec<_> = house.list().into_iter().filter(|letter| letter.attempts > 0).collect();
    assert_eq!(tried.len(), sink.seen.connections());
    assert!((1..10).contains(&tried.len()), "{}", tried.len());
    let last = tried[0].last.clone().unwrap();
    assert_eq!((last.code, last.text.as_str()), (421, "not now"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_letters_lie_in_the_mailboxes_of_their_recipients() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    let config = format!("maildir_root = \"{}\"\n[[local]]\ndomain = \"a.example\"", root.display());
    let house = Running::in_folder(folder, &config);
    house.submit(&["ann@a.example", "bob+tag@a.example"], LETTER).await;
    house.empty().await;
    for user in ["ann", "bob"] {
        let letters = texts(&root.join("a.example").join(user));
        assert_eq!(letters.len(), 1);
        let text = String::from_utf8(letters[0].clone()).unwrap();
        assert!(text.starts_with("Return-Path: <>\r\nDelivered-To: "), "{text}");
        assert!(text.ends_with("Subject: hello\r\n\r\nbody\r\n"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_has_been_in_the_mailbox_is_not_put_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    let config = format!("maildir_root = \"{}\"\n[[local]]\ndomain = \"a.example\"", root.display());
    let house = Running::in_folder(folder, &config);
    house.submit(&["ann@a.example"], b"Delivered-To: ann@a.example\r\n\r\nx\r\n").await;
    house.empty().await;
    assert!(!root.join("a.example/ann/new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_caught_never_leaves_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let caught = folder.path().join("caught");
    let config = format!("[[route]]\ndomain = \"*\"\nto = \"catch:{}\"", caught.display());
    let house = Running::in_folder(folder, &config);
    house.submit(&["ann@a.example", "bob@[192.0.2.1]"], b"Delivered-To: ann@a.example\r\n\r\nx\r\n").await;
    house.empty().await;
    assert_eq!(texts(&caught).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_takes_effect_with_the_next_letter() {
    let (before, after) = (Sink::new(Script::default()).await, Sink::new(Script::default()).await);
    let house = Running::new(&relay(before.port(), ""));
    house.submit(&["ann@a.example"], LETTER).await;
    house.empty().await;
    let next = setup(&relay(after.port(), ""), Zone::new(), RootCertStore::empty());
    house.delivery.reload(next).unwrap();
    house.submit(&["ann@a.example"], LETTER).await;
    house.empty().await;
    assert_eq!((before.seen.letters().len(), after.seen.letters().len()), (1, 1));
    let bad = setup("connections_per_site = 0", Zone::new(), RootCertStore::empty());
    assert!(house.delivery.reload(bad).is_err());
    house.submit(&["ann@a.example"], LETTER).await;
    house.empty().await;
    assert_eq!(after.seen.letters().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_says_quit_on_open_connections_and_returns() {
    let sink = Sink::new(Script::default()).await;
    let house = Running::new(&relay(sink.port(), "idle = \"1h\""));
    house.submit(&["ann@a.example"], LETTER).await;
    house.empty().await;
    house.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(10), house.run).await.expect("it returns").unwrap();
    assert_eq!(count(&sink.seen.commands())["QUIT"], 1);
    drop(house.folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_closes_while_idle_harms_no_letter() {
    let sink = Sink::new(Script::saying(|heard| {
        (heard.command == "." && heard.letters == 0).then_some("250 2.0.0 taken\r\n421 4.4.2 bye")
    }))
    .await;
    let house = Running::new(&relay(sink.port(), "idle = \"1h\""));
    for _ in 0..3 {
        house.submit(&["ann@a.example"], LETTER).await;
        house.empty().await;
    }
    assert_eq!(sink.seen.letters().len(), 3);
}

fn texts(maildir: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(maildir.join("new")).unwrap();
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}
