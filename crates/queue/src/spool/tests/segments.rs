//! What becomes of segments, and of a disk that stays full.

use super::super::log::{Log, Op};
use super::super::record::{FIRST, Generation, Kind};
use super::super::recover;
use super::super::segment::segment_path;
use super::super::sim::{Dice, Fault, SimDisk};
use super::super::{Envelope, draft::Text};
use super::driver::{DIR, config};
use super::*;

const MINUTES: u64 = 60_000;

struct Bench {
    disk: SimDisk,
    log: Log,
}

impl Bench {
    fn new() -> Self {
        Self::on(SimDisk::new())
    }

    fn on(disk: SimDisk) -> Self {
        let (log, ..) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
        Self { disk, log }
    }

    fn append(&mut self, size: usize) -> Result<QueueId, SpoolError> {
        let id = self.log.ids.next();
        let (answer, mut ticket) = oneshot::channel();
        let envelope = Envelope { id, meta: b"meta".to_vec(), prefix: Vec::new() };
        self.log.write([envelope.append(Text::Inline(vec![b'x'; size].into()), answer)]);
        self.log.sync();
        ticket.try_recv().unwrap().map(|_| id)
    }

    fn remove(&mut self, id: QueueId) -> Result<(), SpoolError> {
        let (answer, mut ticket) = oneshot::channel();
        self.log.write([Op::Remove { id, answer: Some(answer) }]);
        self.log.sync();
        ticket.try_recv().unwrap()
    }

    fn update(&mut self, id: QueueId, state: &[u8]) -> Result<(), SpoolError> {
        let (answer, mut ticket) = oneshot::channel();
        self.log.write([Op::Update { id, state: state.to_vec(), answer: Some(answer) }]);
        self.log.sync();
        ticket.try_recv().unwrap()
    }

    fn tidy(&mut self, later: u64) {
        let now = crate::letter::Timestamp::now().0 + later;
        assert!((0..1000).any(|_| !self.log.maintain(now)), "tidying never ends");
    }

    fn segments(&self) -> usize {
        self.disk.names().iter().filter(|name| name.ends_with(".log")).count()
    }

    fn reopen(self) -> (Self, Recovered) {
        let Self { disk, log } = self;
        drop(log);
        let (log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone())).unwrap();
        (Self { disk, log }, recovered)
    }
}

#[test]
fn segments_of_removed_letters_go_and_the_disk_stays_small() {
    let mut bench = Bench::new();
    let mut before = Vec::new();
    for round in 0..400 {
        before.push(bench.append(1500).unwrap());
        if before.len() > 5 {
            bench.remove(before.remove(0)).unwrap();
        }
        if round % 10 == 0 {
            bench.tidy(0);
        }
    }
    bench.tidy(0);
    assert!(bench.segments() <= 3, "{:?}", bench.disk.names());
    assert!(bench.disk.used() < 64 << 10, "{} octets for {} letters", bench.disk.used(), before.len());
}

#[test]
fn one_old_letter_does_not_hold_a_segment_and_keeps_its_state() {
    let mut bench = Bench::new();
    let old = bench.append(100).unwrap();
    bench.update(old, b"tried once").unwrap();
    let others: Vec<QueueId> = (0..60).map(|_| bench.append(1500).unwrap()).collect();
    others.into_iter().for_each(|id| bench.remove(id).unwrap());
    bench.tidy(0);
    assert!(bench.segments() <= 3, "{:?}", bench.disk.names());
    let entry = bench.log.shared.index().entries.get(old).copied().unwrap();
    let slow = &bench.log.segments[&entry.message.segment];
    assert_eq!((slow.head.generation, entry.state), (Generation::Slow, None));
    let (bench, recovered) = bench.reopen();
    assert_eq!(recovered.letters[0].state.as_deref(), Some(&b"tried once"[..]));
    assert_eq!(bench.log.shared.letter(old).unwrap().unwrap(), recovered.letters[0]);
}

#[test]
fn letters_that_stay_move_together_after_ten_minutes() {
    let mut bench = Bench::new();
    let ids: Vec<QueueId> = (0..30).map(|_| bench.append(1000).unwrap()).collect();
    bench.tidy(9 * MINUTES);
    let young = |bench: &Bench| {
        let place = |id: &QueueId| bench.log.shared.index().entries.get(*id).unwrap().message.segment;
        ids.iter().filter(|id| bench.log.segments[&place(id)].head.generation == Generation::Young).count()
    };
    assert_eq!(young(&bench), 30);
    bench.tidy(11 * MINUTES);
    // Those in the segment that is still written to stay where they are.
    assert!(young(&bench) < 15, "{}", young(&bench));
    let (_, recovered) = bench.reopen();
    assert_eq!(recovered.letters.len(), 30);
}

