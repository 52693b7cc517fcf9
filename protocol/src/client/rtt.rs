//! Round-trip time and retransmission timeout of one destination (RFC 6298 section 2; [P-78], [P-79]).

use super::backoff::TIMER_CAP;
use crate::{MILLISECOND, Nanos, SECOND};

/// Granularity G of RFC 6298: what a poll timeout can resolve.
const GRANULARITY: Nanos = MILLISECOND;

/// Longest sample believed: far above any timer, and small enough that no sum below overflows.
const MAX_SAMPLE: Nanos = 60 * SECOND;

/// First timeout and lowest timeout for a kind of path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Timeout before the first sample.
    pub initial: Nanos,
    /// The timeout never falls below this.
    pub floor: Nanos,
}

impl Preset {
    /// Across the Internet: 1 s (RFC 8085 section 3.1.1), not below 100 ms.
    pub const INTERNET: Self = Self { initial: SECOND, floor: 100 * MILLISECOND };
    /// Within a site: 250 ms, not below 10 ms.
    pub const LAN: Self = Self { initial: 250 * MILLISECOND, floor: 10 * MILLISECOND };
    /// Within a host: 50 ms, not below 2 ms.
    pub const LOOPBACK: Self = Self { initial: 50 * MILLISECOND, floor: 2 * MILLISECOND };
}

/// The estimator. Feed it only samples whose attempt is known; with [P-50] that is every reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttEstimator {
    preset: Preset,
    /// SRTT and RTTVAR.
    smoothed: Option<(Nanos, Nanos)>,
}

impl RttEstimator {
    /// An estimator without samples.
    #[must_use]
    pub const fn new(preset: Preset) -> Self {
        Self { preset, smoothed: None }
    }

    /// Takes one round-trip time.
    pub fn sample(&mut self, rtt: Nanos) {
        let rtt = rtt.min(MAX_SAMPLE);
        self.smoothed = Some(match self.smoothed {
            None => (rtt, rtt >> 1),
            Some((srtt, rttvar)) => {
                // The variance first: it is defined with the smoothed time before this sample.
                let rttvar = mix(rttvar, srtt.abs_diff(rtt), 2);
                (mix(srtt, rtt, 3), rttvar)
            }
        });
    }

    /// Smoothed round-trip time, once there is a sample.
    #[must_use]
    pub fn srtt(&self) -> Option<Nanos> {
        self.smoothed.map(|(srtt, _)| srtt)
    }

    /// The timeout of a first attempt: `SRTT + max(G, 4 RTTVAR)` between the preset's floor and 8 s.
    #[must_use]
    pub fn rto(&self) -> Nanos {
        let rto = match self.smoothed {
            None => self.preset.initial,
            Some((srtt, rttvar)) => srtt.saturating_add(rttvar.saturating_mul(4).max(GRANULARITY)),
        };
        rto.max(self.preset.floor).min(TIMER_CAP)
    }
}

/// `(1 - 2^-shift) * old + 2^-shift * new`.
const fn mix(old: Nanos, new: Nanos, shift: u32) -> Nanos {
    let weight = 1_u64 << shift;
    old.saturating_mul(weight.saturating_sub(1)).saturating_add(new) >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_samples_follow_rfc_6298() {
        let mut rtt = RttEstimator::new(Preset::INTERNET);
        assert_eq!(rtt.rto(), SECOND);
        rtt.sample(200 * MILLISECOND);
        assert_eq!(rtt.rto(), 600 * MILLISECOND, "R + 4 * R/2");
        rtt.sample(280 * MILLISECOND);
        assert_eq!(rtt.srtt(), Some(210 * MILLISECOND), "7/8 * 200 + 1/8 * 280");
        assert_eq!(rtt.rto(), 590 * MILLISECOND, "210 + 4 * (3/4 * 100 + 1/4 * 80)");
    }

    #[test]
    fn a_steady_path_ends_at_its_time_plus_granularity_or_the_floor() {
        for (preset, path, expected) in [
            (Preset::INTERNET, 150 * MILLISECOND, 151 * MILLISECOND),
            (Preset::INTERNET, 20 * MILLISECOND, 100 * MILLISECOND),
            (Preset::LAN, MILLISECOND, 10 * MILLISECOND),
            (Preset::LOOPBACK, 50_000, 2 * MILLISECOND),
        ] {
            let mut rtt = RttEstimator::new(preset);
            (0..200).for_each(|_| rtt.sample(path));
            assert_eq!(rtt.rto(), expected);
        }
    }

    #[test]
    fn absurd_samples_do_not_overflow_and_stay_below_the_cap() {
        let mut rtt = RttEstimator::new(Preset::LOOPBACK);
        for sample in [u64::MAX, 0, u64::MAX, u64::MAX, 1] {
            rtt.sample(sample);
            assert!((2 * MILLISECOND..=TIMER_CAP).contains(&rtt.rto()));
        }
    }
}
