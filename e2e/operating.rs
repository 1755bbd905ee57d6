//! What an operator sees and does while letters wait.

use std::time::Duration;

use harness::ports::free_port;
use harness::{FakeDns, Program, Sink, Stage, wait_until};
use serde_json::Value;

use crate::{ANNA, from_anna, on_relay, relay_house};

/// A program whose only next hop is not there; letters for these recipients wait. Some were tried, the others wait behind
/// them for the dead site.
fn with_waiting(to: &[&str]) -> (Program, u16) {
    let port = free_port();
    let program = relay_house().route("*", ([127, 0, 0, 1], port).into()).retry(&["0s", "1h"]).start();
    let mut client = on_relay(&program);
    for to in to {
        client.deliver(ANNA, &[to], &from_anna(to, &format!("for {to}")));
    }
    wait_until(Duration::from_secs(20), "attempts to end", || {
        let queue = program.queue();
        let letters = queue.as_array().expect("a list");
        let tried = letters.iter().any(|letter| letter["attempts"] == 1);
        letters.len() == to.len() && tried && letters.iter().all(|letter| letter["standing"] != "trying")
    });
    (program, port)
}

/// What a command says, as JSON.
fn json(program: &Program, arguments: &[&str]) -> Value {
    let ended = program.house.run(&[arguments, &["--json"]].concat(), b"");
    assert!(ended.success(), "{arguments:?}: {ended}");
    ended.json()
}

#[test]
fn a_list_is_narrowed_as_the_changes_are() {
    let (program, port) = with_waiting(&["x@b.test", "y@c.test"]);
    let count = |arguments: &[&str]| {
        let listed = json(&program, &[&["queue", "list"], arguments].concat());
        listed.as_array().expect("a list").len()
    };
    let site = format!("smtp:127.0.0.1:{port}");
    for (arguments, expected) in [
        (&["--domain", "b.test"][..], 1),
        (&["--site", &site], 2),
        (&["--site", "b.test"], 0),
        (&["--from", "anna@"], 2),
        (&["--sender", "anna@", "--recipient", "y@"], 1),
        (&["--to", "x@"], 1),
        (&["--younger", "1h"], 2),
        (&["--state", "trying"], 0),
        (&["--state", "held"], 0),
        (&["--older", "1h"], 0),
        (&["--limit", "1"], 1),
    ] {
        assert_eq!(count(arguments), expected, "{arguments:?}");
    }
    let none = program.house.run(&["queue", "list", "--domain", "d.test"], b"");
    assert!(none.success() && none.stdout.contains("No letter"), "{none}");
    let both = program.house.run(&["queue", "hold", "1m859e7820000", "--domain", "b.test"], b"");
    assert_eq!(both.code(), Some(2), "{both}");
}

#[test]
fn letters_are_redirected_to_a_server_that_is_there() {
    let (program, _) = with_waiting(&["x@b.test", "y@c.test"]);
    let sink = Sink::start();
    let to = format!("smtp://{}", sink.address());
    let wrong = program.house.run(&["queue", "redirect", "--to", "nowhere", "--all"], b"");
    assert_eq!(wrong.code(), Some(1), "{wrong}");
    assert!(wrong.stderr.contains("host:port"), "{wrong}");
    let dry = program.house.run(&["queue", "redirect", "--to", &to, "--domain", "b.test", "--dry-run"], b"");
    assert!(dry.stdout.contains("1 letter would be redirected"), "{dry}");
    let done = program.house.run(&["queue", "redirect", "--to", &to, "--domain", "b.test"], b"");
    assert!(done.success() && done.stdout.contains("1 letter redirected"), "{done}");
    assert_eq!(sink.wait_for(1)[0].to, ["<x@b.test>"]);
    let left = program.queue();
    assert_eq!(left.as_array().expect("a list").len(), 1, "{left}");
    assert!(left.to_string().contains("y@c.test"));
}

