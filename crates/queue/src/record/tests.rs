use proptest::prelude::*;
use serde_json::Value;
use smtp::ReplyCode;

use super::*;

fn lines(recorder: &Recorder) -> Vec<Value> {
    recorder.flush();
    let text = std::fs::read_to_string(recorder.dir().join("records.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_record_says_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), 1 << 20).unwrap();
    let reply = Reply::new(550, (5, 1, 1), "no such user here");
    recorder
        .record_at(Timestamp(1_700_000_000_123), Event::Failed)
        .id(QueueId(7))
        .from(&ReversePath::Null)
        .to(&"a@b.example".parse().unwrap())
        .attempt(2)
        .reply(&reply)
        .by("mx.b.example [127.0.0.1]:25")
        .tls("")
        .write();
    let expected = serde_json::json!({
        "v": 1, "time": "2023-11-14T22:13:20.123Z", "event": "failed", "id": "0000000000007", "from": "",
        "to": ["a@b.example"], "attempt": 2,
        "reply": {"code": 550, "enhanced": "5.1.1", "text": "no such user here"},
        "by": "mx.b.example [127.0.0.1]:25",
    });
    assert_eq!(lines(&recorder), [expected]);
}

#[test]
fn a_peers_words_are_cut_and_cannot_forge_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), 1 << 20).unwrap();
    let words = format!("\"}}\n{{\"v\":1,\"event\":\"delivered\"\\{}", "ü".repeat(1_000));
    let reply = Reply::from_peer(ReplyCode::new(450), None, &words);
    recorder.record(Event::Deferred).reply(&reply).write();
    let lines = lines(&recorder);
    assert_eq!(lines.len(), 1);
    let text = lines[0]["reply"]["text"].as_str().unwrap();
    assert_eq!(text.chars().count(), TEXT_MOST + 1);
    assert!(text.starts_with("\"}\n{") && text.ends_with('…'));
}

#[test]
fn history_gives_the_records_of_one_letter_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), 1 << 30).unwrap();
    for n in 0..20_000u64 {
        recorder.record(Event::Received).id(QueueId(n)).text("filler", "0123456789").write();
    }
    recorder.record(Event::Deferred).id(QueueId(15)).attempt(1).write();
    recorder.record(Event::Report).id(QueueId(15)).report(QueueId(16)).write();
    recorder.record(Event::Problem).text("text", &QueueId(15).to_string()).write();
    recorder.flush();
    let events = |id| -> Vec<String> {
        let records = history(dir.path(), QueueId(id), 100).unwrap();
        records.iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(events(15), ["received", "deferred", "report"]);
    assert_eq!(events(16), ["received", "report"]);
    assert_eq!(events(19_999), ["received"]);
    assert!(events(20_000).is_empty());
    assert!(history(&dir.path().join("none"), QueueId(1), 10).unwrap().is_empty());
}

#[test]
fn history_reaches_into_files_that_were_put_away() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), 200).unwrap();
    for event in [Event::Received, Event::Deferred, Event::Delivered] {
        recorder.record(event).id(QueueId(3)).text("filler", &"x".repeat(150)).write();
        recorder.flush();
    }
    assert!(dir.path().join("records.2.jsonl").exists());
    assert_eq!(history(dir.path(), QueueId(3), 10).unwrap().len(), 3);
    assert_eq!(history(dir.path(), QueueId(3), 2).unwrap()[0]["event"], "deferred");
}

#[test]
fn the_last_lines_are_written_when_the_recorder_goes() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), 1 << 20).unwrap();
    recorder.record(Event::Dropped).id(QueueId(1)).write();
    drop(recorder);
    assert!(std::fs::read_to_string(dir.path().join("records.jsonl")).unwrap().contains("\"dropped\""));
}

#[test]
fn a_recorder_for_nowhere_takes_everything() {
    Recorder::none().record(Event::Received).id(QueueId(1)).write();
    Recorder::none().flush();
    assert_eq!(Recorder::none().lost(), 0);
}

proptest! {
    #[test]
    fn every_text_is_read_back_as_it_was(text in "(\\PC|[\\x00-\\x1f\"\\\\]){0,200}") {
        let mut line = String::new();
        json::write_capped(&mut line, &text, usize::MAX);
        prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text.clone());
        let mut line = String::new();
        json::write_display(&mut line, &text);
        prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}

#[test]
fn records_leave_the_disk_to_the_letters() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), 1 << 20).unwrap();
    recorder.record(Event::Received).id(QueueId(1)).write();
    recorder.flush();
    recorder.keep_free(1 << 60);
    recorder.record(Event::Delivered).id(QueueId(1)).write();
    recorder.flush();
    assert_eq!((lines(&recorder).len(), recorder.lost()), (1, 1));
    recorder.keep_free(1);
    recorder.record(Event::Received).id(QueueId(2)).write();
    assert_eq!((lines(&recorder).len(), recorder.lost()), (2, 1));
}
