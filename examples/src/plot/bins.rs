//! Sums over equal spans of time. How long a run is, is known at its end; so the spans grow by 5 and by 2 in turns, and two or
//! five neighbours become one whenever there are too many of them.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use polyport_protocol::Nanos;

use super::decision::{Direction, Kind, Kinds};
use super::span::{Offset, between};

/// Most bins: bars of 3.5 pixels. There are at least a fifth of them in a run that is longer than its finest bins.
pub const MAX_BINS: u64 = 240;

/// The finest bin: nobody looks at less than a quarter of a millisecond of a run.
const FINEST: Offset = 1_000;

/// Significant digits of the delays of a bin: what is drawn is a hundred pixels high or two.
const DIGITS: u8 = 2;

/// What happened in one direction within one bin.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// Datagrams that came, whatever happened to them.
    pub datagrams: u64,
    /// Datagrams that came, if all clients have one row of numbers.
    of_channel: u64,
    /// Of those, the ones that do not arrive.
    pub dropped: u64,
    kinds: [u64; Kind::ALL.len()],
    delays: Option<Box<Histogram<u32>>>,
}

/// Which numbers say how many datagrams came. Until the end of a log nobody knows whose they are, so that both are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Those of each client.
    Own,
    /// Those of a channel that all of them share.
    Channel,
}

/// All sums of a run.
#[derive(Clone, Debug)]
pub struct Bins {
    width: Offset,
    /// What the width is multiplied with next.
    factor: Offset,
    sums: BTreeMap<i64, [Sum; Direction::ALL.len()]>,
}

impl Default for Bins {
    fn default() -> Self {
        Self { width: FINEST, factor: 5, sums: BTreeMap::new() }
    }
}

impl Sum {
    /// How often something happened.
    #[must_use]
    pub const fn count(&self, kind: Kind) -> u64 {
        self.kinds[kind.index()]
    }

    /// The delay that so large a part of the delayed datagrams does not exceed; `None` if none was delayed.
    #[must_use]
    pub fn delay(&self, quantile: f64) -> Option<Nanos> {
        self.delays.as_ref().map(|delays| delays.value_at_quantile(quantile).min(delays.max()))
    }

    fn add(&mut self, other: Self) {
        self.came(Row::Own, other.datagrams);
        self.came(Row::Channel, other.of_channel);
        self.dropped += other.dropped;
        for (sum, more) in self.kinds.iter_mut().zip(other.kinds) {
            *sum += more;
        }
        match (&mut self.delays, other.delays) {
            // Both grow with what they get, so that it cannot fail.
            (Some(sum), Some(more)) => sum.add(*more).unwrap_or(()),
            (empty @ None, more) => *empty = more,
            (Some(_), None) => {}
        }
    }

    /// Counts datagrams. Their numbers are what a file says, so that they may add up to anything.
    const fn came(&mut self, row: Row, count: u64) {
        let sum = match row {
            Row::Own => &mut self.datagrams,
            Row::Channel => &mut self.of_channel,
        };
        *sum = sum.saturating_add(count);
    }

    fn delayed(&mut self, wait: Nanos) {
        if self.delays.is_none() {
            self.delays = Histogram::new(DIGITS).ok().map(Box::new);
        }
        if let Some(delays) = &mut self.delays {
            // It grows with what it gets, up to 2^64, so that it cannot fail.
            delays.auto(true);
            delays.record(wait).unwrap_or(());
        }
    }
}

impl Bins {
    /// Counts what happened to a datagram; the datagram itself is counted by [`Self::came`].
    pub fn happened(&mut self, at: Offset, direction: Direction, what: Kinds, wait: Option<Nanos>) {
        let sum = self.at(at, direction);
        sum.dropped += u64::from(what.drops());
        for kind in what.iter() {
            sum.kinds[kind.index()] += 1;
        }
        if let Some(wait) = wait {
            sum.delayed(wait);
        }
    }

    /// Counts one datagram.
    pub fn came(&mut self, at: Offset, direction: Direction) {
        let sum = self.at(at, direction);
        sum.came(Row::Own, 1);
        sum.came(Row::Channel, 1);
    }

    /// Counts datagrams of which only is known that they came between two moments: as many in each span of time as in any other
    /// of that length, and only those within the window.
    pub fn came_between(
        &mut self,
        (from, to): (Offset, Offset),
        window: (Offset, Offset),
        (direction, row): (Direction, Row),
        count: u64,
    ) {
        let (first, last) = (from.max(window.0), to.min(window.1));
        let whole = u128::from(between(from, to));
        if count == 0 || first > last {
            return;
        }
        if whole == 0 {
            self.at(to, direction).came(row, count);
            return;
        }
        if first == last {
            return;
        }
        // How many of them came before a moment. Differences of this add up, whatever is rounded.
        let before = |moment: Offset| -> u64 {
            let part = u128::from(between(from, moment)) * u128::from(count) / whole;
            u64::try_from(part).unwrap_or(count)
        };
        // Both ends first: from here on the width stays.
        self.at(first, direction);
        self.at(last, direction);
        let mut done = before(first);
        for key in first.div_euclid(self.width)..=last.div_euclid(self.width) {
            let end = key.saturating_add(1).saturating_mul(self.width).min(last);
            let more = before(end);
            if more > done {
                self.at(end.saturating_sub(1).max(first), direction).came(row, more - done);
                done = more;
            }
        }
    }

