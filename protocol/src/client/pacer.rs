//! Open-loop schedule: when each datagram should leave, whatever became of those before it.
//!
//! The time of the i-th datagram follows from i alone, so a late sender catches up and nothing drifts. The
//! planned time, not the actual one, is what a latency has to be counted from.

use crate::{Nanos, SECOND};

/// A schedule of `count` datagrams in every `period`, evenly spaced from `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacer {
    start: Nanos,
    count: u64,
    period: Nanos,
    taken: u64,
    total: Option<u64>,
}

/// One place of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the datagram, from 0.
    pub index: u64,
    /// When it should leave.
    pub planned: Nanos,
}

impl Pacer {
    /// `count` datagrams in each `period` nanoseconds; zero of either means one.
    #[must_use]
    pub const fn new(start: Nanos, count: u64, period: Nanos) -> Self {
        let count = if count == 0 { 1 } else { count };
        let period = if period == 0 { 1 } else { period };
        Self { start, count, period, taken: 0, total: None }
    }

    /// `rate` datagrams a second.
    #[must_use]
    pub const fn per_second(start: Nanos, rate: u64) -> Self {
        Self::new(start, rate, SECOND)
    }

    /// Ends the schedule after `total` datagrams.
    #[must_use]
    pub const fn with_total(self, total: u64) -> Self {
        Self { total: Some(total), ..self }
    }

    /// When datagram `index` should leave: `start + index * period / count`, rounded down.
    #[must_use]
    pub fn planned(&self, index: u64) -> Nanos {
        let spans = u128::from(index).saturating_mul(u128::from(self.period));
        let offset = spans.checked_div(u128::from(self.count)).unwrap_or(0);
        self.start.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// How many datagrams are due at `now` and not taken yet.
    #[must_use]
    pub fn due(&self, now: Nanos) -> u64 {
        let Some(elapsed) = now.checked_sub(self.start) else { return 0 };
        // Slot i is planned by now if `i * period < (elapsed + 1) * count`: the number of such slots is the quotient
        // rounded up.
        let reach = u128::from(elapsed).saturating_add(1).saturating_mul(u128::from(self.count));
        let passed = u64::try_from(reach.div_ceil(u128::from(self.period))).unwrap_or(u64::MAX);
        passed.min(self.total.unwrap_or(u64::MAX)).saturating_sub(self.taken)
    }

    /// Takes the next place if it is due at `now`.
    pub fn take(&mut self, now: Nanos) -> Option<Slot> {
        let slot = self.peek().filter(|slot| slot.planned <= now)?;
        self.taken = self.taken.saturating_add(1);
        Some(slot)
    }

    /// Passes over the places planned up to `time`, and says how many there were: in one step, however many.
    pub fn pass(&mut self, time: Nanos) -> u64 {
        let passed = self.due(time);
        self.taken = self.taken.saturating_add(passed);
        passed
    }

    /// The next place; its time is the next deadline. `None` once the schedule has ended.
    #[must_use]
    pub fn peek(&self) -> Option<Slot> {
        let open = self.total.is_none_or(|total| self.taken < total);
        open.then(|| Slot { index: self.taken, planned: self.planned(self.taken) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MILLISECOND;

    #[test]
    fn nothing_drifts_at_a_rate_that_does_not_divide_a_second() {
        let pacer = Pacer::per_second(5, 7);
        assert_eq!(pacer.planned(7_000_000_000), 5 + 1_000_000_000 * SECOND);
        assert_eq!(pacer.planned(1), 5 + 142_857_142);
    }

    #[test]
    fn due_counts_exactly_the_places_whose_time_has_come() {
        for (count, period) in [(1, 1), (3, 10), (7, SECOND), (1_000_000, SECOND), (1, 3 * SECOND), (9, 4)] {
            let pacer = Pacer::new(1000, count, period);
            for now in (0..40).map(|i| 990 + i * (period / 5 + 1)).chain([1000, 1001]) {
                let due = pacer.due(now);
                assert!(due == 0 || pacer.planned(due - 1) <= now, "{count}/{period} at {now}");
                assert!(pacer.planned(due) > now, "{count}/{period} at {now}");
            }
        }
    }

    #[test]
    fn a_late_sender_catches_up_and_keeps_the_planned_times() {
        let mut pacer = Pacer::per_second(0, 1000).with_total(5);
        assert_eq!(pacer.take(0), Some(Slot { index: 0, planned: 0 }));
        assert_eq!(pacer.take(0), None);
        assert_eq!(pacer.due(10 * MILLISECOND), 4);
        let planned: Vec<_> =
            core::iter::from_fn(|| pacer.take(10 * MILLISECOND)).map(|s| s.planned).collect();
        assert_eq!(planned, [1, 2, 3, 4].map(|i| i * MILLISECOND));
        assert_eq!((pacer.peek(), pacer.due(SECOND)), (None, 0));
    }

    #[test]
    fn places_are_passed_over_in_one_step_and_counted() {
        let mut pacer = Pacer::new(5, 1_000_000_000, SECOND).with_total(300 * MILLISECOND);
        assert_eq!(pacer.take(5).map(|slot| slot.index), Some(0));
        assert_eq!((pacer.pass(4), pacer.pass(5), pacer.pass(5 + MILLISECOND)), (0, 0, MILLISECOND));
        assert_eq!(pacer.peek(), Some(Slot { index: MILLISECOND + 1, planned: 6 + MILLISECOND }));
        assert_eq!((pacer.pass(u64::MAX), pacer.peek()), (299 * MILLISECOND - 1, None));
    }

    #[test]
    fn before_the_start_nothing_is_due() {
        let mut pacer = Pacer::per_second(SECOND, 1_000_000);
        assert_eq!((pacer.due(SECOND - 1), pacer.take(SECOND - 1)), (0, None));
        assert_eq!(pacer.peek(), Some(Slot { index: 0, planned: SECOND }));
        assert_eq!(pacer.due(u64::MAX), (u64::MAX - SECOND) / 1000 + 1);
    }
}
