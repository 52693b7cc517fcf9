//! Randomness that repeats: every number is a function of the seed, the direction, the kind of decision, the client and
//! the number of the datagram. So no decision shifts another, and a run repeats however datagrams fall into batches.
//!
//! ```text
//! x(s, n) = mix(mix(seed, s | direction << 32, 0), client, n)      s: the stream, n: the datagram, from 0
//! ```

/// The golden ratio in 64 bits: the step of splitmix64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// 64 random bits that depend on nothing but the arguments. The function of `polyport_plugin::mix` and of `pp_random`.
#[must_use]
pub const fn mix(seed: u64, a: u64, b: u64) -> u64 {
    finish(last(seed, a) ^ b)
}

/// All of [`mix`] but what the last argument adds.
const fn last(seed: u64, a: u64) -> u64 {
    finish(finish(seed) ^ a)
}

/// A step of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
const fn finish(z: u64) -> u64 {
    let z = z.wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform from 0 up to `span`, without it; 0 for a span of 0.
#[must_use]
pub(crate) const fn below(random: u64, span: u64) -> u64 {
    ((random as u128 * span as u128) >> 64) as u64
}

/// Which way a datagram goes: both ways of a client have decisions of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
pub enum Direction {
    /// There is only one: from the handler back to its client.
    #[default]
    Only = 0,
    /// From the client to the server.
    Up = 1,
    /// From the server to the client.
    Down = 2,
}

impl Direction {
    /// As the decision log says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The streams, one a kind of decision. The numbers are part of what makes a run repeat: do not renumber them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Stream {
    Loss = 1,
    Duplicate = 2,
    Corrupt = 3,
    Bit = 4,
    Late = 5,
    Jitter = 6,
    ElliottState = 7,
    ElliottLoss = 8,
    FourStates = 9,
    Reorder = 10,
    Slot = 11,
}

/// Added to a stream: whether the decision before is taken over.
const CORRELATION: usize = 32;
/// Added to a stream: the decision about the copy of a datagram.
const COPY: usize = 64;
/// The streams that there are.
const STREAMS: usize = COPY + Stream::Slot as usize + 1;

/// The streams of one seed and direction, with all done that is the same for every client.
#[derive(Clone, Debug)]
pub(crate) struct Streams([u64; STREAMS]);

impl Streams {
    pub(crate) fn new(seed: u64, direction: Direction) -> Self {
        let stream = |s: usize| finish(mix(seed, s as u64 | (direction as u64) << 32, 0));
        Self(core::array::from_fn(stream))
    }

    /// The number of a stream for datagram n of a client.
    #[inline]
    pub(crate) const fn draw(&self, stream: Stream, client: u64, n: u64) -> u64 {
        Self::of(self.0[stream as usize], client, n)
    }

    /// Whether the decision before is taken over: stream 32 + s.
    #[inline]
    pub(crate) const fn correlation(&self, stream: Stream, client: u64, n: u64) -> u64 {
        Self::of(self.0[CORRELATION + stream as usize], client, n)
    }

    /// The number for the copy of a datagram: stream 64 + s.
    #[inline]
    pub(crate) const fn copy(&self, stream: Stream, client: u64, n: u64) -> u64 {
        Self::of(self.0[COPY + stream as usize], client, n)
    }

    const fn of(base: u64, client: u64, n: u64) -> u64 {
        finish(finish(base ^ client) ^ n)
    }
}

/// A probability as a threshold for 53 random bits: exact for every share that a text can name, and no float where it is
/// used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

impl Share {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(Self::WHOLE);
    const WHOLE: u64 = 1 << 53;

    /// From a share of 0 to 1; `None` outside, and for NaN. Rounded up to a multiple of 2^-53: a share above zero is never
    /// zero.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        #[expect(clippy::float_arithmetic, reason = "worked out once, of options")]
        #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
        let scaled = libm::ceil(share * Self::WHOLE as f64);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^53, and whole")]
        (0.0..=1.0).contains(&share).then_some(Self(scaled as u64))
    }

    /// 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        #[expect(clippy::float_arithmetic, reason = "for whoever shows or checks it")]
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let share = self.0 as f64 / Self::WHOLE as f64;
        share
    }

    /// True for this share of all 64-bit numbers.
    #[inline]
    #[must_use]
    pub const fn hit(self, random: u64) -> bool {
        random >> 11 < self.0
    }

    /// The share of a sum, at most all.
    pub(crate) const fn plus(self, other: Self) -> Self {
        let sum = self.0 + other.0;
        Self(if sum > Self::WHOLE { Self::WHOLE } else { sum })
    }

    /// Whether both together are more than all.
    pub(crate) const fn exceeds_with(self, other: Self) -> bool {
        self.0 + other.0 > Self::WHOLE
    }

    /// What is missing to all.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::WHOLE - self.0)
    }

    /// The 32 bits that tc(8) hands to the kernel for this share.
    pub(crate) const fn in_32_bits(self) -> u32 {
        let bits = self.0 >> 21;
        #[expect(clippy::cast_possible_truncation, reason = "2^53 is 2^32 here, which is taken away")]
        let bits = if bits > u32::MAX as u64 { u32::MAX } else { bits as u32 };
        bits
    }

    /// Nothing is ever hit.
    #[inline]
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_are_mix_of_all_arguments() {
        let seed = 0x0123_4567_89AB_CDEF;
        let streams = Streams::new(seed, Direction::Down);
        let expected = |s: u64| mix(mix(seed, s | 2 << 32, 0), 77, 5);
        assert_eq!(streams.draw(Stream::Jitter, 77, 5), expected(6));
        assert_eq!(streams.correlation(Stream::Reorder, 77, 5), expected(42));
        assert_eq!(streams.copy(Stream::Bit, 77, 5), expected(68));
    }

    /// The published sequence of splitmix64 for seed 1234567 is what the steps are made of.
    #[test]
    fn a_step_is_splitmix64() {
        assert_eq!(finish(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(finish(1_234_567_u64.wrapping_add(STEP)), 3_203_168_211_198_807_973);
    }

    #[test]
    fn shares_hit_their_share_exactly() {
        let half = Share::new(0.5).unwrap();
        assert!(half.hit(u64::MAX >> 1) && !half.hit((u64::MAX >> 1) + 1));
        assert!(Share::ALWAYS.hit(u64::MAX) && !Share::NEVER.hit(0));
        assert!(Share::new(f64::MIN_POSITIVE).unwrap().hit(0));
        assert_eq!((Share::new(1.0), Share::new(0.0)), (Some(Share::ALWAYS), Some(Share::NEVER)));
        for wrong in [-0.1, 1.000_000_1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::new(wrong), None);
        }
        let quarter = Share::new(0.25).unwrap();
        assert_eq!((quarter.rest().get().to_bits(), quarter.in_32_bits()), (0.75_f64.to_bits(), 1 << 30));
        assert_eq!(Share::ALWAYS.in_32_bits(), u32::MAX);
    }

    #[test]
    fn below_reaches_both_ends_and_never_its_span() {
        assert_eq!((below(0, 10), below(u64::MAX, 10), below(u64::MAX, 0)), (0, 9, 0));
        assert_eq!(below(u64::MAX, u64::MAX), u64::MAX - 1);
    }
}
