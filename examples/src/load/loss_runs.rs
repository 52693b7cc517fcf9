//! How many losses come in a row: the loss periods of RFC 3357.

use std::collections::BTreeMap;

/// Takes the fates of the datagrams of a stream in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub struct LossRuns {
    /// Losses since the last datagram that was answered.
    run: u64,
    /// Ended runs by their length.
    lengths: BTreeMap<u64, u64>,
}

impl LossRuns {
    /// The next one was lost.
    pub const fn lost(&mut self) {
        self.run += 1;
    }

    /// The next one was answered.
    pub fn answered(&mut self) {
        if self.run > 0 {
            *self.lengths.entry(self.run).or_default() += 1;
            self.run = 0;
        }
    }

    /// How many runs there were of each length, the one that is not ended among them.
    #[must_use]
    pub fn lengths(&self) -> BTreeMap<u64, u64> {
        let mut ended = self.clone();
        ended.answered();
        ended.lengths
    }
}

/// The sum over several streams.
pub fn sum(runs: impl Iterator<Item = BTreeMap<u64, u64>>) -> BTreeMap<u64, u64> {
    let mut total = BTreeMap::new();
    for (length, count) in runs.flatten() {
        *total.entry(length).or_default() += count;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_with_an_answer_or_with_the_stream() {
        let mut runs = LossRuns::default();
        for fate in "..x.xx.x.xxx".chars() {
            if fate == 'x' { runs.lost() } else { runs.answered() }
        }
        assert_eq!(runs.lengths(), BTreeMap::from([(1, 2), (2, 1), (3, 1)]));
        assert_eq!(LossRuns::default().lengths(), BTreeMap::new());
        let both = sum([runs.lengths(), BTreeMap::from([(2, 5)])].into_iter());
        assert_eq!(both, BTreeMap::from([(1, 2), (2, 6), (3, 1)]));
    }
}
