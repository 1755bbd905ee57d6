use std::os::unix::fs::PermissionsExt;

use super::*;

fn mailbox(text: &str) -> Mailbox {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn place(address: &str) -> String {
    folder(Path::new("/m"), &mailbox(address), "+").display().to_string()
}

fn raw(local: &str) -> Mailbox {
    Mailbox { local: smtp::LocalPart::from_dequoted(local).unwrap(), host: "a.example".parse().unwrap() }
}

fn letters(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder.join("new")).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

fn put(folder: &Path, body: &[u8]) -> Result<(), NotStored> {
    let from = ReversePath::Mailbox(mailbox("sender@b.example"));
    deliver(folder, "us.example", &from, &mailbox("ann@a.example"), &Body::from_bytes(body.to_vec()))
}

#[test]
fn a_mailbox_is_found_by_domain_and_user() {
    for (address, expected) in [
        ("ann@a.example", "/m/a.example/ann"),
        ("Ann.Lee@A.Example", "/m/a.example/ann.lee"),
        ("ann+news@a.example", "/m/a.example/ann"),
        ("+news@a.example", "/m/a.example/+news"),
        ("ann@[127.0.0.1]", "/m/%5B127.0.0.1%5D/ann"),
        ("ann@bücher.example", "/m/xn--bcher-kva.example/ann"),
        ("müller@a.example", "/m/a.example/m%C3%BCller"),
    ] {
        assert_eq!(place(address), expected, "{address}");
    }
    assert_eq!(folder(Path::new("/m"), &mailbox("a+b@a.example"), ""), Path::new("/m/a.example/a+b"));
    assert_eq!(folder(Path::new("/m"), &mailbox("a-b@a.example"), "-"), Path::new("/m/a.example/a"));
}

#[test]
fn no_address_leads_out_of_the_root() {
    for local in [
        "..",
        ".",
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "..\\x",
        ".ssh",
        "%2e%2e%2f",
        "a b",
        "~/x",
        "-rf",
        "..+tag",
        "./+x",
    ] {
        let path = folder(Path::new("/m"), &raw(local), "+");
        let inside: Vec<_> = path.strip_prefix("/m/a.example").expect(local).components().collect();
        assert!(
            matches!(inside.as_slice(), [std::path::Component::Normal(name)] if !name.to_string_lossy().starts_with('.')),
            "{local} became {path:?}"
        );
    }
}

#[test]
fn different_users_never_share_a_folder() {
    let names = ["a/b", "a%2Fb", "a%2fb", "a", ".a", "%2Ea", "a b", "a%20b"];
    let folders: std::collections::HashSet<_> =
        names.iter().map(|name| folder(Path::new("/m"), &raw(name), "+")).collect();
    // Case aside.
    assert_eq!(folders.len(), names.len() - 1);
}

#[test]
fn a_letter_is_stored_whole_behind_its_trace_fields() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a.example/ann");
    let mut body = b"Subject: x\r\n\r\nbare \n and \r and \0\r\n".to_vec();
    body.extend((0..PIECE * 3).map(|n| n as u8));
    put(&folder, &body).unwrap();
    let (name, stored) = letters(&folder).remove(0);
    let fields = b"Return-Path: <sender@b.example>\r\nDelivered-To: ann@a.example\r\n";
    assert!(stored == [fields.as_slice(), &body].concat());
    assert!(name.ends_with(&format!(".us.example,S={}", stored.len())), "{name}");
    assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
}

#[test]
fn folders_and_letters_belong_to_their_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a.example/ann");
    put(&folder, b"x\r\n").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("cur"))), (0o700, 0o700));
    let name = letters(&folder).remove(0).0;
    assert_eq!(mode(&folder.join("new").join(name)), 0o600);
}

#[test]
fn many_letters_at_once_are_as_many_files() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("ann");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| put(&folder, b"x\r\n").unwrap()));
        }
    });
    assert_eq!(letters(&folder).len(), 80);
}

#[test]
fn a_mailbox_that_a_crash_left_half_made_is_completed() {
    for made in [&["tmp"][..], &["new"], &["tmp", "cur"], &["new", "cur"]] {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a.example/ann");
        made.iter().for_each(|part| std::fs::create_dir_all(folder.join(part)).unwrap());
        put(&folder, b"x\r\n").unwrap_or_else(|error| panic!("{made:?}: {error}"));
        assert_eq!(letters(&folder).len(), 1);
        assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
        assert!(folder.join("cur").is_dir());
    }
}

