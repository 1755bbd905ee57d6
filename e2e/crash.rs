//! The one promise that everything else stands on: what was answered 250 is delivered, whatever happens to the process.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use harness::{Client, Profile, Sink, letter, wait_until};

use crate::relay_house;

const KILLS: usize = 50;
const CLIENTS: usize = 6;
/// Connections to the next hop: the most letters that can be on their way out when the process dies.
const IN_FLIGHT: usize = 5;

#[test]
fn what_was_answered_250_survives_50_kills() {
    let sink = Sink::start();
    let mut program = relay_house()
        .route_with("*", &format!("to = \"{}\"\ntls = \"none\"\nconnections = {IN_FLIGHT}", sink.address()))
        .retry(&["0s", "1s"])
        .start();
    let load = Load::start(program.house.address(Profile::Relay));
    let mut random = Random::new();
    for round in 0..KILLS {
        let moment = Instant::now() + Duration::from_millis(random.below(300));
        let answered = load.answered();
        // Some letters each round, then a moment of chance.
        wait_until(Duration::from_secs(20), "letters to be taken", || load.answered() > answered + round % 7);
        while Instant::now() < moment {
            std::thread::yield_now();
        }
        program.kill();
        program.restart();
    }
    let promised = load.stop();
    wait_until(Duration::from_secs(60), "every promised letter at the sink", || {
        sink.look(|letters| {
            let came: HashSet<&str> = letters.iter().map(|letter| letter.from.as_str()).collect();
            promised.iter().all(|from| came.contains(from.as_str()))
        })
    });
    let came = sink.look(|letters| {
        letters.iter().fold(HashMap::<String, usize>::new(), |mut came, letter| {
            *came.entry(letter.from.clone()).or_default() += 1;
            came
        })
    });
    let twice: usize = came.values().map(|count| count - 1).sum();
    println!(
        "{KILLS} kills (seed {}), {} letters promised, {} at the sink, {twice} of them again, at most {} allowed",
        random.seed,
        promised.len(),
        came.len(),
        KILLS * IN_FLIGHT
    );
    assert!(promised.len() > KILLS, "too little load to prove anything: {}", promised.len());
    assert!(twice <= KILLS * IN_FLIGHT, "{twice} letters came again");
    assert!(sink.look(|letters| letters.iter().all(|letter| letter.contains("the whole letter"))), "half a letter");
}

/// Clients that send letters as fast as they may, and remember which were answered 250.
struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    promised: Arc<Mutex<Vec<String>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(to: SocketAddr) -> Load {
        let (stop, count, promised) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::default());
        let threads = (0..CLIENTS)
            .map(|number| {
                let (stop, count, promised) = (Arc::clone(&stop), Arc::clone(&count), Arc::clone(&promised));
                std::thread::spawn(move || {
                    let mut next = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let _ = session(to, number, &mut next, &stop, &count, &promised);
                    }
                })
            })
            .collect();
        Load { stop, count, promised, threads }
    }

    fn answered(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a client");
        }
        std::mem::take(&mut self.promised.lock().expect("the list"))
    }
}

/// One connection, until the server dies.
fn session(
    to: SocketAddr,
    number: usize,
    next: &mut usize,
    stop: &AtomicBool,
    count: &AtomicUsize,
    promised: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut client = match Client::try_connect(to) {
        Ok(client) => client,
        Err(error) => {
            // Nobody listens between two lives of the program.
            std::thread::sleep(Duration::from_millis(5));
            return Err(error);
        }
    };
    client.try_reply()?;
    client.try_send(b"EHLO load.test\r\n")?;
    client.try_reply()?;
    while !stop.load(Ordering::Relaxed) {
        *next += 1;
        let from = format!("letter-{number}-{next}@load.test");
        let mut bytes = letter(&from, "to@sink.test", &format!("{number}-{next}"));
        bytes.extend_from_slice(&b"a line of the letter\r\n".repeat(number * 40));
        bytes.extend_from_slice(b"the whole letter\r\n");
        let reply = client.try_deliver(&from, "to@sink.test", &bytes)?;
        if reply.code == 250 {
            promised.lock().expect("the list").push(format!("<{from}>"));
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// A small generator (xorshift64), so that a run can be told by its seed.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Random {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        let seed = now.as_nanos() as u64 | 1;
        Random { seed, state: seed }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit
    }
}
