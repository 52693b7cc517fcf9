//! Reordering as a distribution of displacements: the reorder density of RFC 5236 section 4.
//!
//! Arrivals are given *receive indices*: the numbers of all that arrive, in their order, without those that are lost. An arrival is
//! displaced by its index less its number: 0 in order, above it late, below it early.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Displacement threshold (RFC 5236 section 3): a number that has not come after so many further arrivals is lost, and what comes later
/// is too late to be reordered.
pub const THRESHOLD: usize = 32;

/// Takes the numbers of first copies in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub struct Density {
    /// The next receive index.
    index: u64,
    /// Arrivals that have none yet: whether a number is lost shows when the threshold has passed.
    waiting: VecDeque<u64>,
    /// Numbers above the index that have one already.
    early: BTreeSet<u64>,
    /// Numbers below the index that are among the waiting, so were not lost.
    late: BTreeSet<u64>,
    counts: BTreeMap<i64, u64>,
}

impl Density {
    /// Takes the next arrival. What is in order costs a comparison and a count.
    pub fn arrive(&mut self, seq: u64) {
        self.waiting.push_back(seq);
        // What has its own number as index needs no look at what comes behind it.
        while self.waiting.front() == Some(&self.index) || self.waiting.len() > THRESHOLD {
            self.decide();
        }
    }

    /// How many arrivals had each displacement.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<i64, u64> {
        let mut rest = self.clone();
        while !rest.waiting.is_empty() {
            rest.decide();
        }
        rest.counts
    }

    /// Gives the oldest arrival that waits its receive index.
    fn decide(&mut self) {
        let Some(seq) = self.waiting.pop_front() else { return };
        if seq < self.index && !self.late.remove(&seq) {
            return;
        }
        let highest =
            self.waiting.iter().copied().chain(self.early.last().copied()).max().unwrap_or(0).max(seq);
        while self.index < highest && !self.has_come(self.index, seq) {
            self.index += 1;
        }
        *self.counts.entry(displacement(self.index, seq)).or_default() += 1;
        if self.index != seq {
            if !self.early.remove(&self.index) && self.waiting.contains(&self.index) {
                self.late.insert(self.index);
            }
            if seq > self.index {
                self.early.insert(seq);
            }
        }
        self.index += 1;
    }

    fn has_come(&self, number: u64, seq: u64) -> bool {
        number == seq || self.early.contains(&number) || self.waiting.contains(&number)
    }
}

fn displacement(index: u64, seq: u64) -> i64 {
    index.wrapping_sub(seq).cast_signed()
}

/// The sum over several streams.
pub fn sum(densities: impl Iterator<Item = BTreeMap<i64, u64>>) -> BTreeMap<i64, u64> {
    let mut total = BTreeMap::new();
    for (displacement, count) in densities.flatten() {
        *total.entry(displacement).or_default() += count;
    }
    total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(arrivals: &[u64]) -> BTreeMap<i64, u64> {
        let mut density = Density::default();
        arrivals.iter().for_each(|seq| density.arrive(*seq));
        density.counts()
    }

    /// By the definition, with all arrivals at hand: none of these comes later than the threshold.
    fn defined(arrivals: &[u64]) -> BTreeMap<i64, u64> {
        let mut indices = arrivals.to_vec();
        indices.sort_unstable();
        let mut counts = BTreeMap::new();
        for (index, seq) in indices.iter().zip(arrivals) {
            *counts.entry(displacement(*index, *seq)).or_default() += 1;
        }
        counts
    }

    #[test]
    fn losses_are_no_displacement() {
        assert_eq!(counts(&[0, 1, 2, 3]), BTreeMap::from([(0, 4)]));
        assert_eq!(counts(&[0, 2, 3, 7]), BTreeMap::from([(0, 4)]));
        assert_eq!(counts(&[1, 0, 2]), BTreeMap::from([(-1, 1), (0, 1), (1, 1)]));
        assert_eq!(counts(&[0, 2, 3, 1, 4]), BTreeMap::from([(-1, 2), (0, 2), (2, 1)]));
        assert_eq!(counts(&[]), BTreeMap::new());
    }

    #[test]
    fn what_comes_after_the_threshold_is_lost() {
        let mut arrivals: Vec<u64> = (1..=60).collect();
        arrivals.push(0);
        assert_eq!(counts(&arrivals), BTreeMap::from([(0, 60)]));
        let mut arrivals: Vec<u64> = (1..=20).collect();
        arrivals.push(0);
        assert_eq!(counts(&arrivals), BTreeMap::from([(-1, 20), (20, 1)]));
    }

    proptest! {
        #[test]
        fn it_is_the_definition_as_far_as_the_threshold_reaches(
            fates in prop::collection::vec((prop::bool::weighted(0.9), 0..12_u64), 1..300),
        ) {
            // Each comes up to twelve places later, or is lost; the last ones come.
            let mut arrivals: Vec<(u64, u64)> =
                (0..).zip(&fates).filter(|(_, (comes, _))| *comes).map(|(seq, (_, later))| (seq + later, seq)).collect();
            arrivals.sort_unstable();
            let arrivals: Vec<u64> = arrivals.into_iter().map(|(_, seq)| seq).collect();
            prop_assert_eq!(counts(&arrivals), defined(&arrivals));
        }
    }
}
