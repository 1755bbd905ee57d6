//! A wrong configuration: the line, a caret, what is allowed; nothing is started.

use harness::{House, Profile};

use crate::house;

/// `serve` and `config check` both say so, with the line at fault and what would be right.
fn is_refused(house: &House, line: &str, words: &[&str]) {
    for command in [&["serve"][..], &["config", "check"]] {
        let ended = house.run(command, b"");
        let said = format!("{}{}", ended.stderr, ended.stdout);
        assert_eq!(ended.code(), Some(2), "{command:?}: {ended}");
        assert!(said.contains(line), "{command:?} does not show {line:?}: {ended}");
        assert!(said.contains('^') || said.contains('─') || said.contains("╰"), "{command:?} has no caret: {ended}");
        for word in words {
            assert!(said.contains(word), "{command:?} does not say {word:?}: {ended}");
        }
    }
}

fn with(text: &str) -> House {
    let house = house().listen(Profile::Relay).local("example.test", &["bob"]).tail(text);
    house.write();
    house
}

#[test]
fn a_right_one_is_called_right() {
    let house = with("");
    let ended = house.run(&["config", "check"], b"");
    assert!(ended.success(), "{ended}");
}

#[test]
fn the_example_is_right() {
    let house = house();
    let mut command = std::process::Command::new(house.binary());
    command.args(["config", "example"]);
    let example = harness::run(command, b"");
    assert!(example.success(), "{example}");
    std::fs::write(house.config(), &example.stdout).expect("the configuration");
    let shown = house.run(&["config", "show"], b"");
    assert!(shown.success(), "{shown}");
}

#[test]
fn an_unknown_key_is_shown() {
    is_refused(&with("[log]\nlevle = \"info\"\n"), "levle", &["level"]);
}

#[test]
fn a_wrong_type_is_shown() {
    is_refused(&with("[limits]\nrecipients = \"many\"\n"), "recipients = \"many\"", &[]);
}

#[test]
fn a_wrong_unit_is_shown() {
    is_refused(&with("[limits]\nmessage_size = \"25 parsecs\"\n"), "25 parsecs", &["MB"]);
    is_refused(&with("[limits]\ndata_timeout = 30\n"), "data_timeout = 30", &["s"]);
}

#[test]
fn a_domain_twice_is_shown() {
    is_refused(&with("[domains.local.\"Example.TEST\"]\nmailboxes = [\"eve\"]\n"), "[domains.local.", &["twice"]);
}

#[test]
fn a_listener_twice_is_shown() {
    let house = house().listen(Profile::Relay).local("example.test", &["bob"]);
    let address = house.address(Profile::Relay).to_string();
    let house = house.tail(&format!("[[listener]]\naddress = \"{address}\"\nprofile = \"relay\"\n"));
    house.write();
    is_refused(&house, &address, &["twice"]);
}

#[test]
fn a_file_that_cannot_be_read_is_shown() {
    let house = with("[[tls.certificate]]\ncert = \"nowhere.pem\"\nkey = \"nowhere.key\"\n");
    is_refused(&house, "nowhere.pem", &["No such file"]);
}

#[test]
fn text_that_is_no_toml_is_shown() {
    is_refused(&with("[log\nlevel = \"info\"\n"), "[log", &[]);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let house = house();
    let ended = house.run(&["serve"], b"");
    assert_eq!(ended.code(), Some(2), "{ended}");
    assert!(ended.stderr.contains("gatepost.toml"), "{ended}");
}
