//! Big letters in little memory, and many slow clients beside a fast one.

use std::time::{Duration, Instant};

use harness::letter::{letter, letter_of_size};
use harness::{Client, Profile, Sink};

use crate::{annas_house, from_anna, on_relay, relay_house};

const MEGABYTE: u64 = 1024 * 1024;

#[test]
fn a_letter_of_200_mb_needs_no_more_memory_than_a_small_one() {
    let sink = Sink::start();
    let program = relay_house().set("limits", "message_size = \"250MB\"").route("*", sink.address()).start();
    let mut client = on_relay(&program);
    client.patience(Duration::from_secs(120));
    client.deliver("a@b.test", &["c@d.test"], &letter("a@b.test", "c@d.test", "small"));
    sink.wait_for(1);
    let before = program.resident();

    client.say("MAIL FROM:<a@b.test> SIZE=209715200", 250);
    client.say("RCPT TO:<c@d.test>", 250);
    client.say("DATA", 354);
    // No line begins with a dot: what is sent is the letter.
    let head = letter("a@b.test", "c@d.test", "big");
    let block = b"All work and no play makes a letter long and a reader tired of it soon.\r\n".repeat(10_000);
    client.send(&head);
    let mut sent = head.len();
    while sent < 200 * MEGABYTE as usize {
        client.send(&block);
        sent += block.len();
    }
    client.send(b".\r\n");
    client.expect(250);
    let letters = sink.wait_at_most(2, Duration::from_secs(120));
    let grown = program.resident_peak().saturating_sub(before);
    println!("200 MB: resident {} MB before, {} MB more at the peak", before / MEGABYTE, grown / MEGABYTE);
    let got = &letters[1].bytes;
    assert!(got.len() >= sent && got.ends_with(&block), "{} bytes came of {sent}", got.len());
    assert!(got[got.len() - sent..].starts_with(&head), "the letter moved");
    assert!(grown < 64 * MEGABYTE, "grew by {} MB", grown / MEGABYTE);
}

#[test]
fn a_thousand_slow_clients_do_not_stop_a_fast_one() {
    let program = annas_house().set("limits", "connections = 3000\nconnections_per_client = 3000").start();
    // Some stop in a command, some in a letter, some say nothing at all.
    let mut slow: Vec<Client> = (0..1000)
        .map(|number| {
            let mut client = program.client(Profile::Relay);
            match number % 3 {
                0 => client.send(b"EHL"),
                1 => client
                    .send(b"EHLO slow.test\r\nMAIL FROM:<s@low.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSub"),
                _ => {}
            }
            client
        })
        .collect();
    for client in &mut slow {
        client.expect(220);
    }
    let begun = Instant::now();
    let mut fast = on_relay(&program);
    for number in 0..20 {
        let mark = format!("fast-{number}");
        let reply = fast.deliver("a@b.test", &["bob@example.test"], &from_anna("bob@example.test", &mark));
        assert_eq!(reply.code, 250, "{reply}");
    }
    program.maildir("bob@example.test").wait_for_letter("fast-19");
    let took = begun.elapsed();
    println!("20 letters beside 1,000 slow clients: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    // They are still served, slowly as they are.
    slow[0].send(b"O slow.test\r\n");
    slow[0].expect(250);
}

#[test]
fn one_client_cannot_take_every_connection() {
    let program = annas_house().set("limits", "connections_per_client = 5").start();
    let mut five: Vec<Client> = (0..5).map(|_| on_relay(&program)).collect();
    let mut sixth = program.client(Profile::Relay);
    let reply = sixth.expect(421);
    assert!(reply.says("4.7.0"), "{reply}");
    sixth.rest();
    five.pop().expect("five").say("QUIT", 221);
    harness::wait_until(Duration::from_secs(10), "a place to be free again", || {
        program.client(Profile::Relay).reply().code == 220
    });
}

#[test]
fn too_many_recipients_are_left_for_the_next_letter() {
    let sink = Sink::start();
    let program = relay_house().set("limits", "recipients = 100").route("*", sink.address()).start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<a@b.test>", 250);
    for number in 0..100 {
        client.say(&format!("RCPT TO:<r{number}@d.test>"), 250);
    }
    let reply = client.say("RCPT TO:<one-more@d.test>", 452);
    assert!(reply.says("4.5.3"), "{reply}");
    client.say("DATA", 354);
    client.send(&harness::letter::dot_stuffed(&letter_of_size("a@b.test", "r0@d.test", "hundred", 2000)));
    client.expect(250);
    harness::wait_until(Duration::from_secs(20), "a hundred recipients", || {
        sink.look(|letters| letters.iter().map(|letter| letter.to.len()).sum::<usize>() == 100)
    });
}
