//! Which sessions a new handler goes on with.

use std::collections::HashMap;

/// The sessions that a new handler has kept. A relay has a hundred thousand of them, so nothing here looks at all for each.
#[derive(Debug)]
pub(super) struct Kept(HashMap<u64, u64>);

impl Kept {
    /// What a handler has said, each an id and its new word, in order: the last word of a session counts. Ids that are nobody's
    /// do no harm.
    pub(super) fn new(said: &[(u64, u64)]) -> Self {
        Self(said.iter().copied().collect())
    }

    /// The new word of a session; none if it is not kept.
    pub(super) fn word(&self, id: u64) -> Option<u64> {
        self.0.get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn the_last_word_counts() {
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let said: Vec<_> =
                (0..rng.random_range(0..200)).map(|word| (rng.random_range(1..60), word)).collect();
            let kept = Kept::new(&said);
            for id in 0..70 {
                let slow = said.iter().rev().find(|(of, _)| *of == id).map(|(_, word)| *word);
                assert_eq!(kept.word(id), slow, "seed {seed}");
            }
        }
    }

    /// A look at all words for each session would be half a billion of steps for every thousand of them.
    #[test]
    fn a_million_sessions_are_kept_at_once() {
        let said: Vec<_> = (1..=1_000_000).map(|id| (id << 24 | id, !id)).collect();
        let kept = Kept::new(&said);
        assert!(said.iter().all(|(id, word)| kept.word(*id) == Some(*word)));
        assert_eq!(kept.word(7), None);
    }
}
