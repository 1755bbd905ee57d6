//! A job: some recipients of one letter that go to one place.

use super::Flow;
use crate::letter::QueueId;
use crate::queue::Via;

/// Some recipients of one letter, to be tried at one site.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: QueueId,
    pub recipients: RecipientSet,
    pub via: Via,
    pub flow: Flow,
    /// That of the letter's [`super::Out`] when it was made ready: what was taken back since is not begun.
    pub(super) round: u32,
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        let what = |job: &Self| (job.id, job.recipients.clone(), job.via.clone(), job.flow);
        what(self) == what(other)
    }
}

/// Indexes into a letter's recipients. Up to 64 take no memory of their own.
#[derive(Clone, PartialEq, Eq)]
pub struct RecipientSet(Bits);

#[derive(Clone, PartialEq, Eq)]
enum Bits {
    Few(u64),
    Many(Box<[u64]>),
}

impl Default for RecipientSet {
    fn default() -> Self {
        Self(Bits::Few(0))
    }
}

impl RecipientSet {
    pub fn insert(&mut self, index: usize) {
        let (word, bit) = (index / 64, 1 << (index % 64));
        match &mut self.0 {
            Bits::Few(bits) if word == 0 => *bits |= bit,
            _ => {
                if self.words().len() <= word {
                    let mut words = self.words().to_vec();
                    words.resize(word + 1, 0);
                    self.0 = Bits::Many(words.into());
                }
                if let Bits::Many(words) = &mut self.0 {
                    words[word] |= bit;
                }
            }
        }
    }

    pub fn remove(&mut self, index: usize) {
        self.subtract(&[index].into_iter().collect());
    }

    pub fn contains(&self, index: usize) -> bool {
        self.words().get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    pub fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    pub fn len(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn contains_all(&self, other: &Self) -> bool {
        let mut words = self.words().iter().chain(std::iter::repeat(&0));
        other.words().iter().all(|word| words.next().is_some_and(|have| word & !have == 0))
    }

    pub fn add(&mut self, other: &Self) {
        if let (Bits::Few(bits), Bits::Few(more)) = (&mut self.0, &other.0) {
            *bits |= more;
            return;
        }
        other.iter().for_each(|index| self.insert(index));
    }

    pub fn subtract(&mut self, other: &Self) {
        let words = match &mut self.0 {
            Bits::Few(bits) => std::slice::from_mut(bits),
            Bits::Many(words) => words,
        };
        words.iter_mut().zip(other.words()).for_each(|(word, less)| *word &= !less);
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.words().iter().enumerate().flat_map(|(word, bits)| {
            let mut rest = *bits;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest.checked_sub(1)?;
                Some(64 * word + bit)
            })
        })
    }

    fn words(&self) -> &[u64] {
        match &self.0 {
            Bits::Few(bits) => std::slice::from_ref(bits),
            Bits::Many(words) => words,
        }
    }
}

impl FromIterator<usize> for RecipientSet {
    fn from_iter<I: IntoIterator<Item = usize>>(indexes: I) -> Self {
        let mut set = Self::default();
        indexes.into_iter().for_each(|index| set.insert(index));
        set
    }
}

impl std::fmt::Debug for RecipientSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
