//! Arrivals by chance: a Poisson process that follows a profile.
//!
//! The times of a process of rate 1 are drawn, and the profile stretches them. They are drawn in blocks: first how long a
//! block is, by the gamma distribution, then how its arrivals share that, as exponential times do. So a block can be passed
//! over in one step, and each block has numbers of its own: what the seed plans does not depend on who looked when.

use polyport_protocol::Nanos;
use rand::SeedableRng;
use rand::distr::Distribution;
use rand::rngs::StdRng;
use rand_distr::{Exp1, Gamma};

use super::profile::Profile;

/// Arrivals in a block: passing over it saves so many draws.
const BLOCK: u32 = 1024;

/// The process, and how far it has come.
#[derive(Debug)]
pub(super) struct Poisson {
    profile: Profile,
    seed: u64,
    block: u64,
    /// Where the block begins and how long it is, in arrivals of rate 1.
    start: f64,
    length: f64,
    /// What the exponential times of the block add up to, and those taken so far.
    whole: f64,
    passed: f64,
    /// Arrivals of the block that are over.
    taken: u32,
    draws: StdRng,
    next: Option<Nanos>,
}

impl Poisson {
    pub(super) fn new(profile: Profile, seed: u64) -> Self {
        let draws = StdRng::seed_from_u64(seed);
        let (block, start, length, whole, passed, taken, next) = (0, 0.0, 0.0, 1.0, 0.0, 0, None);
        let mut poisson = Self { profile, seed, block, start, length, whole, passed, taken, draws, next };
        poisson.open(0, 0.0);
        poisson
    }

    /// When the next arrival is, after the start; `None` if there is none.
    pub(super) const fn next(&self) -> Option<Nanos> {
        self.next
    }

    /// The number of the next arrival.
    pub(super) fn index(&self) -> u64 {
        self.block * u64::from(BLOCK) + u64::from(self.taken)
    }

    /// All arrivals before number `index` are over.
    pub(super) fn skip_to(&mut self, index: u64) {
        let target = index / u64::from(BLOCK);
        // A block in which the load ends is gone through, so that the number of the last one stays known.
        while self.block < target && self.profile.time_of(self.start + self.length).is_some() {
            self.open(self.block + 1, self.start + self.length);
        }
        while self.index() < index && self.next.is_some() {
            self.step();
        }
    }

    /// The next arrival is over.
    pub(super) fn step(&mut self) {
        self.taken += 1;
        if self.taken == BLOCK {
            self.open(self.block + 1, self.start + self.length);
        } else {
            self.draw();
        }
    }

    /// All arrivals up to `time` are over.
    pub(super) fn pass(&mut self, time: Nanos) {
        while self.next.is_some_and(|next| next <= time) {
            // The last arrival of a block is its end.
            if self.profile.time_of(self.start + self.length).is_some_and(|end| end <= time) {
                self.open(self.block + 1, self.start + self.length);
            } else {
                self.step();
            }
        }
    }

    fn open(&mut self, block: u64, start: f64) {
        // The same draws twice: once for what they add up to, once to go through them.
        let (length, mut draws) = self.block(block);
        self.whole = (0..BLOCK).map(|_| exponential(&mut draws)).sum();
        (self.length, self.draws) = self.block(block);
        debug_assert!(self.length.to_bits() == length.to_bits(), "a seed repeats");
        (self.block, self.start, self.passed, self.taken) = (block, start, 0.0, 0);
        self.draw();
    }

    /// How long a block is, and the draws that follow.
    fn block(&self, block: u64) -> (f64, StdRng) {
        let mut draws =
            StdRng::seed_from_u64(self.seed ^ block.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let whole = f64::from(BLOCK);
        // The shape is a number of arrivals, the scale 1: there is no error.
        let length = Gamma::new(whole, 1.0).map_or(whole, |gamma| gamma.sample(&mut draws));
        (length, draws)
    }

    fn draw(&mut self) {
        self.passed += exponential(&mut self.draws);
        let share = if self.taken + 1 == BLOCK { 1.0 } else { self.passed / self.whole };
        self.next = self.profile.time_of(self.start + self.length * share);
    }
}

fn exponential(draws: &mut StdRng) -> f64 {
    Exp1.sample(draws)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times between arrivals have the mean, the spread and the tail of the exponential distribution, also across blocks.
    #[test]
    fn times_between_arrivals_are_exponential() {
        let mut poisson = Poisson::new(Profile::parse("1000:200s").unwrap(), 7);
        let mut times = Vec::new();
        while let Some(next) = poisson.next() {
            times.push(next);
            poisson.step();
        }
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect();
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let share = |beyond: f64| gaps.iter().filter(|gap| **gap > beyond).count() as f64 / count;
        for beyond in [0.1, 0.5, 1.0, 2.0, 4.0] {
            assert!((share(beyond) - (-beyond).exp()).abs() < 0.006, "{beyond}: {}", share(beyond));
        }
        let neighbours = gaps.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / count;
        assert!(neighbours.abs() < 0.02, "{neighbours}: one gap says nothing of the next");
    }
}
