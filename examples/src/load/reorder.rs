//! Reordering of one stream, as RFC 4737 section 3.3 and RFC 5236 define it.

/// Takes the numbers of first copies in the order of their arrival. Duplicates must be kept away from it: they
/// are not reordering (RFC 4737 section 3.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reorder {
    /// One more than the highest number so far; a reordered datagram does not move it.
    next_expected: u64,
    recent: [u64; 3],
    arrived: u64,
    reordered: u64,
    three_reordered: u64,
}

impl Reorder {
    /// Takes the next arrival.
    pub fn arrive(&mut self, seq: u64) {
        if seq < self.next_expected {
            self.reordered += 1;
            // An arrival is n-reordered if each of the last n had a higher number; for n = 3 TCP retransmits.
            let enough = self.arrived >= 3;
            self.three_reordered += u64::from(enough && self.recent.iter().all(|earlier| *earlier > seq));
        } else {
            self.next_expected = seq.saturating_add(1);
        }
        self.recent = [self.recent[1], self.recent[2], seq];
        self.arrived += 1;
    }

    /// Arrivals with a number below one that had arrived already.
    #[must_use]
    pub const fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Those of them that at least three higher numbers arrived directly before.
    #[must_use]
    pub const fn three_reordered(&self) -> u64 {
        self.three_reordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(arrivals: &[u64]) -> (u64, u64) {
        let mut reorder = Reorder::default();
        arrivals.iter().for_each(|seq| reorder.arrive(*seq));
        (reorder.reordered(), reorder.three_reordered())
    }

    #[test]
    fn a_late_number_does_not_lower_what_is_expected() {
        assert_eq!(counts(&[0, 1, 2, 3]), (0, 0));
        assert_eq!(counts(&[3, 1, 2]), (2, 0), "both are below 4, though 2 follows 1");
        assert_eq!(counts(&[0, 5, 9]), (0, 0), "gaps are loss");
    }

    #[test]
    fn three_reordering_wants_three_higher_ones_directly_before() {
        assert_eq!(counts(&[1, 2, 0]), (1, 0));
        assert_eq!(counts(&[1, 2, 3, 0]), (1, 1));
        assert_eq!(counts(&[2, 3, 4, 0, 1]), (2, 1), "0 arrived between");
    }
}
