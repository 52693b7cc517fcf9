//! A run over time, in columns of several widths at once: percentiles of longer columns are counted anew, not averaged.

use std::collections::VecDeque;

use hdrhistogram::CreationError;
use polyport_protocol::{MILLISECOND, Nanos, SECOND};

use crate::load::histogram::{TargetLatency, TotalLatency};

/// The widths that there are.
pub(super) const WIDTHS: [Nanos; 5] = [250 * MILLISECOND, SECOND, 5 * SECOND, 15 * SECOND, 60 * SECOND];

/// Columns that are kept: no terminal is wider.
const KEPT: usize = 512;

/// What happened in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// How long it lasted.
    pub(super) took: Nanos,
    pub(super) sent: u64,
    pub(super) no_answer: u64,
    pub(super) late_sends: u64,
    pub(super) p50: Option<Nanos>,
    pub(super) p99: Option<Nanos>,
    pub(super) lag: Option<Nanos>,
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'s> {
    pub(super) took: Nanos,
    pub(super) sent: u64,
    pub(super) no_answer: u64,
    pub(super) late_sends: u64,
    pub(super) answers: &'s TargetLatency,
    pub(super) lag: &'s TotalLatency,
}

/// Columns of one width.
#[derive(Debug)]
struct Columns {
    width: Nanos,
    done: VecDeque<Point>,
    growing: Point,
    answers: TargetLatency,
    lag: TotalLatency,
}

/// All widths.
#[derive(Debug)]
pub(super) struct History(Vec<Columns>);

impl Columns {
    fn new(width: Nanos) -> Result<Self, CreationError> {
        let (answers, lag) = (TargetLatency::target()?, TotalLatency::total()?);
        Ok(Self { width, done: VecDeque::with_capacity(KEPT), growing: Point::default(), answers, lag })
    }

    fn take(&mut self, step: &Step<'_>) {
        self.growing.took += step.took;
        self.growing.sent += step.sent;
        self.growing.no_answer += step.no_answer;
        self.growing.late_sends += step.late_sends;
        self.answers.add(step.answers);
        self.lag.add(step.lag);
        // A look that came a little early must not make the next column twice as wide.
        if self.growing.took + SLACK >= self.width {
            if self.done.len() == KEPT {
                self.done.pop_front();
            }
            self.done.push_back(self.grown());
            self.growing = Point::default();
            self.answers.clear();
            self.lag.clear();
        }
    }

    fn grown(&self) -> Point {
        Point {
            p50: self.answers.at_quantile(0.5),
            p99: self.answers.at_quantile(0.99),
            lag: self.lag.at_quantile(0.99),
            ..self.growing
        }
    }
}

/// Half a look.
const SLACK: Nanos = 60 * MILLISECOND;

impl History {
    pub(super) fn new() -> Result<Self, CreationError> {
        Ok(Self(WIDTHS.into_iter().map(Columns::new).collect::<Result<_, _>>()?))
    }

    pub(super) fn take(&mut self, step: &Step<'_>) {
        self.0.iter_mut().for_each(|columns| columns.take(step));
    }

    /// The columns of a width, by its place in [`WIDTHS`], the oldest first.
    pub(super) fn columns(
        &self,
        width: usize,
    ) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator {
        self.0.get(width).map_or_else(|| self.0[0].done.iter(), |columns| columns.done.iter())
    }

    /// The last second, as far as it is over; before the first one is, what there is.
    pub(super) fn now(&self) -> Option<Point> {
        self.columns(1).next_back().or_else(|| self.columns(0).next_back()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_column_has_the_percentiles_of_all_its_answers() {
        let mut history = History::new().unwrap();
        let mut lag = TotalLatency::total().unwrap();
        lag.record(5_000);
        for look in 0..8_u64 {
            let mut answers = TargetLatency::target().unwrap();
            // One look has all the long ones.
            (0..100).for_each(|_| answers.record(if look == 2 { 900_000 } else { 1_000 }));
            let (sent, no_answer) = (100, look % 2);
            history.take(&Step {
                took: WIDTHS[0],
                sent,
                no_answer,
                late_sends: 1,
                answers: &answers,
                lag: &lag,
            });
        }
        assert_eq!((history.columns(0).len(), history.columns(1).len(), history.columns(2).len()), (8, 2, 0));
        let first = history.columns(1).next().unwrap();
        assert_eq!((first.took, first.sent, first.no_answer, first.late_sends), (SECOND, 400, 2, 4));
        assert!(first.p50.unwrap() < 1_010 && first.p99.unwrap() >= 900_000, "{first:?}");
        let second = history.now().unwrap();
        assert!(second.p99.unwrap() < 1_010, "{second:?}");
    }

    #[test]
    fn what_is_older_than_any_screen_is_wide_is_forgotten() {
        let mut history = History::new().unwrap();
        let (answers, lag) = (TargetLatency::target().unwrap(), TotalLatency::total().unwrap());
        for sent in 0..600 {
            history.take(&Step {
                took: WIDTHS[0],
                sent,
                no_answer: 0,
                late_sends: 0,
                answers: &answers,
                lag: &lag,
            });
        }
        let columns: Vec<_> = history.columns(0).map(|point| (point.sent, point.p50)).collect();
        assert_eq!((columns.len(), columns[0], columns[KEPT - 1]), (KEPT, (88, None), (599, None)));
    }
}
