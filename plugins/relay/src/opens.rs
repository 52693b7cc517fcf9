//! How many sessions begin in a second: a token bucket by the clock of the batch. It is asked before any socket is made, since a
//! forged source costs its sender one datagram, and the relay a socket.

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// Lets `rate` pass in a second, and that many at once after a second of rest. No time at all is a full bucket.
#[derive(Debug)]
pub(crate) struct Opens {
    /// Nanoseconds of a token, in 2^-16; none: no limit.
    interval: Option<u64>,
    /// The moment up to which tokens were taken (GCRA), in 2^-16 ns; may lie up to a second ahead of the clock.
    taken: u128,
}

impl Opens {
    /// A full bucket; 0 is no limit.
    pub(crate) fn new(rate: u32) -> Self {
        Self { interval: interval(rate), taken: 0 }
    }

    /// Changes the rate.
    pub(crate) fn set_rate(&mut self, rate: u32) {
        self.interval = interval(rate);
    }

    /// Takes a token at `now_ns`, if there is one.
    pub(crate) fn take(&mut self, now_ns: u64) -> bool {
        let Some(interval) = self.interval else { return true };
        let now = u128::from(now_ns) << 16;
        let next = self.taken.max(now) + u128::from(interval);
        let passes = next <= now + (u128::from(SECOND) << 16);
        if passes {
            self.taken = next;
        }
        passes
    }
}

fn interval(rate: u32) -> Option<u64> {
    (SECOND << 16).checked_div(u64::from(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(opens: &mut Opens, now_ns: u64, attempts: u32) -> u32 {
        (0..attempts).map(|_| u32::from(opens.take(now_ns))).sum()
    }

    #[test]
    fn as_many_as_the_rate_pass_at_once_and_in_each_second() {
        for rate in [1, 3, 64, 1000, 10_000_000] {
            let mut opens = Opens::new(rate);
            let start = 5 * SECOND;
            assert_eq!(passed(&mut opens, start, rate + 10), rate);
            assert_eq!(passed(&mut opens, start + SECOND / 2, rate + 10), rate / 2, "{rate}");
            assert_eq!(passed(&mut opens, start + 100 * SECOND, rate + 10), rate);
        }
    }

    #[test]
    fn a_steady_stream_gets_the_rate() {
        let mut opens = Opens::new(1000);
        let passed: u32 = (0..20_000_u64).map(|n| u32::from(opens.take(SECOND + n * SECOND / 2000))).sum();
        // Ten seconds, and the bucket that was full.
        assert!((10_999..=11_001).contains(&passed), "{passed}");
    }

    #[test]
    fn without_a_rate_all_pass_and_it_can_change() {
        let mut opens = Opens::new(0);
        assert_eq!(passed(&mut opens, 1, 100_000), 100_000);
        opens.set_rate(2);
        assert_eq!(passed(&mut opens, 1, 10), 2);
    }
}
