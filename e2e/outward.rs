//! The way out: MX, routes, TLS, what the next hop offers and what it asks for.

use std::time::Duration;

use harness::{FakeDns, House, Profile, Sink, Stage, free_port, wait_until};

use crate::{from_anna, on_relay, relay_house};

/// A house that asks `dns` and finds every MX on `port`.
fn by_mx(dns: &FakeDns, port: u16) -> House {
    relay_house().dns(dns.address()).mx_port(port).retry(&["0s", "1s"])
}

#[test]
fn the_best_mx_gets_the_letter() {
    let (dns, port) = (FakeDns::start(), free_port());
    let best = Sink::builder().port(port).start();
    let other = Sink::builder().ip("127.0.0.2").port(port).start();
    dns.mx("b.test", &[(20, "second.b.test"), (10, "first.b.test")]);
    dns.a("first.b.test", &["127.0.0.1"]);
    dns.a("second.b.test", &["127.0.0.2"]);
    let program = by_mx(&dns, port).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "best"));
    assert_eq!(best.wait_for(1)[0].to, ["<x@b.test>"]);
    assert_eq!(other.count(), 0);
    assert!(dns.was_asked("b.test", "MX"));
}

#[test]
fn the_next_mx_gets_it_where_the_best_is_down_or_busy() {
    let (dns, port) = (FakeDns::start(), free_port());
    let busy = Sink::builder().ip("127.0.0.2").port(port).start();
    busy.answer(Stage::Greeting, "", "421 4.3.2 busy", 100);
    let last = Sink::builder().ip("127.0.0.3").port(port).start();
    dns.mx("b.test", &[(10, "down.b.test"), (20, "busy.b.test"), (30, "last.b.test")]);
    dns.a("down.b.test", &["127.0.0.1"]);
    dns.a("busy.b.test", &["127.0.0.2"]);
    dns.a("last.b.test", &["127.0.0.3"]);
    let program = by_mx(&dns, port).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "last"));
    assert!(last.wait_for(1)[0].contains("last"));
}

#[test]
fn domains_with_the_same_servers_share_one_connection() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    dns.mx("b.test", &[(10, "mx1.host.test"), (20, "mx2.host.test")]);
    dns.mx("c.test", &[(5, "mx2.host.test"), (5, "mx1.host.test")]);
    dns.a("mx1.host.test", &["127.0.0.1"]);
    dns.a("mx2.host.test", &["127.0.0.1"]);
    let program = by_mx(&dns, port).start();
    let mut client = on_relay(&program);
    client.deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "one"));
    sink.wait_for(1);
    client.deliver("a@a.test", &["y@c.test"], &from_anna("y@c.test", "two"));
    sink.wait_for(2);
    assert_eq!(sink.connections(), 1, "a connection for each domain");
    for address in ["z@b.test", "z@c.test"] {
        let ended = program.house.run(&["route", address, "--json"], b"");
        assert!(ended.success(), "{ended}");
        let said = ended.json();
        assert_eq!(said["site"], "mx1.host.test,mx2.host.test", "{ended}");
        assert_eq!(said["servers"][0]["addresses"][0], "127.0.0.1", "{ended}");
    }
}

#[test]
fn the_way_of_an_address_is_explained() {
    let dns = FakeDns::start();
    dns.mx("b.test", &[(20, "second.b.test"), (10, "first.b.test")]);
    dns.a("first.b.test", &["192.0.2.1"]);
    dns.a("second.b.test", &["192.0.2.2"]);
    dns.null_mx("never.test");
    dns.serv_fail("ill.test");
    let hop = std::net::SocketAddr::from(([127, 0, 0, 1], 2526));
    let house = relay_house().local("here.test", &["anna"]).route("c.test", hop).dns(dns.address());
    house.write();
    for (address, code, words) in [
        ("x@b.test", 0, &["no route", "first.b.test", "second.b.test", "192.0.2.1", "opportunistic"] as &[&str]),
        ("x@c.test", 0, &["the route for c.test", "127.0.0.1:2526"]),
        ("anna@here.test", 0, &["local domain here.test", "mailbox"]),
        ("x@never.test", 1, &["does not accept mail"]),
        ("x@ill.test", 1, &["ill.test", "tried again"]),
        ("nobody", 2, &["nobody"]),
    ] {
        let ended = house.run(&["route", address], b"");
        assert_eq!(ended.code(), Some(code), "{address}: {ended}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        words.iter().for_each(|word| assert!(said.contains(word), "{address} without {word:?}: {ended}"));
    }
}

#[test]
fn every_address_of_a_host_is_tried() {
    let (dns, port) = (FakeDns::start(), free_port());
    let up = Sink::builder().ip("127.0.0.3").port(port).start();
    dns.mx("b.test", &[(10, "mx.b.test")]);
    dns.a("mx.b.test", &["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let program = by_mx(&dns, port).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "third"));
    up.wait_for(1);
}

#[test]
fn a_domain_without_mx_is_its_own() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    dns.a("b.test", &["127.0.0.1"]);
    let program = by_mx(&dns, port).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "implicit"));
    sink.wait_for(1);
}