#[test]
fn what_is_suspended_waits_over_a_kill_and_leaves_when_it_is_resumed() {
    let sink = Sink::start();
    let mut program = relay_house().route("*", sink.address()).retry(&["0s", "1h"]).start();
    let site = format!("smtp:{}", sink.address());
    let run = |program: &Program, arguments: &[&str]| {
        let ended = program.house.run(&[&["queue"], arguments].concat(), b"");
        assert!(ended.success(), "{arguments:?}: {ended}");
        ended.stdout
    };
    let none = program.house.run(&["queue", "suspend"], b"");
    assert_eq!(none.code(), Some(2), "one of the four has to be named: {none}");
    assert!(run(&program, &["suspend", "--site", &site, "--dry-run"]).contains("0 letters would wait"));
    assert!(run(&program, &["suspensions"]).contains("Nothing is suspended"));
    let said = run(&program, &["suspend", "--site", &site, "--reason", "they asked", "--for", "2h"]);
    assert!(said.contains("is suspended until") && said.contains("they asked"), "{said}");
    assert!(said.contains("no letter was sent there lately"), "{said}");
    run(&program, &["suspend", "--domain", "c.test"]);
    run(&program, &["suspend", "--sender", "@d.test"]);
    let mut client = on_relay(&program);
    client.deliver(ANNA, &["x@b.test"], &from_anna("x@b.test", "one"));
    client.deliver(ANNA, &["y@c.test"], &from_anna("y@c.test", "two"));
    client.deliver("dora@d.test", &["z@b.test"], &from_anna("z@b.test", "three"));
    program.kill();
    program.restart();
    let listed = run(&program, &["list", "--domain", "b.test"]);
    assert!(listed.contains(&format!("the site {site} is suspended until")), "{listed}");
    let suspended = json(&program, &["queue", "list", "--state", "suspended"]);
    assert_eq!(suspended.as_array().map(Vec::len), Some(3), "{suspended}");
    let route = program.house.run(&["route", "y@c.test"], b"");
    assert!(route.stdout.contains("the domain c.test is suspended"), "{route}");
    let all = json(&program, &["queue", "suspensions"]);
    assert_eq!(all.as_array().map(Vec::len), Some(3), "{all}");
    assert!(all.to_string().contains("they asked"), "{all}");
    let table = run(&program, &["suspensions"]);
    assert!(table.lines().all(|line| line.len() <= 80) && table.contains("the domain c.test"), "{table}");
    run(&program, &["retry", "--all"]);
    assert_eq!(sink.count(), 0);

    run(&program, &["resume", "--site", &site]);
    assert!(sink.wait_for(1)[0].contains("one"));
    let wrong = program.house.run(&["queue", "resume", "--domain", "b.test"], b"");
    assert_eq!(wrong.code(), Some(1), "{wrong}");
    assert_eq!(sink.count(), 1);
    let said = run(&program, &["resume", "--all"]);
    assert!(said.contains("the domain c.test is resumed") && said.contains("the sender @d.test"), "{said}");
    sink.wait_for(3);
    assert!(run(&program, &["suspensions"]).contains("Nothing is suspended"));
    program.kill();
    program.restart();
    assert!(run(&program, &["suspensions"]).contains("Nothing is suspended"));
}

