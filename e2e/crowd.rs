//! A queue that is crowded: what waits for one site delays no other.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Sink, Stage, wait_until};
use queue::letter::codec;
use queue::spool::{RealDisk, Spool, SpoolConfig};
use queue::{Course, Letter, LetterParams, Origin, Recipient, Timestamp};
use smtp::{RcptParams, ReversePath};

use crate::{ANNA, from_anna, on_relay, relay_house};

const CROWD: usize = 100_000;

/// Letters from anna to a site, as a server that was stopped would have left them: all are due, none was tried.
fn fill(data: &Path, letters: usize, domain: &str) {
    let (spool, _) = Spool::open(SpoolConfig::new(data.join("spool")), Arc::new(RealDisk)).expect("a spool");
    let from = ReversePath::Mailbox(ANNA.parse().expect("a mailbox"));
    let origin = Origin { listener: "relay".into(), protocol: "ESMTP".into(), ..Origin::default() };
    let mut last = None;
    for number in 0..letters {
        let to = format!("r{number}@{domain}").parse().expect("a mailbox");
        let letter = Letter {
            id: spool.next_id(),
            arrived: Timestamp::now(),
            from: from.clone(),
            params: LetterParams::default(),
            recipients: vec![Recipient::new(to, RcptParams::default())],
            size: 60,
            origin: origin.clone(),
            bulk: false,
            tls_optional: false,
        };
        let mut draft = spool.draft();
        draft.write(b"From: anna@example.test\r\nSubject: news\r\n\r\nThere are some.\r\n").expect("memory");
        last = Some(spool.append(letter.id, codec::encode_meta(&letter), Vec::new(), draft));
        spool.update(letter.id, codec::encode_state(&Course::fresh(&letter, letter.arrived)));
    }
    last.expect("a letter").wait().expect("a disk");
}

#[test]
fn a_hundred_thousand_letters_for_a_slow_site_delay_no_other_letter() {
    let (slow, fast) = (Sink::start(), Sink::start());
    slow.delay(Stage::End, Duration::from_secs(1));
    let one = format!("to = \"{}\"\ntls = \"none\"\nconnections = 1", slow.address());
    let house = relay_house().route_with("slow.test", &one).route("fast.test", fast.address());
    let begun = Instant::now();
    fill(&house.data(), CROWD, "slow.test");
    let filled = begun.elapsed();
    let program = house.start();
    wait_until(Duration::from_secs(60), "the slow site to get its first letters", || slow.count() >= 2);
    println!("{CROWD} letters: filled in {filled:?}, the first left after {:?}", begun.elapsed());

    let mut client = on_relay(&program);
    let mut times: Vec<Duration> = (0..11)
        .map(|number| {
            client.deliver(ANNA, &["reset@fast.test"], &from_anna("reset@fast.test", &format!("reset {number}")));
            let taken = Instant::now();
            wait_until(Duration::from_secs(20), "a letter to leave", || fast.count() > number);
            taken.elapsed()
        })
        .collect();
    times.sort();
    println!("letters to another site left after {times:?}");
    assert!(times[5] < Duration::from_millis(50), "{times:?}");
    let queued = program.house.run(&["queue", "--json"], b"").json();
    assert!(queued["server"]["letters"].as_u64().is_some_and(|letters| letters > 99_000), "{queued}");
}