#[test]
fn a_host_name_cannot_break_the_file_name() {
    let name = unique_name("a/b:c", 5);
    assert!(name.contains(".a\\057b\\072c,S=5") && !name.contains('/'), "{name}");
}

#[test]
fn trouble_with_the_disk_defers_and_tells_the_peer_nothing_of_it() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("zoe");
    // A file where the folder should be.
    std::fs::write(&folder, "x").unwrap();
    let error = put(&folder, b"x\r\n").unwrap_err();
    assert!(error.to_string().contains("zoe"));
    let reply = error.reply();
    assert!(reply.is_transient() && !reply.text().contains("zoe"), "{reply}");
    for (kind, code) in [
        (io::ErrorKind::StorageFull, "4.3.1"),
        (io::ErrorKind::QuotaExceeded, "4.2.2"),
        (io::ErrorKind::PermissionDenied, "4.3.0"),
        (io::ErrorKind::ReadOnlyFilesystem, "4.3.0"),
    ] {
        let reply = NotStored::Disk { path: folder.clone(), error: kind.into() }.reply();
        assert_eq!(reply.enhanced.unwrap().to_string(), code);
        assert!(reply.is_transient());
    }
}

#[test]
fn what_no_time_will_change_is_refused_for_good() {
    let root = tempfile::tempdir().unwrap();
    let reply = put(&root.path().join("x".repeat(256)), b"x\r\n").unwrap_err().reply();
    assert_eq!(reply.to_string(), "550 5.1.3 the address is too long for the name of a mailbox here");
    let large = NotStored::Disk { path: root.path().into(), error: io::ErrorKind::FileTooLarge.into() }.reply();
    assert_eq!(large.enhanced.unwrap().to_string(), "5.2.3");
}

#[test]
fn a_long_name_of_our_own_leaves_room_in_the_name_of_a_file() {
    let root = tempfile::tempdir().unwrap();
    let (from, ann) = (ReversePath::Null, mailbox("ann@a.example"));
    let hostname = format!("{}.example", ["x".repeat(60), "y".repeat(60), "z".repeat(60), "w".repeat(60)].join("."));
    deliver(root.path(), &hostname, &from, &ann, &Body::from_bytes(b"x\r\n".to_vec())).unwrap();
    assert_eq!(letters(root.path()).len(), 1);
}

/// The others of the same letter have it.
#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own() {
    use crate::tests::{House, verdicts};
    let root = tempfile::tempdir().unwrap();
    let mail = root.path().join("mail");
    std::fs::create_dir_all(mail.join("a.example")).unwrap();
    std::fs::write(mail.join("a.example/bob"), "no folder").unwrap();
    let config = format!("maildir_root = \"{}\"\n[[local]]\ndomain = \"a.example\"", mail.display());
    let outcomes = House::new(&config).send_locally(&["ann@a.example", "bob@a.example", "cat@a.example"]).await;
    assert_eq!(verdicts(&outcomes), [queue::Verdict::Delivered, queue::Verdict::Deferred, queue::Verdict::Delivered]);
    assert_eq!(outcomes[1].reply.to_string(), "451 4.3.0 the mailbox cannot be written now");
}

#[test]
fn a_letter_that_has_been_here_is_known_by_its_header_alone() {
    let ann = mailbox("ann@a.example");
    for (letter, here) in [
        ("Delivered-To: ann@a.example\r\n\r\n", true),
        ("Subject: x\r\ndelivered-to:  Ann@A.EXAMPLE \r\n\r\n", true),
        ("Subject: x\nDelivered-To: ann@a.example\n\n", true),
        ("Delivered-To: bob@a.example\r\n\r\n", false),
        ("Subject: x\r\n\r\nDelivered-To: ann@a.example\r\n", false),
        ("X-Delivered-To: ann@a.example\r\n\r\n", false),
        ("", false),
    ] {
        assert_eq!(has_been_here(&Body::from_bytes(letter.as_bytes().to_vec()), &ann).unwrap(), here, "{letter:?}");
    }
}
