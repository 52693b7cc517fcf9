//! How the caller's memory is cut into slots for a batch.

/// The longest payload the kernel can deliver: a UDP length field counts 16 bits, less the header of 8.
/// IPv4 allows 65,507 of them, IPv6 without jumbograms 65,527; a GRO train stays below as well.
pub const MAX_DATAGRAM: usize = 65_535;

/// Memory cut into slots: each of `len` bytes, followed by a gap.
///
/// The memory is virtual until touched: 32 slots of 64 KiB cost one page each while datagrams are small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotLayout {
    len: usize,
    stride: usize,
}

impl SlotLayout {
    /// Slots that no datagram and no train overruns. They start 65,536 + 192 bytes apart, so that the first lines
    /// of a batch do not all map to the same set of the first-level cache.
    pub const WHOLE: Self = Self::new(MAX_DATAGRAM, 193);

    /// Slots of `len` bytes (at least 1) with `gap` bytes between the end of one and the start of the next.
    #[must_use]
    pub const fn new(len: usize, gap: usize) -> Self {
        let len = if len == 0 { 1 } else { len };
        Self { len, stride: len.saturating_add(gap) }
    }

    /// Bytes of a slot that are offered to the kernel.
    #[must_use]
    pub const fn slot_len(&self) -> usize {
        self.len
    }

    /// Bytes from the start of a slot to the start of the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of memory that `slots` slots need.
    #[must_use]
    pub const fn memory(&self, slots: usize) -> usize {
        match slots.checked_sub(1) {
            None => 0,
            Some(gaps) => gaps.saturating_mul(self.stride).saturating_add(self.len),
        }
    }

    /// How many slots `memory` bytes hold.
    #[must_use]
    pub const fn slots(&self, memory: usize) -> usize {
        match memory.checked_sub(self.len) {
            None => 0,
            Some(rest) => rest / self.stride + 1,
        }
    }

    /// The first `len` bytes of slot `index`: with [`crate::RecvMeta::len`], the datagram. Empty if the memory
    /// has no such bytes.
    #[must_use]
    pub fn datagram<'m>(&self, memory: &'m [u8], index: usize, len: usize) -> &'m [u8] {
        let start = index.saturating_mul(self.stride);
        memory.get(start..start.saturating_add(len.min(self.len))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_slots_are_inverse() {
        for layout in [SlotLayout::WHOLE, SlotLayout::new(0, 0), SlotLayout::new(100, 28)] {
            assert_eq!(layout.memory(0), 0);
            for slots in [1, 2, 31, 32, 33] {
                assert_eq!(layout.slots(layout.memory(slots)), slots);
                assert_eq!(layout.slots(layout.memory(slots) - 1), slots - 1);
            }
        }
        assert_eq!(SlotLayout::WHOLE.stride(), 65_536 + 192);
    }

    #[test]
    fn a_datagram_outside_the_memory_is_empty() {
        let layout = SlotLayout::new(4, 4);
        let memory = [1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8];
        assert_eq!(layout.datagram(&memory, 1, 3), [5, 6, 7]);
        assert_eq!(layout.datagram(&memory, 1, 9), [5, 6, 7, 8], "never past its slot");
        assert!(layout.datagram(&memory, 2, 1).is_empty());
        assert!(layout.datagram(&memory, usize::MAX, 1).is_empty());
    }
}
