//! How many letters a second the spool keeps and lets go, and what a letter costs: `cargo run --release -p queue --example
//! spool_bench [letters] [octets] [tasks] [folder]`. Each task appends a letter, waits until it is durable, removes it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use queue::spool::{RealDisk, Spool, SpoolConfig};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |or: usize| args.next().and_then(|text| text.parse().ok()).unwrap_or(or);
    let (letters, octets, tasks) = (number(200_000), number(4096), number(50));
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("spool-bench"), PathBuf::from);
    let (spool, recovered) = Spool::open(SpoolConfig::new(&dir), Arc::new(RealDisk)).expect("opens");
    println!(
        "{}: {} letters from before, {} problems",
        dir.display(),
        recovered.letters.len(),
        recovered.problems.len()
    );
    recovered.letters.iter().for_each(|letter| spool.remove(letter.id));

    by_tasks(&spool, letters, octets, tasks);
    by_one(&spool, letters, octets, tasks);
    let begun = Instant::now();
    drop(spool);
    println!("closed in {:?}", begun.elapsed());
    std::fs::remove_dir_all(&dir).expect("removes");
}

/// As the server does it: a task a letter, on as many threads as there are processors.
fn by_tasks(spool: &Spool, letters: usize, octets: usize, tasks: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("starts");
    let (begun, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let spool = spool.clone();
            runtime.spawn(async move {
                let text = vec![b'x'; octets];
                for _ in 0..letters / tasks {
                    let id = spool.next_id();
                    append(&spool, id, &text).await.expect("is kept");
                    spool.remove(id);
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("ends");
        }
    });
    report("tasks", letters, begun, before);
}

/// One thread hands in a whole group and waits for it: what the spool itself costs.
fn by_one(spool: &Spool, letters: usize, octets: usize, group: usize) {
    let (begun, before) = (Instant::now(), cpu());
    let text = vec![b'x'; octets];
    for _ in 0..letters / group {
        let ids: Vec<_> = (0..group).map(|_| spool.next_id()).collect();
        let tickets: Vec<_> = ids.iter().map(|id| append(spool, *id, &text)).collect();
        tickets.into_iter().for_each(|ticket| drop(ticket.wait().expect("is kept")));
        ids.into_iter().for_each(|id| spool.remove(id));
    }
    report("groups", letters, begun, before);
}

fn append(spool: &Spool, id: queue::QueueId, text: &[u8]) -> queue::spool::Ticket<queue::Body> {
    let mut draft = spool.draft();
    draft.write(text).expect("is in memory");
    spool.append(id, vec![b'm'; 300], vec![b'p'; 200], draft)
}

fn report(what: &str, letters: usize, begun: Instant, before: f64) {
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu() - before);
    let (rate, each) = (letters as f64 / wall, cpu * 1e6 / letters as f64);
    println!("{what}: {letters} letters in {wall:.2} s: {rate:.0} letters/s, {each:.1} CPU µs each");
}

/// Seconds of processor time of this process, from /proc/self/stat (in hundredths).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // Counted from the field after the state letter: utime and stime.
    fields.get(10..12).map_or(0.0, |times| times.iter().sum::<f64>() / 100.0)
}
