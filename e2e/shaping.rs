//! What a provider's replies change, until it heals by itself.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::{FakeDns, Sink, Stage, free_port, wait_until};
use serde_json::Value;

use crate::{from_anna, on_relay, relay_house};

/// The shipped rule of this name, with a shorter pause.
const SHORT: &str = "[[shaping.provider.yahoo.automation]]\nname = \"tss04\"\nmatch = '^421 .*\\[TSS04\\]'\n\
                     action = { suspend = true }\nfor = \"4s\"\nreason = \"Yahoo defers this address\"\n";

const DEFERRED: &str = "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred";

/// The records of this event.
fn records(data: &Path, event: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data.join("records/records.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|record| record["event"] == event).collect()
}

#[test]
fn a_provider_that_defers_us_is_left_in_peace_and_heals_by_itself_even_over_a_crash() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    for domain in ["one.test", "two.test"] {
        dns.mx(domain, &[(10, "mta5.am0.yahoodns.net")]);
    }
    dns.a("mta5.am0.yahoodns.net", &["127.0.0.1"]);
    sink.answer(Stage::Mail, "", DEFERRED, 1);
    let house = relay_house().dns(dns.address()).mx_port(port).retry(&["0s", "1s"]).tail(SHORT);
    let mut program = house.start();
    on_relay(&program).deliver("a@a.test", &["x@one.test"], &from_anna("x@one.test", "first"));
    let data = program.house.data();
    wait_until(Duration::from_secs(20), "a record of the change", || !records(&data, "shaping").is_empty());
    let begun = Instant::now();

    let record = &records(&data, "shaping")[0];
    assert_eq!((&record["site"], &record["change"]), (&"yahoodns.net".into(), &"begun".into()), "{record}");
    assert_eq!((&record["rule"], &record["limits"]["suspend"]), (&"provider.yahoo/tss04".into(), &true.into()));
    assert_eq!((&record["reply"]["code"], &record["reply"]["enhanced"]), (&421.into(), &"4.7.0".into()), "{record}");
    assert_eq!(record["by"], format!("mta5.am0.yahoodns.net [127.0.0.1]:{port}"), "{record}");

    let shown = program.house.run(&["route", "y@two.test"], b"");
    for words in ["yahoodns.net", "suspended", "provider.yahoo/tss04", DEFERRED, "Yahoo defers this address"] {
        let flat = shown.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{words}: {shown}");
    }
    assert!(shown.stdout.lines().all(|line| line.chars().count() <= 80), "{shown}");

    // Another domain of the same provider waits as well, and the crash ends nothing.
    on_relay(&program).deliver("a@a.test", &["y@two.test"], &from_anna("y@two.test", "second"));
    wait_until(Duration::from_secs(3), "the file", || data.join("shaping.json").exists());
    program.kill();
    program.restart();
    sink.wait_for(2);
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(2), "the site was not left in peace: {waited:?}");
    wait_until(Duration::from_secs(10), "healing", || records(&data, "shaping").len() == 2);
    let healed = &records(&data, "shaping")[1];
    assert_eq!((&healed["change"], &healed["until"]), (&"healed".into(), &record["until"]), "{healed}");
    let shown = program.house.run(&["route", "y@two.test", "--json"], b"").json();
    assert_eq!((&shown["changes"], &shown["limits"]["letters_per_connection"]), (&Value::Array(vec![]), &20.into()));
}

#[test]
fn an_operator_sees_and_ends_what_a_rule_has_suspended() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    dns.mx("one.test", &[(10, "mta5.am0.yahoodns.net")]);
    dns.a("mta5.am0.yahoodns.net", &["127.0.0.1"]);
    sink.answer(Stage::Mail, "", DEFERRED, 1);
    let house = relay_house().dns(dns.address()).mx_port(port).retry(&["0s", "1s"]);
    let program = house.tail(&SHORT.replace("4s", "2h")).start();
    on_relay(&program).deliver("a@a.test", &["x@one.test"], &from_anna("x@one.test", "first"));
    let data = program.house.data();
    wait_until(Duration::from_secs(20), "a record of the change", || !records(&data, "shaping").is_empty());
    let shown = program.house.run(&["queue", "suspensions"], b"");
    assert!(shown.stdout.contains("yahoodns.net") && shown.stdout.contains("provider.yahoo/tss04"), "{shown}");
    assert!(shown.stdout.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let other = program.house.run(&["queue", "resume", "--site", "google.com"], b"");
    assert!(!other.success(), "{other}");
    let resumed = program.house.run(&["queue", "resume", "--site", "yahoodns.net"], b"");
    assert!(resumed.success() && resumed.stdout.contains("yahoodns.net"), "{resumed}");
    sink.wait_for(1);
    wait_until(Duration::from_secs(10), "its record", || records(&data, "shaping").len() == 2);
    assert_eq!(records(&data, "shaping")[1]["change"], "ended");
}

#[test]
fn google_gets_letters_by_tls_only_unless_told_otherwise() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    for domain in ["strict.test", "loose.test"] {
        dns.mx(domain, &[(10, "aspmx.l.google.com")]);
    }
    dns.a("aspmx.l.google.com", &["127.0.0.1"]);
    let house = relay_house().dns(dns.address()).mx_port(port).retry(&["0s", "1h"]);
    let program = house.tail("[delivery.tls.domain]\n\"loose.test\" = \"opportunistic\"\n").start();
    let mut client = on_relay(&program);
    client.deliver("a@a.test", &["x@strict.test"], &from_anna("x@strict.test", "strict"));
    client.deliver("a@a.test", &["x@loose.test"], &from_anna("x@loose.test", "loose"));
    assert!(sink.wait_for(1)[0].contains("loose"));
    let data = program.house.data();
    wait_until(Duration::from_secs(10), "a deferral", || !records(&data, "deferred").is_empty());
    let deferred = &records(&data, "deferred")[0];
    assert!(
        deferred["tls"].as_str().unwrap_or_default().contains("by [shaping.provider] google, shipped"),
        "{deferred}"
    );
    assert_eq!(sink.count(), 1);
    let shown = program.house.run(&["route", "x@strict.test"], b"");
    assert!(
        shown.stdout.contains("required: STARTTLS") && shown.stdout.contains("[shaping.provider] google"),
        "{shown}"
    );
}