#[test]
fn a_route_beats_the_dns_and_the_most_specific_route_wins() {
    let (dns, by_star, by_name) = (FakeDns::start(), Sink::start(), Sink::start());
    dns.mx("b.test", &[(10, "mx.b.test")]);
    let program =
        relay_house().dns(dns.address()).route("*", by_star.address()).route("b.test", by_name.address()).start();
    let mut client = on_relay(&program);
    client.deliver("a@a.test", &["x@b.test", "y@c.test"], &from_anna("x@b.test", "routed"));
    assert_eq!(by_name.wait_for(1)[0].to, ["<x@b.test>"]);
    assert_eq!(by_star.wait_for(1)[0].to, ["<y@c.test>"]);
    assert!(!dns.was_asked("b.test", "MX"));
}

#[test]
fn one_transaction_carries_all_recipients_of_a_site() {
    let sink = Sink::start();
    let program = relay_house().route("*", sink.address()).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test", "y@b.test", "z@b.test"], &from_anna("x@b.test", "three"));
    let letter = &sink.wait_for(1)[0];
    assert_eq!(letter.to.len(), 3, "{:?}", letter.to);
}

#[test]
fn a_connection_is_kept_for_the_next_letter() {
    let sink = Sink::start();
    let program =
        relay_house().route_with("*", &format!("to = \"{}\"\ntls = \"none\"\nconnections = 1", sink.address()));
    let program = program.start();
    let mut client = on_relay(&program);
    for number in 0..20 {
        client.deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", &format!("kept-{number}")));
    }
    sink.wait_for(20);
    assert!(sink.connections() <= 2, "{} connections for 20 letters", sink.connections());
}

#[test]
fn what_the_next_hop_offers_is_used() {
    let all = ["PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING"];
    let sink = Sink::builder().offer(&all).start();
    let program = crate::house()
        .listen_with(Profile::Relay, "dsn = true")
        .relay_from_loopback()
        .route("*", sink.address())
        .start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<a@a.test> BODY=8BITMIME RET=HDRS ENVID=e1", 250);
    client.say("RCPT TO:<x@b.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x@b.test", 250);
    client.say("DATA", 354);
    client.send("Subject: offers\r\n\r\nGrüße\r\n.\r\n".as_bytes());
    client.expect(250);
    let letter = &sink.wait_for(1)[0];
    assert!(letter.chunked, "CHUNKING was offered");
    for part in ["SIZE=", "BODY=8BITMIME", "RET=HDRS", "ENVID=e1"] {
        assert!(letter.mail.contains(part), "{part} in {}", letter.mail);
    }
    assert!(letter.rcpt[0].contains("NOTIFY=") && letter.rcpt[0].contains("ORCPT="), "{:?}", letter.rcpt);
}

#[test]
fn what_the_next_hop_does_not_offer_is_not_said() {
    let sink = Sink::builder().offer(&[]).start();
    let program = relay_house().route("*", sink.address()).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "plain"));
    let letter = &sink.wait_for(1)[0];
    assert_eq!((letter.mail.as_str(), letter.rcpt[0].as_str()), ("<a@a.test>", "<x@b.test>"));
    assert!(!letter.chunked);
}

#[test]
fn an_old_server_is_greeted_with_helo() {
    let sink = Sink::start();
    sink.answer(Stage::Hello, "EHLO", "502 5.5.1 what is that", 100);
    let program = relay_house().route("*", sink.address()).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "old"));
    assert!(sink.wait_for(1)[0].hello.starts_with("HELO"));
}

#[test]
fn tls_is_used_where_it_is_offered() {
    let (dns, port) = (FakeDns::start(), free_port());
    // Nobody knows this authority: without a policy, encryption without proof is better than none.
    let sink = Sink::builder().port(port).start_tls(harness::Ca::new().leaf(&["mx.b.test"]).server()).start();
    dns.mx("b.test", &[(10, "mx.b.test")]);
    dns.a("mx.b.test", &["127.0.0.1"]);
    let program = by_mx(&dns, port).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "secret"));
    assert!(sink.wait_for(1)[0].tls);
}

#[test]
fn tls_that_fails_at_an_mx_does_not_stop_the_letter() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start_tls(harness::Ca::new().leaf(&["mx.b.test"]).server()).start();
    sink.answer(Stage::StartTls, "", "454 4.7.0 not now", 100);
    dns.mx("b.test", &[(10, "mx.b.test")]);
    dns.a("mx.b.test", &["127.0.0.1"]);
    let program = by_mx(&dns, port).start();
    on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", "in-clear"));
    assert!(!sink.wait_for(1)[0].tls);
}

