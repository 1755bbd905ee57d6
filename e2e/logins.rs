//! Logins: what is offered works, what is wrong is slowed and said alike.

use std::time::{Duration, Instant};

use harness::house::HOSTNAME;
use harness::{Client, Profile, Program, base64};

use crate::{PASSWORD, annas_house};

fn secured(program: &Program) -> Client {
    let mut client = program.client(Profile::Submissions);
    client.tls(&program.house.ca().trusting(), HOSTNAME);
    client.hello();
    client
}

#[test]
fn plain_and_login_work_with_and_without_an_initial_response() {
    let program = annas_house().start();
    let secret = base64(format!("\0anna\0{PASSWORD}").as_bytes());
    assert_eq!(secured(&program).auth_plain("anna", PASSWORD).code, 235);

    let mut client = secured(&program);
    client.say("AUTH PLAIN", 334);
    client.say(&secret, 235);

    let mut client = secured(&program);
    client.say("AUTH LOGIN", 334);
    client.say(&base64(b"anna"), 334);
    client.say(&base64(PASSWORD.as_bytes()), 235);

    let mut client = secured(&program);
    client.say(&format!("AUTH LOGIN {}", base64(b"anna")), 334);
    client.say(&base64(PASSWORD.as_bytes()), 235);
}

#[test]
fn a_login_can_be_called_off() {
    let program = annas_house().start();
    let mut client = secured(&program);
    client.say("AUTH PLAIN", 334);
    client.say("*", 501);
    assert_eq!(client.auth_plain("anna", PASSWORD).code, 235);
}

#[test]
fn a_wrong_password_and_an_unknown_user_hear_the_same() {
    let program = annas_house().start();
    let wrong = secured(&program).auth_plain("anna", "guess");
    let unknown = secured(&program).auth_plain("nobody", "guess");
    assert_eq!(wrong.code, 535, "{wrong}");
    assert!(wrong.says("5.7.8"), "{wrong}");
    assert_eq!(wrong, unknown);
}

#[test]
fn a_disabled_account_is_let_in_no_more() {
    let program = annas_house().start();
    assert_eq!(secured(&program).auth_plain("anna", PASSWORD).code, 235);
    let ended = program.house.run(&["account", "disable", "anna"], b"");
    assert!(ended.success(), "{ended}");
    // At once, even though the password was remembered a moment ago.
    assert_eq!(secured(&program).auth_plain("anna", PASSWORD).code, 535);
}

#[test]
fn a_new_password_holds_at_once() {
    let program = annas_house().start();
    assert_eq!(secured(&program).auth_plain("anna", PASSWORD).code, 235);
    let ended = program.house.run(&["account", "password", "anna", "--password-stdin"], b"another one\n");
    assert!(ended.success(), "{ended}");
    assert_eq!(secured(&program).auth_plain("anna", "another one").code, 235);
    assert_eq!(secured(&program).auth_plain("anna", PASSWORD).code, 535);
}

#[test]
fn guessing_is_slowed_and_ended() {
    let program = annas_house().start();
    let mut client = secured(&program);
    let begun = Instant::now();
    let mut refusals = 0;
    loop {
        match client.auth_plain("anna", &format!("guess {refusals}")).code {
            535 => refusals += 1,
            421 => break,
            other => panic!("{other}\n{}", client.dialog()),
        }
        assert!(refusals < 20, "guessing goes on\n{}", client.dialog());
    }
    assert!(begun.elapsed() > Duration::from_secs(1), "not slowed: {:?}", begun.elapsed());
}

#[test]
fn no_password_is_on_disk_or_in_the_log() {
    let program = annas_house().set("log", "level = \"trace\"").start();
    assert_eq!(secured(&program).auth_plain("anna", PASSWORD).code, 235);
    secured(&program).auth_plain("anna", "wrong-but-secret");
    for text in [PASSWORD.to_owned(), "wrong-but-secret".into(), base64(format!("\0anna\0{PASSWORD}").as_bytes())] {
        assert!(!program.log().contains(&text), "{text} is in the log");
        for file in files_below(&program.house.data()) {
            let bytes = std::fs::read(&file).unwrap_or_default();
            assert!(!harness::maildir::contains(&bytes, &text), "{text} is in {}", file.display());
        }
    }
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}
