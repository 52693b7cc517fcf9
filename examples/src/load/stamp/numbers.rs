//! On which way packets were lost, as the numbers of a reflector tell it that counts what it sends (RFC 8762, section 4: "stateful").
//!
//! Its latest number says how many packets it has sent back. Those of them that did not come were lost on the way down; the others that have no
//! answer did not get to it. What was sent after the last packet that has an answer has no direction, since nothing told of it.

/// The numbers of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Some number of the reflector was not that of the packet answered.
    own: bool,
    /// Our number and the reflector's from which on is counted; a reflector may know the session from before.
    start: Option<(u64, u64)>,
    /// The highest ones that came.
    top: Option<(u64, u64)>,
    /// Packets of the reflector from `start` on that came, each once.
    came: u64,
    /// Packets of ours without answer: before `start`, between, and after `top`.
    lost: [u64; 3],
}

/// How many of the packets that are lost were lost where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directions {
    /// On the way to the reflector.
    pub up: u64,
    /// On the way back.
    pub down: u64,
}

impl Numbers {
    /// A packet of the reflector came that had not come before: its number is `reflected`, and it answers packet `seq`.
    pub fn heard(&mut self, seq: u64, reflected: u64) {
        self.own |= reflected != seq;
        let [before, between, after] = &mut self.lost;
        let known = reflected > seq;
        let (_, first) = *self.start.get_or_insert_with(|| {
            if known {
                // How many of those sent before did not get there, nobody can know.
                *before = std::mem::take(after);
                (seq, reflected)
            } else {
                (0, 0)
            }
        });
        self.came += u64::from(reflected >= first);
        let (top_seq, top_reflected) = self.top.unwrap_or_default();
        if self.top.is_none() || reflected > top_reflected {
            // What is given up is older than all that may still be answered.
            *between += std::mem::take(after);
            self.top = Some((top_seq.max(seq), reflected));
        }
    }

    /// The reflector's number that ends in the 32 bits `low`: the first is taken as it is, wherever the reflector counts from, and
    /// each other is near the highest so far.
    #[must_use]
    pub fn reflected(&self, low: u32) -> u64 {
        self.top.map_or_else(|| low.into(), |(_, highest)| nearest(highest, low))
    }

    /// Packet `seq` has no answer, and is forgotten.
    pub fn lost(&mut self, seq: u64) {
        let place = if self.start.is_some_and(|(start, _)| seq < start) {
            0
        } else if self.top.is_none_or(|(top, _)| seq > top) {
            2
        } else {
            1
        };
        self.lost[place] += 1;
    }

    /// Whether the reflector surely counts for itself.
    #[must_use]
    pub const fn are_its_own(&self) -> bool {
        self.own
    }

    /// The directions of the losses; those of the rest are unknown. It makes sense only if the reflector counts for itself.
    #[must_use]
    pub fn directions(&self) -> Directions {
        let (Some((_, first)), Some((_, last))) = (self.start, self.top) else {
            return Directions::default();
        };
        let between = self.lost[1];
        let sent_back = last.saturating_sub(first).saturating_add(1);
        // More of its packets may be missing than of ours: those that answered a packet twice.
        let down = sent_back.saturating_sub(self.came).min(between);
        Directions { up: between - down, down }
    }
}

