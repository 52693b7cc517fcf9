//! When each datagram should leave, and to whom: both follow from its number alone.

use polyport_protocol::client::Pacer;
use polyport_protocol::{Nanos, SECOND};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::nanos;

/// Datagrams a time, as `50000/s`, `1.5k/s` or `30/m` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Datagrams in each period.
    pub count: u64,
    /// Nanoseconds over which they are spaced evenly.
    pub period: Nanos,
}

/// How targets take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// One after the other
    #[default]
    RoundRobin,
    /// Each datagram to a target drawn by the seed
    Random,
}

/// Which datagram goes where.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// How targets take turns.
    pub distribution: Distribution,
    /// Number of targets, at least 1.
    pub targets: u64,
    /// Streams for each target, at least 1.
    pub streams: u32,
    /// Seed of [`Distribution::Random`].
    pub seed: u64,
}

impl Rate {
    /// The schedule from `start`, for `duration`.
    #[must_use]
    pub fn schedule(self, start: Nanos, duration: Nanos) -> Pacer {
        Pacer::new(start, self.count, self.period).with_total(self.total(duration))
    }

    /// Datagrams in `duration`: those planned before its end.
    #[must_use]
    pub fn total(self, duration: Nanos) -> u64 {
        match duration.checked_sub(1) {
            None => 0,
            Some(last) => Pacer::new(0, self.count, self.period).due(last),
        }
    }

    /// Datagrams a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 10^9 datagrams in at most 100 days")]
    pub fn per_second(self) -> f64 {
        self.count as f64 * SECOND as f64 / self.period as f64
    }

    /// Parses `50000/s`, `1.5k/s`, `2M/s` or `30/m`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rate = polyport_value::rate(text)?;
        let rate = Self { count: rate.count, period: nanos(rate.period) };
        if rate.count > rate.period {
            return Err("at most 1000M/s: the schedule counts nanoseconds".to_owned());
        }
        if rate.period > LONGEST {
            return Err("fewer digits behind the point: it repeats after more than 100 days".to_owned());
        }
        Ok(rate)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.period {
            SECOND => write!(f, "{}/s", self.count),
            MINUTE => write!(f, "{}/m", self.count),
            period => write!(f, "{} in {} s", self.count, period / SECOND),
        }
    }
}

/// Longest part of a run: far beyond any test. The nanoseconds of it, and the datagrams of the highest rate, stay below
/// 2^53, so that every program reads them exactly from JSON (RFC 8259 section 6).
pub const LONGEST: Nanos = 100 * 24 * 3600 * SECOND;

const MINUTE: Nanos = 60 * SECOND;

impl Turns {
    /// Target and stream of datagram `index`.
    #[must_use]
    pub fn of(&self, index: u64) -> (usize, u32) {
        let targets = self.targets.max(1);
        let target = match self.distribution {
            Distribution::RoundRobin => index % targets,
            // The bias of the remainder is below 2^-48 for as many targets as there are ports.
            Distribution::Random => scramble(self.seed, index) % targets,
        };
        let which = index / targets % u64::from(self.streams.max(1));
        (usize::try_from(target).unwrap_or(0), u32::try_from(which).unwrap_or(0))
    }
}

/// A number for each index that looks random: the finaliser of `SplitMix64`.
const fn scramble(seed: u64, index: u64) -> u64 {
    let mut bits = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let rate = |text| Rate::parse(text).map(|rate| (rate.count, rate.period / SECOND));
        assert_eq!(rate("50000/s"), Ok((50_000, 1)));
        assert_eq!(rate("50000"), Ok((50_000, 1)));
        assert_eq!(rate("1.5k/s"), Ok((1_500, 1)));
        assert_eq!(rate("2M/s"), Ok((2_000_000, 1)));
        assert_eq!(rate("0.5/s"), Ok((5, 10)));
        assert_eq!(rate("30/m"), Ok((30, 60)));
        assert_eq!(rate("999M/s"), Ok((999_000_000, 1)));
        assert_eq!(rate("1000M/s"), Ok((1_000_000_000, 1)));
        for wrong in [
            "",
            "0",
            "0/s",
            "/s",
            "1/x",
            "-1/s",
            "1e3/s",
            "k/s",
            "1.2.3/s",
            "9999999999999/s",
            "1001M/s",
            "0.000001/h",
            "1.000001/m",
        ] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_duration_holds_what_is_planned_before_its_end() {
        let total = |text, nanos| Rate::parse(text).unwrap().total(nanos);
        assert_eq!(total("1000/s", 3 * SECOND), 3000);
        assert_eq!(total("1000/s", 1), 1, "datagram 0 leaves at the start");
        assert_eq!(total("1000/s", 0), 0);
        assert_eq!(total("0.5/s", SECOND), 1);
        assert_eq!(total("7/s", SECOND), 7);
    }

    #[test]
    fn every_stream_of_every_target_has_its_turn() {
        let turns = Turns { distribution: Distribution::RoundRobin, targets: 3, streams: 2, seed: 0 };
        let all: Vec<_> = (0..7).map(|index| turns.of(index)).collect();
        assert_eq!(all, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 0)]);
    }

    #[test]
    fn random_turns_repeat_by_seed_and_are_even() {
        let turns = |seed| Turns { distribution: Distribution::Random, targets: 4, streams: 1, seed };
        let draw = |seed| (0..8000).map(|i| turns(seed).of(i).0).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for target in 0..4 {
            let share = draw(1).iter().filter(|t| **t == target).count();
            assert!((1800..2200).contains(&share), "{share}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_never_yields_zero(text in ".{0,16}") {
            if let Ok(rate) = Rate::parse(&text) {
                prop_assert!(rate.count > 0 && rate.period > 0);
            }
        }
    }
}
