//! The promises of the spool, held against every way in which a disk may fail it.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::super::recover;
use super::super::sim::{Dice, Fault, SimDisk};
use super::driver::{Driver, Model, Step, config, steps};
use super::*;

fn cases(cases: u32) -> Config {
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: given.unwrap_or(cases), failure_persistence: None, ..Config::default() }
}

/// Opens after the power has failed, once more failing on the way, and again after tidying up.
fn check_starts(mut disk: SimDisk, mut model: Model, dice: &mut Dice) {
    disk = disk.after_power_cut(dice);
    disk.fault_in(dice.below(24) as u64, Fault::PowerCut);
    if let Ok((mut log, recovered, _)) = recover::open_all(config(), Arc::new(disk.clone())) {
        model = model.after_start(&recovered, &log);
        tidy(&mut log);
        log.sync();
    }
    disk = disk.after_power_cut(dice);
    let (mut log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone())).expect("starts");
    model = model.after_start(&recovered, &log);
    tidy(&mut log);
    assert!(log.failure().is_none());
    log.close();
    let (log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone())).expect("starts");
    assert_eq!(recovered.letters.len(), model.kept());
    model.after_start(&recovered, &log);
}

fn tidy(log: &mut super::super::log::Log) {
    let now = crate::letter::Timestamp::now().0 + 700_000;
    assert!((0..1000).any(|_| !log.maintain(now)), "tidying never ends");
}

fn steps_of(history: &[Step]) -> u64 {
    let disk = SimDisk::new();
    let (_, alive) = Driver::start(&disk).unwrap().run(history);
    assert!(alive);
    disk.steps()
}

fn run_with(history: &[Step], at: u64, fault: Fault) -> (SimDisk, Model) {
    let disk = SimDisk::new();
    disk.fault_in(at, fault);
    let model = match Driver::start(&disk) {
        Ok(driver) => driver.run(history).0,
        Err(_) => Model::default(),
    };
    (disk, model)
}

/// A disk with little room from the beginning, whose power fails.
fn check_small(history: &[Step], capacity: u64, seed: u64) {
    let mut dice = Dice::new(seed);
    let run = |at: Option<u64>| {
        let disk = SimDisk::new();
        disk.limit(Some(capacity));
        at.into_iter().for_each(|at| disk.fault_in(at, Fault::PowerCut));
        let model = Driver::start(&disk).map_or_else(|_| Model::default(), |driver| driver.run(history).0);
        (disk, model)
    };
    let (whole, _) = run(None);
    for at in 0..=whole.steps() {
        let (disk, model) = run(Some(at));
        check_starts(disk, model, &mut dice);
    }
}

fn check_full(history: &[Step], steps: u64, seed: u64) {
    let mut dice = Dice::new(seed);
    for at in 0..=steps_of(history) {
        let (disk, model) = run_with(history, at, Fault::Full { steps });
        disk.no_fault();
        check_starts(disk, model, &mut dice);
    }
}

#[test]
fn a_copy_that_found_no_room_never_outlives_the_removal() {
    use Step::{Append, Kill, LazyRemove, LazyUpdate, Maintain, MaintainSome, Remove, Reopen, Sync, Update};
    let history = [
        Append(1507),
        Append(1770),
        MaintainSome(3),
        Append(1906),
        Append(1567),
        Append(902),
        Append(1621),
        Sync,
        Update(14703297335895831761),
        Reopen,
        LazyRemove(14170404588231020936),
        Kill,
        MaintainSome(3),
        Remove(15315114272445344885),
        MaintainSome(1),
        Append(37),
        LazyRemove(11075066688309482773),
        Sync,
        LazyRemove(17930250046967013095),
        Append(1450),
        Append(1375),
        Update(4304829161033238687),
        Append(933),
        Maintain(1),
        Append(1725),
        Reopen,
        Append(1012),
        Append(1155),
        Remove(16438336657982295544),
        MaintainSome(1),
        Sync,
        LazyUpdate(13538798956586079982),
        LazyUpdate(10169582212412268920),
        Remove(17140614696455772905),
        Maintain(1),
        LazyRemove(9363358908980952236),
    ];
    check_full(&history, 4, 9915246169194315057);
}

#[test]
fn tidying_ends_where_removals_are_all_that_the_young_segment_has() {
    use Step::{Append, LazyRemove, Maintain, MaintainSome, Remove, Sync, Update};
    let history = [
        Append(471),
        Append(1368),
        Append(241),
        Append(1224),
        Update(0),
        Append(1967),
        Update(0),
        Append(1903),
        Sync,
        Remove(5808146316923154597),
        Append(419),
        Append(1122),
        Remove(2597137566919405024),
        Append(1035),
        MaintainSome(2),
        Append(0),
        LazyRemove(4081935157988916437),
        Append(0),
        LazyRemove(8637658951661542302),
        Update(0),
        Maintain(0),
        Update(0),
        Append(0),
        Update(0),
        Remove(3543849436337789123),
        Maintain(0),
    ];
    check_small(&history, 35135, 0);
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_removed_comes_back_wherever_the_power_fails(
        history in steps(),
        seed in any::<u64>(),
    ) {
        let mut dice = Dice::new(seed);
        for at in 0..=steps_of(&history) {
            let (disk, model) = run_with(&history, at, Fault::PowerCut);
            check_starts(disk, model, &mut dice);
        }
    }

    #[test]
    fn a_sync_that_fails_stops_everything_and_loses_nothing(history in steps(), seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        for at in 0..=steps_of(&history) {
            let (disk, model) = run_with(&history, at, Fault::SyncFails);
            check_starts(disk, model, &mut dice);
        }
    }

    #[test]
    fn a_full_disk_refuses_letters_and_forgets_no_change(
        history in steps(),
        steps in 1..12u64,
        seed in any::<u64>(),
    ) {
        check_full(&history, steps, seed);
    }

    #[test]
    fn a_small_disk_that_loses_its_power_keeps_its_word_too(
        history in steps(),
        capacity in (12u64 << 10)..(80u64 << 10),
        seed in any::<u64>(),
    ) {
        check_small(&history, capacity, seed);
    }
}