    /// At the end: the numbers of this direction were those of a channel.
    pub fn are_of_channel(&mut self, direction: Direction) {
        for sums in self.sums.values_mut() {
            let sum = &mut sums[direction.index()];
            sum.datagrams = sum.of_channel;
        }
    }

    /// How long each bin is, in nanoseconds.
    #[must_use]
    pub const fn width(&self) -> Offset {
        self.width
    }

    /// The bins that something is known of, in order: where each begins, and its sums.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, &[Sum; Direction::ALL.len()])> {
        self.sums.iter().map(|(key, sums)| (key.saturating_mul(self.width), sums))
    }

    fn at(&mut self, at: Offset, direction: Direction) -> &mut Sum {
        while self.too_many_with(at) {
            self.coarsen();
        }
        &mut self.sums.entry(at.div_euclid(self.width)).or_default()[direction.index()]
    }

    /// Whether there would be too many bins with one for this moment.
    fn too_many_with(&self, at: Offset) -> bool {
        let key = at.div_euclid(self.width);
        let first = self.sums.first_key_value().map_or(key, |(first, _)| *first.min(&key));
        let last = self.sums.last_key_value().map_or(key, |(last, _)| *last.max(&key));
        between(first, last) >= MAX_BINS
    }

    fn coarsen(&mut self) {
        let mut coarse: BTreeMap<i64, [Sum; Direction::ALL.len()]> = BTreeMap::new();
        for (key, sums) in std::mem::take(&mut self.sums) {
            let target = coarse.entry(key.div_euclid(self.factor)).or_default();
            for (target, sum) in target.iter_mut().zip(sums) {
                target.add(sum);
            }
        }
        self.sums = coarse;
        self.width *= self.factor;
        self.factor = if self.factor == 5 { 2 } else { 5 };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UP: Direction = Direction::Up;
    const ALL: (Offset, Offset) = (Offset::MIN, Offset::MAX);

    fn datagrams(bins: &Bins) -> Vec<(Offset, u64)> {
        bins.iter().map(|(start, sums)| (start, sums[UP.index()].datagrams)).filter(|(_, n)| *n > 0).collect()
    }

    #[test]
    fn bins_grow_with_the_run_and_keep_all_that_they_counted() {
        let mut bins = Bins::default();
        let lost = Kinds::default().with(Kind::Lost);
        let mut widths = vec![bins.width()];
        for millis in 0..60_000 {
            let at = millis * 1_000_000;
            bins.came(at, UP);
            let wait = u64::try_from(millis).unwrap() % 100 + 1;
            bins.happened(at, UP, lost, Some(wait));
            if widths.last() != Some(&bins.width()) {
                widths.push(bins.width());
            }
        }
        let expected = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000];
        assert_eq!(widths, expected.map(|micros| micros * 1000));
        let sums: Vec<_> = bins.iter().map(|(start, sums)| (start, &sums[UP.index()])).collect();
        assert_eq!(sums.len(), 120);
        for (number, (start, sum)) in (0..).zip(sums) {
            assert_eq!(start, number * bins.width());
            assert_eq!((sum.datagrams, sum.dropped, sum.count(Kind::Lost)), (500, 500, 500));
            assert_eq!((sum.delay(0.5), sum.delay(0.95)), (Some(50), Some(95)));
            assert_eq!(sum.count(Kind::Late), 0);
        }
    }

    #[test]
    fn what_came_between_is_spread_evenly_and_cut_by_the_window() {
        let mut bins = Bins::default();
        bins.came_between((0, 10_000), ALL, (UP, Row::Own), 100);
        let tens: Vec<_> = (0..10).map(|bin| (bin * 1000, 10)).collect();
        assert_eq!(datagrams(&bins), tens);
        let mut bins = Bins::default();
        bins.came_between((0, 10_000), (2_500, 4_000), (UP, Row::Own), 100);
        assert_eq!(datagrams(&bins), [(2000, 5), (3000, 10)]);
        let mut bins = Bins::default();
        bins.came_between((500, 500), ALL, (UP, Row::Own), 7);
        bins.came_between((900, 100), ALL, (UP, Row::Own), 0);
        bins.came_between((0, 100), (200, 300), (UP, Row::Own), 9);
        assert_eq!(datagrams(&bins), [(0, 7)]);
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        let mut bins = Bins::default();
        bins.came_between((Offset::MIN, Offset::MAX), ALL, (UP, Row::Own), u64::MAX);
        assert!(bins.iter().count() <= usize::try_from(MAX_BINS).unwrap());
        assert_eq!(datagrams(&bins).iter().map(|(_, n)| n).sum::<u64>(), u64::MAX);
        bins.happened(0, UP, Kinds::default(), Some(u64::MAX));
        assert!(bins.iter().any(|(_, sums)| sums[UP.index()].delay(0.5).is_some()));
    }

    proptest! {
        /// Whatever comes in whatever order, nothing is lost or counted twice, and there are never too many bins.
        #[test]
        fn sums_add_up(spans in prop::collection::vec((any::<i64>(), 0_u32..60, 0_u64..1000), 1..60)) {
            let mut bins = Bins::default();
            let mut total = 0;
            for (place, magnitude, count) in spans {
                let from = place >> magnitude;
                let to = from.saturating_add(1 << (59 - magnitude));
                bins.came_between((from, to), ALL, (UP, Row::Own), count);
                bins.came(to, UP);
                total += count + 1;
                prop_assert!(bins.iter().count() <= usize::try_from(MAX_BINS).unwrap());
            }
            prop_assert_eq!(datagrams(&bins).iter().map(|(_, n)| n).sum::<u64>(), total);
        }
    }
}
