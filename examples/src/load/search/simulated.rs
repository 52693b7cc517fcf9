//! Servers whose capacity is known, without sockets. The formulas are those of `tests/bench/mlrsearch.py`.

use polyport_protocol::{Nanos, SECOND};
use serde::Deserialize;

use super::{Ask, Goal, Outcome, Search, Trial};

/// A server: what it loses follows from the load, the number of the trial and the time before it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Server {
    /// Loses exactly what is above its limit.
    Sharp { limit: f64 },
    /// The limit is another one in each trial.
    Noisy { limit: f64, noise: f64, seed: u64 },
    /// Loses more the more it is loaded beyond its limit.
    Soft { limit: f64, slope: f64 },
    /// Loses everything for `stall` seconds, `every` so many.
    Stalling { limit: f64, every: f64, stall: f64 },
    /// A queue whose 99th percentile, in seconds, must stay below `p99`.
    Queue { limit: f64, p99: f64 },
}

/// What was simulated so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    pub(super) trials: u64,
    pub(super) seconds: f64,
}

impl Server {
    pub(super) fn loss(&self, Ask { rate, duration }: Ask, past: Past) -> f64 {
        let over = |limit: f64| (1.0 - limit / rate).max(0.0);
        match *self {
            Self::Sharp { limit } | Self::Queue { limit, .. } => over(limit),
            Self::Noisy { limit, noise, seed } => {
                over(limit * (1.0 + noise * (2.0 * uniform(seed, past.trials) - 1.0)))
            }
            Self::Soft { limit, slope } => (rate / limit - 1.0).max(0.0) * slope,
            Self::Stalling { limit, every, stall } => {
                let duration = seconds(duration);
                let begun = ((past.seconds + duration) / every).floor() - (past.seconds / every).floor();
                over(limit).max((begun * stall / duration).min(1.0))
            }
        }
    }

    /// Whether it is as quick as it must be.
    pub(super) fn is_quick(&self, rate: f64) -> bool {
        match *self {
            // Of an M/M/1 queue: its times have an exponential distribution.
            Self::Queue { limit, p99 } => rate < limit && 100.0_f64.ln() / (limit - rate) < p99,
            Self::Sharp { .. } | Self::Noisy { .. } | Self::Soft { .. } | Self::Stalling { .. } => true,
        }
    }

    pub(super) fn measure(&self, ask: Ask, goals: &[Goal], past: &mut Past) -> Trial {
        let loss_ratio = self.loss(ask, *past).min(1.0);
        let good = |goal: &Goal| loss_ratio <= goal.loss_ratio && self.is_quick(ask.rate);
        past.trials += 1;
        past.seconds += seconds(ask.duration);
        Trial { duration: ask.duration, loss_ratio, good: goals.iter().map(good).collect() }
    }

    /// Searches, and says how long it took.
    pub(super) fn search(&self, goals: &[Goal], lowest: f64, highest: f64) -> (Search, Past) {
        let mut search = Search::new(goals, lowest, highest).unwrap();
        let mut past = Past::default();
        while let Some(ask) = search.ask() {
            assert_eq!(search.ask(), Some(ask), "nothing changes before the answer");
            assert!((lowest..=highest).contains(&ask.rate), "{ask:?}");
            search.tell(Outcome::Counted(self.measure(ask, goals, &mut past)));
            assert!(past.trials < 2000, "no end: {search:?}");
        }
        (search, past)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a search takes less than 104 days")]
pub(super) fn seconds(span: Nanos) -> f64 {
    span as f64 / SECOND as f64
}

/// `SplitMix64`, as a number from 0 to below 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
pub(super) fn uniform(seed: u64, index: u64) -> f64 {
    let mut bits = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ bits >> 31) >> 11) as f64 / (1_u64 << 53) as f64
}
