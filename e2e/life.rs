//! Start, reload, stop: nobody's connection is cut, and what is wrong is said in one message.

use std::time::Duration;

use harness::house::HOSTNAME;
use harness::letter::dot_stuffed;
use harness::{Client, Profile, Program, Sink, wait_until};

use crate::{annas_house, from_anna, house, on_relay, relay_house};

#[test]
fn a_reload_takes_effect_and_cuts_nobody_off() {
    let mut program = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<bob@example.test>", 250);
    client.say("DATA", 354);
    client.send(b"Subject: across\r\n\r\n");

    let changed = program.house.toml().replace("[\"bob\"]", "[\"bob\", \"carol\"]");
    std::fs::write(program.house.config(), changed).expect("the configuration");
    program.hang_up();
    wait_until(Duration::from_secs(10), "carol to be known", || {
        let mut other = on_relay(&program);
        other.say("MAIL FROM:<a@b.test>", 250);
        other.ask("RCPT TO:<carol@example.test>").code == 250
    });

    client.send(b"across the reload\r\n.\r\n");
    client.expect(250);
    client.say("NOOP", 250);
    program.maildir("bob@example.test").wait_for_letter("across the reload");
    assert!(program.ended().is_none());
}

#[test]
fn a_wrong_configuration_is_not_taken_at_reload() {
    let mut program = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    let mut client = on_relay(&program);
    let wrong = program.house.toml().replace("[\"bob\"]", "[\"carol\"]\nmailboxs = 1");
    std::fs::write(program.house.config(), wrong).expect("the configuration");
    program.hang_up();
    program.wait_for_log("mailboxs");
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<bob@example.test>", 250);
    on_relay(&program).say("NOOP", 250);
    assert!(program.ended().is_none());
    let checked = program.house.run(&["config", "check"], b"");
    assert_eq!(checked.code(), Some(2), "{checked}");
    assert!(checked.stderr.contains("mailboxs") || checked.stdout.contains("mailboxs"), "{checked}");
}

#[test]
fn a_new_certificate_is_shown_and_nobody_is_cut_off() {
    let program = annas_house().start();
    let other = harness::Ca::new();
    let mut client = program.client(Profile::Submissions);
    client.tls(&program.house.ca().trusting(), HOSTNAME);
    client.hello();
    other.leaf(&[HOSTNAME]).write(program.house.path(), "cert");
    program.hang_up();
    wait_until(Duration::from_secs(15), "the new certificate to be shown", || {
        program.client(Profile::Submissions).try_tls(&other.trusting(), HOSTNAME).is_ok()
    });
    client.say("NOOP", 250);
}

#[test]
fn a_changed_certificate_file_is_noticed_without_being_told() {
    let program = annas_house().start();
    let other = harness::Ca::new();
    other.leaf(&[HOSTNAME]).write(program.house.path(), "cert");
    wait_until(Duration::from_secs(60), "the new certificate to be shown", || {
        program.client(Profile::Submissions).try_tls(&other.trusting(), HOSTNAME).is_ok()
    });
}

#[test]
fn the_end_waits_for_letters_under_way() {
    let sink = Sink::start();
    let mut program = relay_house().route("*", sink.address()).start();
    let mut under_way = on_relay(&program);
    under_way.say("MAIL FROM:<a@b.test>", 250);
    under_way.say("RCPT TO:<c@d.test>", 250);
    under_way.say("DATA", 354);
    under_way.send(b"Subject: last\r\n\r\n");
    let mut idle = on_relay(&program);

    program.terminate();
    let address = program.house.address(Profile::Relay);
    wait_until(Duration::from_secs(10), "no new connection to be taken", || match Client::try_connect(address) {
        Err(_) => true,
        Ok(mut client) => client.try_reply().map_or(true, |reply| reply.code == 421),
    });
    let reply = idle.reply();
    assert_eq!(reply.code, 421, "{reply}");

    under_way.send(b"the last letter\r\n.\r\n");
    under_way.expect(250);
    let status = program.wait_for_end(Duration::from_secs(40));
    assert!(status.success(), "{status}\n{}", program.log());
    if sink.count() == 0 {
        program.restart();
    }
    assert!(sink.wait_for(1)[0].contains("the last letter"));
}

