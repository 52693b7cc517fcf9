//! The trials so far, by load, and the bounds that they make.

use std::collections::BTreeMap;

use super::class::{Class, Sureness, Trial};
use super::goal::Target;
use super::grid::Load;

/// The relevant bounds for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The highest lower bound below the relevant upper one.
    pub(super) lower: Option<Load>,
    /// The lowest upper bound.
    pub(super) upper: Option<Load>,
}

/// All trials that say something.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    trials: BTreeMap<Load, Vec<Trial>>,
}

impl Book {
    pub(super) fn enter(&mut self, load: Load, trial: Trial) {
        self.trials.entry(load).or_default().push(trial);
    }

    /// The highest load that was measured.
    pub(super) fn highest(&self) -> Option<Load> {
        self.trials.keys().next_back().copied()
    }

    pub(super) fn of(&self, load: Load) -> &[Trial] {
        self.trials.get(&load).map_or(&[], Vec::as_slice)
    }

    /// What lies above an upper bound counts for nothing: a server that does better there did so by chance.
    pub(super) fn bounds(&self, target: &Target) -> Bounds {
        let mut bounds = Bounds::default();
        for (load, trials) in &self.trials {
            match Sureness::new(trials, target).class(target) {
                None => {}
                Some(Class::Lower) => bounds.lower = Some(*load),
                Some(Class::Upper) => {
                    bounds.upper = Some(*load);
                    break;
                }
            }
        }
        bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_results_above_an_upper_bound_are_not_relevant() {
        let target = Target { goal: 0, exceed_ratio: 0.0, width: 1, trial: 1, sum: 1 };
        let mut book = Book::default();
        assert_eq!(book.bounds(&target), Bounds::default());
        for (load, good) in [(30, true), (10, true), (20, false), (5, true), (25, false)] {
            book.enter(load, Trial { duration: 1, loss_ratio: 0.0, good: vec![good] });
        }
        assert_eq!(book.bounds(&target), Bounds { lower: Some(10), upper: Some(20) });
        assert_eq!((book.highest(), book.of(10).len(), book.of(11).len()), (Some(30), 1, 0));
    }
}
