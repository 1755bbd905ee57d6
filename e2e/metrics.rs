//! Figures over HTTP: what happened is counted, and whoever is not ready says so.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use harness::{Profile, Program, wait_until};

use crate::{annas_house, as_anna, from_anna, on_relay};

/// A page, as `curl` would ask for it: the head and the body.
fn page(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the window");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer and its end");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

fn with_window() -> (Program, SocketAddr) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, harness::free_port()));
    let house = annas_house().set("metrics", &format!("listen = \"{address}\""));
    (house.start(), address)
}

fn shows(text: &str, line: &str) -> bool {
    text.lines().any(|written| written == line)
}

#[test]
fn what_happened_is_counted() {
    let (program, address) = with_window();
    let mut anna = as_anna(&program, Profile::Submissions);
    assert_eq!(anna.deliver(crate::ANNA, &["bob@example.test"], &from_anna("bob@example.test", "counted")).code, 250);
    program.maildir("bob@example.test").wait_for_letter("counted");
    let mut stranger = on_relay(&program);
    stranger.say("MAIL FROM:<a@b.test>", 250);
    assert_eq!(stranger.ask("RCPT TO:<c@elsewhere.test>").code / 100, 5);
    let mut guesser = program.client(Profile::Submission);
    guesser.hello();
    guesser.start_tls(&program.house.ca().trusting(), harness::house::HOSTNAME);
    assert_eq!(guesser.auth_plain("anna", "wrong").code, 535);
    let wanted = [
        "gatepost_letters_received_total{listener=\"submissions\"} 1",
        "gatepost_attempts_total{outcome=\"delivered\"} 1",
        "gatepost_refusals_total{listener=\"relay\"} 1",
        "gatepost_auth_failures_total{listener=\"submission\"} 1",
        "gatepost_tls_sessions_total{listener=\"submission\",version=\"1.3\"} 1",
        "gatepost_queue_letters{state=\"waiting\"} 0",
        "gatepost_queue_letters{state=\"active\"} 0",
        "gatepost_delivery_seconds_count 1",
        "gatepost_connections_in 3",
        "gatepost_records_lost_total 0",
    ];
    wait_until(Duration::from_secs(10), "all of it to be counted", || {
        let (_, text) = page(address, "/metrics");
        wanted.iter().all(|line| shows(&text, line))
    });
    let (head, text) = page(address, "/metrics");
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(!text.contains("example.test") && !text.contains("127.0.0.1"), "a label names a peer: {text}");
    let synced = text.lines().find_map(|line| line.strip_prefix("gatepost_spool_sync_seconds_count ")).expect("syncs");
    assert!(synced.parse::<u64>().expect("a number") >= 1);
}

#[test]
fn a_server_that_stops_is_alive_and_not_ready() {
    let (mut program, address) = with_window();
    assert!(page(address, "/healthz").0.starts_with("HTTP/1.1 200"));
    assert!(page(address, "/readyz").0.starts_with("HTTP/1.1 200"));
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<bob@example.test>", 250);
    client.say("DATA", 354);
    client.send(b"Subject: last\r\n\r\n");
    program.terminate();
    wait_until(Duration::from_secs(10), "it to say that it stops", || {
        let (head, body) = page(address, "/readyz");
        head.starts_with("HTTP/1.1 503") && body.contains("stopping")
    });
    assert!(page(address, "/healthz").0.starts_with("HTTP/1.1 200"));
    client.send(b"the last letter\r\n.\r\n");
    client.expect(250);
    assert!(program.wait_for_end(Duration::from_secs(40)).success());
}

#[test]
fn a_disk_without_room_is_not_ready() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, harness::free_port()));
    let house = annas_house().set("metrics", &format!("listen = \"{address}\"")).set("queue", "min_free = \"9000TB\"");
    let _program = house.start();
    let (head, body) = page(address, "/readyz");
    assert!(head.starts_with("HTTP/1.1 503") && body.contains("reasons"), "{head}\n{body}");
}
