//! What arrived, in the host's own types.

use std::net::{IpAddr, SocketAddr};

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
