//! What a million deferred letters cost: `cargo run --release -p queue --example deferred -- MODE FOLDER [LETTERS] [DOMAINS]`.
//!
//! | mode | what it does |
//! |---|---|
//! | `fill` | makes a spool of letters that were tried once; they are due over the next three hours |
//! | `open` | opens it: time, memory; then how fast letters are accepted beside it, and how late those that are due come out |
//! | `overdue` | the same as if the server had been off for a day; each site is dead |
//! | `empty` | how fast letters are accepted by an empty queue |
//!
//! How many seconds to watch is in `SECONDS`, how many letters to accept in `ACCEPT`; with `OVERDUE=1` what is filled in is
//! due at once.
//!
//! `fill` and the others are to be run one after the other, each in its own process: memory is that of the process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use queue::letter::codec;
use queue::spool::{RealDisk, Spool, SpoolConfig};
use queue::{
    Course, Lane, LastReply, Letter, LetterParams, Limits, NewLetter, Origin, Outcome, Place, Progress, Queue,
    QueueConfig, Recipient, RecipientOutcome, RecipientState, Site, Sites, Timestamp, Verdict, Weather, Worker,
};
use smtp::{MailParams, RcptParams, Reply, ReversePath};

const THREE_HOURS: u64 = 3 * 3600 * 1000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, or: usize| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(or);
    let (Some(mode), Some(dir)) = (args.first(), args.get(1).map(PathBuf::from)) else {
        return eprintln!("deferred fill | open | overdue | empty FOLDER [LETTERS] [DOMAINS]");
    };
    let letters = number(2, 100_000);
    let domains = number(3, (letters / 10).max(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
    match mode.as_str() {
        "fill" => fill(&dir, letters, domains),
        "open" => runtime.block_on(open(&dir, false)),
        "overdue" => runtime.block_on(open(&dir, true)),
        "empty" => runtime.block_on(accept_alone(&dir)),
        other => eprintln!("no such mode: {other}"),
    }
}

fn fill(dir: &Path, letters: usize, domains: usize) {
    let (spool, _) = Spool::open(SpoolConfig::new(dir.join("spool")), Arc::new(RealDisk)).expect("opens");
    let (begun, text) = (Instant::now(), vec![b'x'; 600]);
    for group in 0..letters.div_ceil(500) {
        let tickets: Vec<_> = (500 * group..letters.min(500 * group + 500))
            .map(|n| {
                let letter = letter(spool.next_id(), n % domains, n);
                let mut draft = spool.draft();
                draft.write(&text).expect("is in memory");
                let ticket = spool.append(letter.id, codec::encode_meta(&letter), vec![b'p'; 250], draft);
                spool.update(letter.id, codec::encode_state(&tried(n)));
                ticket
            })
            .collect();
        tickets.into_iter().for_each(|ticket| drop(ticket.wait().expect("is kept")));
    }
    println!("filled with {letters} letters over {domains} domains in {:.1?}", begun.elapsed());
}

fn letter(id: queue::QueueId, domain: usize, n: usize) -> Letter {
    let to = Recipient::new(mailbox(&format!("user{n}@d{domain}.example")), RcptParams::default());
    let origin = Origin { listener: "submission".into(), protocol: "ESMTPSA".into(), ..Origin::default() };
    let (arrived, from) = (Timestamp::now(), ReversePath::Mailbox(mailbox("alice@near.example")));
    Letter {
        id,
        arrived,
        from,
        params: LetterParams::default(),
        recipients: vec![to],
        size: 850,
        origin,
        bulk: false,
        tls_optional: false,
    }
}

fn mailbox(text: &str) -> smtp::Mailbox {
    text.parse().expect("is a mailbox")
}

/// Tried once; due at some time in the next three hours, spread evenly.
fn tried(n: usize) -> Course {
    let now = Timestamp::now();
    let reply = Reply::new(450, (4, 2, 1), "the mailbox is busy, please come again later");
    let last = LastReply { at: now, reply, by: "mx1.far.example [192.0.2.17]:25".into() };
    let due = Timestamp(now.0 + 10_000 + (n as u64).wrapping_mul(7_919_317) % THREE_HOURS);
    let due = if variable::<u8>("OVERDUE").is_some() { now } else { due };
    Course {
        states: vec![Progress { state: RecipientState::Pending { attempts: 1, last: Some(last) }, due }],
        ..Course::default()
    }
}

/// Each domain has a site of its own.
#[derive(Debug)]
struct Domains;

impl Sites for Domains {
    fn place_of(&self, _: &Letter, recipient: &Recipient, _: Option<&str>) -> Place {
        Lane::of(Site(recipient.address.host.to_string().into())).into()
    }
    fn limits(&self, _: &Lane) -> Limits {
        Limits::connections(20)
    }
}

/// What came out: how many, and how late the latest was.
#[derive(Debug, Default)]
struct Tally {
    attempts: AtomicUsize,
    latest: AtomicU64,
}

async fn open(dir: &Path, overdue: bool) {
    println!("before: {}", memory());
    let begun = Instant::now();
    let mut config = config(dir);
    if overdue {
        // What is due later than the longest wait from now is due at once.
        config.retry.intervals = vec![Duration::from_millis(1)];
        (config.retry.then, config.retry.named_most) = (Duration::from_millis(1), Duration::from_millis(1));
    }
    let queue = Queue::open(config, Arc::new(Domains)).expect("opens");
    println!("open: {} letters in {:.2?}; {}", queue.count(), begun.elapsed(), memory());
    let tally = Arc::new(Tally::default());
    let carrying = tokio::spawn(carry(queue.clone(), tally.clone(), overdue));
    for second in 1..=seconds() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if second % 5 == 0 || second == 1 {
            show(second, &queue, &tally);
        }
    }
    println!("accepting: {}", accept(&queue, letters()).await);
    show(0, &queue, &tally);
    carrying.abort();
    queue.close(Duration::from_secs(1)).await;
}

