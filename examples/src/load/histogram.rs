//! Latencies: histograms of fixed size, so that recording does not allocate (but for the first answer of a target), and
//! what is read from them.

use hdrhistogram::{Counter, CreationError, Histogram};
use polyport_protocol::{Nanos, SECOND};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest latency told apart. What is longer is recorded as this long and counted.
pub const LONGEST: Nanos = 60 * SECOND;

/// Significant digits of the histograms of a run: 221 kB each.
pub const DIGITS_TOTAL: u8 = 3;

/// Significant digits of the histogram of one target: 15 kB each, 15 MB for a thousand targets.
pub const DIGITS_TARGET: u8 = 2;

/// One histogram, how often it was too short, and the exact ends of what was recorded.
#[derive(Clone, Debug)]
pub struct Latency<C: Counter> {
    histogram: Histogram<C>,
    beyond: u64,
    min: Nanos,
    max: Nanos,
}

/// The histogram of a run.
pub type TotalLatency = Latency<u64>;

/// The histogram of one target, or of one interval.
pub type TargetLatency = Latency<u32>;

impl TotalLatency {
    /// Empty.
    ///
    /// # Errors
    /// None with these bounds; the library cannot know.
    pub fn total() -> Result<Self, CreationError> {
        Self::new(DIGITS_TOTAL)
    }
}

impl TargetLatency {
    /// Empty.
    ///
    /// # Errors
    /// None with these bounds; the library cannot know.
    pub fn target() -> Result<Self, CreationError> {
        Self::new(DIGITS_TARGET)
    }
}

impl<C: Counter> Latency<C> {
    fn new(digits: u8) -> Result<Self, CreationError> {
        Ok(Self {
            histogram: Histogram::new_with_bounds(1, LONGEST, digits)?,
            beyond: 0,
            min: Nanos::MAX,
            max: 0,
        })
    }

    /// Records one latency.
    pub fn record(&mut self, latency: Nanos) {
        self.beyond += u64::from(latency > LONGEST);
        self.min = self.min.min(latency);
        self.max = self.max.max(latency);
        self.histogram.saturating_record(latency.min(LONGEST));
    }

    /// The histogram with what was recorded before it was written down.
    ///
    /// # Errors
    /// The histogram has other bounds than ours.
    pub fn restore(histogram: Histogram<C>, digits: u8, read: &Percentiles) -> Result<Self, String> {
        let empty = Self::new(digits).map_err(|error| error.to_string())?;
        let shape = |histogram: &Histogram<C>| (histogram.low(), histogram.high(), histogram.sigfig());
        if shape(&histogram) != shape(&empty.histogram) {
            return Err(format!(
                "its bounds are {:?}, and ours {:?}",
                shape(&histogram),
                shape(&empty.histogram)
            ));
        }
        if histogram.len() != read.count {
            return Err(format!("it has {} latencies, and its `count` says {}", histogram.len(), read.count));
        }
        Ok(Self { histogram, beyond: read.beyond, min: read.min, max: read.max })
    }

    /// Adds all that another one has recorded.
    pub fn add(&mut self, other: &Self) {
        // Bounds and digits are the same, and that is all that the library could complain about. A count stops at the most
        // that its type holds.
        if let Err(error) = self.histogram.add(&other.histogram) {
            unreachable!("histograms of one shape add up: {error}");
        }
        self.beyond = self.beyond.saturating_add(other.beyond);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.reset();
        (self.beyond, self.min, self.max) = (0, Nanos::MAX, 0);
    }

    /// The buckets.
    #[must_use]
    pub const fn histogram(&self) -> &Histogram<C> {
        &self.histogram
    }

    /// What is read from it; `None` if nothing was recorded.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        // A bucket is read at its upper end, which no latency need have reached.
        let at = |quantile| self.histogram.value_at_quantile(quantile).min(self.max);
        (!self.histogram.is_empty()).then(|| Percentiles {
            count: self.histogram.len(),
            beyond: self.beyond,
            min: self.min,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: self.max,
            mean: whole(self.histogram.mean()).min(self.max),
            stddev: whole(self.histogram.stdev()),
        })
    }

    /// What this share, of 1, is not longer than; `None` if nothing was recorded.
    #[must_use]
    pub fn at_quantile(&self, quantile: f64) -> Option<Nanos> {
        (!self.histogram.is_empty()).then(|| self.histogram.value_at_quantile(quantile).min(self.max))
    }

    /// Takes away what was there `before`. Its ends are those of the buckets that are left.
    pub fn subtract(&mut self, before: &Self) {
        // Whatever cannot be taken away was not there before: the other one is older, or of another run.
        if self.histogram.subtract(&before.histogram).is_err() {
            return;
        }
        self.beyond = self.beyond.saturating_sub(before.beyond);
        self.min = if self.histogram.is_empty() { Nanos::MAX } else { self.histogram.min() };
        self.max = self.histogram.max().min(self.max);
    }

    /// What so many percent are not longer than; `None` if nothing was recorded.
    #[must_use]
    pub fn at(&self, percent: Percent) -> Option<Nanos> {
        (!self.histogram.is_empty())
            .then(|| self.histogram.value_at_quantile(percent.0 / 100.0).min(self.max))
    }
}

