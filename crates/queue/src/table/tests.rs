use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Append,
    Insert(u64),
    Remove(u64),
    Oldest,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        2 => (0..3000u64).prop_map(Step::Insert),
        3 => (0..3000u64).prop_map(Step::Remove),
        2 => Just(Step::Oldest),
    ]
}

fn check(table: &Table<u64>, model: &BTreeMap<QueueId, u64>) {
    assert_eq!(table.len(), model.len());
    assert_eq!(table.is_empty(), model.is_empty());
    assert!(table.iter().map(|(id, value)| (id, *value)).eq(model.iter().map(|(id, value)| (*id, *value))));
    assert!(table.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN));
}

proptest! {
    #[test]
    fn a_table_is_an_ordered_map(steps in prop::collection::vec(step(), 0..1500), probe in 0..3000u64) {
        let (mut table, mut model, mut next) = (Table::default(), BTreeMap::new(), 1000);
        for (n, step) in steps.into_iter().enumerate() {
            let value = n as u64;
            match step {
                Step::Append => {
                    next += 1;
                    prop_assert_eq!(table.insert(QueueId(next), value), model.insert(QueueId(next), value));
                }
                Step::Insert(id) => prop_assert_eq!(table.insert(QueueId(id), value), model.insert(QueueId(id), value)),
                Step::Remove(id) => prop_assert_eq!(table.remove(QueueId(id)), model.remove(&QueueId(id))),
                Step::Oldest => {
                    let oldest = model.keys().next().copied().unwrap_or(QueueId(0));
                    prop_assert_eq!(table.remove(oldest), model.remove(&oldest));
                }
            }
        }
        check(&table, &model);
        let probe = QueueId(probe);
        prop_assert_eq!(table.get(probe), model.get(&probe));
        prop_assert_eq!(table.get_mut(probe), model.get_mut(&probe));
        prop_assert_eq!(table.contains(probe), model.contains_key(&probe));
        prop_assert!(table.ids().eq(model.keys().copied()));
        prop_assert!(table.ids_after(Some(probe)).eq(model.keys().copied().filter(|id| *id > probe)));
        prop_assert!(table.ids_after(None).eq(model.keys().copied()));
    }
}

#[test]
fn letters_that_came_one_after_the_other_take_hardly_more_than_themselves() {
    let mut table = Table::default();
    (0..100_000).for_each(|id| assert!(table.insert(QueueId(id), [0u64; 4]).is_none()));
    let each = table.octets() as f64 / 100_000.0;
    assert!(each < 41.5, "{each}");
}

#[test]
fn a_table_that_was_large_gives_its_memory_back() {
    let mut table = Table::default();
    (0..100_000).for_each(|id| assert!(table.insert(QueueId(id), [0u64; 4]).is_none()));
    (0..100_000).filter(|id| id % 50 != 0).for_each(|id| assert!(table.remove(QueueId(id)).is_some() || id % 50 != 0));
    let each = table.octets() as f64 / table.len() as f64;
    assert!(each < 200.0, "{each}");
    (0..100_000).for_each(|id| assert!(table.remove(QueueId(id)).is_some() || id % 50 != 0));
    assert!(table.is_empty() && table.runs.is_empty());
}
