//! What is searched for, and the stages on the way to it.

use polyport_protocol::Nanos;

use super::grid::{Grid, Width};

/// One goal of a search. The names in brackets are those of the draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// Share of a trial that may be lost (goal loss ratio): where a trial counts as good is for the measurer to say, and this is
    /// what the first guesses start from.
    pub loss_ratio: f64,
    /// Share of the duration sum that may be bad trials (goal exceed ratio), at least 0 and below 1.
    pub exceed_ratio: f64,
    /// How far the bounds may lie apart, relative to the upper one (goal width), between 0 and 1.
    pub width: f64,
    /// Length of the first trials (goal initial trial duration).
    pub initial: Nanos,
    /// Length of the last ones (goal final trial duration); shorter ones do not count for the result.
    pub last: Nanos,
    /// How long trials of a load last together that make it a bound (goal duration sum).
    pub sum: Nanos,
}

/// Stages before the last one. The authors of the draft found two to save the most time.
const PRECEDING: i32 = 2;

/// A stage of a goal: bounds by its own length of trials, sum and width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target {
    /// Which goal.
    pub(super) goal: usize,
    pub(super) exceed_ratio: f64,
    pub(super) width: Width,
    /// Length of its trials.
    pub(super) trial: Nanos,
    pub(super) sum: Nanos,
}

impl Goal {
    /// What cannot be searched for.
    ///
    /// # Errors
    /// Says which number is wrong.
    pub fn check(&self) -> Result<(), String> {
        let within = |low: f64, value: f64| value >= low && value < 1.0;
        if !within(0.0, self.loss_ratio) {
            return Err("a loss of 100% or more is a goal of any server: ask for less".to_owned());
        }
        if !within(0.0, self.exceed_ratio) {
            return Err("exceed is the share of bad trials, from 0% to below 100%".to_owned());
        }
        if !within(LEAST_WIDTH, self.width) {
            return Err("width is how far the bounds may lie apart, from 0.01% to below 100%".to_owned());
        }
        if self.initial == 0 || self.last < self.initial || self.sum < self.last {
            return Err("trials grow from initial to final, and sum is final at least".to_owned());
        }
        Ok(())
    }

    /// The stages of goal number `goal`, the coarsest one first.
    pub(super) fn targets(&self, goal: usize, grid: &Grid) -> Vec<Target> {
        let (exceed_ratio, width) = (self.exceed_ratio, grid.width(self.width));
        let last = Target { goal, exceed_ratio, width, trial: self.last, sum: self.sum };
        let factor = (exact(self.initial) / exact(self.sum)).powf(1.0 / f64::from(PRECEDING));
        let mut targets: Vec<Target> = (1..=PRECEDING)
            .rev()
            .map(|before| {
                let sum =
                    if before == PRECEDING { self.initial } else { scaled(self.sum, factor.powi(before)) };
                Target { width: width << before, trial: self.last.min(sum), sum, ..last }
            })
            .collect();
        targets.push(last);
        targets
    }
}

/// The narrowest width: nobody keeps a rate more exactly.
const LEAST_WIDTH: f64 = 0.000_1;

/// Durations stay below 2^53 ns.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
pub(super) const fn exact(span: Nanos) -> f64 {
    span as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a span is one")]
fn scaled(span: Nanos, factor: f64) -> Nanos {
    (exact(span) * factor) as Nanos
}

#[cfg(test)]
mod tests {
    use polyport_protocol::SECOND;

    use super::*;

    const GOAL: Goal = Goal {
        loss_ratio: 0.0,
        exceed_ratio: 0.5,
        width: 0.01,
        initial: SECOND,
        last: 10 * SECOND,
        sum: 25 * SECOND,
    };

    #[test]
    fn stages_get_longer_and_narrower() {
        let targets = GOAL.targets(3, &Grid::new(100.0, 1e6, 0.01));
        let lengths: Vec<_> =
            targets.iter().map(|target| (target.trial / SECOND, target.sum / SECOND)).collect();
        assert_eq!(lengths, [(1, 1), (5, 5), (10, 25)]);
        assert_eq!(targets[0].width, 4 * targets[2].width);
        assert!(targets.iter().all(|target| target.goal == 3));
    }

    #[test]
    fn what_no_search_can_find_is_refused() {
        GOAL.check().unwrap();
        for wrong in [
            Goal { loss_ratio: 1.0, ..GOAL },
            Goal { exceed_ratio: 1.0, ..GOAL },
            Goal { exceed_ratio: f64::NAN, ..GOAL },
            Goal { width: 0.0, ..GOAL },
            Goal { initial: 0, ..GOAL },
            Goal { initial: 11 * SECOND, ..GOAL },
            Goal { sum: 9 * SECOND, ..GOAL },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