/// The number nearest to `about` of those that end in the 32 bits `low`; packets have no more.
#[must_use]
pub fn nearest(about: u64, low: u32) -> u64 {
    let [_, _, _, _, apart @ ..] = u64::from(low).wrapping_sub(about).to_be_bytes();
    about.saturating_add_signed(i32::from_be_bytes(apart).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What becomes of packets, by what befalls each of them: lost on the way up, lost on the way down, or answered.
    #[expect(clippy::cast_possible_truncation, reason = "packets have the low half")]
    fn run(known: u64, fates: &[u8]) -> (Numbers, [u64; 3]) {
        let (mut numbers, mut count) = (Numbers::default(), known);
        let mut truth = [0; 3];
        for (seq, fate) in (0..).zip(fates) {
            match fate {
                0 => truth[0] += 1,
                1 => {
                    truth[1] += 1;
                    count += 1;
                }
                _ => {
                    let reflected = numbers.reflected(count as u32);
                    numbers.heard(seq, reflected);
                    count += 1;
                }
            }
        }
        // All are forgotten at the end, as those of a short run.
        for (seq, _) in (0..).zip(fates).filter(|(_, fate)| **fate < 2) {
            numbers.lost(seq);
        }
        (numbers, truth)
    }

    proptest! {
        #[test]
        fn each_loss_before_the_last_answer_has_its_direction(mut fates in proptest::collection::vec(0..6_u8, 0..200)) {
            fates.push(5);
            let (numbers, [up, down, _]) = run(0, &fates);
            prop_assert_eq!(numbers.directions(), Directions { up, down });
        }

        #[test]
        fn any_numbers_divide_what_is_lost(heard in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..20), lost in proptest::collection::vec(any::<u64>(), 0..20)) {
            let mut numbers = Numbers::default();
            for (seq, reflected) in heard {
                numbers.heard(seq, reflected);
            }
            lost.iter().for_each(|seq| numbers.lost(*seq));
            let Directions { up, down } = numbers.directions();
            prop_assert!(up + down <= lost.len() as u64);
        }
    }

    #[test]
    fn what_is_behind_the_last_answer_or_before_a_session_that_was_known_has_none() {
        let (numbers, _) = run(0, &[5, 0, 5, 1, 1]);
        assert_eq!((numbers.directions(), numbers.are_its_own()), (Directions { up: 1, down: 0 }, true));
        let (numbers, _) = run(100, &[0, 1, 5, 0, 5]);
        assert_eq!(numbers.directions(), Directions { up: 1, down: 0 });
        assert_eq!(run(0, &[0, 0]).0.directions(), Directions::default());
        let (numbers, _) = run(0, &[5, 1, 5]);
        assert!(!run(0, &[5, 5]).0.are_its_own() && !numbers.are_its_own(), "a stateless one says the same");
    }

    #[test]
    fn numbers_go_on_beyond_32_bits() {
        assert_eq!((nearest(0, 5), nearest(10, 5), nearest(0, u32::MAX)), (5, 5, 0));
        let beyond = 1 << 32;
        assert_eq!((nearest(beyond + 3, u32::MAX), nearest(beyond - 3, 2)), (beyond - 1, beyond + 2));
    }

    #[test]
    fn a_session_that_was_known_for_long_has_directions_as_well() {
        let fates = [5, 0, 5, 1, 5, 5, 0, 5, 1, 1, 5];
        let wraps = u64::from(u32::MAX) - 3;
        for known in [100, 3_000_000_000, wraps, u64::from(u32::MAX), 1 << 32] {
            let (numbers, [up, down, _]) = run(known, &fates);
            assert_eq!(numbers.directions(), Directions { up, down }, "from {known} on");
            assert!(numbers.are_its_own(), "from {known} on");
        }
    }

    #[test]
    fn what_was_given_up_early_counts_alike() {
        let mut numbers = Numbers::default();
        numbers.heard(0, 0);
        numbers.lost(1);
        numbers.heard(9, 8);
        (2..9).filter(|seq| *seq == 4).for_each(|seq| numbers.lost(seq));
        // Eight came to it, and two of its packets came back; of two that are lost one is lost on each way, at most.
        assert_eq!(numbers.directions(), Directions { up: 0, down: 2 });
        numbers.heard(2, 1);
        for (seq, reflected) in [(3, 2), (5, 4), (6, 5), (7, 6), (8, 7)] {
            numbers.heard(seq, reflected);
        }
        assert_eq!(numbers.directions(), Directions { up: 1, down: 1 });
    }
}
