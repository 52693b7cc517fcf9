//! A received message in the host's own types.

use std::net::{IpAddr, SocketAddr};

/// A message as the I/O received it: a datagram, or a train of equal datagrams back to back (`UDP_GRO` of `udp(7)`).
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Where its bytes begin in the ring, bytes.
    pub offset: usize,
    /// Bytes received.
    pub len: usize,
    /// Bytes a handler may overwrite from `offset` on, if the message is one datagram.
    pub cap: usize,
    /// Bytes of each datagram of a train but the last, which may be shorter; 0 is one datagram.
    pub segment: usize,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to, if the socket tells.
    pub destination: Option<IpAddr>,
    /// The address a reply leaves from; none lets the kernel choose.
    pub reply_from: Option<ReplySource>,
    /// Index of the interface it arrived on; 0 is unknown.
    pub ifindex: u32,
    /// TOS or traffic class; 0 unless [`ArrivalFlags::has_tos`].
    pub tos: u8,
    /// TTL or hop limit; 0 is unknown.
    pub hop_limit: u8,
    /// How it arrived.
    pub flags: ArrivalFlags,
    /// The session that it came by, as [`Exchange::came_by`](super::Exchange::came_by) says; 0: it came to the listener.
    pub session: u64,
}

impl Arrived {
    /// Whether it was sent to more than this host: to a multicast group, or to a broadcast address.
    #[inline]
    #[must_use]
    pub fn is_to_group(&self) -> bool {
        self.flags.multicast | self.flags.broadcast
    }

    /// How many datagrams the message has.
    #[inline]
    #[must_use]
    pub fn datagrams(&self) -> usize {
        if self.segment == 0 { 1 } else { self.len.div_ceil(self.segment) }
    }

    /// Where datagram number `place` of the message begins in the ring, and its length, both in bytes.
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
    /// It was sent to a multicast group.
    pub multicast: bool,
    /// It was sent to a broadcast address.
    pub broadcast: bool,
    /// It was longer than its slot, so its end is lost.
    pub truncated: bool,
    /// The socket has told its TOS or traffic class.
    pub has_tos: bool,
}

/// A local address to send from, so that a reply comes from where the request went (R23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplySource {
    /// A unicast address, or the unspecified address to choose only the interface.
    pub ip: IpAddr,
    /// Index of the interface; 0 is any.
    pub ifindex: u32,
}
