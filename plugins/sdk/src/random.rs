//! Randomness that repeats: splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
//! Generators, 2014), the same numbers on every host and the same as `pp_random` in C.

use core::time::Duration;

use crate::config::Ratio;
use crate::time::nanos;

/// The golden ratio in 64 bits: the step of the generator.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sequence of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Starts at `seed`; any value will do.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        finish(self.0)
    }

    /// True in a share of `ratio` of the calls.
    pub fn hit(&mut self, ratio: Ratio) -> bool {
        ratio.hit(self.next_u64())
    }

    /// Uniform from zero to `most`, both included.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        up_to(self.next_u64(), most)
    }
}

/// 64 random bits that depend on nothing but the arguments: a decision about the `b`-th datagram of `a`
/// stays the same whatever else is going on.
#[must_use]
pub const fn mix(seed: u64, a: u64, b: u64) -> u64 {
    let mut z = finish(seed.wrapping_add(STEP));
    z = finish((z ^ a).wrapping_add(STEP));
    finish((z ^ b).wrapping_add(STEP))
}

/// Maps 64 random bits to a uniform duration from zero to `most`, both included.
#[must_use]
pub fn up_to(random: u64, most: Duration) -> Duration {
    let span = u128::from(nanos(most)) + 1;
    // The high half of the product is below `span`, which is at most 2^64.
    let drawn = (u128::from(random) * span) >> 64;
    Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX))
}

const fn finish(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published sequence of splitmix64 for seed 1234567.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        let first = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn mix_depends_on_every_argument() {
        let base = mix(1, 2, 3);
        assert_eq!(base, mix(1, 2, 3));
        for other in [mix(2, 2, 3), mix(1, 3, 3), mix(1, 2, 4), mix(2, 1, 3), mix(1, 3, 2)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn up_to_reaches_both_ends() {
        let most = Duration::from_nanos(3);
        assert_eq!(up_to(0, most), Duration::ZERO);
        assert_eq!(up_to(u64::MAX, most), most);
        assert_eq!(up_to(u64::MAX, Duration::ZERO), Duration::ZERO);
    }
}
