//! A token bucket by the clock of the batch.

/// Nanoseconds of a second, in which rates are given.
const SECOND: u64 = 1_000_000_000;

/// Lets `rate` events a second pass, and that many at once after a second of silence.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Nanoseconds from one token to the next; `None` lets nothing pass.
    interval: Option<u64>,
    /// Virtual time up to which tokens were taken (GCRA): may lie up to one second ahead of the clock.
    taken_until: u64,
}

impl Bucket {
    /// A full bucket. A rate of 0 lets nothing pass; above 10^9 a second it is 10^9.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { interval: SECOND.checked_div(rate.into()).map(|ns| ns.max(1)), taken_until: 0 }
    }

    /// Takes a token at `now_ns`, if there is one.
    pub fn take(&mut self, now_ns: u64) -> bool {
        let Some(interval) = self.interval else { return false };
        let until = self.taken_until.max(now_ns).saturating_add(interval);
        let passes = until <= now_ns.saturating_add(SECOND);
        if passes {
            self.taken_until = until;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_tokens_at_once_and_then_the_rate() {
        let mut bucket = Bucket::new(10);
        let start = 77 * SECOND;
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 10);
        assert!(!bucket.take(start + SECOND / 10 - 1));
        assert!(bucket.take(start + SECOND / 10));
        assert!(!bucket.take(start + SECOND / 10));
        assert_eq!((0..20).filter(|_| bucket.take(start + 60 * SECOND)).count(), 10, "no more than a second");
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_pass() {
        assert!(!Bucket::new(0).take(SECOND));
    }
}
