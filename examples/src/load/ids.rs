//! Request ids that nobody can predict ([P-74]) and that lead back to their datagram: a keyed permutation of the numbers
//! of a stream. An index from ids to datagrams would cost memory and time for each of them; this costs four hashes.

use std::fmt;
use std::hash::Hasher;

use rand::Rng;
use siphasher::sip::SipHasher13;

/// The permutations of a run, one for each stream.
#[derive(Clone, Copy)]
pub struct Ids {
    key: (u64, u64),
}

/// Rounds of the Feistel network: four make a permutation that looks random from both sides (Luby and Rackoff).
const ROUNDS: u8 = 4;

impl Ids {
    /// Permutations drawn from `rng`.
    #[must_use]
    pub fn new(rng: &mut impl Rng) -> Self {
        Self { key: (rng.next_u64(), rng.next_u64()) }
    }

    /// The id of datagram `seq` of a stream; no other datagram of the stream has it.
    #[must_use]
    pub fn id(&self, stream: u32, seq: u64) -> u64 {
        let (mut left, mut right) = halves(seq);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.mix(stream, round, right));
        }
        joined(left, right)
    }

    /// The number of the datagram of a stream that has this id; of an id that is nobody's, a number that was never sent.
    #[must_use]
    pub fn seq(&self, stream: u32, id: u64) -> u64 {
        let (mut left, mut right) = halves(id);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.mix(stream, round, left), left);
        }
        joined(left, right)
    }

    fn mix(&self, stream: u32, round: u8, half: u32) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u64(joined(stream, half));
        hasher.write_u8(round);
        halves(hasher.finish()).1
    }
}

/// Without the key: it tells all ids to come.
impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

fn halves(whole: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = whole.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

fn joined(left: u32, right: u32) -> u64 {
    u64::from(left) << u32::BITS | u64::from(right)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::key::generator;

    fn ids(seed: u64) -> Ids {
        Ids::new(&mut generator(Some(seed)))
    }

    proptest! {
        #[test]
        fn every_id_leads_back(stream in any::<u32>(), seq in any::<u64>(), seed in any::<u64>()) {
            prop_assert_eq!(ids(seed).seq(stream, ids(seed).id(stream, seq)), seq);
        }
    }

    #[test]
    fn ids_differ_by_number_stream_and_key_in_all_their_bits() {
        let (one, other) = (ids(1), ids(2));
        let all = (0..1000).flat_map(|seq| [one.id(0, seq), one.id(1, seq), other.id(0, seq)]);
        assert_eq!(all.collect::<HashSet<_>>().len(), 3000);
        for bit in 0..u64::BITS {
            let set = (0..1000).filter(|seq| one.id(0, *seq) >> bit & 1 == 1).count();
            assert!((400..600).contains(&set), "bit {bit}: {set} of 1000");
        }
        assert_eq!(format!("{one:?}"), "Ids");
    }
}
