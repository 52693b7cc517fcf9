//! How far an answer may travel: no farther than what it answers still could.

use crate::metrics::DropReason;

/// TTL or hop limit of the answer to a datagram that came with `asked_with`: one less, and 64 at most. So answers that
/// answer each other come to an end after 64, whatever TTL a forged datagram starts them with; and 64 is what a system
/// sends with anyway (RFC 1700, "IP time to live").
///
/// # Errors
/// There is nothing left to travel with, or it is not known what came.
#[inline]
pub fn decay(asked_with: u8) -> Result<u8, DropReason> {
    match asked_with {
        0 | 1 => Err(DropReason::TtlExpired),
        more => Ok((more - 1).min(FAR)),
    }
}

/// The default TTL of Internet hosts.
const FAR: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_hop_less_and_64_at_most() {
        assert_eq!([2, 3, 64, 65].map(decay), [Ok(1), Ok(2), Ok(63), Ok(64)]);
        assert_eq!([66, 128, 255].map(decay), [Ok(64); 3]);
        assert_eq!([0, 1].map(decay), [Err(DropReason::TtlExpired); 2]);
    }

    #[test]
    fn answers_that_answer_each_other_end_after_64() {
        for first in 0..=u8::MAX {
            let answers = std::iter::successors(decay(first).ok(), |ttl| decay(*ttl).ok()).count();
            assert_eq!(answers, usize::from(first.saturating_sub(1).min(64)), "TTL {first}");
        }
    }
}
