//! Octets that change at rest.

use std::path::Path;

use proptest::prelude::*;

use super::super::record::{FIRST, Front, HEADER, Kind};
use super::super::recover;
use super::super::segment::segment_path;
use super::super::sim::{Dice, SimDisk};
use super::driver::{DIR, config};
use super::*;

/// Five letters, each synced, in a spool that was closed in order; the last process left no hints.
fn five_letters() -> (SimDisk, Vec<(QueueId, Vec<u8>)>) {
    let disk = SimDisk::new();
    let config = SpoolConfig { segment_size: 64 << 10, ..config() };
    let (spool, _) = Spool::open(config, Arc::new(disk.clone())).unwrap();
    let letters = (0..5u8).map(|nth| put(&spool, &[b'a' + nth; 300])).collect();
    drop(spool);
    for name in disk.names().iter().filter(|name| name.ends_with(".idx")) {
        disk.remove(Path::new(name)).unwrap();
    }
    (disk, letters)
}

fn put(spool: &Spool, text: &[u8]) -> (QueueId, Vec<u8>) {
    let id = spool.next_id();
    let mut draft = spool.draft();
    draft.write(text).unwrap();
    spool.append(id, b"meta".to_vec(), b"prefix".to_vec(), draft).wait().unwrap();
    (id, [b"prefix", text].concat())
}

const RECORD: usize = HEADER + 32 + 4 + 6 + 300;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_bad_octet_costs_at_most_the_letter_that_it_is_in(at in 0..5 * RECORD + HEADER, mask in 1..=255u8) {
        let (disk, letters) = five_letters();
        disk.flip(&segment_path(Path::new(DIR), 0), FIRST as usize + at, mask);
        let (log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
        let hit = at / RECORD;
        for (nth, (id, text)) in letters.iter().enumerate() {
            let found = log.shared.body(*id).map(|body| read_all(&body));
            if nth == hit {
                prop_assert_eq!(found, None);
            } else {
                prop_assert_eq!(found.as_ref(), Some(text));
            }
        }
        prop_assert_eq!(recovered.letters.len(), if hit < 5 { 4 } else { 5 });
        if hit < 5 {
            prop_assert_eq!(recovered.problems.len(), 1);
            let start = FIRST + (hit * RECORD) as u64;
            let problem = &recovered.problems[0];
            prop_assert_eq!((problem.offset, problem.len), (start, RECORD as u64));
            let aside = format!("{DIR}/quarantine/{}-{start:08x}", problem.file);
            prop_assert!(disk.names().contains(&aside), "{:?}", disk.names());
        }
    }

    #[test]
    fn a_damaged_hint_or_head_is_noticed(at in 0..700usize, mask in 1..=255u8, head in any::<bool>()) {
        let disk = SimDisk::new();
        let (spool, _) = Spool::open(config(), Arc::new(disk.clone())).unwrap();
        let (id, text) = put(&spool, b"text");
        drop(spool);
        let end = if head { ".log" } else { ".idx" };
        let name = disk.names().into_iter().find(|name| name.ends_with(end)).unwrap();
        let at = if head { at } else { at % 132 };
        disk.flip(Path::new(&name), at, mask);
        let (log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
        prop_assert_eq!(recovered.problems, []);
        prop_assert_eq!(recovered.letters.len(), 1);
        prop_assert_eq!(read_all(&log.shared.body(id).unwrap()), [b"prefix", &b"text"[..]].concat());
        prop_assert_eq!(text, b"prefixtext");
    }

    #[test]
    fn any_octets_can_be_read_as_a_segment(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_scan(&bytes);
    }

    #[test]
    fn what_looks_like_a_record_is_read_without_a_panic(
        records in prop::collection::vec((1..6u8, 0..90u32, 0..90u32, any::<u64>(), 0..9u32), 1..12),
        cut in 0..2000usize,
    ) {
        let mut bytes = Vec::new();
        for (kind, len, front, seq, durable) in records {
            bytes.extend_from_slice(b"GPr\x01");
            bytes.extend_from_slice(&[kind, 1, 0, 0]);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&front.to_le_bytes());
            bytes.extend_from_slice(&[0; 8]);
            bytes.extend_from_slice(&seq.to_le_bytes());
            bytes.extend_from_slice(&(durable << 9).to_le_bytes());
            bytes.extend_from_slice(&[0; 12]);
            bytes.extend((0..len).map(|i| (i % 5) as u8));
        }
        bytes.truncate(cut);
        fuzz_scan(&bytes);
    }

    #[test]
    fn a_front_that_is_written_can_be_read(
        meta in prop::collection::vec(any::<u8>(), 0..60),
        state in prop::option::of(prop::collection::vec(any::<u8>(), 0..60)),
        prefix in prop::collection::vec(any::<u8>(), 0..60),
        text in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let state = state.as_deref();
        let front = Front { meta: &meta, state, prefix: &prefix, text_len: text.len() as u64, large: None };
        let record = super::super::compact::message(QueueId(3), 9, front, text.clone().into());
        prop_assert_eq!(Front::decode(&record.header, &record.front), Some(front));
        let bytes = record.header.encode(5);
        prop_assert_eq!(super::super::record::Header::decode(&bytes, 5), Some(record.header));
        prop_assert_eq!(super::super::record::Header::decode(&bytes, 6), None);
        prop_assert_eq!(record.header.kind, Kind::Message);
    }
}