/// The points of a distribution, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// Latencies recorded.
    pub count: u64,
    /// Latencies above 60 s, the longest told apart.
    pub beyond: u64,
    /// The shortest latency, exactly.
    pub min: Nanos,
    /// Half of the latencies are not longer.
    pub p50: Nanos,
    /// Nine of ten latencies are not longer.
    pub p90: Nanos,
    /// 95 of 100 latencies are not longer.
    pub p95: Nanos,
    /// 99 of 100 latencies are not longer.
    pub p99: Nanos,
    /// 999 of 1000 latencies are not longer.
    #[serde(rename = "p99.9")]
    pub p99_9: Nanos,
    /// 9999 of 10000 latencies are not longer.
    #[serde(rename = "p99.99")]
    pub p99_99: Nanos,
    /// The longest latency, exactly.
    pub max: Nanos,
    /// The mean.
    pub mean: Nanos,
    /// The standard deviation. Latencies are not normally distributed: percentiles say more.
    pub stddev: Nanos,
}

/// A percentile that the user chose, above 0 and at most 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// Parses `50` or `99.99`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_start_matches('p').parse::<f64>().ok();
        let number = number.filter(|number| *number > 0.0 && *number <= 100.0);
        number.map(Self).ok_or_else(|| {
            format!("`{text}` is no percentile: write numbers above 0 and up to 100, such as 50,90,99.9")
        })
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p{}", self.0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time is not negative, and far below 2^53 ns"
)]
const fn whole(nanos: f64) -> Nanos {
    nanos as Nanos
}

impl Percentiles {
    /// The columns of a report, with their names.
    #[must_use]
    pub const fn columns(&self) -> [(&'static str, Nanos); 9] {
        [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
            ("p99.99", self.p99_99),
            ("max", self.max),
            ("mean", self.mean),
            ("stddev", self.stddev),
        ]
    }
}

/// All latencies of a run.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Answer after planned time: what a user would have waited.
    pub from_plan: TotalLatency,
    /// Answer after actual sending: what server and network took.
    pub from_send: TotalLatency,
    /// Actual sending after planned time: what this program itself was late.
    pub lag: TotalLatency,
    /// By how much neighbours' round trips differ (RFC 3393, of round trips).
    pub ipdv: TotalLatency,
    /// `from_plan` of each target that has answered: of all ports of a host they would fill a gigabyte.
    pub targets: Vec<Option<TargetLatency>>,
    /// What a target starts with.
    empty: TargetLatency,
    /// Datagrams that left more than [`LATE_SEND`] after their planned time.
    pub late_sends: u64,
}

/// A lag that deserves to be mentioned: ten times what a sleeping thread needs to wake up.
pub const LATE_SEND: Nanos = 1_000_000;

impl Latencies {
    /// Empty, for this many targets.
    ///
    /// # Errors
    /// None with these bounds; the library cannot know.
    pub fn new(targets: usize) -> Result<Self, CreationError> {
        Ok(Self {
            from_plan: TotalLatency::total()?,
            from_send: TotalLatency::total()?,
            lag: TotalLatency::total()?,
            ipdv: TotalLatency::total()?,
            targets: vec![None; targets],
            empty: TargetLatency::target()?,
            late_sends: 0,
        })
    }

    /// Adds those of another thread, for the same targets.
    pub fn add(&mut self, other: &Self) {
        self.from_plan.add(&other.from_plan);
        self.from_send.add(&other.from_send);
        self.lag.add(&other.lag);
        self.ipdv.add(&other.ipdv);
        for (mine, theirs) in self.targets.iter_mut().zip(&other.targets) {
            if let Some(theirs) = theirs {
                mine.get_or_insert_with(|| self.empty.clone()).add(theirs);
            }
        }
        self.late_sends += other.late_sends;
    }

    /// A datagram left.
    pub fn left(&mut self, planned: Nanos, sent: Nanos) {
        let lag = sent.saturating_sub(planned);
        self.lag.record(lag);
        self.late_sends += u64::from(lag > LATE_SEND);
    }

