//! Drives a log step by step on a simulated disk, and knows what must be true of it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tokio::sync::oneshot;

use super::super::draft::{Draft, DraftHome};
use super::super::log::{Log, Op};
use super::super::sim::{Dice, SimDisk};
use super::super::writer::{LargeLetter, settle};
use super::super::{Envelope, ids::Ids, recover};
use super::*;

/// One step of a history. Numbers choose among the letters that were ever handed in.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Octets of text.
    Append(usize),
    Update(usize),
    Remove(usize),
    /// As the two before, but nobody waits.
    LazyUpdate(usize),
    LazyRemove(usize),
    Sync,
    /// Tidies until there is nothing left to do; so many minutes have passed.
    Maintain(u64),
    /// Only so many steps of it, eleven minutes later.
    MaintainSome(usize),
    /// Closed in order and opened.
    Reopen,
    /// The process is killed and started; the machine goes on.
    Kill,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop_oneof![8 => 0..1500usize, 4 => 1500..2048usize, 1 => 2049..9000usize].prop_map(Step::Append),
        2 => any::<usize>().prop_map(Step::Update),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => any::<usize>().prop_map(Step::LazyUpdate),
        3 => any::<usize>().prop_map(Step::LazyRemove),
        5 => Just(Step::Sync),
        2 => prop_oneof![Just(0u64), Just(1), Just(11)].prop_map(Step::Maintain),
        2 => (1..4usize).prop_map(Step::MaintainSome),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..60)
}

/// What was asked for, and what was answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    letters: BTreeMap<QueueId, Expected>,
}

#[derive(Clone, Debug)]
struct Expected {
    meta: Vec<u8>,
    text: Vec<u8>,
    kept: bool,
    refused: bool,
    remove_asked: bool,
    removed: bool,
    /// All states in order; the first is none.
    states: Vec<Option<Vec<u8>>>,
    /// The one up to which durability was acknowledged.
    state_kept: usize,
}

enum Waiting {
    Append(QueueId, oneshot::Receiver<Result<Body, SpoolError>>),
    Update(QueueId, usize, oneshot::Receiver<Result<(), SpoolError>>),
    Remove(QueueId, oneshot::Receiver<Result<(), SpoolError>>),
}

pub(super) struct Driver {
    pub disk: SimDisk,
    pub log: Log,
    home: Arc<DraftHome>,
    batch: Vec<Op>,
    waiting: Vec<Waiting>,
    pub model: Model,
    ids: Vec<QueueId>,
    order: u64,
}

pub(super) const DIR: &str = "/spool";

pub(super) fn config() -> SpoolConfig {
    SpoolConfig { segment_size: 16 << 10, ..small(DIR) }
}

impl Driver {
    pub fn start(disk: &SimDisk) -> Result<Self, SpoolError> {
        let (mut log, recovered, _) = recover::open_all(config(), Arc::new(disk.clone()))?;
        assert_eq!(recovered.letters, []);
        // Far ahead of the clock, so that after a start only what is on disk keeps identifiers apart.
        log.ids = Arc::new(Ids::above(1 << 62));
        Ok(Self::new(disk, log, Model::default(), Vec::new(), 0))
    }

    fn new(disk: &SimDisk, log: Log, model: Model, ids: Vec<QueueId>, order: u64) -> Self {
        let home = Arc::new(DraftHome::new(&config(), log.disk.clone(), log.ids.clone()));
        Self { disk: disk.clone(), log, home, batch: Vec::new(), waiting: Vec::new(), model, ids, order }
    }

    /// `false` where the disk has died.
    pub fn run(mut self, steps: &[Step]) -> (Model, bool) {
        for step in steps {
            match self.step(step) {
                Some(next) => self = next,
                None => unreachable!(),
            }
            if self.disk.is_dead() {
                return (self.model, false);
            }
        }
        self.sync();
        (self.model, !self.disk.is_dead())
    }

