//! The other commands: send, account, spool, queue, as people type them.

use std::process::Command;
use std::time::Duration;

use harness::{Ended, Profile, Program, Sink, free_port, run, wait_until};

use crate::{ANNA, PASSWORD, annas_house, from_anna, on_relay, relay_house};

/// `gatepost send` to this port of the program, as anna.
fn send(program: &Program, profile: Profile, password: &str, words: &[&str]) -> Ended {
    let server = format!("localhost:{}", program.house.address(profile).port());
    let mut command = Command::new(program.house.binary());
    command.args(["send", "--from", ANNA, "--to", "bob@example.test", "--server", &server, "--ca"]);
    command.arg(program.house.path().join("ca.pem")).args(words).env("GATEPOST_PASSWORD", password);
    run(command, b"the text on standard input\n")
}

#[test]
fn send_goes_through_every_port() {
    let program = annas_house().start();
    for (profile, words) in [
        (Profile::Relay, &["--tls", "none"][..]),
        (Profile::Relay, &["--tls", "starttls"]),
        (Profile::Submission, &["--tls", "starttls", "--user", "anna"]),
        (Profile::Submissions, &["--tls", "implicit", "--user", "anna"]),
        (Profile::Alternative, &["--tls", "starttls", "--user", "anna"]),
    ] {
        let subject = format!("by-send-{}-{}", profile.name(), words[1]);
        let words = [words, &["--subject", &subject, "--body", "-"]].concat();
        let ended = send(&program, profile, PASSWORD, &words);
        assert!(ended.success(), "{profile:?}: {ended}");
        let stored = program.maildir("bob@example.test").wait_for_letter(&subject);
        assert!(harness::maildir::contains(&stored, "the text on standard input"));
    }
}

#[test]
fn send_shows_the_dialog_without_the_password() {
    let program = annas_house().start();
    let ended = send(&program, Profile::Submission, PASSWORD, &["--tls", "starttls", "--user", "anna", "-v"]);
    assert!(ended.success(), "{ended}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for part in ["220 ", "EHLO", "STARTTLS", "AUTH", "MAIL FROM:<anna@example.test>", "RCPT TO:<bob@example.test>"] {
        assert!(said.contains(part), "{part}: {ended}");
    }
    let secret = harness::base64(format!("\0anna\0{PASSWORD}").as_bytes());
    assert!(!said.contains(PASSWORD) && !said.contains(&secret), "{ended}");
}

#[test]
fn send_says_what_went_wrong() {
    let program = annas_house().start();
    let wrong = send(&program, Profile::Submission, "guess", &["--tls", "starttls", "--user", "anna"]);
    assert_eq!(wrong.code(), Some(1), "{wrong}");
    assert!(wrong.stderr.contains("535"), "{wrong}");
    let mut command = Command::new(program.house.binary());
    let nobody = free_port().to_string();
    let server = format!("localhost:{nobody}");
    command.args(["send", "--from", ANNA, "--to", "bob@example.test", "--server", &server, "--tls", "none"]);
    let refused = run(command, b"");
    assert_eq!(refused.code(), Some(1), "{refused}");
    assert!(refused.stderr.contains(&nobody) && refused.stderr.contains("refused"), "{refused}");
}

#[test]
fn send_does_not_trust_a_strange_certificate() {
    let program = annas_house().start();
    let server = format!("localhost:{}", program.house.address(Profile::Submissions).port());
    let mut command = Command::new(program.house.binary());
    command.args(["send", "--from", ANNA, "--to", "bob@example.test", "--server", &server, "--tls", "implicit"]);
    command.args(["--user", "anna"]).env("GATEPOST_PASSWORD", PASSWORD);
    let ended = run(command, b"");
    assert_eq!(ended.code(), Some(1), "{ended}");
    assert!(ended.stderr.contains("certificate"), "{ended}");
}

#[test]
fn accounts_are_listed_without_their_passwords() {
    let program = annas_house().start();
    let listed = program.house.run(&["account", "list"], b"");
    assert!(listed.success() && listed.stdout.contains("anna") && listed.stdout.contains(ANNA), "{listed}");
    let again = program.house.run(&["account", "add", "anna", "--password-stdin"], b"other\n");
    assert!(!again.success(), "an account twice: {again}");
}