    /// Its first answer came.
    pub fn answered(&mut self, target: usize, planned: Nanos, sent: Nanos, arrival: Nanos) {
        let from_plan = arrival.saturating_sub(planned);
        self.from_plan.record(from_plan);
        self.from_send.record(arrival.saturating_sub(sent));
        if let Some(histogram) = self.targets.get_mut(target) {
            histogram.get_or_insert_with(|| self.empty.clone()).record(from_plan);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_the_promised_digits() {
        let mut latency = TotalLatency::total().unwrap();
        assert_eq!(latency.percentiles(), None);
        (1..=1000).for_each(|i| latency.record(i * 1_000_000));
        let read = latency.percentiles().unwrap();
        for (value, exact) in
            [(read.p50, 500), (read.p90, 900), (read.p99, 990), (read.p99_9, 999), (read.max, 1000)]
        {
            let exact = exact * 1_000_000;
            assert!(value >= exact && value - exact <= exact / 1000, "{value} for {exact}");
        }
        assert_eq!((read.count, read.beyond, read.min, read.max), (1000, 0, 1_000_000, 1_000_000_000));
        let columns = read.columns();
        assert_eq!(
            columns.map(|(name, _)| name),
            ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "mean", "stddev"]
        );
        let values = [read.p50, read.p90, read.p95, read.p99, read.p99_9, read.p99_99, read.max];
        assert_eq!(columns.map(|(_, value)| value)[..7], values);
        // Of 1 to 1000 ms evenly: 500.5 and 288.7.
        assert!(read.mean.abs_diff(500_500_000) < 500_000, "{}", read.mean);
        assert!(read.stddev.abs_diff(288_675_000) < 500_000, "{}", read.stddev);
        assert_eq!(latency.at(Percent::parse("99.99").unwrap()), Some(read.p99_99));
        assert_eq!(latency.at(Percent::parse("p50").unwrap()), Some(read.p50));
        for wrong in ["0", "101", "-1", "x", "", "nan"] {
            Percent::parse(wrong).unwrap_err();
        }
    }

    #[test]
    fn what_is_too_long_is_counted_and_kept_at_the_end() {
        let mut latency = TargetLatency::target().unwrap();
        latency.record(LONGEST);
        latency.record(LONGEST + 1);
        latency.record(u64::MAX);
        let read = latency.percentiles().unwrap();
        assert_eq!((read.count, read.beyond), (3, 2));
        assert_eq!((read.min, read.max), (LONGEST, u64::MAX));
        assert!(read.p50 >= LONGEST);
    }

    #[test]
    fn what_threads_recorded_is_what_one_would_have() {
        let mut parts = [Latencies::new(2).unwrap(), Latencies::new(2).unwrap()];
        let mut whole = Latencies::new(2).unwrap();
        for n in 0..1000_u64 {
            let (planned, sent) = (n * 1000, n * 1000 + n * 2000);
            let arrival = sent + n * n * n * 100;
            for latencies in [&mut parts[usize::from(n % 3 == 0)], &mut whole] {
                latencies.left(planned, sent);
                latencies.answered(usize::from(n > 300), planned, sent, arrival);
                latencies.ipdv.record(n * n);
            }
        }
        let [mut one, other] = parts;
        one.add(&other);
        let read = |latencies: &Latencies| {
            let totals = [&latencies.from_plan, &latencies.from_send, &latencies.lag, &latencies.ipdv]
                .map(Latency::percentiles);
            let targets: Vec<_> =
                latencies.targets.iter().map(|latency| latency.as_ref().unwrap().percentiles()).collect();
            (totals, targets, latencies.late_sends)
        };
        assert_eq!(read(&one), read(&whole));
        assert!(read(&one).0[0].unwrap().beyond > 0);
    }

    #[test]
    fn plan_and_departure_are_two_clocks() {
        let mut latencies = Latencies::new(2).unwrap();
        latencies.left(1_000, 3_000_000);
        latencies.answered(1, 1_000, 3_000_000, 3_500_000);
        let p50 = |latency: &TotalLatency| latency.percentiles().unwrap().p50;
        let read = (p50(&latencies.from_plan), p50(&latencies.from_send), p50(&latencies.lag));
        assert_eq!(read, (3_499_000, 500_000, 2_999_000));
        assert_eq!(latencies.late_sends, 1);
        latencies.left(1_000, 1_000 + LATE_SEND);
        assert_eq!(latencies.late_sends, 1, "only what is later than that deserves to be mentioned");
        assert!(
            latencies.targets[0].is_none() && latencies.targets[1].as_ref().unwrap().percentiles().is_some()
        );
    }
}
