//! What happened to the datagrams that were planned in each stretch of the load, for pictures and for comparisons.
//!
//! A datagram counts in the interval of its planned time, whatever becomes of it and whenever: an interval has the same
//! identities as the run. The memory is bounded, because the length of the load is known before: intervals of a long run are
//! as many times longer, as if neighbours had been joined.

use hdrhistogram::CreationError;
use polyport_protocol::Nanos;

use super::class::Class;
use super::histogram::{LATE_SEND, TargetLatency};
use super::ledger::NotSent;

/// Most intervals of a run: each takes 46 kB in each thread, and no picture has more columns. With intervals of 1 s a load
/// of 17 minutes comes to it; one of a day has intervals of 85 s.
pub const MAX_INTERVALS: u64 = 1024;

/// The datagrams planned in one interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Places of the schedule that came up.
    pub planned: u64,
    /// Planned datagrams not sent, by [`NotSent`].
    pub skipped: [u64; NotSent::ALL.len()],
    /// Datagrams that left.
    pub sent: u64,
    /// Those of them that were answered within the timeout, without error.
    pub ok: u64,
    /// Those of them that were answered after the timeout.
    pub late: u64,
    /// Those of them that were answered by an ERROR within the timeout.
    pub error: u64,
    /// Those of them that were neither answered nor timed out when the run was broken off.
    pub pending: u64,
    /// Those of them that left more than [`LATE_SEND`] after their planned time.
    pub late_sends: u64,
    /// Answer after planned time.
    pub from_plan: TargetLatency,
    /// Answer after actual sending.
    pub from_send: TargetLatency,
    /// Actual sending after planned time.
    pub lag: TargetLatency,
}

/// The intervals of a run, from its start on.
#[derive(Clone, Debug)]
pub struct Intervals {
    start: Nanos,
    width: Nanos,
    kept: Vec<Interval>,
    /// Those to come, so that none is made while datagrams are due.
    prepared: Vec<Interval>,
    empty: Interval,
    /// The interval of the last datagram: its start, from the start of the load, and its place.
    current: (Nanos, usize),
    /// The answers that came since it was last cleared, by their planned times: for who watches the run.
    pub window: TargetLatency,
}

impl Interval {
    fn empty() -> Result<Self, CreationError> {
        let latency = TargetLatency::target()?;
        Ok(Self {
            planned: 0,
            skipped: [0; NotSent::ALL.len()],
            sent: 0,
            ok: 0,
            late: 0,
            error: 0,
            pending: 0,
            late_sends: 0,
            from_plan: latency.clone(),
            from_send: latency.clone(),
            lag: latency,
        })
    }

    /// Planned datagrams not sent.
    #[must_use]
    pub fn not_sent(&self) -> u64 {
        self.skipped.iter().sum()
    }

    /// Datagrams that left and were not answered. During a run it counts those, too, that may still be.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.ok + self.late + self.error + self.pending)
    }

    fn merge(&mut self, other: &Self) {
        self.planned += other.planned;
        self.skipped.iter_mut().zip(other.skipped).for_each(|(to, from)| *to += from);
        self.sent += other.sent;
        self.ok += other.ok;
        self.late += other.late;
        self.error += other.error;
        self.pending += other.pending;
        self.late_sends += other.late_sends;
        self.from_plan.add(&other.from_plan);
        self.from_send.add(&other.from_send);
        self.lag.add(&other.lag);
    }
}

impl Intervals {
    /// For a load of this `duration`, in intervals of `wanted` or, if those were more than [`MAX_INTERVALS`], of a multiple
    /// of it.
    ///
    /// # Errors
    /// None with the bounds of our histograms; the library cannot know.
    pub fn new(duration: Nanos, wanted: Nanos) -> Result<Self, CreationError> {
        let wanted = wanted.max(1);
        let times = duration.div_ceil(wanted).div_ceil(MAX_INTERVALS).max(1);
        let count = duration.div_ceil(wanted.saturating_mul(times));
        let count = usize::try_from(count).unwrap_or(0);
        let empty = Interval::empty()?;
        Ok(Self {
            start: 0,
            width: wanted.saturating_mul(times),
            kept: Vec::with_capacity(count),
            prepared: vec![empty.clone(); count],
            empty,
            current: (0, 0),
            window: TargetLatency::target()?,
        })
    }

    /// Intervals that were written down.
    ///
    /// # Errors
    /// None with the bounds of our histograms; the library cannot know.
    pub fn restore(width: Nanos, kept: Vec<Interval>) -> Result<Self, CreationError> {
        Ok(Self { width: width.max(1), kept, ..Self::new(0, 1)? })
    }