#[test]
fn a_removal_outlives_the_segment_that_it_is_in() {
    let mut bench = Bench::new();
    let (stays, goes) = (bench.append(3000).unwrap(), bench.append(100).unwrap());
    // Their segment stays: more than a quarter of it is needed. The removal lies in a later one, which goes.
    let others: Vec<QueueId> = (0..10).map(|_| bench.append(1500).unwrap()).collect();
    bench.remove(goes).unwrap();
    let others = others.into_iter().chain((0..30).map(|_| bench.append(1500).unwrap()).collect::<Vec<_>>());
    others.for_each(|id| bench.remove(id).unwrap());
    bench.tidy(0);
    assert!(bench.segments() <= 4, "{:?}", bench.disk.names());
    let (_, recovered) = bench.reopen();
    assert_eq!(recovered.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [stays]);
}

#[test]
fn a_full_disk_empties_and_takes_letters_again() {
    let mut bench = Bench::new();
    bench.disk.limit(Some(100 << 10));
    for _ in 0..3 {
        let mut ids = Vec::new();
        let refusal = loop {
            match bench.append(700) {
                Ok(id) => ids.push(id),
                Err(error) => break error,
            }
        };
        assert!(matches!(refusal, SpoolError::NoSpace));
        assert!(ids.len() > 40, "{} letters fit", ids.len());
        assert!(bench.log.failure().is_none());
        // Each letter can be removed although there is no room, and what is removed makes room.
        ids.iter().for_each(|id| bench.remove(*id).unwrap());
        bench.tidy(0);
        assert!(bench.append(700).is_ok());
    }
}

#[test]
fn a_small_full_disk_gives_back_a_segment_that_is_not_large() {
    let disk = SimDisk::new();
    disk.limit(Some(100 << 10));
    // Far larger than the disk.
    let config = SpoolConfig { segment_size: 1 << 20, preallocate: 256 << 10, ..config() };
    let (log, ..) = recover::open_all(config, Arc::new(disk.clone())).unwrap();
    let mut bench = Bench { disk, log };
    for _ in 0..3 {
        let ids: Vec<QueueId> = std::iter::from_fn(|| bench.append(700).ok()).collect();
        assert!(ids.len() > 30, "{} letters fit", ids.len());
        ids.iter().for_each(|id| bench.remove(*id).unwrap());
        bench.tidy(0);
    }
}

#[test]
fn a_segment_of_many_small_records_ends_before_it_is_full() {
    use super::super::room::MOST_RECORDS;
    let disk = SimDisk::new();
    let config = SpoolConfig { segment_size: 64 << 20, preallocate: 16 << 10, ..config() };
    let (log, ..) = recover::open_all(config, Arc::new(disk.clone())).unwrap();
    let mut bench = Bench { disk, log };
    let id = bench.append(100).unwrap();
    for round in 0..30 {
        bench.log.write((0..200).map(|n: u64| Op::Update {
            id,
            state: (round * 200 + n).to_le_bytes().to_vec(),
            answer: None,
        }));
        bench.log.sync();
    }
    assert!(bench.segments() >= 3, "{:?}", bench.disk.names());
    let most = bench.log.segments.values().map(|segment| segment.records.len()).max().unwrap();
    assert!(most < 2 * MOST_RECORDS, "{most} records in memory");
    let (_, recovered) = bench.reopen();
    assert_eq!(recovered.letters[0].state.as_deref(), Some(&5_999u64.to_le_bytes()[..]));
}