#[test]
fn a_generated_password_works() {
    let program = annas_house().start();
    let added = program.house.run(&["account", "add", "eve", "--address", "eve@example.test"], b"");
    assert!(added.success(), "{added}");
    let words: Vec<&str> = added.stdout.split_whitespace().collect();
    let mut client = program.client(Profile::Submissions);
    client.tls(&program.house.ca().trusting(), harness::house::HOSTNAME);
    client.hello();
    // One of the words that it printed is the password.
    let long = words.iter().filter(|word| word.len() >= 12 && !word.contains('@'));
    let let_in = long.take(3).any(|word| client.auth_plain("eve", word).code == 235);
    assert!(let_in, "{added}");
}

#[test]
fn the_spool_can_be_looked_into_while_nothing_runs() {
    let port = free_port();
    let mut program = relay_house().route("*", ([127, 0, 0, 1], port).into()).retry(&["0s", "1h"]).start();
    let letter = from_anna("x@b.test", "in-the-spool");
    for _ in 0..3 {
        on_relay(&program).deliver(ANNA, &["x@b.test"], &letter);
    }
    wait_until(Duration::from_secs(20), "three letters in the queue", || {
        program.queue().to_string().matches("x@b.test").count() >= 3
    });
    program.stop();

    let verified = program.house.run(&["spool", "verify"], b"");
    assert!(verified.success(), "{verified}");
    let listed = program.house.run(&["spool", "list"], b"");
    assert!(listed.success() && listed.stdout.matches("x@b.test").count() >= 3, "{listed}");
    let folder = program.house.path().join("exported");
    let exported = program.house.run(&["spool", "export", "--eml", &folder.display().to_string()], b"");
    assert!(exported.success(), "{exported}");
    let files: Vec<_> = std::fs::read_dir(&folder).expect("the folder").flatten().collect();
    assert_eq!(files.len(), 3, "{exported}");
    for file in files {
        let bytes = std::fs::read(file.path()).expect("a letter");
        harness::letter::same_but_trace(&letter, &bytes).expect("the letter as it was sent");
    }

    // Looking has changed nothing.
    let sink = Sink::builder().port(port).start();
    program.restart();
    let retried = program.house.run(&["queue", "retry", "--all"], b"");
    assert!(retried.success(), "{retried}");
    sink.wait_for(3);
}

#[test]
fn a_damaged_spool_is_told_and_the_rest_is_delivered() {
    let port = free_port();
    let mut program = relay_house().route("*", ([127, 0, 0, 1], port).into()).retry(&["0s", "1s"]).start();
    let mut client = on_relay(&program);
    for number in 0..20 {
        client.deliver(ANNA, &["x@b.test"], &from_anna("x@b.test", &format!("damaged-{number}-end")));
    }
    program.kill();
    let segment = std::fs::read_dir(program.house.data().join("spool"))
        .expect("the spool")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-")))
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let text = b"damaged-10-end";
    let place = bytes.windows(text.len()).position(|window| window == text).expect("the letter on disk");
    bytes[place] ^= 1;
    std::fs::write(&segment, bytes).expect("the segment");

    let verified = program.house.run(&["spool", "verify"], b"");
    assert!(!verified.success(), "damage is not noticed: {verified}");
    let sink = Sink::builder().port(port).start();
    program.restart();
    sink.wait_for(19);
    let letters = sink.letters();
    assert!(letters.iter().all(|letter| !letter.contains("-10-end")), "a damaged letter was sent");
    for number in (0..20).filter(|number| *number != 10) {
        assert!(letters.iter().any(|letter| letter.contains(&format!("damaged-{number}-end"))), "{number}");
    }
    assert!(program.log().to_lowercase().contains("damaged"), "{}", program.log());
}

#[test]
fn who_prints_into_a_closed_pipe_ends_without_a_word() {
    let house = relay_house();
    house.write();
    for words in [&["config", "show"] as &[&str], &["config", "check"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = house.command(words).stdout(writer).output().expect("it runs");
        assert!(ended.status.success() && ended.stderr.is_empty(), "{words:?}: {ended:?}");
    }
}