    pub fn step(mut self, step: &Step) -> Option<Self> {
        match step {
            Step::Append(size) => self.append(*size),
            Step::Update(nth) => self.update(*nth, true),
            Step::LazyUpdate(nth) => self.update(*nth, false),
            Step::Remove(nth) => self.remove(*nth, true),
            Step::LazyRemove(nth) => self.remove(*nth, false),
            Step::Sync => self.sync(),
            Step::Maintain(minutes) => {
                self.write();
                let now = crate::letter::Timestamp::now().0 + minutes * 60_000;
                // An upper bound: tidying must come to an end.
                let calm = (0..1000).any(|_| !self.log.maintain(now));
                assert!(calm, "tidying never ends");
                self.collect();
            }
            Step::MaintainSome(steps) => {
                self.write();
                let now = crate::letter::Timestamp::now().0 + 11 * 60_000;
                for _ in 0..*steps {
                    self.log.maintain(now);
                }
                self.collect();
            }
            Step::Reopen | Step::Kill => {
                self.sync();
                if matches!(step, Step::Reopen) {
                    self.log.close();
                }
                let Self { disk, log, home, batch, waiting, model, ids, order } = self;
                drop((log, home, batch, waiting));
                return Some(match recover::open_all(config(), Arc::new(disk.clone())) {
                    Ok((log, recovered, _)) => {
                        let model = model.after_start(&recovered, &log);
                        Self::new(&disk, log, model, ids, order)
                    }
                    Err(error) => {
                        assert!(disk.is_broken(), "cannot start: {error}");
                        let (log, ..) = recover::open_all(config(), Arc::new(SimDisk::new())).unwrap();
                        disk.die();
                        Self::new(&disk, log, model, ids, order)
                    }
                });
            }
        }
        Some(self)
    }

    fn append(&mut self, size: usize) {
        let id = self.log.ids.next();
        self.order += 1;
        let mut dice = Dice::new(self.order);
        let text: Vec<u8> = (0..size).map(|_| dice.below(256) as u8).collect();
        let (meta, prefix) = (format!("meta {}", self.order).into_bytes(), b"Received: x\r\n".to_vec());
        let whole = [&prefix[..], &text].concat();
        let expected = Expected {
            meta: meta.clone(),
            text: whole,
            kept: false,
            refused: false,
            remove_asked: false,
            removed: false,
            states: vec![None],
            state_kept: 0,
        };
        let mut draft = Draft::new(self.home.clone());
        if text.chunks(1000).any(|chunk| draft.write(chunk).is_err()) {
            return;
        }
        self.model.letters.insert(id, expected);
        self.ids.push(id);
        let (answer, ticket) = oneshot::channel();
        let envelope = Envelope { id, meta, prefix };
        if draft.is_large() {
            let ops = settle(&self.disk, &self.home, vec![LargeLetter { envelope, draft, answer }]);
            self.batch.extend(ops);
        } else {
            self.batch.push(envelope.append(draft.finish().unwrap(), answer));
        }
        self.waiting.push(Waiting::Append(id, ticket));
    }

    fn choose(&self, nth: usize) -> Option<QueueId> {
        let known = |id: &&QueueId| self.model.letters[id].kept;
        let ids: Vec<QueueId> = self.ids.iter().filter(known).copied().collect();
        ids.get(nth % ids.len().max(1)).copied()
    }

    fn update(&mut self, nth: usize, wait: bool) {
        let Some(id) = self.choose(nth) else { return };
        let Some(expected) = self.model.letters.get_mut(&id) else { return };
        let state = format!("state {} of {id}", expected.states.len()).into_bytes();
        expected.states.push(Some(state.clone()));
        let (answer, ticket) = oneshot::channel();
        self.batch.push(Op::Update { id, state, answer: wait.then_some(answer) });
        if wait {
            self.waiting.push(Waiting::Update(id, expected.states.len() - 1, ticket));
        }
    }