    /// The load starts at `start`.
    pub const fn begin(&mut self, start: Nanos) {
        self.start = start;
    }

    /// Length of an interval.
    #[must_use]
    pub const fn width(&self) -> Nanos {
        self.width
    }

    /// The intervals that were reached, each with its start, from the start of the load.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Nanos, &Interval)> + '_ {
        let width = self.width;
        self.kept.iter().enumerate().map(move |(place, interval)| (place as u64 * width, interval))
    }

    /// The end of the interval of a planned time: the first moment behind it.
    #[must_use]
    pub fn end_of(&self, planned: Nanos) -> Nanos {
        let place = planned.saturating_sub(self.start) / self.width;
        place.saturating_add(1).saturating_mul(self.width).saturating_add(self.start)
    }

    /// Places of the schedule came up, all of one interval.
    pub fn plan(&mut self, planned: Nanos, count: u64) {
        self.at(planned).planned += count;
    }

    /// Planned datagrams of one interval will not be sent.
    pub fn skip(&mut self, reason: NotSent, planned: Nanos, count: u64) {
        self.at(planned).skipped[reason as usize] += count;
    }

    /// A datagram left.
    pub fn left(&mut self, planned: Nanos, sent: Nanos) {
        let lag = sent.saturating_sub(planned);
        let interval = self.at(planned);
        interval.sent += 1;
        interval.late_sends += u64::from(lag > LATE_SEND);
        interval.lag.record(lag);
    }

    /// Its first answer came.
    pub fn answered(&mut self, class: Class, planned: Nanos, sent: Nanos, arrival: Nanos) {
        let from_plan = arrival.saturating_sub(planned);
        self.window.record(from_plan);
        let interval = self.at(planned);
        match class {
            Class::Late => interval.late += 1,
            Class::Error(_) => interval.error += 1,
            // A first answer is of no other class.
            Class::Ok
            | Class::DupUp
            | Class::DupDown
            | Class::WarmUp
            | Class::UnknownId
            | Class::WrongSeq
            | Class::WrongAttempt
            | Class::WrongTimestamp
            | Class::StaleStream
            | Class::WrongSource
            | Class::WrongKind
            | Class::Unasked
            | Class::Malformed(_) => interval.ok += 1,
        }
        interval.from_plan.record(from_plan);
        interval.from_send.record(arrival.saturating_sub(sent));
    }

    /// It was neither answered nor timed out when the run was broken off.
    pub fn pending(&mut self, planned: Nanos) {
        self.at(planned).pending += 1;
    }

    /// Adds what another thread or generator did in the same time. The longer intervals must be a multiple of the shorter
    /// ones, and those are joined.
    ///
    /// # Errors
    /// They are not.
    pub fn merge(&mut self, other: &Self) -> Result<(), String> {
        let width = self.width.max(other.width);
        if !width.is_multiple_of(self.width) || !width.is_multiple_of(other.width) {
            return Err(format!(
                "intervals of {} and of {} do not fit: neither is a multiple of the other",
                super::unit::span(self.width),
                super::unit::span(other.width)
            ));
        }
        self.join(width / self.width);
        let times = usize::try_from(width / other.width).unwrap_or(usize::MAX);
        for (place, interval) in other.kept.iter().enumerate() {
            self.grown(place / times).merge(interval);
        }
        Ok(())
    }

    /// Joins so many neighbours each.
    pub fn join(&mut self, times: u64) {
        if times <= 1 {
            return;
        }
        let size = usize::try_from(times).unwrap_or(usize::MAX);
        let joined = self.kept.chunks(size).map(|neighbours| {
            let mut joined = self.empty.clone();
            neighbours.iter().for_each(|interval| joined.merge(interval));
            joined
        });
        self.kept = joined.collect();
        self.width = self.width.saturating_mul(times);
        self.current = (0, 0);
    }

    fn at(&mut self, planned: Nanos) -> &mut Interval {
        let since = planned.saturating_sub(self.start);
        let (start, place) = self.current;
        // A division for each datagram is saved: its neighbour is nearly always of the same interval.
        let place = if since.wrapping_sub(start) < self.width && place < self.kept.len() {
            place
        } else {
            let place = since / self.width;
            // What a schedule plans beyond its own end would be a fault of it; it must not cost memory.
            let place = place.min(MAX_INTERVALS);
            let index = usize::try_from(place).unwrap_or(0);
            self.current = (place * self.width, index);
            index
        };
        self.grown(place)
    }

    fn grown(&mut self, place: usize) -> &mut Interval {
        let Self { kept, prepared, empty, .. } = self;
        if place >= kept.len() {
            kept.resize_with(place + 1, || prepared.pop().unwrap_or_else(|| empty.clone()));
        }
        &mut self.kept[place]
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::{MILLISECOND, SECOND};

    use super::*;

    #[test]
    fn whatever_becomes_of_a_datagram_counts_where_it_was_planned() {
        let mut intervals = Intervals::new(3 * SECOND, SECOND).unwrap();
        intervals.begin(10 * SECOND);
        for planned in [10 * SECOND, 11 * SECOND - 1, 11 * SECOND, 12 * SECOND] {
            intervals.plan(planned, 1);
            intervals.left(planned, planned + 5 * MILLISECOND);
        }
        let answer = |intervals: &mut Intervals, class, planned: Nanos, after| {
            intervals.answered(class, planned, planned + 5 * MILLISECOND, planned + after);
        };
        answer(&mut intervals, Class::Late, 12 * SECOND, 2 * SECOND);
        answer(&mut intervals, Class::Ok, 11 * SECOND - 1, 3 * SECOND);
        intervals.pending(11 * SECOND);
        intervals.plan(11 * SECOND, 7);
        intervals.skip(NotSent::Behind, 11 * SECOND, 7);
        let all: Vec<_> = intervals.iter().collect();
        assert_eq!(all.iter().map(|(start, _)| *start).collect::<Vec<_>>(), [0, SECOND, 2 * SECOND]);
        let counts = |at: usize| {
            let interval = all[at].1;
            let Interval { planned, sent, ok, late, pending, .. } = *interval;
            [planned, interval.not_sent(), sent, ok, late, pending, interval.lost()]
        };
        assert_eq!(counts(0), [2, 0, 2, 1, 0, 0, 1], "the lost one was planned here");
        assert_eq!(counts(1), [8, 7, 1, 0, 0, 1, 0]);
        assert_eq!(counts(2), [1, 0, 1, 0, 1, 0, 0]);
        assert_eq!(all[0].1.lag.percentiles().unwrap().max, 5 * MILLISECOND);
        assert_eq!(all[0].1.late_sends, 2);
        let from_send = all[2].1.from_send.percentiles().unwrap();
        assert_eq!(from_send.max, 2 * SECOND - 5 * MILLISECOND);
        assert_eq!(intervals.window.percentiles().unwrap().count, 2);
        assert_eq!(intervals.end_of(11 * SECOND), 12 * SECOND);
    }

    #[test]
    fn the_memory_of_a_day_is_that_of_a_picture() {
        let day = 86_400 * SECOND;
        let mut intervals = Intervals::new(day, SECOND).unwrap();
        assert_eq!(intervals.width(), 85 * SECOND);
        for hour in 0..=24 {
            intervals.plan(hour * 3600 * SECOND, 1);
        }
        assert_eq!(intervals.iter().len(), 1017);
        intervals.plan(u64::MAX, 1);
        assert_eq!(intervals.iter().len() as u64, MAX_INTERVALS + 1, "nor what lies beyond");
        assert_eq!(Intervals::new(1024 * SECOND, SECOND).unwrap().width(), SECOND);
        assert_eq!(Intervals::new(1025 * SECOND, SECOND).unwrap().width(), 2 * SECOND);
        assert_eq!(Intervals::new(0, 0).unwrap().width(), 1);
    }

    #[test]
    fn merging_adds_and_joins_what_is_shorter() {
        let of = |width, times: &[Nanos]| {
            let mut intervals = Intervals::new(10 * SECOND, width).unwrap();
            for planned in times {
                intervals.plan(*planned, 1);
                intervals.left(*planned, *planned);
                intervals.answered(Class::Ok, *planned, *planned, *planned + 7);
            }
            intervals
        };
        let mut long = of(2 * SECOND, &[0, SECOND, 2 * SECOND]);
        long.merge(&of(SECOND, &[0, 3 * SECOND, 5 * SECOND])).unwrap();
        let sent = |intervals: &Intervals| intervals.iter().map(|(_, one)| one.sent).collect::<Vec<_>>();
        assert_eq!(sent(&long), [3, 2, 1]);
        assert_eq!(long.iter().next().unwrap().1.from_plan.percentiles().unwrap().count, 3);
        let mut short = of(SECOND, &[0, 3 * SECOND, 5 * SECOND]);
        short.merge(&of(2 * SECOND, &[0, SECOND, 2 * SECOND])).unwrap();
        assert_eq!(sent(&short), [3, 2, 1], "the other way round");
        short.merge(&of(3 * SECOND, &[0])).unwrap_err();
    }
}
