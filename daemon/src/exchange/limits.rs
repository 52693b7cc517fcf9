//! How much of everything there is room for during a call.

/// Sizes of the shared memory. All of it is reserved once; pages that are never touched cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeLimits {
    /// Receive slots, datagrams or trains a receive call can take.
    pub slots: usize,
    /// Bytes a slot takes from the kernel: 65,535 is more than any UDP datagram.
    pub slot_len: usize,
    /// Distance of two slots: not a power of two, or all slots would share one cache set.
    pub stride: usize,
    /// Descriptors in `rx`.
    pub rx: usize,
    /// Datagrams shown to the handler in one call, but for a message that has more: a full ring of trains would
    /// be thousands, whose descriptors push their bytes out of the second-level cache.
    pub present: usize,
    /// Entries in `tx` between two flushes.
    pub tx: usize,
    /// Entries one call may queue in all, flushes included.
    pub tx_total: usize,
    /// Bytes of an arena chunk; holds at least one full datagram.
    pub arena: usize,
    /// Chunks one call may use.
    pub arena_chunks: usize,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            slots: 64,
            slot_len: 65_535,
            stride: 65_536 + 192,
            rx: 2048,
            present: 1024,
            tx: 2048,
            tx_total: 16_384,
            arena: 256 * 1024,
            arena_chunks: 16,
        }
    }
}
