//! What providers ask for, and what their replies change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::Zone;
use queue::Verdict::{Deferred, Relayed};
use queue::{Lane, Limits, Rate, Site, Sites, Timestamp};
use rustls::RootCertStore;

use super::queued::{LETTER, Running, relay};
use super::sink::{Script, Sink};
use super::{House, attempt, setup, verdicts};
use crate::{Delivery, Setup, Shaping};

/// A domain of each of three providers.
fn providers() -> Zone {
    Zone::new()
        .mx("g.example", 10, "aspmx.l.google.com")
        .a("aspmx.l.google.com", [127, 0, 0, 1])
        .mx("y.example", 10, "mta5.am0.yahoodns.net")
        .a("mta5.am0.yahoodns.net", [127, 0, 0, 1])
        .mx("o.example", 10, "outlook-com.olc.protection.outlook.com")
        .a("outlook-com.olc.protection.outlook.com", [127, 0, 0, 1])
        .mx("o.example", 20, "eur.olc.protection.outlook.com")
        .a("eur.olc.protection.outlook.com", [127, 0, 0, 1])
}

fn by_mx(port: u16) -> String {
    format!("allow_loopback_mx = true\nmx_port = {port}\ntls.domain = {{ \"g.example\" = \"none\" }}")
}

fn with_shaping(setup: Setup, own: &str) -> Setup {
    let own = toml::from_str(own).unwrap_or_else(|error| panic!("{own}: {error}"));
    Setup { shaping: Arc::new(Shaping::new(&own).unwrap()), ..setup }
}

/// What the scheduler would be told of this site.
fn limits(house: &House, site: &str) -> Limits {
    house.state.lane_limits(&Lane::of(Site(site.into())), Timestamp::now())
}

async fn provider_that_says(script: Script) -> (Sink, House) {
    let sink = Sink::new(script).await;
    let house = House::with(&by_mx(sink.port()), providers(), RootCertStore::empty());
    (sink, house)
}

#[tokio::test]
async fn outlook_that_wants_fewer_connections_gets_one() {
    let (_sink, mut house) = provider_that_says(Script::saying(|heard| {
        heard.command.is_empty().then_some("421 4.3.2 exceeded the maximum number of connections IB007")
    }))
    .await;
    assert_eq!(limits(&house, "olc.protection.outlook.com").connections, 5);
    // Both of its servers say so to the one letter, and each counts.
    house.send(&["ann@o.example"]).await;
    assert_eq!(limits(&house, "olc.protection.outlook.com").connections, 1);
    assert_eq!(house.told.len(), 1);
    assert_eq!(house.told[0].change.rule, "provider.outlook/connections");
    assert!(house.told[0].change.by.contains("olc.protection.outlook.com [127.0.0.1]:"), "{:?}", house.told);
}

#[tokio::test]
async fn yahoo_that_defers_the_address_is_left_in_peace() {
    let (_sink, mut house) = provider_that_says(Script::saying(|heard| {
        heard.command.starts_with("MAIL").then_some("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred")
    }))
    .await;
    house.send(&["ann@y.example"]).await;
    assert_eq!(limits(&house, "yahoodns.net").rests_until, None, "once is not enough");
    house.send(&["ann@y.example", "bob@y.example"]).await;
    let until = limits(&house, "yahoodns.net").rests_until.expect("it rests");
    let left = until.since(Timestamp::now());
    assert!(left > Duration::from_secs(7100) && left <= Duration::from_secs(7200), "{left:?}");
    assert_eq!(limits(&house, "mx.example.net").rests_until, None, "and nobody else");
}

#[tokio::test]
async fn google_that_finds_the_rate_unusual_gets_ten_letters_a_minute() {
    let (_sink, mut house) = provider_that_says(Script::saying(|heard| {
        (heard.command == ".").then_some("421 4.7.28 Our system has detected an unusual rate of unsolicited mail")
    }))
    .await;
    house.send(&["ann@g.example", "bob@g.example"]).await;
    assert!(house.told.is_empty(), "one reply about two recipients counts once: {:?}", house.told);
    house.send(&["ann@g.example", "bob@g.example"]).await;
    let rate = Rate { letters: 10, per: Duration::from_secs(60) };
    assert_eq!(limits(&house, "google.com").rate, Some(rate));
    assert_eq!(house.told.len(), 1);
}

