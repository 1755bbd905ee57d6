//! Holds the table of arrows in ARCHITECTURE.md against what cargo knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn written() -> Arrows {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let table = text.split("| crate | uses |").nth(1).expect("the table of arrows");
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let name = cells.next().expect("a crate").to_owned();
            (name, cells.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect())
        })
        .collect()
}

fn known_to_cargo() -> Arrows {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |package: &serde_json::Value| package["name"].as_str().expect("a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().expect("dependencies").iter();
            // What tests use (kind "dev") is no arrow.
            let uses = uses.filter(|d| d["kind"].is_null()).map(name).filter(|n| ours.contains(n)).collect();
            (name(package), uses)
        })
        .collect()
}

#[test]
fn every_arrow_is_in_architecture_md_and_no_other() {
    assert_eq!(written(), known_to_cargo());
}

#[test]
fn the_lock_file_stays_below_its_limit() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let packages = lock.matches("\n[[package]]").count();
    assert!(packages <= 450, "{packages} locked packages; at most 450");
}
