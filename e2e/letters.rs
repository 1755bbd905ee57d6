//! Real letters, byte for byte: in by SMTP, out by SMTP, LMTP and Maildir.

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::letter::{dot_stuffed, same_but_trace};
use harness::maildir::contains;
use harness::{Client, Sink, to_crlf, wait_until};

use crate::{on_relay, relay_house};

/// Every file of e2e/letters that is a letter, in order.
fn letters() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/letters"), &mut files);
    files.sort();
    files.into_iter().map(|file| (file.clone(), to_crlf(&std::fs::read(file).expect("a letter")))).collect()
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("e2e/letters").flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|end| end == "eml" || end == "msg") {
            files.push(path);
        }
    }
}

fn send(client: &mut Client, from: &str, letter: &[u8]) -> u16 {
    client.say(&format!("MAIL FROM:<{from}> BODY=8BITMIME"), 250);
    for to in ["x@smtp.test", "x@lmtp.test", "bob@example.test"] {
        client.say(&format!("RCPT TO:<{to}>"), 250);
    }
    client.say("DATA", 354);
    client.send(&dot_stuffed(letter));
    client.reply().code
}

#[test]
fn real_letters_arrive_byte_for_byte_by_every_way_out() {
    let (smtp, lmtp) = (Sink::start(), Sink::builder().lmtp().start());
    let program = relay_house()
        .local("example.test", &["bob"])
        .route("smtp.test", smtp.address())
        .route_with("lmtp.test", &format!("to = \"lmtp:{}\"", lmtp.address()))
        .set("limits", "messages = 100000")
        .start();
    let letters = letters();
    assert!(letters.len() > 600, "{} letters", letters.len());
    let mut client = on_relay(&program);
    for (number, (file, letter)) in letters.iter().enumerate() {
        let code = send(&mut client, &format!("letter-{number}@real.test"), letter);
        // RFC 5322 §2.2 has no NUL in a letter; who needs one says BINARYMIME.
        let wanted = if letter.contains(&0) { 550 } else { 250 };
        assert_eq!(code, wanted, "{}: {}", file.display(), client.dialog().lines().last().unwrap_or_default());
    }
    let letters: Vec<_> = letters.into_iter().enumerate().filter(|(_, (_, letter))| !letter.contains(&0)).collect();
    let box_of_bob = program.maildir("bob@example.test");
    wait_until(Duration::from_secs(120), "every letter by every way", || {
        smtp.count() >= letters.len() && lmtp.count() >= letters.len() && box_of_bob.files().len() >= letters.len()
    });
    let stored = box_of_bob.letters();
    let mut wrong = Vec::new();
    for (number, (file, letter)) in &letters {
        let from = format!("<letter-{number}@real.test>");
        for (way, sink) in [("SMTP", &smtp), ("LMTP", &lmtp)] {
            let same = sink.look(|came| {
                let found = came.iter().find(|one| one.from == from).ok_or("it did not arrive".to_owned())?;
                same_but_trace(letter, &found.bytes)
            });
            wrong.extend(same.err().map(|why| format!("{} by {way}: {why}", file.display())));
        }
        let path = format!("Return-Path: {from}");
        let same = match stored.iter().find(|one| contains(&one[..one.len().min(200)], &path)) {
            None => Err("it is not there".to_owned()),
            // A Maildir holds lines as its system ends them.
            Some(found) => same_but_trace(letter, &to_crlf(found)),
        };
        wrong.extend(same.err().map(|why| format!("{} by Maildir: {why}", file.display())));
    }
    assert!(wrong.is_empty(), "{} of {} ways changed a letter:\n{}", wrong.len(), 3 * letters.len(), wrong.join("\n"));
}
