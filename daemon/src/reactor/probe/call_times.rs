//! How long handlers take: a sample of all their calls.
//!
//! What is timed on suspicion is slow or stands beside something slow, so it says nothing about the others. Here every call has the
//! same chance, whatever came before it: the distance from one that is timed to the next is drawn, so that traffic with
//! a rhythm does not show one of its beats only. A call that is not drawn pays for a number that is counted down and compared, and
//! reads no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One call in so many is timed. What a sample costs, two looks at the clock and a place in a histogram, is some 300 ns: 2.4 ns a call,
/// of which the shortest that comes with a system call for its datagram takes 1.5 us.
const ONE_IN: u32 = 128;
/// Listeners whose calls are timed; those of any more are counted as left out. A histogram has 2 KiB, and 4 when a call has taken
/// ten seconds: 20,000 listeners of one port each must not take more for it than for themselves.
pub(crate) const TIMED_LISTENERS: usize = 1024;
/// What a histogram has room for from the start, ns: it grows by the few calls that take longer.
const USUAL_NS: u64 = 1_000_000;
/// Digits of a time that are kept: it is exact to a sixteenth.
const DIGITS: u8 = 1;

/// How long calls of the handlers of one listener took.
#[derive(Clone, Debug)]
pub struct CallTimes {
    /// Of the sample, ns.
    histogram: Histogram<u64>,
    sum_ns: u64,
    longest_ns: u64,
}

impl CallTimes {
    /// No times so far.
    fn new() -> Option<Self> {
        let mut histogram = Histogram::new_with_bounds(1, USUAL_NS, DIGITS).ok()?;
        histogram.auto(true);
        Some(Self { histogram, sum_ns: 0, longest_ns: 0 })
    }

    /// Calls in the sample.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.histogram.len()
    }

    /// How long they took together, ns.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The longest call that is known, of the sample or timed for another reason, ns.
    #[must_use]
    pub fn longest_ns(&self) -> u64 {
        self.longest_ns
    }

    /// So much of the sample, from 0.0 to 1.0, took at most so long, ns.
    #[must_use]
    pub fn quantile_ns(&self, part: f64) -> u64 {
        self.histogram.value_at_quantile(part).min(self.longest_ns)
    }

    /// Calls of the sample that took at most as long as each of these, ns, in their order, which grow; exact to a sixteenth.
    #[must_use]
    pub fn at_most(&self, bounds_ns: &[u64]) -> Vec<u64> {
        let mut counts = Vec::with_capacity(bounds_ns.len());
        let mut recorded = self.histogram.iter_recorded().peekable();
        let mut below = 0;
        for bound in bounds_ns {
            while let Some(step) =
                recorded.next_if(|step| self.histogram.lowest_equivalent(step.value_iterated_to()) <= *bound)
            {
                below += step.count_since_last_iteration();
            }
            counts.push(below);
        }
        counts
    }

    fn add(&mut self, took_ns: u64) {
        // It grows as far as it must; a time without a place would be longer than the machine runs.
        if self.histogram.record(took_ns).is_err() {
            self.histogram.saturating_record(took_ns);
        }
        self.sum_ns = self.sum_ns.saturating_add(took_ns);
    }
}

/// Draws the calls that are timed, and keeps what they took.
#[derive(Debug)]
pub(crate) struct CallSample {
    /// Calls until the next one that is timed.
    left: u32,
    rng: StdRng,
    times: BTreeMap<Arc<str>, CallTimes>,
    /// Samples that were not kept, since too many listeners have some.
    left_out: u64,
}

