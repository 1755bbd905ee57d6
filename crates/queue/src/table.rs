//! A map from letters to small values, for a million of them: sorted runs instead of a hash table. And a hash table for few.
//!
//! Identifiers ascend with time, so that new letters go to the end of the last run, and runs are full when they are left
//! behind. A hash table is between 44 % and 88 % full, and for a moment there twice while it grows; this one has neither.
//!
//! # Invariants
//! - Within a run and from run to run identifiers ascend; no run is empty.
//! - Of two runs side by side, both are small only until something is removed from one of them: then they become one.
//!
//! # Limits
//! An insert or a removal moves up to [`RUN`] values, and the list of runs where one comes or goes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::letter::QueueId;

/// Entries of a run at most.
const RUN: usize = 128;
/// Runs with fewer look for a neighbour.
const FEW: usize = RUN / 4;

/// Identifiers are our own, so that a quick mix is enough; they differ in their high bits most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

pub(crate) type IdMap<T, K = QueueId> = HashMap<K, T, BuildHasherDefault<IdHasher>>;

#[derive(Debug)]
pub(crate) struct Table<V> {
    runs: Vec<Vec<(QueueId, V)>>,
    len: usize,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { runs: Vec::new(), len: 0 }
    }
}

impl<V> Table<V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, id: QueueId) -> Option<&V> {
        let (run, at) = self.find(id).ok()?;
        self.runs.get(run)?.get(at).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, id: QueueId) -> Option<&mut V> {
        let (run, at) = self.find(id).ok()?;
        self.runs.get_mut(run)?.get_mut(at).map(|(_, value)| value)
    }

    pub fn contains(&self, id: QueueId) -> bool {
        self.find(id).is_ok()
    }

    /// Gives what was there before.
    pub fn insert(&mut self, id: QueueId, value: V) -> Option<V> {
        match self.find(id) {
            Ok((run, at)) => {
                let there = self.runs.get_mut(run)?.get_mut(at)?;
                Some(std::mem::replace(&mut there.1, value))
            }
            Err((run, at)) => {
                self.add(run, at, (id, value));
                self.len += 1;
                None
            }
        }
    }

    pub fn remove(&mut self, id: QueueId) -> Option<V> {
        let (number, at) = self.find(id).ok()?;
        let run = self.runs.get_mut(number)?;
        let (_, value) = run.remove(at);
        self.len -= 1;
        if run.len() < FEW {
            self.join(number);
        }
        Some(value)
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = (QueueId, &V)> {
        self.runs.iter().flatten().map(|(id, value)| (*id, value))
    }

    /// Ascending.
    pub fn ids(&self) -> impl Iterator<Item = QueueId> {
        self.iter().map(|(id, _)| id)
    }

    /// Those after this one, ascending.
    pub fn ids_after(&self, after: Option<QueueId>) -> impl Iterator<Item = QueueId> {
        let first = after.map_or(0, |after| self.run_of(after));
        let rest = self.runs.get(first..).unwrap_or_default();
        rest.iter().flatten().map(|(id, _)| *id).skip_while(move |id| after.is_some_and(|after| *id <= after))
    }

    /// Its run and its place there, or those that it would have.
    fn find(&self, id: QueueId) -> Result<(usize, usize), (usize, usize)> {
        let number = self.run_of(id);
        let Some(run) = self.runs.get(number) else { return Err((0, 0)) };
        match run.last() {
            Some((last, _)) if *last < id => Err((number, run.len())),
            _ => match run.binary_search_by_key(&id, |(id, _)| *id) {
                Ok(at) => Ok((number, at)),
                Err(at) => Err((number, at)),
            },
        }
    }

    /// The last run that begins with this identifier or an earlier one; the first where none does.
    fn run_of(&self, id: QueueId) -> usize {
        let begins_after = |run: &Vec<(QueueId, V)>| run.first().is_some_and(|(first, _)| *first > id);
        match self.runs.last() {
            // A letter that came just now.
            Some(last) if !begins_after(last) => self.runs.len() - 1,
            _ => self.runs.partition_point(|run| !begins_after(run)).saturating_sub(1),
        }
    }

    fn add(&mut self, number: usize, at: usize, entry: (QueueId, V)) {
        let last = number + 1 >= self.runs.len();
        match self.runs.get_mut(number) {
            None => self.runs.push(vec![entry]),
            Some(run) if run.len() < RUN => run.insert(at, entry),
            Some(run) if last && at == RUN => {
                // A run that is full is left behind as it is.
                run.shrink_to_fit();
                self.runs.push(vec![entry]);
            }
            Some(run) => {
                let mut second = run.split_off(RUN / 2);
                match at.checked_sub(RUN / 2) {
                    Some(at) => second.insert(at, entry),
                    None => run.insert(at, entry),
                }
                self.runs.insert(number + 1, second);
            }
        }
    }

    /// A run that has become small becomes one with a neighbour, where both fit into one.
    fn join(&mut self, number: usize) {
        let len = |at: usize| self.runs.get(at).map(Vec::len);
        let own = len(number).unwrap_or(0);
        if own == 0 {
            self.runs.remove(number);
            return;
        }
        let fits = |at: &usize| len(*at).is_some_and(|other| own + other <= RUN / 2);
        let Some(first) = number.checked_sub(1).filter(fits).or(Some(number).filter(|_| fits(&(number + 1)))) else {
            if let Some(run) = self.runs.get_mut(number).filter(|run| run.capacity() > 4 * own.max(8)) {
                run.shrink_to(2 * own);
            }
            return;
        };
        let second = self.runs.remove(first + 1);
        if let Some(run) = self.runs.get_mut(first) {
            run.extend(second);
        }
    }

    /// Octets that it takes.
    #[cfg(test)]
    pub fn octets(&self) -> usize {
        let entry = size_of::<(QueueId, V)>();
        self.runs.capacity() * size_of::<Vec<(QueueId, V)>>()
            + self.runs.iter().map(|run| run.capacity() * entry).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