#[test]
fn a_letter_that_carries_a_record_is_never_taken_for_one_even_beside_damage() {
    let disk = SimDisk::new();
    let config = SpoolConfig { segment_size: 64 << 10, inline_size: 8192, ..config() };
    let (spool, _) = Spool::open(config.clone(), Arc::new(disk.clone())).unwrap();
    let (victim, _) = put(&spool, b"victim");
    // What an attacker can know: the format, and the identifier in the reply to a letter.
    let forged = super::super::log::header(Kind::Remove, victim, 0, 0);
    let forged: Vec<u8> =
        (0..60).flat_map(|salt| super::super::record::Header { seq: 900, ..forged }.encode(salt)).collect();
    put(&spool, &forged);
    drop(spool);
    let path = segment_path(Path::new(DIR), 0);
    let second = FIRST as usize + HEADER + 32 + 4 + 6 + 6;
    disk.flip(&path, second, 0xff);
    disk.names().iter().filter(|name| name.ends_with(".idx")).for_each(|name| disk.remove(Path::new(name)).unwrap());
    let (_, recovered, _) = recover::open_all(config, Arc::new(disk.clone())).unwrap();
    assert_eq!(recovered.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [victim]);
    assert_eq!(recovered.problems.len(), 1);
}

#[test]
fn a_damaged_text_is_not_sent() {
    let (disk, letters) = five_letters();
    let (log, ..) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
    disk.flip(&segment_path(Path::new(DIR), 0), FIRST as usize + RECORD - 1, 1);
    let error = log.shared.body(letters[0].0).unwrap().warm().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(log.shared.body(letters[1].0).unwrap().warm().is_ok());
}

#[test]
fn damage_found_while_moving_keeps_the_segment() {
    let (disk, letters) = five_letters();
    let (mut log, ..) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
    let path = segment_path(Path::new(DIR), 0);
    disk.flip(&path, FIRST as usize + RECORD - 1, 1);
    let later = crate::letter::Timestamp::now().0 + 700_000;
    assert!((0..100).any(|_| !log.maintain(later)), "tidying never ends");
    assert!(disk.names().contains(&path.display().to_string()));
    letters[1..].iter().for_each(|(id, text)| assert_eq!(read_all(&log.shared.body(*id).unwrap()), *text));
    assert!(log.failure().is_none());
}

