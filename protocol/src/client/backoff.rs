//! How long to wait before another attempt ([P-80], [P-81]).
//!
//! Jitter has two jobs. A retransmission timer has a floor, the RTO, below which no reply can be here; it is
//! spread above that floor (RFC 7252 section 4.2 does the same). After BUSY the peers contend for room, and
//! what counts is to spread them widely.

use rand_core::Rng;

use crate::{MILLISECOND, Nanos, SECOND};

/// Transmissions of one request, the first included.
pub const MAX_TRANSMISSIONS: u8 = 6;

/// No timer is longer.
pub const TIMER_CAP: Nanos = 8 * SECOND;

/// The timer of attempt `attempt` (from 0): `rto * 2^attempt * U(1, 1.5)`, at most [`TIMER_CAP`].
pub fn retransmit_timer<R: Rng>(rto: Nanos, attempt: u8, rng: &mut R) -> Nanos {
    let doubled =
        1_u64.checked_shl(u32::from(attempt)).map_or(TIMER_CAP, |factor| rto.saturating_mul(factor));
    let doubled = doubled.min(TIMER_CAP);
    doubled.saturating_add(below(doubled >> 1, rng)).min(TIMER_CAP)
}

/// A wait drawn evenly from 0 to `limit`.
pub fn full_jitter<R: Rng>(limit: Nanos, rng: &mut R) -> Nanos {
    below(limit, rng)
}

/// The wait after BUSY: never below what the responder asked for, and spread over as much again ([P-103]).
/// `retry_after` is the value of `RETRY_AFTER` in nanoseconds, 0 if there was none.
pub fn busy_wait<R: Rng>(retry_after: Nanos, rto: Nanos, rng: &mut R) -> Nanos {
    let base = retry_after.max(rto);
    base.saturating_add(full_jitter(base, rng))
}

/// The textbook schedule of the raw mode: waits of 0.1 s, doubling, given up when the next would exceed 2 s.
///
/// It has no jitter and no estimate; it exists to be compared with the timers above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Textbook {
    next: Nanos,
}

impl Textbook {
    /// First wait.
    pub const FIRST: Nanos = 100 * MILLISECOND;
    /// A wait beyond this is not waited.
    pub const LIMIT: Nanos = 2 * SECOND;

    /// The schedule from its start: 0.1, 0.2, 0.4, 0.8, 1.6 s.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: Self::FIRST }
    }
}

impl Default for Textbook {
    fn default() -> Self {
        Self::new()
    }
}

impl Iterator for Textbook {
    type Item = Nanos;

    fn next(&mut self) -> Option<Nanos> {
        let wait = (self.next <= Self::LIMIT).then_some(self.next)?;
        self.next = wait.saturating_mul(2);
        Some(wait)
    }
}

/// An even draw from `0..=limit`: the high half of a 128-bit product. Its bias is below 2^-64 * limit.
fn below<R: Rng>(limit: Nanos, rng: &mut R) -> Nanos {
    let product = u128::from(rng.next_u64()).saturating_mul(u128::from(limit).saturating_add(1));
    u64::try_from(product >> 64).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// Enough to reach both ends of a range.
    const DRAWS: u32 = if cfg!(miri) { 40 } else { 1000 };

    #[test]
    fn timers_double_within_their_band_up_to_the_cap() {
        let mut rng = StdRng::seed_from_u64(3);
        let rto = 300 * MILLISECOND;
        for attempt in (0..=255_u8).step_by(if cfg!(miri) { 51 } else { 1 }) {
            let low =
                rto.saturating_mul(1_u64.checked_shl(attempt.into()).unwrap_or(u64::MAX)).min(TIMER_CAP);
            let timers: Vec<_> = (0..DRAWS).map(|_| retransmit_timer(rto, attempt, &mut rng)).collect();
            let band = low..=(low + low / 2).min(TIMER_CAP);
            assert!(timers.iter().all(|t| band.contains(t)), "attempt {attempt}");
            let (least, most) = (timers.iter().min().unwrap(), timers.iter().max().unwrap());
            assert!(low == TIMER_CAP || most - least > low / 4, "attempt {attempt} is not spread");
        }
    }

    #[test]
    fn busy_never_undercuts_the_responder() {
        let mut rng = StdRng::seed_from_u64(4);
        let waits: Vec<_> = (0..DRAWS).map(|_| busy_wait(3 * SECOND, SECOND, &mut rng)).collect();
        assert!(waits.iter().all(|w| (3 * SECOND..=6 * SECOND).contains(w)));
        assert!(waits.iter().any(|w| *w < 4 * SECOND) && waits.iter().any(|w| *w > 5 * SECOND));
        assert!((SECOND..=2 * SECOND).contains(&busy_wait(0, SECOND, &mut rng)));
    }

    #[test]
    fn the_textbook_schedule() {
        let tenths: Vec<u64> = Textbook::new().map(|wait| wait / (100 * MILLISECOND)).collect();
        assert_eq!(tenths, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn draws_reach_both_ends() {
        let mut rng = StdRng::seed_from_u64(5);
        let draws: Vec<_> = (0..DRAWS).map(|_| full_jitter(3, &mut rng)).collect();
        assert!((0..=3).all(|value| draws.contains(&value)) && draws.iter().all(|d| *d <= 3));
        assert_eq!(full_jitter(0, &mut rng), 0);
    }
}
