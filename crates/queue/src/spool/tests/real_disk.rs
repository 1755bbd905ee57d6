//! The spool as the queue uses it, on a real file system.

use super::*;

fn open(dir: &std::path::Path) -> (Spool, Recovered) {
    Spool::open(small(dir), Arc::new(RealDisk)).unwrap()
}

fn put(spool: &Spool, text: &[u8]) -> (QueueId, Body) {
    let id = spool.next_id();
    let mut draft = spool.draft();
    text.chunks(500).for_each(|chunk| draft.write(chunk).unwrap());
    let body = spool.append(id, b"meta".to_vec(), b"prefix ".to_vec(), draft).wait().unwrap();
    (id, body)
}

#[test]
fn letters_are_there_after_a_restart_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..1_000_000u32).map(|i| (i / 7) as u8).collect();
    let (spool, _) = open(dir.path());
    let (small_id, hot) = put(&spool, b"small");
    let (large_id, cold) = put(&spool, &large);
    assert!(hot.in_memory() && !cold.in_memory());
    assert_eq!(read_all(&hot), b"prefix small");
    assert_eq!(read_all(&hot.cool()), b"prefix small");
    assert_eq!(read_all(&hot.cool().warm().unwrap()), b"prefix small");
    assert_eq!(read_all(&cold), [b"prefix ", &large[..]].concat());
    spool.update_durably(small_id, b"state".to_vec()).wait().unwrap();
    drop(spool);

    let (spool, recovered) = open(dir.path());
    assert_eq!(recovered.problems, []);
    let (meta, size) = (b"meta".to_vec(), 12);
    let small = RecoveredLetter { id: small_id, meta: meta.clone(), state: Some(b"state".to_vec()), size };
    let large_letter = RecoveredLetter { id: large_id, meta, state: None, size: 1_000_007 };
    assert_eq!(recovered.letters, [small.clone(), large_letter]);
    assert_eq!(spool.letter(small_id).unwrap(), Some(small));
    assert_eq!(read_all(&spool.body(large_id).unwrap()), [b"prefix ", &large[..]].concat());
    assert!(spool.next_id() > large_id);
}

#[test]
fn a_removed_letter_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for size in [10, 5000] {
        let (id, body) = put(&spool, &vec![b'x'; size]);
        spool.remove_durably(id).wait().unwrap();
        assert!(spool.body(id).is_none());
        assert_eq!(body.len(), size as u64 + 7);
    }
    drop(spool);
    let (_spool, recovered) = open(dir.path());
    assert_eq!(recovered.letters, []);
    assert_eq!(std::fs::read_dir(dir.path().join("big")).unwrap().count(), 0);
}

#[test]
fn a_dropped_draft_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut draft = spool.draft();
    draft.write(&[b'x'; 600_000]).unwrap();
    draft.write(b"end").unwrap();
    assert_eq!(draft.read_at(599_999, 10).unwrap().as_ref(), b"x");
    assert_eq!(draft.read_at(600_000, 10).unwrap().as_ref(), b"end");
    assert_eq!(std::fs::read_dir(dir.path().join("big")).unwrap().count(), 1);
    drop(draft);
    assert_eq!(std::fs::read_dir(dir.path().join("big")).unwrap().count(), 0);
}

#[test]
fn a_second_process_learns_whose_the_folder_is() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let error = Spool::open(small(dir.path()), Arc::new(RealDisk)).unwrap_err();
    assert!(matches!(error, SpoolError::Locked { pid: Some(pid) } if pid == std::process::id()));
    drop(spool);
    open(dir.path());
}

#[test]
fn after_close_everything_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let (id, _) = put(&spool, b"text");
    spool.close();
    assert!(matches!(spool.remove_durably(id).wait(), Err(SpoolError::Closed)));
    drop(spool);
    assert_eq!(open(dir.path()).1.letters.len(), 1);
}

#[test]
fn many_open_drafts_share_a_memory_of_fixed_size() {
    let disk = super::super::sim::SimDisk::new();
    let config = SpoolConfig { draft_memory: 1 << 20, ..SpoolConfig::new("/spool") };
    let (spool, _) = Spool::open(config, Arc::new(disk.clone())).unwrap();
    let mut drafts: Vec<Draft> = (0..200).map(|_| spool.draft()).collect();
    for line in 0..50 {
        for (nth, draft) in drafts.iter_mut().enumerate() {
            draft.write(&[b'a' + ((nth + line) % 26) as u8; 4000]).unwrap();
        }
        let held: usize = drafts.iter().map(Draft::held).sum();
        assert!(held <= (1 << 20) + 200 * (40 << 10), "{held} octets in memory after line {line}");
    }
    let bodies = drafts.drain(..).enumerate().map(|(nth, draft)| {
        assert_eq!(draft.len(), 200_000);
        let body = spool.append(spool.next_id(), Vec::new(), Vec::new(), draft).wait().unwrap();
        let expected: Vec<u8> = (0..50).flat_map(|line| [b'a' + ((nth + line) % 26) as u8; 4000]).collect();
        (body, expected)
    });
    bodies.for_each(|(body, expected)| assert!(read_all(&body) == expected));
    // With nobody about a letter of that size needs no file.
    let mut draft = spool.draft();
    draft.write(&[b'x'; 200_000]).unwrap();
    assert!(draft.as_slice().is_some());
}