#[test]
fn a_missing_large_text_is_reported_and_its_record_set_aside() {
    let disk = SimDisk::new();
    let (spool, _) = Spool::open(config(), Arc::new(disk.clone())).unwrap();
    let (id, _) = put(&spool, &[b'x'; 5000]);
    drop(spool);
    let name = disk.names().into_iter().find(|name| name.contains("/big/")).unwrap();
    disk.remove(Path::new(&name)).unwrap();
    let (log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
    assert_eq!((recovered.letters.len(), recovered.problems.len()), (0, 1));
    assert!(recovered.problems[0].what.contains(&id.to_string()));
    assert!(log.shared.body(id).is_none());
    assert!(disk.names().iter().any(|name| name.contains("/quarantine/")));
}

#[test]
fn a_later_version_is_left_alone() {
    let (disk, _) = five_letters();
    let path = segment_path(Path::new(DIR), 0);
    let file = disk.open(&path, true).unwrap();
    let mut head = super::super::disk::read_exact_at(&*file, 0, 64).unwrap();
    head[8] = 2;
    let crc = crc32c::crc32c(&head[..60]);
    head[60..].copy_from_slice(&crc.to_le_bytes());
    file.write_at(0, &mut [std::io::IoSlice::new(&head)]).unwrap();
    let error = recover::open_all(config(), Arc::new(disk.clone())).unwrap_err();
    assert!(matches!(error, SpoolError::Version { version: 2, .. }), "{error}");
}

#[test]
fn inspecting_finds_what_a_start_would_not_read() {
    let disk = SimDisk::new();
    let (spool, _) = Spool::open(config(), Arc::new(disk.clone())).unwrap();
    let (small, text) = put(&spool, b"small");
    let (large, _) = put(&spool, &[b'x'; 5000]);
    let look = |depth| inspect(Arc::new(disk.clone()), Path::new(DIR), depth).unwrap();
    for depth in [Depth::Quick, Depth::Full] {
        // The server still runs.
        let found = look(depth);
        assert_eq!(found.problems, []);
        assert_eq!(found.letters.iter().map(|found| found.letter.id).collect::<Vec<_>>(), [small, large]);
        assert_eq!(read_all(&found.letters[0].body), text);
    }
    drop(spool);
    let name = disk.names().into_iter().find(|name| name.contains("/big/")).unwrap();
    disk.flip(Path::new(&name), Dice::new(4).below(5000), 1);
    assert_eq!(look(Depth::Quick).problems, []);
    assert_eq!(look(Depth::Full).problems.len(), 1);
}

/// Starts, tidies all there is to tidy, ends.
fn start_and_tidy(disk: &SimDisk) -> Recovered {
    let (mut log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
    let later = crate::letter::Timestamp::now().0 + 700_000;
    assert!((0..100).any(|_| !log.maintain(later)), "tidying never ends");
    log.close();
    recovered
}

fn holds(disk: &SimDisk, octets: &[u8]) -> bool {
    disk.names().iter().any(|name| memchr::memmem::find(&disk.octets(Path::new(name)), octets).is_some())
}

#[test]
fn damage_that_cannot_be_set_aside_stays_where_it_is() {
    let disk = SimDisk::new();
    let (spool, _) = Spool::open(config(), Arc::new(disk.clone())).unwrap();
    put(&spool, b"a letter that a person may yet save");
    drop(spool);
    // The envelope.
    disk.flip(&segment_path(Path::new(DIR), 0), FIRST as usize + HEADER + 32, 1);
    disk.limit(Some(disk.used()));
    assert_eq!(start_and_tidy(&disk).problems.len(), 1);
    disk.limit(None);
    assert!(holds(&disk, b"a person may yet save"), "gone without a copy: {:?}", disk.names());
    assert_eq!(start_and_tidy(&disk).problems.len(), 1);
    let copy = disk.names().into_iter().find(|name| name.contains("/quarantine/")).unwrap();
    let copy = disk.octets(Path::new(&copy));
    assert!(memchr::memmem::find(&copy, b"a person may yet save").is_some());
}

#[test]
fn the_large_text_of_a_damaged_letter_outlives_its_record() {
    let disk = SimDisk::new();
    let (spool, _) = Spool::open(config(), Arc::new(disk.clone())).unwrap();
    put(&spool, &b"all that is left of a letter ".repeat(200));
    drop(spool);
    disk.flip(&segment_path(Path::new(DIR), 0), FIRST as usize + HEADER + 32, 1);
    for start in 0..3 {
        start_and_tidy(&disk);
        assert!(holds(&disk, b"all that is left"), "start {start}: {:?}", disk.names());
    }
}
