//! The sizes of the memory that host and handler share during a call.

/// Sizes of the memory that host and handler share. It is reserved at the start; pages that are never touched take no
/// memory. Arena chunks after the first are made when a handler needs them.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeLimits {
    /// Receive slots: most messages of one receive call.
    pub slots: usize,
    /// Bytes of a slot that a receive call may fill. The default of 65,535 is more than any UDP datagram.
    pub slot_len: usize,
    /// Bytes from one slot to the next. Not a power of two, or all slots would share one cache set.
    pub stride: usize,
    /// Descriptors in `pp_batch::rx`: most datagrams of one message.
    pub rx: usize,
    /// Most datagrams presented to a handler in one call, unless a single message has more; never more than `rx`. A full ring of trains would
    /// be thousands, whose descriptors would push the payload out of the second-level cache.
    pub present: usize,
    /// Most entries in `pp_batch::tx` between two flushes.
    pub tx: usize,
    /// Most entries that one call may queue in all, flushes included.
    pub tx_total: usize,
    /// Bytes of an arena chunk. A chunk holds at least one full datagram.
    pub arena: usize,
    /// Most arena chunks that one call may use.
    pub arena_chunks: usize,
    /// Most tickets at once, some 300 bytes each, of which no instance has more than a quarter. None are reserved. 65,536:
    /// a second of lookups at that rate, or 60 s of a thousand.
    pub tickets: usize,
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
            tickets: 65_536,
        }
    }
}