fn seconds() -> u64 {
    variable("SECONDS").unwrap_or(15)
}

/// Letters to be accepted.
fn letters() -> usize {
    variable("ACCEPT").unwrap_or(100_000)
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Seconds of processor time of this process, from /proc/self/stat (in hundredths).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let fields: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // Counted from the field after the state letter: utime and stime.
    fields.get(10..12).map_or(0.0, |times| times.iter().sum::<f64>() / 100.0)
}

fn show(second: u64, queue: &Queue, tally: &Tally) {
    let (attempts, latest) = (tally.attempts.load(Ordering::Relaxed), tally.latest.swap(0, Ordering::Relaxed));
    let census = queue.census();
    println!("{second:>3} s: {attempts} attempts, the latest {latest} ms late; {census:?}; {}", memory());
}

async fn accept_alone(dir: &Path) {
    let queue = Queue::open(config(dir), Arc::new(Domains)).expect("opens");
    let tally = Arc::new(Tally::default());
    let carrying = tokio::spawn(carry(queue.clone(), tally, false));
    println!("accepting: {}", accept(&queue, letters()).await);
    carrying.abort();
    queue.close(Duration::from_secs(1)).await;
}

fn config(dir: &Path) -> QueueConfig {
    QueueConfig { data_dir: dir.to_owned(), host_name: "mx.near.example".into(), ..QueueConfig::default() }
}

async fn carry(queue: Queue, tally: Arc<Tally>, dead: bool) {
    while let Some(worker) = queue.next_worker().await {
        tokio::spawn(work(worker, tally.clone(), dead));
    }
}

async fn work(mut worker: Worker, tally: Arc<Tally>, dead: bool) {
    while let Some(attempt) = worker.take() {
        let fresh = &*worker.lane.site.0 == "fresh.example";
        let now = Timestamp::now();
        if !fresh {
            tally.attempts.fetch_add(1, Ordering::Relaxed);
        }
        let recipients = attempt.recipients.len();
        let verdict = if fresh { Verdict::Delivered } else { Verdict::Deferred };
        if let Some(due) = due_of(&attempt.letter).filter(|due| !dead && *due < now) {
            tally.latest.fetch_max(now.since(due).as_millis() as u64, Ordering::Relaxed);
        }
        worker.weather(if dead && !fresh { Weather::Dead } else { Weather::Fine });
        worker.finish(attempt, Outcome { recipients: vec![said(verdict); recipients] });
        if dead && !fresh {
            return;
        }
    }
}

/// When it was due, as `fill` planned it: its last reply, and what its number says.
fn due_of(letter: &Letter) -> Option<Timestamp> {
    let recipient = letter.recipients.first()?;
    let n: u64 = recipient.address.to_string().strip_prefix("user")?.split('@').next()?.parse().ok()?;
    match &recipient.state {
        RecipientState::Pending { attempts: 1, last: Some(last) } => {
            Some(Timestamp(last.at.0 + 10_000 + n.wrapping_mul(7_919_317) % THREE_HOURS))
        }
        _ => None,
    }
}

fn said(verdict: Verdict) -> RecipientOutcome {
    let reply = match verdict {
        Verdict::Delivered => Reply::new(250, (2, 0, 0), "taken"),
        _ => Reply::new(450, (4, 2, 1), "busy"),
    };
    RecipientOutcome { verdict, reply, by: "mx1.far.example [192.0.2.17]:25".into(), tls: String::new() }
}

/// Letters a second, by 50 clients; they are delivered at once.
async fn accept(queue: &Queue, letters: usize) -> String {
    let (begun, before) = (Instant::now(), cpu());
    let slowest = Arc::new(Mutex::new(Duration::ZERO));
    let clients: Vec<_> = (0..50).map(|_| tokio::spawn(client(queue.clone(), letters / 50, slowest.clone()))).collect();
    for client in clients {
        client.await.expect("ends");
    }
    let rate = letters as f64 / begun.elapsed().as_secs_f64();
    let each = (cpu() - before) * 1e6 / letters as f64;
    format!("{rate:.0} letters/s, {each:.1} CPU µs each, the slowest in {:.1?}", slowest.lock().expect("is whole"))
}

async fn client(queue: Queue, letters: usize, slowest: Arc<Mutex<Duration>>) {
    let text = vec![b'x'; 600];
    for _ in 0..letters {
        let begun = Instant::now();
        let mut draft = queue.draft();
        draft.write(&text).expect("is in memory");
        queue.submit(fresh(), draft).await.expect("is taken");
        let mut slowest = slowest.lock().expect("is whole");
        *slowest = begun.elapsed().max(*slowest);
    }
}

fn fresh() -> NewLetter {
    let received = mail::trace::Received {
        by: "mx.near.example".into(),
        with: "ESMTP".into(),
        ..mail::trace::Received::default()
    };
    NewLetter {
        from: ReversePath::Mailbox(mailbox("alice@near.example")),
        params: MailParams::default(),
        recipients: vec![Recipient::new(mailbox("bob@fresh.example"), RcptParams::default())],
        expanded: Vec::new(),
        origin: Origin { listener: "test".into(), protocol: "ESMTP".into(), ..Origin::default() },
        received,
        complete_header: false,
    }
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    format!("{} MiB resident, {} at most", of("VmRSS:"), of("VmHWM:"))
}
