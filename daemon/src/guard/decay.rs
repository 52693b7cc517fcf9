//! How far an answer may travel: no farther than what it answers still could.

use std::num::NonZeroU8;

use crate::metrics::DropReason;

/// TTL or hop limit of the answer to a datagram that came with `asked_with`: one less, and `farthest` at most. With 64
/// ([`farthest`]) answers that
/// answer each other come to an end after 64, whatever TTL a forged datagram starts them with; and 64 is what a system
/// sends with anyway (RFC 1700, "IP time to live").
///
/// # Errors
/// There is nothing left to travel with, or it is not known what came.
#[inline]
pub fn decay(asked_with: u8, farthest: u8) -> Result<u8, DropReason> {
    match asked_with {
        0 | 1 => Err(DropReason::TtlExpired),
        more => Ok((more - 1).min(farthest)),
    }
}

/// How far an answer may travel in any case: as far as the listener's own TTL, and 64 at most.
#[must_use]
pub fn farthest(ttl: Option<NonZeroU8>) -> u8 {
    ttl.map_or(FAR, NonZeroU8::get).min(FAR)
}

/// The default TTL of Internet hosts.
const FAR: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_hop_less_and_64_at_most() {
        let decay = |asked_with| decay(asked_with, farthest(None));
        assert_eq!([2, 3, 64, 65].map(decay), [Ok(1), Ok(2), Ok(63), Ok(64)]);
        assert_eq!([66, 128, 255].map(decay), [Ok(64); 3]);
        assert_eq!([0, 1].map(decay), [Err(DropReason::TtlExpired); 2]);
    }

    #[test]
    fn a_listener_may_say_less_but_not_more() {
        let farthest = |ttl| farthest(NonZeroU8::new(ttl));
        assert_eq!([1, 9, 64, 65, 255].map(farthest), [1, 9, 64, 64, 64]);
        assert_eq!([2, 10, 11, 255].map(|asked_with| decay(asked_with, 9)), [Ok(1), Ok(9), Ok(9), Ok(9)]);
    }

    #[test]
    fn answers_that_answer_each_other_end_after_64() {
        for first in 0..=u8::MAX {
            let answers = std::iter::successors(decay(first, FAR).ok(), |ttl| decay(*ttl, FAR).ok()).count();
            assert_eq!(answers, usize::from(first.saturating_sub(1).min(64)), "TTL {first}");
        }
    }
}