#[tokio::test]
async fn our_own_words_change_nothing() {
    let own = "[[default.automation]]\nname = 'all'\nmatch = '.'\naction = { suspend = true }\nfor = '1h'";
    let sink = Sink::new(Script::saying(|heard| heard.command.starts_with("MAIL").then_some("CLOSE"))).await;
    let setup = with_shaping(setup(&by_mx(sink.port()), providers(), RootCertStore::empty()), own);
    let mut house = House::new("");
    house.state = Arc::new(setup.state().unwrap());
    let outcomes = house.send(&["ann@y.example"]).await;
    assert_eq!(outcomes[0].by, "gatepost");
    assert!(house.told.is_empty(), "{:?}", house.told);
}

#[tokio::test]
async fn google_is_not_sent_to_without_tls() {
    let sink = Sink::new(Script::default()).await;
    let config = format!("allow_loopback_mx = true\nmx_port = {}", sink.port());
    let mut house = House::with(&config, providers(), RootCertStore::empty());
    let outcomes = house.send(&["ann@g.example"]).await;
    assert!(sink.seen.letters().is_empty());
    let text = outcomes[0].reply.text();
    assert!(text.contains("level=required by [shaping.provider] google, shipped"), "{text}");
    assert!(text.contains("does not offer STARTTLS"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_over_one_connection_are_as_many_as_the_provider_takes() {
    let sink = Sink::new(Script::default()).await;
    let own = "[provider.yahoo]\nletters_per_connection = 3\nconnections = 1";
    let setup = with_shaping(setup(&by_mx(sink.port()), providers(), RootCertStore::empty()), own);
    let house = Running::with_setup(tempfile::tempdir().unwrap(), setup);
    for _ in 0..6 {
        house.submit(&["ann@y.example"], LETTER).await;
    }
    house.empty().await;
    let on = |connection| sink.seen.letters().iter().filter(|letter| letter.connection == connection).count();
    assert_eq!((on(1), on(2), sink.seen.connections()), (3, 3, 2));
}

#[tokio::test]
async fn a_transaction_has_as_many_recipients_as_the_site_and_the_domains_take() {
    let sink = Sink::new(Script::default()).await;
    let own = "[provider.yahoo]\nrecipients_per_transaction = 2\n[domain.'o.example']\nrecipients_per_transaction = 1";
    let setup = with_shaping(setup(&by_mx(sink.port()), providers(), RootCertStore::empty()), own);
    let mut house = House::new("");
    house.state = Arc::new(setup.state().unwrap());
    house.send(&["ann@y.example", "bob@y.example", "cat@y.example"]).await;
    house.line = None;
    house.send(&["ann@o.example", "bob@o.example"]).await;
    let sizes: Vec<usize> = sink.seen.letters().iter().map(|letter| letter.to.len()).collect();
    assert_eq!(sizes, [2, 1, 1, 1]);
}

/// Suspends a site for a moment when a letter is refused as too fast.
const SHORT_REST: &str = "[[default.automation]]\nname = 'fast'\nmatch = '^450 .*too fast'\n\
                          action = { suspend = true }\nfor = '600ms'\nreason = 'it is slow'";

/// Refuses the first letter.
fn refuses_one() -> Script {
    let first = std::sync::atomic::AtomicBool::new(true);
    Script::saying(move |heard| {
        let refused = heard.command == "." && first.swap(false, std::sync::atomic::Ordering::SeqCst);
        refused.then_some("450 4.7.1 you send too fast")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_site_gets_nothing_until_it_heals_by_itself_and_both_are_recorded() {
    let sink = Sink::new(refuses_one()).await;
    let setup = setup(&relay(sink.port(), "connections_per_site = 1"), Zone::new(), RootCertStore::empty());
    let house = Running::with_setup(tempfile::tempdir().unwrap(), with_shaping(setup, SHORT_REST));
    house.submit(&["ann@a.example"], LETTER).await;
    house.until("a change", |house| !records(house, "shaping").is_empty()).await;
    let begun = Instant::now();
    house.submit(&["bob@b.example"], LETTER).await;
    house.until("the second letter", |_| sink.seen.letters().len() == 2).await;
    assert!(begun.elapsed() > Duration::from_millis(300), "{:?}", begun.elapsed());
    assert_eq!(sink.seen.letters()[1].to, ["bob@b.example"]);
    house.until("it is told", |house| records(house, "shaping").len() == 2).await;
    let [begun, healed] = &records(&house, "shaping")[..] else { panic!("two records") };
    let said = format!("\"text\":\"you send too fast\"}},\"by\":\"{}\"", sink.peer());
    for part in ["\"change\":\"begun\"", "\"rule\":\"default/fast\"", "\"limits\":{\"suspend\":true}", &said] {
        assert!(begun.contains(part), "{part}: {begun}");
    }
    assert!(healed.contains("\"change\":\"healed\"") && !healed.contains("\"reply\""), "{healed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_was_slowed_gets_its_letters_one_by_one_until_it_heals() {
    let sink = Sink::new(refuses_one()).await;
    let slow = "[[default.automation]]\nname = 'fast'\nmatch = '^450 .*too fast'\n\
                action = { rate = '10/s', connections = 1 }\nfor = '3s'";
    let setup = setup(&relay(sink.port(), ""), Zone::new(), RootCertStore::empty());
    let house = Running::with_setup(tempfile::tempdir().unwrap(), with_shaping(setup, slow));
    house.submit(&["ann@a.example"], LETTER).await;
    house.until("a change", |house| !records(house, "shaping").is_empty()).await;
    let begun = Instant::now();
    for _ in 0..6 {
        house.submit(&["bob@b.example"], LETTER).await;
    }
    house.until("six letters", |_| sink.seen.letters().len() == 7).await;
    // The first of them takes the place of the refused one, a tenth of a second after it.
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    house.until("it is told", |house| records(house, "shaping").len() == 2).await;
    let lane = Lane::of(Site(format!("smtp:127.0.0.1:{}", sink.port()).into()));
    assert_eq!(house.delivery.limits(&lane), Limits::connections(20));
    assert_eq!(house.queue.counters().shaping_over.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_force_outlives_a_reload_and_a_restart() {
    let sink = Sink::new(refuses_one()).await;
    let long = SHORT_REST.replace("600ms", "1h");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shaping.json");
    let made = || Setup {
        shaping_file: Some(file.clone()),
        ..with_shaping(setup(&relay(sink.port(), ""), Zone::new(), RootCertStore::empty()), &long)
    };
    let house = Running::with_setup(tempfile::tempdir().unwrap(), made());
    house.submit(&["ann@a.example"], LETTER).await;
    house.until("a file", |_| file.exists()).await;
    let lane = Lane::of(Site(format!("smtp:127.0.0.1:{}", sink.port()).into()));
    let until = house.delivery.limits(&lane).rests_until.expect("it rests");
    house.delivery.reload(made()).unwrap();
    assert_eq!(house.delivery.limits(&lane).rests_until, Some(until));
    let again = Delivery::new(made()).unwrap();
    assert_eq!(again.limits(&lane).rests_until, Some(until));
    std::fs::write(&file, b"{\"sites\": [").unwrap();
    let anew = Delivery::new(made()).unwrap();
    assert_eq!(anew.limits(&lane).rests_until, None, "a broken file is passed over");
}

/// The lines of this event.
fn records(house: &Running, event: &str) -> Vec<String> {
    house.queue.recorder().flush();
    let text = std::fs::read_to_string(house.queue.recorder().dir().join("records.jsonl")).unwrap();
    text.lines().filter(|line| line.contains(&format!("\"event\":\"{event}\""))).map(str::to_owned).collect()
}

/// RFC 8689 §4.2.2; what follows it is held to the rule again.
#[tokio::test]
async fn google_is_sent_to_without_tls_where_the_letter_says_that_it_need_not() {
    let sink = Sink::new(Script::default()).await;
    let config = format!("allow_loopback_mx = true\nmx_port = {}", sink.port());
    let mut house = House::with(&config, providers(), RootCertStore::empty());
    let with = |tls_optional, requiretls| {
        let mut attempt = attempt(&["ann@g.example"], LETTER);
        let letter = Arc::make_mut(&mut attempt.letter);
        (letter.tls_optional, letter.params.requiretls) = (tls_optional, requiretls);
        attempt
    };
    for (optional, requiretls, verdict) in [
        (false, false, Deferred),
        (true, false, Relayed),
        (true, false, Relayed),
        (false, false, Deferred),
        (true, true, Deferred),
    ] {
        let outcomes = house.send_as(with(optional, requiretls)).await;
        assert_eq!(verdicts(&outcomes), [verdict], "{optional} {requiretls} {}", outcomes[0].reply);
    }
    assert_eq!(sink.seen.letters().len(), 2);
}