#[test]
fn a_signal_is_heard_as_soon_as_anybody_is_served() {
    for _ in 0..5 {
        let house = house().listen(Profile::Relay).local("example.test", &["bob"]);
        house.furnish();
        let address = house.address(Profile::Relay);
        let mut program = Program::launch(house);
        // Greeted, it serves: from here on SIGHUP must not end it, and SIGTERM must end it well.
        wait_until(Duration::from_secs(30), "a greeting", || {
            Client::try_connect(address).is_ok_and(|mut client| client.try_reply().is_ok_and(|reply| reply.code == 220))
        });
        program.hang_up();
        assert_eq!(Client::connect(address).reply().code, 220);
        program.stop();
    }
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let mut program =
        house().listen(Profile::Relay).local("example.test", &["bob"]).set("server", "drain = \"1s\"").start();
    let mut stuck = on_relay(&program);
    stuck.say("MAIL FROM:<a@b.test>", 250);
    stuck.say("RCPT TO:<bob@example.test>", 250);
    stuck.say("DATA", 354);
    stuck.send(b"Subject: stuck\r\n\r\nfor ever\r\n");
    program.terminate();
    let status = program.wait_for_end(Duration::from_secs(15));
    assert!(status.success(), "{status}\n{}", program.log());
    assert!(!program.maildir("bob@example.test").has("for ever"));
}

#[test]
fn letters_wait_over_a_restart() {
    let port = harness::free_port();
    let mut program = relay_house().route("*", ([127, 0, 0, 1], port).into()).retry(&["0s", "1s"]).start();
    let mut client = on_relay(&program);
    for number in 0..10 {
        client.deliver("a@b.test", &["c@d.test"], &from_anna("c@d.test", &format!("waits-{number}")));
    }
    program.stop();
    let sink = Sink::builder().port(port).start();
    program.restart();
    let letters = sink.wait_for(10);
    assert_eq!(letters.len(), 10);
    for number in 0..10 {
        assert!(letters.iter().any(|letter| letter.contains(&format!("waits-{number}\r\n"))));
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    let taken = first.house.address(Profile::Relay);
    let second = house().local("example.test", &["bob"]);
    let second = second.tail(&format!("[[listener]]\naddress = \"{taken}\"\nprofile = \"relay\"\n"));
    second.furnish();
    let ended = second.run(&["serve"], b"");
    assert_eq!(ended.code(), Some(3), "{ended}");
    assert!(ended.stderr.contains(&taken.port().to_string()), "{ended}");
    assert!(ended.stderr.contains(&first.pid().to_string()) || ended.stderr.contains("gatepost"), "by whom? {ended}");
}

#[test]
fn a_data_folder_in_use_is_named_with_its_owner() {
    let first = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    let second = house().listen(Profile::Relay).local("example.test", &["bob"]).data_folder(first.house.data());
    second.furnish();
    let ended = second.run(&["serve"], b"");
    assert_eq!(ended.code(), Some(4), "{ended}");
    assert!(ended.stderr.contains(&first.pid().to_string()), "{ended}");
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_named() {
    let house = annas_house();
    let (_, key) = house.ca().leaf(&["another.test"]).write(house.path(), "another");
    std::fs::copy(key, house.path().join("cert.key")).expect("the wrong key");
    house.write();
    let ended = house.run(&["serve"], b"");
    assert_eq!(ended.code(), Some(5), "{ended}");
    assert!(ended.stderr.contains("cert.pem") || ended.stderr.contains("cert.key"), "{ended}");
}

#[test]
fn an_expired_certificate_is_not_begun_with() {
    let house = annas_house();
    house.ca().expired_leaf(&[HOSTNAME]).write(house.path(), "cert");
    house.write();
    let ended = house.run(&["serve"], b"");
    assert_eq!(ended.code(), Some(5), "{ended}");
    assert!(ended.stderr.contains("cert.pem") && ended.stderr.contains("expired"), "{ended}");
}

#[test]
fn an_expired_certificate_is_kept_from_replacing_a_good_one() {
    let program: Program = annas_house().start();
    program.house.ca().expired_leaf(&[HOSTNAME]).write(program.house.path(), "cert");
    program.hang_up();
    program.wait_for_log("expired");
    let mut client = program.client(Profile::Submissions);
    // The one that was served before still is.
    client.tls(&program.house.ca().trusting(), HOSTNAME);
    client.hello();
}

#[test]
fn dots_and_all_arrive_after_a_stop_in_the_middle() {
    let mut program = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    let mut client = on_relay(&program);
    client.say("MAIL FROM:<a@b.test>", 250);
    client.say("RCPT TO:<bob@example.test>", 250);
    client.say("DATA", 354);
    client.send(&dot_stuffed(b"Subject: dots\r\n\r\n.\r\n..\r\nend-of-dots\r\n"));
    client.expect(250);
    program.kill();
    program.restart();
    let stored = program.maildir("bob@example.test").wait_for_letter("end-of-dots");
    let text = String::from_utf8_lossy(&stored).replace("\r\n", "\n");
    assert!(text.ends_with("\n\n.\n..\nend-of-dots\n"), "{text}");
}
