//! Letters, connections and replies.

use std::sync::Arc;
use std::time::Duration;

use dns::Zone;
use queue::Verdict::{Deferred, Delivered, Failed, PassedOn, Relayed};
use queue::Weather;
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::sink::{Script, Sink, count};
use super::{House, setup, verdicts};
use crate::Setup;

fn relay(sink: &Sink, more: &str) -> String {
    format!("{more}\n[[route]]\ndomain = \"*\"\nto = \"127.0.0.1:{}\"\n", sink.port())
}

#[tokio::test]
async fn letters_follow_each_other_on_one_connection() {
    let sink = Sink::new(Script::default()).await;
    let mut house = House::new(&relay(&sink, ""));
    for _ in 0..3 {
        let outcomes = house.send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Relayed]);
        assert_eq!(outcomes[0].by, format!("[127.0.0.1]:{}", sink.port()));
        assert_eq!(outcomes[0].reply.to_string(), "250 2.0.0 taken");
        assert_eq!(outcomes[0].tls, "none: STARTTLS not offered; level=opportunistic by the route");
    }
    assert_eq!((sink.seen.connections(), sink.seen.letters().len()), (1, 3));
    assert_eq!(count(&sink.seen.commands())["EHLO"], 1);
}

#[tokio::test]
async fn a_letter_arrives_byte_for_byte_by_data_and_by_bdat() {
    let mut body = b"Subject: x\r\n\r\n".to_vec();
    for n in 0..60_000 {
        body.extend_from_slice(format!("{}line {n} \u{e9}\r\n", ".".repeat(n % 3)).as_bytes());
    }
    for offers in [vec!["PIPELINING"], vec!["PIPELINING", "CHUNKING"], vec!["CHUNKING"], vec![]] {
        let offers = [offers, vec!["8BITMIME"]].concat();
        let sink = Sink::new(Script { offers: offers.clone(), ..Script::default() }).await;
        let mut house = House::new(&relay(&sink, ""));
        let outcomes = house.send_body(&["ann@a.example"], &body).await;
        assert_eq!(verdicts(&outcomes), [Relayed], "{offers:?}");
        assert!(sink.seen.letters()[0].body == body, "{offers:?}");
    }
}

