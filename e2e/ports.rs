//! The port table, row by row: encryption, login, and whom letters may be for.

use std::time::{Duration, Instant};

use harness::ca::versions::{TLS12, TLS13};
use harness::house::HOSTNAME;
use harness::{Profile, Sink};

use crate::{ANNA, annas_house, as_anna, from_anna, house, on_relay};

const SUBMISSION: [Profile; 3] = [Profile::Submission, Profile::Submissions, Profile::Alternative];

#[test]
fn port_25_takes_letters_for_local_mailboxes_from_anyone() {
    let program = annas_house().start();
    let mut client = program.client(Profile::Relay);
    let offers = client.hello();
    assert!(offers.offers("STARTTLS").is_some());
    assert_eq!(offers.offers("AUTH"), None);
    let reply =
        client.deliver("someone@elsewhere.test", &["bob@example.test"], &from_anna("bob@example.test", "row-25"));
    assert_eq!(reply.code, 250, "{reply}");
    let stored = program.maildir("bob@example.test").wait_for_letter("row-25");
    assert!(harness::maildir::contains(&stored, "with ESMTP"), "{}", String::from_utf8_lossy(&stored));
}

#[test]
fn port_25_serves_starttls_and_offers_no_login_under_it() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    let offers = client.start_tls(&program.house.ca().trusting(), HOSTNAME);
    assert_eq!(offers.offers("AUTH"), None);
    assert_eq!(offers.offers("STARTTLS"), None);
    client.deliver("someone@elsewhere.test", &["bob@example.test"], &from_anna("bob@example.test", "row-25-tls"));
    let stored = program.maildir("bob@example.test").wait_for_letter("row-25-tls");
    assert!(harness::maildir::contains(&stored, "with ESMTPS"), "{}", String::from_utf8_lossy(&stored));
}

#[test]
fn port_25_carries_nothing_elsewhere() {
    let program = annas_house().start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<anna@example.test>", 250);
    let reply = client.say("RCPT TO:<someone@elsewhere.test>", 550);
    assert!(reply.says("5.7.1"), "{reply}");
}

#[test]
fn port_25_carries_elsewhere_for_named_networks_only() {
    let sink = Sink::start();
    let program = house()
        .listen(Profile::Relay)
        .set("relay", "relay_from_networks = [\"127.0.0.1/32\"]")
        .route("*", sink.address())
        .start();
    let mut client = on_relay(&program);
    client.deliver(ANNA, &["someone@elsewhere.test"], &from_anna("someone@elsewhere.test", "named"));
    assert!(sink.wait_for(1)[0].contains("named"));
}

#[test]
fn ports_587_and_2525_take_nothing_before_tls() {
    let program = annas_house().start();
    for profile in [Profile::Submission, Profile::Alternative] {
        let mut client = program.client(profile);
        let offers = client.hello();
        assert!(offers.offers("STARTTLS").is_some());
        assert_eq!(offers.offers("AUTH"), None, "a password must not be asked for in clear");
        let reply = client.say(&format!("MAIL FROM:<{ANNA}>"), 530);
        assert!(reply.says("5.7.0") && reply.says("STARTTLS"), "{reply}");
        let reply = client.auth_plain("anna", crate::PASSWORD);
        assert!(reply.code >= 500, "AUTH in clear: {reply}");
    }
}

#[test]
fn submission_ports_take_nothing_before_a_login() {
    let program = annas_house().start();
    for profile in SUBMISSION {
        let mut client = program.client(profile);
        let offers = if profile == Profile::Submissions {
            client.tls(&program.house.ca().trusting(), HOSTNAME);
            client.hello()
        } else {
            client.hello();
            client.start_tls(&program.house.ca().trusting(), HOSTNAME)
        };
        let mechanisms = offers.offers("AUTH").expect("AUTH under TLS");
        for wanted in ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
            assert!(mechanisms.split(' ').any(|one| one == wanted), "{wanted} in {mechanisms}");
        }
        let reply = client.say(&format!("MAIL FROM:<{ANNA}>"), 530);
        assert!(reply.says("5.7.0"), "{reply}");
    }
}