    fn remove(&mut self, nth: usize, wait: bool) {
        let Some(id) = self.choose(nth) else { return };
        self.model.letters.get_mut(&id).unwrap().remove_asked = true;
        let (answer, ticket) = oneshot::channel();
        self.batch.push(Op::Remove { id, answer: wait.then_some(answer) });
        if wait {
            self.waiting.push(Waiting::Remove(id, ticket));
        }
    }

    pub fn write(&mut self) {
        self.log.write(std::mem::take(&mut self.batch));
    }

    pub fn sync(&mut self) {
        self.write();
        self.log.sync();
        self.collect();
        assert!(self.waiting.is_empty(), "somebody waits for ever");
    }

    /// Takes note of what was answered.
    fn collect(&mut self) {
        let letters = &mut self.model.letters;
        self.waiting.retain_mut(|waiting| match waiting {
            Waiting::Append(id, ticket) => match ticket.try_recv() {
                Ok(Ok(body)) => {
                    let expected = letters.get_mut(id).unwrap();
                    assert_eq!(read_all(&body), expected.text);
                    expected.kept = true;
                    false
                }
                Ok(Err(error)) => {
                    letters.get_mut(id).unwrap().refused = matches!(error, SpoolError::NoSpace);
                    false
                }
                Err(error) => error == oneshot::error::TryRecvError::Empty,
            },
            Waiting::Update(id, nth, ticket) => match ticket.try_recv() {
                Ok(answer) => {
                    let expected = letters.get_mut(id).unwrap();
                    if answer.is_ok() {
                        expected.state_kept = expected.state_kept.max(*nth);
                    }
                    false
                }
                Err(error) => error == oneshot::error::TryRecvError::Empty,
            },
            Waiting::Remove(id, ticket) => match ticket.try_recv() {
                Ok(answer) => {
                    letters.get_mut(id).unwrap().removed |= answer.is_ok();
                    false
                }
                Err(error) => error == oneshot::error::TryRecvError::Empty,
            },
        });
    }
}

impl Model {
    /// Holds what a start found against what was promised.
    pub fn after_start(mut self, recovered: &Recovered, log: &Log) -> Self {
        assert_eq!(recovered.problems, []);
        let found: BTreeSet<QueueId> = recovered.letters.iter().map(|letter| letter.id).collect();
        assert_eq!(found.len(), recovered.letters.len());
        for letter in &recovered.letters {
            let expected = self.letters.get_mut(&letter.id).expect("a letter that nobody handed in");
            assert!(!expected.removed, "letter {} came back", letter.id);
            assert!(!expected.refused, "letter {} was refused and is here", letter.id);
            assert_eq!(letter.meta, expected.meta);
            assert_eq!(letter.size, expected.text.len() as u64);
            let body = log.shared.body(letter.id).expect("no text");
            assert_eq!(read_all(&body), expected.text);
            assert_eq!(read_all(&body.warm().unwrap()), expected.text);
            let state = expected.states.iter().rposition(|state| *state == letter.state).expect("a strange state");
            assert!(state >= expected.state_kept, "the state of {} went back", letter.id);
            // What is found here is what a later start must find.
            (expected.kept, expected.state_kept) = (true, state);
            expected.states.truncate(state + 1);
            expected.remove_asked = false;
        }
        for (id, expected) in &mut self.letters {
            let gone = !found.contains(id);
            let needed = expected.kept && !expected.remove_asked && !expected.removed;
            assert!(!gone || !needed, "letter {id} is lost");
            expected.removed |= gone;
        }
        let last = self.letters.iter().filter(|(_, e)| e.kept).map(|(id, _)| *id).max();
        assert!(last.is_none_or(|last| log.ids.next() > last), "an identifier is given twice");
        self
    }

    pub fn kept(&self) -> usize {
        self.letters.values().filter(|expected| expected.kept && !expected.removed && !expected.remove_asked).count()
    }
}