#[test]
fn a_handshake_that_failed_is_not_tried_again_at_once_and_the_record_says_so() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start_tls(harness::Ca::new().leaf(&["mx.b.test"]).server()).start();
    sink.answer(Stage::StartTls, "", "220 ready\r\n500 but not for TLS", 100);
    dns.mx("b.test", &[(10, "mx.b.test")]);
    dns.a("mx.b.test", &["127.0.0.1"]);
    let program = by_mx(&dns, port).set("delivery", "idle = \"50ms\"").start();
    for (count, subject) in [(1, "first"), (2, "second")] {
        on_relay(&program).deliver("a@a.test", &["x@b.test"], &from_anna("x@b.test", subject));
        assert!(!sink.wait_for(count)[count - 1].tls);
        wait_until(Duration::from_secs(10), "the end of the connection", || sink.open() == 0);
    }
    assert_eq!(sink.connections(), 3, "the handshake was tried once");
    let records = program.house.data().join("records/records.jsonl");
    wait_until(Duration::from_secs(10), "the record", || {
        let text = std::fs::read_to_string(&records).unwrap_or_default();
        text.contains("\"none: the handshake failed before (remembered until 2")
    });
}

#[test]
fn required_tls_wants_a_certificate_that_it_can_trust() {
    let house = relay_house().retry(&["0s", "1s"]);
    let good = Sink::builder().start_tls(house.ca().leaf(&["localhost"]).server()).start();
    let strange = Sink::builder().start_tls(harness::Ca::new().leaf(&["localhost"]).server()).start();
    let bare = Sink::start();
    let required = |sink: &Sink| format!("to = \"localhost:{}\"\ntls = \"required\"", sink.port());
    let program = house
        .route_with("good.test", &required(&good))
        .route_with("strange.test", &required(&strange))
        .route_with("bare.test", &required(&bare))
        .start();
    let mut client = on_relay(&program);
    let to = ["x@good.test", "x@strange.test", "x@bare.test"];
    client.deliver("a@a.test", &to, &from_anna(to[0], "required"));
    assert!(good.wait_for(1)[0].tls);
    wait_until(Duration::from_secs(20), "attempts at the others", || {
        strange.connections() > 1 && bare.connections() > 1
    });
    assert_eq!((strange.count(), bare.count()), (0, 0));
}

#[test]
fn a_smart_host_gets_the_password_under_tls() {
    let house = relay_house();
    let keywords = ["PIPELINING", "8BITMIME", "AUTH PLAIN LOGIN"];
    let later = Sink::builder().offer(&keywords).start_tls(house.ca().leaf(&["localhost"]).server()).start();
    let at_once = Sink::builder().offer(&keywords).implicit_tls(house.ca().leaf(&["localhost"]).server()).start();
    std::fs::write(house.path().join("password"), "sesame\n").expect("the password");
    let lines = |sink: &Sink, tls: &str| {
        format!(
            "to = \"localhost:{}\"\ntls = \"{tls}\"\nuser = \"customer\"\npassword_file = \"password\"",
            sink.port()
        )
    };
    let program = house
        .route_with("later.test", &lines(&later, "required"))
        .route_with("at-once.test", &lines(&at_once, "implicit"))
        .start();
    let mut client = on_relay(&program);
    client.deliver("a@a.test", &["x@later.test", "x@at-once.test"], &from_anna("x@later.test", "smart"));
    for sink in [&later, &at_once] {
        let letter = &sink.wait_for(1)[0];
        assert!(letter.tls);
        assert_eq!(letter.user.as_deref(), Some(harness::base64(b"\0customer\0sesame").as_str()));
    }
    assert!(!program.log().contains("sesame"));
}

#[test]
fn utf8_addresses_travel_where_they_may() {
    let sink = Sink::start();
    let program = relay_house().route("*", sink.address()).start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<grün@a.test> SMTPUTF8 BODY=8BITMIME", 250);
    client.say("RCPT TO:<用户@b.test>", 250);
    client.say("DATA", 354);
    client.send("From: <grün@a.test>\r\nSubject: Grüße\r\n\r\nhi\r\n.\r\n".as_bytes());
    client.expect(250);
    let letter = &sink.wait_for(1)[0];
    assert_eq!(letter.to, ["<用户@b.test>"]);
    assert!(letter.mail.contains("SMTPUTF8"), "{}", letter.mail);
}

#[test]
fn submission_adds_what_is_missing_and_relay_does_not() {
    let sink = Sink::start();
    let program = crate::annas_house().relay_from_loopback().route("*", sink.address()).start();
    let bare = b"From: <anna@example.test>\r\nSubject: bare\r\n\r\nhi\r\n";
    on_relay(&program).deliver(crate::ANNA, &["x@b.test"], bare);
    crate::as_anna(&program, Profile::Submission).deliver(crate::ANNA, &["x@b.test"], bare);
    let letters = sink.wait_for(2);
    let (by_submission, by_relay): (Vec<_>, Vec<_>) = letters.iter().partition(|letter| letter.contains("Message-ID:"));
    assert_eq!((by_submission.len(), by_relay.len()), (1, 1));
    assert!(by_submission[0].contains("\r\nDate: "));
    assert!(!by_relay[0].contains("\r\nDate: "));
}
