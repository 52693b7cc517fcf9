//! Which flows of a run one thread has.

/// One thread's part: every so many-th flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    index: u32,
    of: u32,
    flows: u32,
}

impl Part {
    /// Thread `index` of `of`, in a run with so many flows: at least one for each thread.
    #[must_use]
    pub const fn new(index: u32, of: u32, flows: u32) -> Self {
        let of = if of == 0 { 1 } else { of };
        Self { index: index % of, of, flows: if flows == 0 { 1 } else { flows } }
    }

    /// All of a run with so many flows.
    #[must_use]
    pub const fn whole(flows: u32) -> Self {
        Self::new(0, 1, flows)
    }

    /// Its number, from 0.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// How many parts there are.
    #[must_use]
    pub const fn of(&self) -> u32 {
        self.of
    }

    /// Flows of the run.
    #[must_use]
    pub const fn all(&self) -> u32 {
        self.flows
    }

    /// Flows of this part.
    #[must_use]
    pub const fn flows(&self) -> u32 {
        self.below(self.flows)
    }

    /// Flows of this part among the first so many of the run.
    #[must_use]
    pub const fn below(&self, flow: u32) -> u32 {
        flow.saturating_sub(self.index).div_ceil(self.of)
    }

    /// Whether a flow of the run is in this part.
    #[must_use]
    pub const fn has(&self, flow: u32) -> bool {
        flow % self.of == self.index
    }

    /// The number in the run of flow `own` of this part.
    #[must_use]
    pub const fn flow(&self, own: u32) -> u32 {
        own * self.of + self.index
    }

    /// Flows of the parts before this one.
    #[must_use]
    pub fn before(&self) -> u32 {
        (0..self.index).map(|index| Self { index, ..*self }.flows()).sum()
    }

    /// What this part gets of something that is shared out evenly, such as a limit.
    #[must_use]
    pub fn share(&self, whole: u64) -> u64 {
        let (of, index) = (u64::from(self.of), u64::from(self.index));
        whole / of + u64::from(index < whole % of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_is_in_one_part_and_every_share_is_given() {
        for of in 1..6 {
            for flows in of..20 {
                let parts: Vec<Part> = (0..of).map(|index| Part::new(index, of, flows)).collect();
                for flow in 0..flows {
                    let of_it: Vec<&Part> = parts.iter().filter(|part| part.has(flow)).collect();
                    assert_eq!(of_it.len(), 1, "{flow} of {flows} in {of}");
                    let part = of_it[0];
                    assert_eq!(part.flow(part.below(flow)), flow);
                }
                assert_eq!(parts.iter().map(Part::flows).sum::<u32>(), flows);
                assert_eq!(
                    parts.iter().map(|part| part.share(u64::from(flows))).sum::<u64>(),
                    u64::from(flows)
                );
                let last = parts.last().unwrap();
                assert_eq!(last.before() + last.flows(), flows);
            }
        }
    }
}