#[test]
fn a_summary_says_where_letters_wait_and_why() {
    let (program, port) = with_waiting(&["x@b.test", "y@c.test", "z@c.test"]);
    let site = format!("smtp:127.0.0.1:{port}");
    let by_site = json(&program, &["queue"]);
    let group = &by_site["groups"][0];
    assert_eq!((group["name"].as_str(), group["letters"].as_u64()), (Some(site.as_str()), Some(3)), "{by_site}");
    assert_eq!(group["waiting"].as_u64().unwrap_or(0) + group["ready"].as_u64().unwrap_or(0), 3, "{by_site}");
    assert!(group["last"]["text"].as_str().is_some_and(|text| text.contains("refused")), "{by_site}");
    assert_eq!(by_site["server"]["letters"], 3, "{by_site}");
    let by_domain = json(&program, &["queue", "summary", "--by", "domain"]);
    assert_eq!((&by_domain["groups"][0]["name"], &by_domain["groups"][0]["letters"]), (&"c.test".into(), &2.into()));
    let one = json(&program, &["queue", "summary", "--by", "sender", "--domain", "b.test"]);
    assert_eq!((&one["groups"][0]["name"], &one["groups"][0]["letters"]), (&ANNA.into(), &1.into()), "{one}");

    for arguments in [&["queue"][..], &["queue", "summary", "--by", "state"]] {
        let shown = program.house.run(arguments, b"");
        assert!(shown.success() && shown.stdout.contains("3 letters in the queue"), "{shown}");
        assert!(shown.stdout.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    program.house.run(&["queue", "suspend", "--site", &site, "--reason", "they asked"], b"");
    let why = json(&program, &["queue"])["groups"][0]["why"].to_string();
    assert!(why.contains("is suspended: they asked"), "{why}");
}

#[test]
fn a_summary_is_shown_of_a_stopped_server_too() {
    let (mut program, _) = with_waiting(&["x@b.test", "y@c.test"]);
    program.stop();
    let shown = program.house.run(&["queue"], b"");
    assert!(shown.success() && shown.stdout.contains("no server is running"), "{shown}");
    assert!(shown.stdout.contains("DOMAIN") && shown.stdout.contains("b.test"), "{shown}");
    let empty = program.house.run(&["queue", "summary", "--domain", "d.test"], b"");
    assert!(empty.success() && empty.stdout.contains("No letter"), "{empty}");
}

#[test]
fn top_shows_the_queue_as_often_as_it_is_told() {
    let (mut program, port) = with_waiting(&["x@b.test"]);
    let top = program.house.run(&["queue", "top", "--count", "2", "--interval", "100ms"], b"");
    assert!(top.success(), "{top}");
    assert_eq!(top.stdout.matches("1 letter; ").count(), 2, "{top}");
    assert_eq!(top.stdout.matches(&format!("smtp:127.0.0.1:{port}")[..19]).count(), 2, "{top}");
    let lines = program.house.run(&["queue", "top", "--count", "3", "--interval", "10ms", "--json"], b"");
    let values: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(values.len() == 3 && values.iter().all(|value| value["letters"] == 1), "{lines}");
    program.stop();
    let none = program.house.run(&["queue", "top", "--count", "1"], b"");
    assert_eq!(none.code(), Some(1), "{none}");
}

#[test]
fn the_rule_that_keeps_a_site_back_is_named_with_the_reply_that_caused_it() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    dns.mx("one.test", &[(10, "mta5.am0.yahoodns.net")]);
    dns.a("mta5.am0.yahoodns.net", &["127.0.0.1"]);
    sink.answer(Stage::Mail, "", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", 1);
    let rule = "[[shaping.provider.yahoo.automation]]\nname = \"tss04\"\nmatch = '^421 .*\\[TSS04\\]'\n\
                action = { suspend = true }\nfor = \"1h\"\nreason = \"Yahoo defers this address\"\n";
    let program = relay_house().dns(dns.address()).mx_port(port).retry(&["0s", "1s"]).tail(rule).start();
    on_relay(&program).deliver(ANNA, &["x@one.test"], &from_anna("x@one.test", "x"));
    let mut why = String::new();
    wait_until(Duration::from_secs(20), "the site to rest", || {
        why = json(&program, &["queue"]).to_string();
        why.contains("rests until")
    });
    assert!(why.contains("rule provider.yahoo/") && why.contains("421 4.7.0 [TSS04]"), "{why}");
    let shown = program.house.run(&["queue"], b"");
    assert!(shown.stdout.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

/// Each letter is then as it was, or as it was to be.
#[test]
fn a_kill_in_the_middle_of_a_bulk_change_loses_nothing() {
    const LETTERS: usize = 600;
    let port = free_port();
    let mut program = relay_house().route("*", ([127, 0, 0, 1], port).into()).retry(&["1h", "1h"]).start();
    let mut client = on_relay(&program);
    for number in 0..LETTERS {
        let to = format!("x{number}@b.test");
        client.deliver(ANNA, &[&to], &from_anna(&to, "bulk"));
    }
    let sink = Sink::start();
    let other = sink.address().to_string();
    let changes: [&[&str]; 3] = [&["hold", "--all"], &["redirect", "--to", &other, "--all"], &["release", "--all"]];
    for (round, change) in changes.into_iter().enumerate() {
        std::thread::scope(|scope| {
            let house = &program.house;
            let running = scope.spawn(|| house.run(&[&["queue"], change].concat(), b""));
            wait_until(Duration::from_secs(20), "some to be changed", || {
                let records = std::fs::read_to_string(house.data().join("records/records.jsonl")).unwrap_or_default();
                let event = ["held", "redirected", "released"][round];
                records.matches(&format!(r#""event":"{event}""#)).count() > 0 || running.is_finished()
            });
            let pid = rustix::process::Pid::from_raw(program.pid() as i32).expect("a process id");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a signal to our own child");
            let _ = running.join();
        });
        program.kill();
        program.restart();
        let listed = program.queue();
        let listed = listed.as_array().expect("a list");
        // From the third round on, what is released leaves for where it was sent.
        assert!(listed.len() + sink.count() >= LETTERS, "after {change:?}: {} and {}", listed.len(), sink.count());
    }
    for change in [&["redirect", "--to", &other, "--all"][..], &["release", "--all"]] {
        let done = program.house.run(&[&["queue"], change].concat(), b"");
        assert!(done.success(), "{done}");
    }
    wait_until(Duration::from_secs(30), "all to leave", || program.queue().as_array().is_some_and(Vec::is_empty));
    let letters = sink.letters();
    for number in 0..LETTERS {
        let to = format!("<x{number}@b.test>");
        assert!(letters.iter().any(|letter| letter.to == [to.clone()]), "{to} is lost");
    }
}
