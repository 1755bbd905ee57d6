//! Many domains, one site: connections, weather, dead servers, and letters that belong elsewhere by now.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dns::Zone;
use queue::Verdict::{Deferred, Relayed};
use queue::{Weather, queue::Place};
use rustls::RootCertStore;
use tokio::net::TcpListener;

use super::queued::{LETTER, Running, relay};
use super::sink::{Script, Sink, count};
use super::{House, attempt, setup, verdicts};
use crate::Delivery;

fn by_mx(port: u16) -> String {
    format!("allow_loopback_mx = true\nmx_port = {port}\nconnections_per_site = 1")
}

/// Two domains with one server, and a third with another name for it.
fn names() -> Zone {
    Zone::new()
        .mx("one.example", 10, "mx.host.example")
        .mx("two.example", 20, "MX.host.example")
        .mx("other.example", 10, "mx.other.example")
        .a("mx.host.example", [127, 0, 0, 1])
        .a("mx.other.example", [127, 0, 0, 1])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn domains_with_the_same_servers_share_connection_and_transaction() {
    let sink = Sink::new(Script::default()).await;
    let house = Running::with_names(tempfile::tempdir().unwrap(), &by_mx(sink.port()), names());
    house.submit(&["ann@one.example"], LETTER).await;
    house.empty().await;
    house.submit(&["bob@two.example"], LETTER).await;
    house.empty().await;
    assert_eq!((sink.seen.letters().len(), sink.seen.connections()), (2, 1));
    // Both domains are known now.
    house.submit(&["ann@one.example", "bob@two.example"], LETTER).await;
    house.empty().await;
    assert_eq!(sink.seen.letters()[2].to, ["ann@one.example", "bob@two.example"]);
    house.submit(&["cat@other.example"], LETTER).await;
    house.empty().await;
    assert_eq!(sink.seen.connections(), 2);
}

#[tokio::test]
async fn a_place_is_unknown_until_the_dns_was_asked() {
    let delivery =
        Delivery::new(setup("", names().a("mx.host.example", [192, 0, 2, 1]), RootCertStore::empty())).unwrap();
    let recipient = "ann@one.example".parse().unwrap();
    let Place::Unknown { domain, .. } = delivery.state().place_of(&recipient, None) else { panic!("known before") };
    let (site, via) = delivery.state().search(&domain).await;
    let Place::Lane { lane, via: known } = delivery.state().place_of(&recipient, None) else { panic!("unknown after") };
    assert_eq!((&*lane.site.0, &*via.0), ("mx.host.example", "mx.host.example"));
    assert_eq!((lane.site, known), (site, via));
}

#[tokio::test]
async fn a_kept_connection_serves_only_letters_that_go_its_way() {
    let sink = Sink::new(Script::default()).await;
    let mut house = House::with(&by_mx(sink.port()), names(), RootCertStore::empty());
    for (to, connections) in [("a@one.example", 1), ("a@two.example", 1), ("a@other.example", 2), ("a@one.example", 3)]
    {
        assert_eq!(verdicts(&house.send(&[to]).await), [Relayed]);
        assert_eq!(sink.seen.connections(), connections, "{to}");
    }
    assert_eq!(count(&sink.seen.commands())["QUIT"], 2);
}

#[tokio::test]
async fn a_dead_server_is_passed_over_by_the_next_letter() {
    let sink = Sink::new(Script::default()).await;
    let zone = Zone::new()
        .mx("d.example", 10, "dead.example")
        .mx("d.example", 20, "alive.example")
        .a("dead.example", [127, 0, 0, 2])
        .a("alive.example", [127, 0, 0, 1]);
    let mut house =
        House::with(&format!("{}\nletters_per_connection = 1", by_mx(sink.port())), zone, RootCertStore::empty());
    assert_eq!(verdicts(&house.send(&["a@d.example"]).await), [Relayed]);
    let dead = SocketAddr::from(([127, 0, 0, 2], sink.port()));
    assert!(house.state.dead.is_resting(dead, Instant::now()));
    let risen = TcpListener::bind(dead).await.unwrap();
    assert_eq!(verdicts(&house.send(&["a@d.example"]).await), [Relayed]);
    assert_eq!(sink.seen.connections(), 2);
    assert!(tokio::time::timeout(Duration::ZERO, risen.accept()).await.is_err(), "the dead server was tried first");
}

#[tokio::test]
async fn the_weather_is_what_the_site_was_like() {
    let sink = Sink::new(Script::saying(|heard| match heard.command {
        "MAIL FROM:<sender@us.example>" if heard.connection == 2 => Some("451 4.3.2 not now"),
        "RCPT TO:<gone@d.example>" => Some("550 5.1.1 nobody"),
        "" if heard.connection == 3 => Some("421 4.3.2 too busy"),
        _ => None,
    }))
    .await;
    let zone = Zone::new().a("d.example", [127, 0, 0, 1]).a("down.example", [127, 0, 0, 2]).servfail("lost.example");
    let config = format!("{}\nletters_per_connection = 1", by_mx(sink.port()));
    let mut house = House::with(&config, zone, RootCertStore::empty());
    for (to, verdict, weather) in [
        ("gone@d.example", queue::Verdict::Failed, Weather::Fine),
        ("ann@d.example", Deferred, Weather::Trouble),
        ("ann@d.example", Deferred, Weather::Trouble),
        ("ann@d.example", Relayed, Weather::Fine),
        ("ann@down.example", Deferred, Weather::Dead),
        ("ann@lost.example", Deferred, Weather::Fine),
    ] {
        let outcomes = house.send_as(attempt(&[to], LETTER)).await;
        assert_eq!((verdicts(&outcomes), house.weather), (vec![verdict], Some(weather)), "{to}: {outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn letters_that_belong_elsewhere_by_now_go_there_at_once() {
    let after = Sink::new(Script::default()).await;
    let delivery: Arc<OnceLock<Arc<Delivery>>> = Arc::default();
    let (late, config) = (delivery.clone(), relay(after.port(), ""));
    let (all_wait, waiting) = std::sync::mpsc::channel();
    let waiting = std::sync::Mutex::new(waiting);
    // The route changes while the first letter is on its way and the others wait.
    let before = Sink::new(Script {
        answers: Arc::new(move |heard| {
            if heard.command == "." {
                waiting.lock().unwrap().recv_timeout(Duration::from_secs(20)).expect("letters were submitted");
                let next = setup(&config, Zone::new(), RootCertStore::empty());
                late.get().expect("letters came after").reload(next).unwrap();
            }
            None
        }),
        ..Script::default()
    })
    .await;
    let house = Running::new(&relay(before.port(), "connections_per_site = 1"));
    delivery.set(house.delivery.clone()).unwrap();
    for _ in 0..5 {
        house.submit(&["ann@a.example"], LETTER).await;
    }
    all_wait.send(()).unwrap();
    house.empty().await;
    assert_eq!((before.seen.letters().len(), after.seen.letters().len()), (1, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_that_cannot_be_found_is_deferred_with_the_words_of_the_dns() {
    let house = Running::with_names(tempfile::tempdir().unwrap(), "", Zone::new().servfail("lost.example"));
    for _ in 0..3 {
        house.submit(&["ann@lost.example"], LETTER).await;
    }
    house.until("three attempts", |house| house.list().iter().filter(|letter| letter.attempts == 1).count() == 3).await;
    let last = house.list()[0].last.clone().unwrap();
    assert!(last.text.contains("SERVFAIL"), "{}", last.text);
}