#[test]
fn a_start_on_a_full_disk_delivers_what_is_there() {
    let mut bench = Bench::new();
    let ids: Vec<QueueId> = (0..20).map(|_| bench.append(700).unwrap()).collect();
    bench.disk.limit(Some(0));
    let (mut bench, recovered) = bench.reopen();
    assert_eq!(recovered.letters.len(), 20);
    assert!(matches!(bench.append(700), Err(SpoolError::NoSpace)));
    // Remembered, but not durable.
    assert!(matches!(bench.remove(ids[0]), Err(SpoolError::NoSpace)));
    assert!(matches!(bench.update(ids[1], b"new"), Err(SpoolError::NoSpace)));
    bench.disk.limit(None);
    bench.log.write([]);
    bench.log.sync();
    let (_, recovered) = bench.reopen();
    assert_eq!(recovered.letters.len(), 19);
    assert_eq!(recovered.letters[0].state.as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_quick_start_reads_hints_and_finds_the_same() {
    let mut bench = Bench::new();
    let ids: Vec<QueueId> = (0..40).map(|_| bench.append(900).unwrap()).collect();
    ids.iter().step_by(3).for_each(|id| bench.remove(*id).unwrap());
    // The removals are in segments with hints too.
    let more: Vec<QueueId> = (0..20).map(|_| bench.append(900).unwrap()).collect();
    ids.iter().skip(1).step_by(3).for_each(|id| bench.update(*id, b"state").unwrap());
    bench.tidy(MINUTES);
    assert!(bench.disk.names().iter().any(|name| name.ends_with(".idx")));
    let (bench, quick) = bench.reopen();
    let hints: Vec<String> = bench.disk.names().into_iter().filter(|name| name.ends_with(".idx")).collect();
    hints.iter().for_each(|name| bench.disk.remove(std::path::Path::new(name)).unwrap());
    let (_, slow) = bench.reopen();
    assert_eq!(quick.letters, slow.letters);
    assert_eq!(quick.letters.len(), more.len() + ids.len() - ids.len().div_ceil(3));
}

/// A segment from which a letter was moved, but which stays because another letter in it is damaged.
fn moved_out_of_a_damaged_segment() -> (Bench, QueueId) {
    let mut bench = Bench::new();
    let (_damaged, moved) = (bench.append(500).unwrap(), bench.append(500).unwrap());
    for _ in 0..10 {
        bench.append(1500).unwrap();
    }
    bench.disk.flip(&segment_path(std::path::Path::new(DIR), 0), FIRST as usize + 500, 1);
    bench.tidy(11 * MINUTES);
    let entry = bench.log.shared.index().entries.get(moved).copied().unwrap();
    assert_eq!(bench.log.segments[&entry.message.segment].head.generation, Generation::Slow);
    assert!(bench.log.segments.contains_key(&0));
    (bench, moved)
}

/// Everything but the damaged letter is removed, so that the segments of the removal records go too.
fn remove_all(bench: &mut Bench, first: QueueId) {
    bench.remove(first).unwrap();
    for _ in 0..3 {
        let ids: Vec<QueueId> = bench.log.shared.index().entries.ids().collect();
        ids.iter().filter(|id| **id > first).for_each(|id| bench.remove(*id).unwrap());
        for _ in 0..20 {
            bench.append(1000).unwrap();
        }
        bench.tidy(0);
    }
}

#[test]
fn a_letter_removed_after_it_was_moved_does_not_come_back_from_its_old_place() {
    let (mut bench, moved) = moved_out_of_a_damaged_segment();
    remove_all(&mut bench, moved);
    let (_, recovered) = bench.reopen();
    assert!(recovered.letters.iter().all(|letter| letter.id != moved));
}

#[test]
fn after_a_start_it_does_not_come_back_either() {
    let (bench, moved) = moved_out_of_a_damaged_segment();
    let (mut bench, _) = bench.reopen();
    remove_all(&mut bench, moved);
    let (_, recovered) = bench.reopen();
    assert!(recovered.letters.iter().all(|letter| letter.id != moved));
}

/// A move that found no room halfway; then all letters are removed, their segments and those of their removals go, and the
/// power fails.
fn interrupted_move(at: u64, seed: u64) -> Recovered {
    let mut bench = Bench::new();
    let ids: Vec<QueueId> = (0..10).map(|_| bench.append(1500).unwrap()).collect();
    bench.disk.fault_in(at, Fault::Full { steps: 1 });
    bench.log.maintain(crate::letter::Timestamp::now().0 + 11 * MINUTES);
    bench.disk.no_fault();
    ids.into_iter().for_each(|id| bench.remove(id).unwrap());
    for _ in 0..3 {
        let more: Vec<QueueId> = (0..10).map(|_| bench.append(1500).unwrap()).collect();
        more.into_iter().for_each(|id| bench.remove(id).unwrap());
        bench.tidy(0);
    }
    assert!(!bench.log.segments.contains_key(&0) && !bench.log.segments.contains_key(&1), "{:?}", bench.disk.names());
    let disk = bench.disk.after_power_cut(&mut Dice::new(seed));
    recover::open_all(config(), Arc::new(disk)).unwrap().1
}

#[test]
fn copies_that_found_no_room_never_come_back() {
    for (at, seed) in (0..12).flat_map(|at| (0..20).map(move |seed| (at, seed))) {
        let recovered = interrupted_move(at, seed);
        assert_eq!(recovered.letters, [], "no room at step {at}, seed {seed}");
    }
}

#[test]
fn identifiers_are_remembered_when_all_letters_are_gone_and_the_disk_is_full() {
    let mut bench = Bench::new();
    bench.log.ids = Arc::new(super::super::ids::Ids::above(1 << 62));
    let id = bench.append(100).unwrap();
    bench.remove(id).unwrap();
    bench.disk.limit(Some(0));
    let (mut bench, _) = bench.reopen();
    bench.tidy(MINUTES);
    let (mut bench, _) = bench.reopen();
    bench.tidy(MINUTES);
    bench.disk.limit(None);
    let (bench, _) = bench.reopen();
    assert!(bench.log.ids.next() > id);
}

#[test]
fn a_text_that_no_letter_speaks_of_is_removed_at_the_start() {
    let bench = Bench::new();
    let config = SpoolConfig { inline_size: 10, ..config() };
    let home = super::super::draft::DraftHome::new(&config, bench.log.disk.clone(), bench.log.ids.clone());
    let mut draft = super::super::draft::Draft::new(Arc::new(home));
    draft.write(&[b'x'; 100]).unwrap();
    std::mem::forget(draft);
    assert!(bench.disk.names().iter().any(|name| name.contains("/big/")));
    let (bench, _) = bench.reopen();
    assert!(!bench.disk.names().iter().any(|name| name.contains("/big/")));
}

#[test]
fn what_was_rolled_back_is_not_read_after_what_came_later() {
    let disk = SimDisk::new();
    let file = disk.create(std::path::Path::new("x")).unwrap();
    let record =
        |seq| super::super::record::Header { seq, ..super::super::log::header(Kind::Remove, QueueId(1), 0, 0) };
    let bytes: Vec<u8> = [4, 5, 3, 6].into_iter().flat_map(|seq| record(seq).encode(7)).collect();
    file.write_at(0, &mut [std::io::IoSlice::new(&bytes)]).unwrap();
    let found = super::super::scan::scan(&*file, 7, 0).unwrap();
    assert_eq!(found.records.iter().map(|(_, header)| header.seq).collect::<Vec<_>>(), [4, 5, 6]);
}

#[test]
fn tidying_ends_where_the_young_segment_has_only_removals_that_are_needed() {
    for room in (0..40).map(|kib| kib << 10) {
        let mut bench = Bench::new();
        let mut ids = Vec::new();
        while bench.log.young == Some(0) || ids.is_empty() {
            ids.push(bench.append(700).unwrap());
        }
        // More than a quarter of the first segment is needed; the second has their removals, and nothing else.
        let (stay, go) = ids.split_at(ids.len() / 2);
        go.iter().for_each(|id| bench.remove(*id).unwrap());
        bench.disk.limit(Some(bench.disk.used() + room));
        bench.log.pressed = true;
        bench.tidy(0);
        let (_, recovered) = bench.reopen();
        assert_eq!(recovered.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), stay);
    }
}

#[test]
fn a_large_record_has_a_segment_that_grows() {
    let mut bench = Bench::new();
    bench.append(100).unwrap();
    let id = bench.append(50_000).unwrap();
    bench.append(100).unwrap();
    bench.tidy(11 * MINUTES);
    assert_eq!(bench.log.shared.body(id).unwrap().warm().unwrap().len(), 50_000);
    assert_eq!(bench.reopen().1.letters.len(), 3);
}

#[test]
fn a_disk_of_any_size_takes_letters_again_once_it_is_empty() {
    for (capacity, size, states) in (64..260)
        .step_by(27)
        .flat_map(|kib| [(300, 0), (700, 2), (1900, 1)].map(|(size, states)| (kib << 10, size, states)))
    {
        let disk = SimDisk::new();
        disk.limit(Some(capacity));
        let config = SpoolConfig { segment_size: 1 << 20, preallocate: 128 << 10, ..config() };
        let (log, ..) = recover::open_all(config, Arc::new(disk.clone())).unwrap();
        let mut bench = Bench { disk, log };
        for round in 0..4 {
            let what = format!("{capacity} octets, letters of {size}, {states} states, round {round}");
            let ids: Vec<QueueId> = std::iter::from_fn(|| bench.append(size).ok()).collect();
            assert!(!ids.is_empty(), "{what}");
            for id in &ids {
                (0..states).for_each(|_| drop(bench.update(*id, b"deferred, and deferred, and deferred")));
            }
            ids.iter().for_each(|id| bench.remove(*id).unwrap_or_else(|error| panic!("{what}: {error}")));
            bench.tidy(0);
        }
    }
}

#[test]
fn a_full_disk_with_one_letter_left_takes_letters_again() {
    for capacity in (80..260).step_by(9).map(|kib| kib << 10) {
        let disk = SimDisk::new();
        disk.limit(Some(capacity));
        let config = SpoolConfig { segment_size: 1 << 20, preallocate: 128 << 10, ..config() };
        let (log, ..) = recover::open_all(config, Arc::new(disk.clone())).unwrap();
        let mut bench = Bench { disk, log };
        let stays = bench.append(300).unwrap();
        for round in 0..4 {
            let ids: Vec<QueueId> = std::iter::from_fn(|| bench.append(700).ok()).collect();
            assert!(!ids.is_empty(), "{capacity} octets, round {round}");
            ids.iter().for_each(|id| bench.remove(*id).unwrap());
            bench.tidy(0);
        }
        let (_, recovered) = bench.reopen();
        assert_eq!(recovered.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [stays]);
    }
}