/// RFC 3461 §5.2.2: who tells the sender of success hangs on what the server offers.
#[tokio::test]
async fn a_server_with_dsn_is_left_to_tell_of_success() {
    let sink = Sink::new(Script { offers: vec!["PIPELINING", "DSN"], ..Script::default() }).await;
    let mut house = House::new(&relay(&sink, ""));
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [PassedOn]);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_the_letter_nothing() {
    let silent: fn(&super::sink::Heard<'_>) -> Option<&'static str> =
        |heard| (heard.letters == 1 && heard.command.starts_with("MAIL")).then_some("CLOSE");
    let goodbye: fn(&super::sink::Heard<'_>) -> Option<&'static str> =
        |heard| (heard.letters == 1 && heard.command.starts_with("MAIL")).then_some("421 4.4.2 idle too long");
    for closing in [silent, goodbye] {
        let sink = Sink::new(Script::saying(closing)).await;
        let mut house = House::new(&relay(&sink, ""));
        for _ in 0..3 {
            assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
        }
        assert_eq!((sink.seen.connections(), sink.seen.letters().len()), (3, 3));
    }
}

#[tokio::test]
async fn a_server_that_always_hangs_up_is_tried_once_more_and_no_more() {
    let sink = Sink::new(Script::saying(|heard| {
        (heard.command.starts_with("MAIL") && (heard.letters > 0 || heard.connection > 1)).then_some("CLOSE")
    }))
    .await;
    let mut house = House::new(&relay(&sink, ""));
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
    let outcomes = house.send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert_eq!(sink.seen.connections(), 2);
}

#[tokio::test]
async fn a_letter_that_may_have_arrived_is_not_sent_twice_in_one_attempt() {
    let sink = Sink::new(Script::saying(|heard| (heard.letters == 1 && heard.command == ".").then_some("CLOSE"))).await;
    let mut house = House::new(&relay(&sink, ""));
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
    let outcomes = house.send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert_eq!(outcomes[0].by, "gatepost");
    assert_eq!(sink.seen.letters().len(), 2);
}

#[tokio::test]
async fn each_recipient_has_its_own_reply() {
    let sink = Sink::new(Script::saying(|heard| {
        if heard.command.contains("<bob@") {
            Some("550 5.1.1 no such bob")
        } else if heard.command.contains("<cat@") {
            Some("450 4.2.0 cat is away")
        } else {
            None
        }
    }))
    .await;
    let mut house = House::new(&relay(&sink, ""));
    let outcomes = house.send(&["bob@a.example", "ann@a.example", "cat@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Failed, Relayed, Deferred]);
    assert_eq!(outcomes[0].reply.to_string(), "550 5.1.1 no such bob");
    assert_eq!(sink.seen.letters()[0].to, ["ann@a.example"]);
    // The connection is as good as before.
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
    assert_eq!(sink.seen.connections(), 1);
}

#[tokio::test]
async fn a_421_in_the_middle_defers_the_letter() {
    let sink =
        Sink::new(Script::saying(|heard| heard.command.contains("<bob@").then_some("421 4.3.2 going down"))).await;
    let mut house = House::new(&relay(&sink, ""));
    let outcomes = house.send(&["ann@a.example", "bob@a.example", "cat@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred; 3]);
    assert_eq!(outcomes[1].reply.to_string(), "421 4.3.2 going down");
    assert!(sink.seen.letters().is_empty());
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_large_letter_is_heard() {
    let sink = Sink::new(Script {
        answers: Arc::new(|heard| {
            let size = heard.command.strip_prefix("AFTER ")?.parse::<usize>().ok()?;
            (size > 100_000).then(|| "552 5.3.4 far too large".to_owned())
        }),
        ..Script::default()
    })
    .await;
    let mut house = House::new(&relay(&sink, ""));
    let body = b"0123456789012345678901234567890123456789\r\n".repeat(400_000);
    let outcomes = house.send_body(&["ann@a.example"], &body).await;
    assert_eq!(outcomes[0].reply.to_string(), "552 5.3.4 far too large");
    assert_eq!(verdicts(&outcomes), [Failed]);
}

#[tokio::test]
async fn many_recipients_go_in_several_transactions() {
    let to: Vec<String> = (0..7).map(|n| format!("r{n}@a.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for (offers, more) in
        [(vec!["PIPELINING"], "recipients_per_transaction = 3"), (vec!["PIPELINING", "LIMITS RCPTMAX=3"], "")]
    {
        let sink = Sink::new(Script { offers, ..Script::default() }).await;
        let mut house = House::new(&relay(&sink, more));
        assert_eq!(verdicts(&house.send(&to).await), [Relayed; 7]);
        let sizes: Vec<_> = sink.seen.letters().iter().map(|letter| letter.to.len()).collect();
        assert_eq!((sizes, sink.seen.connections()), (vec![3, 3, 1], 1));
    }
}

#[tokio::test]
async fn recipients_that_were_too_many_go_on_at_once() {
    // Takes two at a time: says 452 to r2 and r3 the first time it hears of them.
    let sink = Sink::new(Script {
        answers: Arc::new(|heard| {
            let late = heard.command.contains("<r2@") || heard.command.contains("<r3@");
            (late && heard.letters == 0).then(|| "452 4.5.3 too many recipients".to_owned())
        }),
        ..Script::default()
    })
    .await;
    let mut house = House::new(&relay(&sink, ""));
    let outcomes = house.send(&["r0@a.example", "r1@a.example", "r2@a.example", "r3@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Relayed; 4]);
    assert_eq!(sink.seen.letters().iter().map(|letter| letter.to.len()).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn a_server_that_has_too_many_for_ever_ends_the_attempt() {
    let sink =
        Sink::new(Script::saying(|heard| heard.command.starts_with("RCPT").then_some("452 4.5.3 too many"))).await;
    let mut house = House::new(&relay(&sink, ""));
    assert_eq!(verdicts(&house.send(&["r0@a.example", "r1@a.example"]).await), [Deferred; 2]);
}

#[tokio::test]
async fn a_refused_connection_leads_to_the_next_server() {
    let sink = Sink::new(Script::default()).await;
    // Nothing listens on this port of 127.0.0.2.
    let zone = Zone::new()
        .mx("a.example", 10, "dead.example")
        .mx("a.example", 20, "mx.example")
        .a("dead.example", [127, 0, 0, 2])
        .a("mx.example", [127, 0, 0, 1]);
    let config = format!("allow_loopback_mx = true\nmx_port = {}", sink.port());
    let mut house = House::with(&config, zone, RootCertStore::empty());
    let outcomes = house.send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Relayed]);
    assert_eq!(outcomes[0].by, format!("mx.example [127.0.0.1]:{}", sink.port()));
}

#[tokio::test]
async fn when_every_server_refuses_the_words_of_one_are_kept() {
    let sink = Sink::new(Script::saying(|heard| heard.command.is_empty().then_some("554 5.7.1 not you"))).await;
    let zone = Zone::new()
        .mx("a.example", 10, "mx.example")
        .mx("a.example", 20, "dead.example")
        .a("dead.example", [127, 0, 0, 2])
        .a("mx.example", [127, 0, 0, 1]);
    let config = format!("allow_loopback_mx = true\nmx_port = {}", sink.port());
    let mut house = House::with(&config, zone, RootCertStore::empty());
    let outcomes = house.send_body(&["ann@a.example"], b"x\r\n").await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert_eq!(outcomes[0].reply.to_string(), "554 5.7.1 not you");
    assert!(outcomes[0].by.starts_with("mx.example [127.0.0.1]"), "{}", outcomes[0].by);
    assert_eq!(house.weather, Some(Weather::Trouble));
}

#[tokio::test]
async fn the_dns_decides_between_failing_and_waiting() {
    let zone = Zone::new().null_mx("never.example").servfail("later.example").mx("here.example", 10, "us.example");
    for (to, verdict, code) in [
        ("x@never.example", Failed, "5.1.10"),
        ("x@nowhere.example", Failed, "5.1.2"),
        ("x@here.example", Failed, "5.4.6"),
        ("x@later.example", Deferred, "4.4.3"),
        ("x@[127.0.0.1]", Failed, "5.4.4"),
    ] {
        let mut house = House::with("", zone.clone(), RootCertStore::empty());
        let outcomes = house.send(&[to]).await;
        assert_eq!(verdicts(&outcomes), [verdict], "{to}");
        assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), code, "{to}");
        assert_eq!(outcomes[0].by, "gatepost");
    }
}

#[tokio::test]
async fn an_address_literal_is_delivered_to_where_it_says() {
    let sink = Sink::new(Script::default()).await;
    let mut house = House::new(&format!("allow_loopback_mx = true\nmx_port = {}", sink.port()));
    assert_eq!(verdicts(&house.send(&["ann@[127.0.0.1]"]).await), [Relayed]);
    assert_eq!(sink.seen.letters()[0].to, ["ann@[127.0.0.1]"]);
}

#[tokio::test]
async fn an_address_literal_of_our_own_is_a_loop() {
    let sink = Sink::new(Script::default()).await;
    let config = format!("allow_loopback_mx = true\nmx_port = {}", sink.port());
    let setup = Setup { listening: vec![sink.address], ..setup(&config, Zone::new(), RootCertStore::empty()) };
    let mut house = House { state: Arc::new(setup.state().unwrap()), line: None, weather: None, told: Vec::new() };
    let outcomes = house.send(&["ann@[127.0.0.1]"]).await;
    assert_eq!(verdicts(&outcomes), [Failed]);
    assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "5.4.6");
    assert_eq!(sink.seen.connections(), 0);
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient_over_tcp_and_a_socket() {
    let script = || Script {
        lmtp: true,
        ..Script::saying(|heard| match heard.command {
            ". <bob@a.example>" => Some("452 4.2.2 bob is full"),
            ". <cat@a.example>" => Some("550 5.2.1 cat is closed"),
            _ => None,
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let seen = Sink::unix(&path, script());
    let tcp = Sink::new(script()).await;
    for (to, seen) in [(path.display().to_string(), seen), (format!("127.0.0.1:{}", tcp.port()), tcp.seen.clone())] {
        let mut house = House::new(&format!("[[local]]\ndomain = \"a.example\"\nto = \"lmtp:{to}\""));
        for _ in 0..2 {
            let outcomes = house.send(&["ann@a.example", "bob@a.example", "cat@a.example"]).await;
            assert_eq!(verdicts(&outcomes), [Delivered, Deferred, Failed], "{to}");
            assert!(outcomes[0].by.contains(&to.replace("127.0.0.1", "[127.0.0.1]")), "{}", outcomes[0].by);
        }
        assert_eq!(seen.connections(), 1);
        assert!(seen.commands()[0].starts_with("LHLO us.example"), "{:?}", seen.commands());
    }
}

#[tokio::test]
async fn a_connection_is_replaced_when_it_has_had_its_letters() {
    for (offers, more) in
        [(vec!["PIPELINING"], "letters_per_connection = 2"), (vec!["PIPELINING", "LIMITS MAILMAX=2"], "")]
    {
        let sink = Sink::new(Script { offers, ..Script::default() }).await;
        let mut house = House::new(&relay(&sink, more));
        for _ in 0..5 {
            assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
        }
        let connections: Vec<_> = sink.seen.letters().iter().map(|letter| letter.connection).collect();
        assert_eq!(connections, [1, 1, 2, 2, 3]);
        assert_eq!(count(&sink.seen.commands())["QUIT"], 2);
    }
}

#[tokio::test]
async fn an_empty_letter_is_a_letter() {
    for offers in [vec!["PIPELINING"], vec!["PIPELINING", "CHUNKING"]] {
        let sink = Sink::new(Script { offers, ..Script::default() }).await;
        let mut house = House::new(&relay(&sink, ""));
        let outcomes = house.send_body(&["ann@a.example"], b"").await;
        assert_eq!(verdicts(&outcomes), [Relayed]);
    }
}

/// Two servers of `a.example`; the first is preferred.
async fn primary_and_backup(primary: Script, backup: Script) -> (Sink, Sink, House) {
    let primary = Sink::new(primary).await;
    let backup = Sink::at(([127, 0, 0, 2], primary.port()).into(), backup).await;
    let zone = Zone::new()
        .mx("a.example", 10, "primary.example")
        .mx("a.example", 20, "backup.example")
        .a("primary.example", [127, 0, 0, 1])
        .a("backup.example", [127, 0, 0, 2]);
    let config = format!("allow_loopback_mx = true\nmx_port = {}", primary.port());
    (primary, backup, House::with(&config, zone, RootCertStore::empty()))
}

/// Exchange under pressure says so at MAIL, for hours.
#[tokio::test]
async fn a_server_that_takes_no_letters_now_is_passed_over_for_the_next() {
    for words in ["452 4.3.1 Insufficient system resources", "421 4.3.2 Service not available", "CLOSE"] {
        let busy = Script::saying(move |heard| heard.command.starts_with("MAIL").then_some(words));
        let (primary, backup, mut house) = primary_and_backup(busy.clone(), Script::default()).await;
        let outcomes = house.send(&["ann@a.example", "bob@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Relayed; 2], "{words}: {}", outcomes[0].reply);
        assert_eq!((primary.seen.connections(), backup.seen.letters().len()), (1, 1));

        let (primary, backup, mut house) = primary_and_backup(busy.clone(), busy).await;
        let outcomes = house.send(&["ann@a.example"]).await;
        assert_eq!(verdicts(&outcomes), [Deferred]);
        assert!(words == "CLOSE" || outcomes[0].reply.to_string() == words, "{}", outcomes[0].reply);
        assert_eq!((primary.seen.connections(), backup.seen.connections()), (1, 1));
    }
}

#[tokio::test]
async fn a_recipient_that_is_refused_for_now_is_left_to_the_same_server() {
    let grey = Script::saying(|heard| heard.command.starts_with("RCPT").then_some("450 4.2.0 greylisted"));
    let (primary, backup, mut house) = primary_and_backup(grey, Script::default()).await;
    assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Deferred]);
    assert_eq!((primary.seen.connections(), backup.seen.connections()), (1, 0));
}

#[tokio::test]
async fn a_server_that_wants_no_more_letters_on_one_connection_gets_another() {
    let sink = Sink::new(Script::saying(|heard| {
        (heard.letters == 1 && heard.command.starts_with("MAIL")).then_some("452 4.5.3 too many messages, come again")
    }))
    .await;
    let mut house = House::new(&relay(&sink, ""));
    for _ in 0..3 {
        assert_eq!(verdicts(&house.send(&["ann@a.example"]).await), [Relayed]);
    }
    assert_eq!((sink.seen.connections(), sink.seen.letters().len()), (3, 3));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = format!("[timeout]\ngreeting = \"50ms\"\n[[route]]\ndomain = \"*\"\nto = \"127.0.0.1:{port}\"");
    let outcomes = House::new(&config).send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert!(outcomes[0].reply.text().contains("did not reply in time before its greeting"), "{}", outcomes[0].reply);
}

/// A server that lets the letter begin, says `last`, and never reads again.
async fn stuck(last: &'static str) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 512];
        for said in ["220 x\r\n", "250-x\r\n250 PIPELINING\r\n", "250 1\r\n250 2\r\n354 3\r\n"] {
            stream.write_all(said.as_bytes()).await.unwrap();
            let _ = stream.read(&mut buffer).await.unwrap();
        }
        stream.write_all(last.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    (port, server)
}

fn large() -> Vec<u8> {
    b"0123456789012345678901234567890123456789\r\n".repeat(1_000_000)
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_given_up() {
    let (port, server) = stuck("").await;
    let config = format!("[timeout]\ndata_block = \"100ms\"\n[[route]]\ndomain = \"*\"\nto = \"127.0.0.1:{port}\"");
    let outcomes = House::new(&config).send_body(&["ann@a.example"], &large()).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert_eq!(outcomes[0].reply.enhanced.unwrap().to_string(), "4.4.2");
    server.abort();
}

#[tokio::test]
async fn a_server_that_refuses_and_takes_nothing_more_is_heard_at_once() {
    let (port, server) = stuck("552 5.3.4 far too large\r\n").await;
    let mut house = House::new(&format!("[[route]]\ndomain = \"*\"\nto = \"127.0.0.1:{port}\""));
    let large = large();
    let sent = tokio::time::timeout(Duration::from_secs(20), house.send_body(&["ann@a.example"], &large)).await;
    let outcomes = sent.expect("long before the three minutes of data_block");
    assert_eq!(outcomes[0].reply.to_string(), "552 5.3.4 far too large");
    assert_eq!(verdicts(&outcomes), [Failed]);
    server.abort();
}

#[tokio::test]
async fn a_refused_login_defers_and_sends_nothing() {
    let sink = Sink::new(Script {
        offers: vec!["AUTH PLAIN"],
        ..Script::saying(|heard| heard.command.starts_with("AUTH").then_some("535 5.7.8 wrong"))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret").unwrap();
    let login = format!("user = \"me\"\npassword_file = \"{}\"\ntls = \"none\"\n", file.display());
    let plain = "insecure_allow_plaintext_auth = true";
    let mut house = House::new(&format!("{}{login}{plain}", relay(&sink, "")));
    let outcomes = house.send(&["ann@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [Deferred]);
    assert!(outcomes[0].reply.to_string().starts_with("535 5.7.8"), "{}", outcomes[0].reply);
    assert!(sink.seen.letters().is_empty());
    assert_eq!(count(&sink.seen.commands())["AUTH"], 1);
}
