//! The server's session as a peer sees it. Attacks are listed with their tests in docs/attacks.md.

mod auth;
mod bdat;
mod dialogs;
mod end_of_data;
mod exhaustion;
mod flow;
mod injection;
mod peer;
mod random;
mod starttls;
mod state;
mod syntax;

/// docs/attacks.md names tests; a name that is none would be a promise that nobody keeps.
#[test]
fn every_test_named_in_attacks_md_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/attacks.md")).unwrap();
    let is_name = |word: &&str| {
        word.len() > 12 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|w| w.contains('_')).filter(is_name).collect();
    assert!(names.len() > 70, "only {} names", names.len());
    let mut sources = String::new();
    let mut folders = vec![root.join("crates"), root.join("e2e")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let missing: Vec<_> = names.into_iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