impl CallSample {
    /// A sample that repeats with its seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut sample =
            Self { left: 0, rng: StdRng::seed_from_u64(seed), times: BTreeMap::new(), left_out: 0 };
        sample.draw();
        sample
    }

    /// Whether the next call is timed for the sample; counts it.
    #[inline]
    pub(crate) fn takes_call(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        self.draw();
        true
    }

    /// Draws the next one: each distance up to twice the usual one is as likely as any other.
    #[cold]
    fn draw(&mut self) {
        self.left = self.rng.random_range(1..2 * ONE_IN);
    }

    /// Makes room for the times of a listener, so that its first sample need not.
    pub(crate) fn prepare(&mut self, name: &Arc<str>) {
        if self.times.len() < TIMED_LISTENERS && !self.times.contains_key(name) {
            self.times.extend(CallTimes::new().map(|times| (Arc::clone(name), times)));
        }
    }

    /// A call of a listener's handler was timed; `sampled` is whether it was drawn.
    #[cold]
    pub(crate) fn note(&mut self, name: &Arc<str>, took_ns: u64, sampled: bool) {
        // It may have another name than at its beginning.
        self.prepare(name);
        match self.times.get_mut(name) {
            Some(times) => {
                times.longest_ns = times.longest_ns.max(took_ns);
                if sampled {
                    times.add(took_ns);
                }
            }
            None => self.left_out += u64::from(sampled),
        }
    }

    /// How long calls of a listener's handlers took, if any was drawn.
    pub(crate) fn of(&self, name: &str) -> Option<&CallTimes> {
        self.times.get(name).filter(|times| times.samples() > 0)
    }

    /// Forgets the listeners that `stays` does not know.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&str) -> bool) {
        self.times.retain(|name, _| stays(name));
    }

    /// Samples that were not kept.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_the_same_chance_whatever_the_rhythm_of_the_traffic() {
        const CALLS: u32 = 4_000_000;
        for period in [2, 3, 64, 128, 256] {
            let mut sample = CallSample::new(7);
            let mut drawn = vec![0u32; period];
            for call in 0..CALLS as usize {
                drawn[call % period] += u32::from(sample.takes_call());
            }
            let expected = f64::from(CALLS) / f64::from(ONE_IN) / period as f64;
            // Six standard deviations of a count.
            let most = 6.0 * expected.sqrt();
            for n in drawn {
                assert!((f64::from(n) - expected).abs() < most, "{n} of {expected}, period {period}");
            }
        }
    }

    #[test]
    fn times_are_exact_to_a_sixteenth_and_the_longest_is_exact() {
        let mut sample = CallSample::new(1);
        let name: Arc<str> = Arc::from("echo");
        assert!(sample.of("echo").is_none());
        sample.note(&name, 1, false);
        assert!(sample.of("echo").is_none(), "nothing was drawn yet");
        for us in 1..=100u64 {
            sample.note(&name, us * 1000, true);
        }
        sample.note(&name, 123_456_789, false);
        let times = sample.of("echo").unwrap();
        assert_eq!((times.samples(), times.sum_ns(), times.longest_ns()), (100, 5_050_000, 123_456_789));
        let close = |got: u64, ns: u64| assert!(got >= ns && got <= ns + ns / 16 + 1, "{got} for {ns}");
        close(times.quantile_ns(0.5), 50_000);
        close(times.quantile_ns(0.99), 99_000);
        close(times.quantile_ns(1.0), 100_000);
        let counts = times.at_most(&[500, 50_000, 60_000, u64::MAX]);
        assert!((50..=53).contains(&counts[1]) && (60..=64).contains(&counts[2]), "{counts:?}");
        assert_eq!((counts[0], counts[3]), (0, 100));
    }

    #[test]
    fn any_time_has_a_place() {
        let mut sample = CallSample::new(1);
        let name: Arc<str> = Arc::from("slow");
        for ns in [0, 1, u64::MAX / 2, u64::MAX] {
            sample.note(&name, ns, true);
        }
        let times = sample.of("slow").unwrap();
        assert_eq!((times.samples(), times.sum_ns(), times.longest_ns()), (4, u64::MAX, u64::MAX));
        assert!(times.histogram.distinct_values() * size_of::<u64>() <= 8 << 10);
    }

    #[test]
    fn listeners_have_room_up_to_a_number_and_give_it_back() {
        let mut sample = CallSample::new(1);
        let names: Vec<Arc<str>> = (0..TIMED_LISTENERS + 3).map(|n| Arc::from(n.to_string())).collect();
        names.iter().for_each(|name| sample.note(name, 1000, true));
        assert_eq!(sample.left_out(), 3);
        assert!(sample.of("0").is_some() && sample.of(&TIMED_LISTENERS.to_string()).is_none());
        sample.retain(|name| name == "7");
        assert_eq!(sample.times.len(), 1);
        sample.note(names.last().unwrap(), 1000, true);
        assert_eq!((sample.times.len(), sample.left_out()), (2, 3));
    }
}
