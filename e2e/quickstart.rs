//! The first command that anybody types.

use std::process::Command;

#[test]
fn quickstart_sends_a_letter_through_every_port() {
    let _ports = harness::ports::alone("quickstart");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command.args(["quickstart", "--exit", "--json", "--dir"]).arg(folder.path().join("q"));
    let ended = harness::run(command, b"");
    assert!(ended.success(), "{ended}");
    let table = ended.json();
    let rows = table.as_array().or_else(|| table["ports"].as_array()).expect("rows");
    assert_eq!(rows.len(), 4, "{table:#}");
    println!("quickstart took {:?}", ended.took);
}

#[test]
fn quickstart_prints_the_table_for_people() {
    let _ports = harness::ports::alone("quickstart");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command.args(["quickstart", "--exit", "--dir"]).arg(folder.path().join("q"));
    let ended = harness::run(command, b"");
    assert!(ended.success(), "{ended}");
    for word in ["25", "587", "465", "2525", "TLS"] {
        assert!(ended.stdout.contains(word), "{word}: {ended}");
    }
}
