//! How much silence it takes to believe that a size does not pass.

/// Misses at which a size is given up on a path without loss (`MAX_PROBES` of RFC 8899 section 5.1.2).
const MIN_MISSES: u8 = 3;

/// Misses at which a size is given up on any path: beyond this the search would never end.
const MAX_MISSES: u8 = 16;

/// Chance that loss alone explains all misses, one in this many, below which they are believed.
const DOUBT: u64 = 10_000;

/// Counts probes of which it is known whether they were lost: control probes, and sizes later seen to pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossEstimate {
    passed: u32,
    lost: u32,
}

impl LossEstimate {
    pub(super) const fn passed(&mut self) {
        self.passed = self.passed.saturating_add(1);
    }

    pub(super) fn lost(&mut self, probes: u8) {
        self.lost = self.lost.saturating_add(u32::from(probes));
    }

    pub(super) const fn any(&self) -> bool {
        self.lost > 0
    }

    /// The smallest n with q^n below one in [`DOUBT`], where q is the loss rate seen; 3 if none was lost.
    pub(super) fn misses_needed(&self) -> u8 {
        if self.lost == 0 {
            return MIN_MISSES;
        }
        // One more of each: few probes must not look like certainty.
        let lost = u64::from(self.lost).saturating_add(1);
        let all = lost.saturating_add(u64::from(self.passed)).saturating_add(1);
        let mut doubt = DOUBT.saturating_mul(DOUBT);
        for misses in 1..MAX_MISSES {
            doubt = doubt.saturating_mul(lost).checked_div(all).unwrap_or(0);
            if misses >= MIN_MISSES && doubt <= DOUBT {
                return misses;
            }
        }
        MAX_MISSES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_loss_needs_more_misses() {
        let needed = |passed, lost| LossEstimate { passed, lost }.misses_needed();
        assert_eq!(needed(50, 0), 3);
        assert_eq!(needed(97, 1), 3, "2 % to the third");
        assert_eq!(needed(89, 9), 4, "10 % to the fourth");
        assert_eq!(needed(49, 49), 14, "a half to the fourteenth");
        assert_eq!(needed(0, 9), 16, "never for ever");
    }
}
