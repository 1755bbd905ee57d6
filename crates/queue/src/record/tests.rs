use std::sync::atomic::AtomicBool;
use std::time::Duration;

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
        recorder.record(Event::Received).id(QueueId(n)).text("text", "0123456789").write();
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
        recorder.record(event).id(QueueId(3)).text("text", &"x".repeat(150)).write();
        recorder.flush();
    }
    assert_eq!(files::put_away(dir.path()).unwrap().len(), 2);
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

/// What the keeper is told in these tests.
struct Told(RecordsConfig, u64, AtomicBool);

impl Told {
    fn new(config: RecordsConfig) -> Self {
        Self(config, 0, AtomicBool::new(false))
    }
}

impl keeper::House for Told {
    fn config(&self) -> RecordsConfig {
        self.0.clone()
    }
    fn reserve(&self) -> u64 {
        self.1
    }
    fn stop(&self) -> &AtomicBool {
        &self.2
    }
}

/// Files that were put away a day apart, each with one record of letter 3.
fn old_files(dir: &Path, count: u64) -> Vec<files::Old> {
    for day in 1..=count {
        let event = if day == 1 { "received" } else { "deferred" };
        let line = format!("{{\"v\":1,\"event\":\"{event}\",\"id\":\"{}\",\"attempt\":{day}}}\n", QueueId(3));
        std::fs::write(files::next_name(dir, Timestamp(day * DAY)).unwrap(), line).unwrap();
    }
    files::put_away(dir).unwrap()
}

const DAY: u64 = 24 * 3600 * 1000;

#[test]
fn packed_files_are_read_as_plain_ones() {
    let dir = tempfile::tempdir().unwrap();
    old_files(dir.path(), 3);
    keeper::tend(dir.path(), &Told::new(RecordsConfig::default()), Timestamp(4 * DAY)).unwrap();
    let old = files::put_away(dir.path()).unwrap();
    assert!(old.len() == 3 && old.iter().all(|old| old.packed), "{old:?}");
    let attempts = |most| -> Vec<u64> {
        let found = history(dir.path(), QueueId(3), most).unwrap();
        found.iter().map(|record| record["attempt"].as_u64().unwrap()).collect()
    };
    assert_eq!(attempts(10), [1, 2, 3]);
    assert_eq!(attempts(2), [2, 3]);
    assert!(history(dir.path(), QueueId(4), 10).unwrap().is_empty());
}

#[test]
fn old_files_go_by_number_age_and_size() {
    let kept = |config: RecordsConfig, now| -> Vec<u64> {
        let dir = tempfile::tempdir().unwrap();
        old_files(dir.path(), 4);
        keeper::tend(dir.path(), &Told::new(config), Timestamp(now)).unwrap();
        files::put_away(dir.path()).unwrap().iter().map(|old| old.at().unwrap().0 / DAY).collect()
    };
    let plain = || RecordsConfig { compress: false, ..RecordsConfig::default() };
    assert_eq!(kept(plain(), 5 * DAY), [1, 2, 3, 4]);
    assert_eq!(kept(RecordsConfig { keep: 3, ..plain() }, 5 * DAY), [2, 3, 4]);
    assert_eq!(kept(RecordsConfig { keep_size: 130, ..plain() }, 5 * DAY), [3, 4]);
    let two_days = Duration::from_millis(2 * DAY);
    assert_eq!(kept(RecordsConfig { keep_for: two_days, ..RecordsConfig::default() }, 5 * DAY), [4]);
}

#[test]
fn nothing_is_packed_into_the_room_of_letters() {
    let dir = tempfile::tempdir().unwrap();
    old_files(dir.path(), 1);
    let told = Told(RecordsConfig::default(), u64::MAX / 2, AtomicBool::new(false));
    let error = keeper::tend(dir.path(), &told, Timestamp(2 * DAY)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [files::put_away(dir.path()).unwrap()[0].path.clone()]);
}

#[test]
fn what_a_cut_off_pack_left_is_cleared_and_nothing_counts_twice() {
    let dir = tempfile::tempdir().unwrap();
    let old = old_files(dir.path(), 2);
    std::fs::write(old[1].part_path(), "half of it").unwrap();
    let told = Told::new(RecordsConfig::default());
    let plain = std::fs::read(&old[0].path).unwrap();
    keeper::tend(dir.path(), &told, Timestamp(3 * DAY)).unwrap();
    // The process ended between the packed file and the removal of the plain one.
    std::fs::write(&old[0].path, plain).unwrap();
    assert_eq!(history(dir.path(), QueueId(3), 10).unwrap().len(), 2);
    keeper::tend(dir.path(), &told, Timestamp(3 * DAY)).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_file_is_put_away_for_its_age_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = RecordsConfig { max_age: Duration::from_millis(DAY), ..RecordsConfig::default() };
    let line = |day: u64| format!("{{\"v\":1,\"time\":\"{}\",\"event\":\"problem\"}}\n", Timestamp(day * DAY));
    let mut output = output::Output::open(dir.path()).unwrap();
    assert!(!output.write(line(1).as_bytes(), 0, &config, Timestamp(DAY)).unwrap());
    assert!(!output.tend(&config, Timestamp(2 * DAY - 1)).unwrap());
    let mut output = output::Output::open(dir.path()).unwrap();
    assert!(output.write(line(2).as_bytes(), 0, &config, Timestamp(2 * DAY)).unwrap());
    assert!(output.tend(&config, Timestamp(3 * DAY)).unwrap());
    assert!(!output.tend(&config, Timestamp(30 * DAY)).unwrap(), "an empty file stays");
    let old = files::put_away(dir.path()).unwrap();
    assert_eq!(old.iter().map(|old| old.at().unwrap().0 / DAY).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn names_ascend_where_the_clock_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    old_files(dir.path(), 2);
    let name = files::next_name(dir.path(), Timestamp(DAY)).unwrap();
    std::fs::write(&name, "").unwrap();
    let old = files::put_away(dir.path()).unwrap();
    assert_eq!((old.len(), &old[2].path), (3, &name));
    assert_eq!(old[2].at().unwrap(), Timestamp(2 * DAY + 1));
}

#[test]
fn a_recorder_packs_what_it_put_away_and_history_still_tells() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), 200).unwrap();
    for event in [Event::Received, Event::Deferred, Event::Delivered] {
        recorder.record(event).id(QueueId(3)).text("text", &"x".repeat(150)).write();
        recorder.flush();
    }
    let begun = std::time::Instant::now();
    while files::put_away(dir.path()).unwrap().iter().filter(|old| old.packed).count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody packs");
        std::thread::yield_now();
    }
    let events: Vec<Value> = history(dir.path(), QueueId(3), 10).unwrap().iter().map(|r| r["event"].clone()).collect();
    assert_eq!(events, ["received", "deferred", "delivered"]);
}