#[test]
fn who_has_logged_in_sends_anywhere() {
    let sink = Sink::start();
    let program = annas_house().route("*", sink.address()).start();
    for (count, profile) in SUBMISSION.into_iter().enumerate() {
        let mut client = as_anna(&program, profile);
        let mark = format!("row-{}", profile.name());
        client.deliver(ANNA, &["someone@elsewhere.test"], &from_anna("someone@elsewhere.test", &mark));
        let letters = sink.wait_for(count + 1);
        let letter = letters.iter().find(|letter| letter.contains(&mark)).expect("the letter");
        assert!(letter.contains("with ESMTPSA"), "{}", String::from_utf8_lossy(&letter.bytes));
    }
}

#[test]
fn who_has_logged_in_sends_as_herself_only() {
    let program = annas_house().start();
    for profile in SUBMISSION {
        let mut client = as_anna(&program, profile);
        let reply = client.say("MAIL FROM:<bob@example.test>", 553);
        assert!(reply.says("5.7.1"), "{reply}");
        client.say("MAIL FROM:<ANNA@Example.Test>", 250);
    }
}

#[test]
fn both_versions_of_tls_are_spoken_and_no_older_one() {
    let program = annas_house().start();
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let mut client = program.client(Profile::Submissions);
        client.tls(&program.house.ca().trusting_with(&[version]), HOSTNAME);
        client.hello();
        assert_eq!(client.tls_facts().expect("TLS").0, name);
    }
}

#[test]
fn tls_from_the_first_byte_is_served_where_starttls_was_expected() {
    let program = annas_house().start();
    for profile in [Profile::Submission, Profile::Alternative] {
        let mut client = program.client(profile);
        client.tls(&program.house.ca().trusting(), HOSTNAME);
        let offers = client.hello();
        assert!(offers.offers("AUTH").is_some());
        assert_eq!(client.auth_plain("anna", crate::PASSWORD).code, 235);
        client.deliver(ANNA, &["bob@example.test"], &from_anna("bob@example.test", profile.name()));
        program.maildir("bob@example.test").wait_for_letter(profile.name());
    }
}

#[test]
fn ehlo_in_clear_on_465_is_told_what_to_do() {
    let program = annas_house().start();
    let mut client = program.client(Profile::Submissions);
    client.send(b"EHLO client.test\r\n");
    let reply = client.expect(421);
    assert!(reply.says("4.7.0") && reply.says("TLS from the first byte") && reply.says("587"), "{reply}");
    client.rest();
}

#[test]
fn silence_on_465_is_told_what_to_do() {
    let program = annas_house().start();
    let begun = Instant::now();
    let mut client = program.client(Profile::Submissions);
    let reply = client.expect(421);
    assert!(reply.says("TLS from the first byte"), "{reply}");
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(3) && waited < Duration::from_secs(15), "after {waited:?}");
    client.rest();
}

#[test]
fn port_25_never_takes_tls_from_the_first_byte() {
    let program = annas_house().start();
    let mut client = program.client(Profile::Relay);
    client.expect(220);
    client.patience(Duration::from_secs(10));
    assert!(client.try_tls(&program.house.ca().trusting(), HOSTNAME).is_err());
}

#[test]
fn every_name_has_its_certificate() {
    let house = annas_house();
    house.ca().leaf(&["mail.other.test"]).write(house.path(), "other");
    let house = house.tail("[[tls.certificate]]\ncert = \"other.pem\"\nkey = \"other.key\"\n");
    let program = house.start();
    for name in ["mail.other.test", HOSTNAME] {
        let mut client = program.client(Profile::Submissions);
        client.tls(&program.house.ca().trusting(), name);
        client.hello();
    }
}
