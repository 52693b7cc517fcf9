//! What a line keeps beyond its 40 bytes, where its options need it.

use alloc::boxed::Box;

use crate::queue::Queue;
use crate::slots::Slots;
use crate::trace::Carried;

/// Made with the first datagram that needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// When this was made, ns: where a line's own time begins.
    pub(crate) begun: u64,
    /// When the last of all leaves that were decided since then, ns.
    pub(crate) left: u64,
    /// The number that the last jitter was made of.
    pub(crate) jitter: u64,
    /// The numbers of Linux's rule of correlation, one a decision.
    pub(crate) netem: [u32; DECISIONS],
    pub(crate) place: Place,
    pub(crate) carried: Carried,
    pub(crate) queue: Queue,
    pub(crate) slots: Slots,
}

impl Memory {
    /// Made now. Apart from where it is asked for, which is with every datagram.
    #[cold]
    #[inline(never)]
    pub(crate) fn begun(now: u64) -> Box<Self> {
        Box::new(Self { begun: now, ..Self::default() })
    }
}

/// Decisions that may be correlated.
pub(crate) const DECISIONS: usize = 6;

/// Where a line is in its timeline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Which timeline this is about.
    pub(crate) mark: u64,
    /// Where its next step is; 0: look.
    pub(crate) next: u64,
}
