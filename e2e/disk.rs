//! The disk is full: said in time, nothing lost, and all well again once there is room.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::letter::letter_of_size;
use harness::{House, Profile, Program, Sink, free_port, wait_until};

use crate::on_relay;

/// Whether this process may give a child a file system of its own.
fn can_mount() -> bool {
    Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The program with its data on a file system of this size, which only it can see.
fn on_small_disk(house: House, size: &str) -> Program {
    let mount = format!("mount -t tmpfs -o size={size} tmpfs '{}' && exec \"$@\"", house.data().display());
    house.wrapped(&["unshare", "-m", "sh", "-c", &mount, "sh"]).start()
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    if !can_mount() {
        println!("skipped: this user may not mount a tmpfs (unshare -m)");
        return;
    }
    // Nobody is at the next hop yet: letters pile up.
    let port = free_port();
    let house = crate::relay_house()
        .route("*", ([127, 0, 0, 1], port).into())
        .retry(&["0s", "1s"])
        .set("queue", "min_free = \"8MB\"");
    let program = on_small_disk(house, "64m");

    let mut promised = HashSet::new();
    let mut refusal = None;
    let mut client = on_relay(&program);
    for number in 0..200 {
        let from = format!("big-{number}@load.test");
        let big = letter_of_size(&from, "to@sink.test", &format!("big-{number}"), 500_000);
        let reply = try_letter(&mut client, &from, &big);
        match reply.code {
            250 => promised.insert(format!("<{from}>")),
            _ => {
                refusal = Some(reply);
                break;
            }
        };
    }
    let refusal = refusal.expect("64 MB hold no 100 MB of letters");
    assert_eq!(refusal.code, 452, "{refusal}\n{}", program.log());
    assert!(refusal.says("4.3.1"), "{refusal}");
    assert!(promised.len() > 20, "only {} letters fitted", promised.len());

    // The next hop comes back: everything that was promised arrives, and there is room again.
    let sink = Sink::builder().port(port).start();
    wait_until(Duration::from_secs(60), "every promised letter at the sink", || {
        let came: HashSet<String> = sink.look(|letters| letters.iter().map(|letter| letter.from.clone()).collect());
        promised.is_subset(&came)
    });
    assert!(sink.look(|letters| letters.iter().all(|letter| letter.bytes.len() > 500_000)), "half a letter");
    wait_until(Duration::from_secs(30), "room again", || {
        let mut client = on_relay(&program);
        let letter = harness::letter("after@load.test", "to@sink.test", "after");
        try_letter(&mut client, "after@load.test", &letter).code == 250
    });
}

/// A transaction that may be refused at any step; the first refusal is the reply.
fn try_letter(client: &mut harness::Client, from: &str, letter: &[u8]) -> harness::Reply {
    for line in [format!("MAIL FROM:<{from}> SIZE={}", letter.len()), "RCPT TO:<to@sink.test>".into()] {
        let reply = client.ask(&line);
        if reply.code != 250 {
            return reply;
        }
    }
    let reply = client.ask("DATA");
    if reply.code != 354 {
        return reply;
    }
    client.send(&harness::letter::dot_stuffed(letter));
    client.reply()
}

#[test]
fn a_letter_that_does_not_fit_is_refused_before_it_is_sent() {
    if !can_mount() {
        println!("skipped: this user may not mount a tmpfs (unshare -m)");
        return;
    }
    let house = crate::house().listen(Profile::Relay).local("example.test", &["bob"]);
    let house = house.set("queue", "min_free = \"1MB\"");
    let program = on_small_disk(house, "64m");
    let mut client = on_relay(&program);
    let reply = client.ask("MAIL FROM:<a@b.test> SIZE=45000000");
    assert_eq!(reply.code, 452, "{reply}");
    client.say("MAIL FROM:<a@b.test> SIZE=1000", 250);
}
