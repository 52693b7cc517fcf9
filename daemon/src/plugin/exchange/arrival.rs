//! What arrived, in the host's own types, and how much of everything there is room for.

use std::net::{IpAddr, SocketAddr};

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

/// A message as the I/O received it: a datagram, or a train of equal ones back to back.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Where its bytes begin in the ring.
    pub offset: usize,
    /// Bytes received.
    pub len: usize,
    /// Bytes of a single datagram that may be overwritten.
    pub cap: usize,
    /// Size of the datagrams of a train, the last may be shorter; 0 is one datagram.
    pub segment: usize,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to, where the socket tells.
    pub destination: Option<IpAddr>,
    /// The address a reply leaves from; none lets the kernel choose.
    pub reply_from: Option<ReplySource>,
    /// Interface it arrived on, 0 unknown.
    pub ifindex: u32,
    /// ECN bits.
    pub ecn: u8,
    /// TTL or hop limit, 0 unknown.
    pub hop_limit: u8,
    /// What kind of arrival it was.
    pub flags: ArrivalFlags,
}

impl Arrived {
    /// How many datagrams it is.
    #[inline]
    #[must_use]
    pub fn datagrams(&self) -> usize {
        if self.segment == 0 { 1 } else { self.len.div_ceil(self.segment) }
    }

    /// Where its datagram number `place` begins in the ring, and its length.
    #[inline]
    pub(super) fn piece(&self, place: usize) -> (usize, usize) {
        if self.segment == 0 {
            return (self.offset, self.len);
        }
        let before = (place * self.segment).min(self.len);
        (self.offset + before, self.segment.min(self.len - before))
    }
}

/// How a datagram arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrivalFlags {
    /// Sent to a multicast group.
    pub multicast: bool,
    /// Sent to a broadcast address.
    pub broadcast: bool,
    /// Longer than its slot.
    pub truncated: bool,
}

/// A local address to send from, so that a reply comes from where the request went (R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplySource {
    /// The unicast address; unspecified pins only the interface.
    pub ip: IpAddr,
    /// The interface, 0 for any.
    pub ifindex: u32,
}
