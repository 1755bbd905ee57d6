//! The way in for programs on this machine: `sendmail`, with the server up and down.

use std::process::Command;

use harness::{Ended, House, Profile, run};

use crate::{ANNA, annas_house, house};

/// `gatepost sendmail WORDS -C FILE`.
fn sendmail(house: &House, words: &[&str], input: &[u8]) -> Ended {
    let mut command = Command::new(house.binary());
    command.arg("sendmail").arg("-C").arg(house.config()).args(words).current_dir(house.path());
    run(command, input)
}

#[test]
fn a_letter_from_a_program_arrives() {
    let program = annas_house().start();
    let ended = sendmail(&program.house, &["-f", ANNA, "bob@example.test"], b"Subject: cron\n\nit ran\n");
    assert!(ended.success(), "{ended}");
    let stored = program.maildir("bob@example.test").wait_for_letter("it ran");
    let text = String::from_utf8_lossy(&stored).replace("\r\n", "\n");
    assert!(text.starts_with(&format!("Return-Path: <{ANNA}>\n")), "{text}");
    for field in ["\nDate: ", "\nMessage-ID: ", "\nFrom: ", "\nReceived: "] {
        assert!(text.contains(field), "{field:?} in\n{text}");
    }
}

#[test]
fn recipients_may_stand_in_the_header() {
    let program = annas_house().start();
    let letter =
        b"To: Bob <bob@example.test>,\n postmaster@example.test\nBcc: anna@example.test\nSubject: t\n\nby header\n";
    let ended = sendmail(&program.house, &["-t", "-i"], letter);
    assert!(ended.success(), "{ended}");
    let stored = program.maildir("bob@example.test").wait_for_letter("by header");
    program.maildir(ANNA).wait_for_letter("by header");
    assert!(!String::from_utf8_lossy(&stored).contains("Bcc:"));
}

#[test]
fn a_single_dot_ends_the_letter_unless_told_otherwise() {
    let program = annas_house().start();
    let text = b"Subject: dots\n\nbefore the dot\n.\nafter the dot\n";
    assert!(sendmail(&program.house, &["bob@example.test"], text).success());
    let stored = program.maildir("bob@example.test").wait_for_letter("before the dot");
    assert!(!String::from_utf8_lossy(&stored).contains("after the dot"));
    assert!(sendmail(&program.house, &["-oi", "anna@example.test"], text).success());
    let stored = program.maildir(ANNA).wait_for_letter("before the dot");
    assert!(String::from_utf8_lossy(&stored).replace("\r\n", "\n").contains("\n.\nafter the dot\n"));
}

#[test]
fn a_letter_given_while_the_server_is_down_is_picked_up_at_start() {
    let mut program = house().listen(Profile::Relay).local("example.test", &["bob"]).start();
    program.stop();
    let ended = sendmail(&program.house, &["-f", ANNA, "bob@example.test"], b"Subject: down\n\nwhile it was down\n");
    assert!(ended.success(), "{ended}");
    program.restart();
    program.maildir("bob@example.test").wait_for_letter("while it was down");
    program.kill();
    let ended = sendmail(&program.house, &["bob@example.test"], b"Subject: again\n\ndown again\n");
    assert!(ended.success(), "{ended}");
    program.restart();
    program.maildir("bob@example.test").wait_for_letter("down again");
}

#[test]
fn a_letter_for_nobody_here_is_reported_and_makes_no_mailbox() {
    let program = annas_house().start();
    let ended =
        sendmail(&program.house, &["-f", ANNA, "bob@example.test", "nobody@example.test"], b"Subject: x\n\nhi\n");
    assert!(ended.success(), "{ended}");
    let report = program.maildir(ANNA).wait_for_letter("nobody@example.test");
    assert!(String::from_utf8_lossy(&report).contains("5.1.1"));
    program.maildir("bob@example.test").wait_for_letter("hi");
    assert!(!program.maildir("nobody@example.test").path().exists());
}

#[test]
fn called_as_sendmail_it_is_sendmail() {
    let program = annas_house().start();
    let link = program.house.path().join("sendmail");
    std::os::unix::fs::symlink(program.house.binary(), &link).expect("a link");
    let mut command = Command::new(link);
    command.arg("-C").arg(program.house.config()).args(["-oi", "--", "bob@example.test"]);
    let ended = run(command, b"Subject: link\n\nby its other name\n");
    assert!(ended.success(), "{ended}");
    program.maildir("bob@example.test").wait_for_letter("by its other name");
}

#[test]
fn smtp_is_spoken_on_standard_input() {
    let program = annas_house().start();
    let dialog = b"EHLO localhost\r\nMAIL FROM:<anna@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n\
                   Subject: bs\r\n\r\non standard input\r\n.\r\nQUIT\r\n";
    let ended = sendmail(&program.house, &["-bs"], dialog);
    assert!(ended.success(), "{ended}");
    assert!(ended.stdout.starts_with("220 ") && ended.stdout.contains("\n221 "), "{ended}");
    program.maildir("bob@example.test").wait_for_letter("on standard input");
}

#[test]
fn the_queue_is_printed() {
    let program = annas_house().start();
    let ended = sendmail(&program.house, &["-bp"], b"");
    assert!(ended.success(), "{ended}");
}

#[test]
fn a_wrong_recipient_is_a_usage_error() {
    let program = annas_house().start();
    let ended = sendmail(&program.house, &["not an address@"], b"Subject: x\n\nhi\n");
    assert!(!ended.success(), "{ended}");
    let ended = sendmail(&program.house, &[], b"Subject: x\n\nhi\n");
    assert!(!ended.success(), "no recipient: {ended}");
}
