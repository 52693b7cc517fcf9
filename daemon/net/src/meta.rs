//! What is known of a received datagram, and what is said of one to send.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16};

/// All that the kernel says about one received datagram (or train of datagrams, see `segment`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvMeta {
    /// Bytes in the slot; 0 is a datagram without payload, not an end.
    pub len: usize,
    /// Who sent it. Port 0 means that no answer is possible (RFC 768 lets a sender leave its port out).
    pub peer: SocketAddr,
    /// Where it arrived; `None` if the socket was not asked to tell (see [`crate::Pktinfo`]) or the control data
    /// were cut.
    pub local: Option<Local>,
    /// The datagram was longer than the slot: the rest is lost, the datagram must not be handed on as whole.
    pub truncated: bool,
    /// The control data were longer than their buffer, so `local` and the rest are unknown.
    pub control_truncated: bool,
    /// The byte of DSCP (RFC 2474) and congestion bits (RFC 3168) as it came, if [`Facts::tos`] was asked for.
    pub tos: Option<u8>,
    /// TTL or hop limit on arrival, if [`Facts::hop_limit`] was asked for.
    pub hop_limit: Option<u8>,
    /// The slot holds a train: datagrams of this many bytes each, back to back, the last may be shorter.
    /// Only after [`crate::UdpSocket::set_gro`].
    pub segment: Option<u16>,
    /// The datagram came in IP fragments, of which the longest had this many bytes, IP header included; `None` if it came
    /// whole, or nobody asked. Only after [`crate::UdpSocket::set_recv_fragment_size`].
    pub fragment: Option<u16>,
    /// When the kernel received it, nanoseconds since 1970 of the wall clock, if [`Facts::time`] was asked for. Of a train,
    /// when its first datagram came.
    pub unix_ns: Option<u64>,
}

/// What a socket tells of each datagram besides its bytes and its sender. Each of them costs a control message a datagram,
/// and the cheapest receive call is no longer enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// [`RecvMeta::tos`]: `IP_RECVTOS` of `ip(7)`, `IPV6_RECVTCLASS` of RFC 3542.
    pub tos: bool,
    /// [`RecvMeta::hop_limit`]: `IP_RECVTTL`, `IPV6_RECVHOPLIMIT`.
    pub hop_limit: bool,
    /// [`RecvMeta::local`]: `IP_PKTINFO`, `IPV6_RECVPKTINFO`.
    pub local: bool,
    /// [`RecvMeta::unix_ns`]: `SO_TIMESTAMPNS` of `socket(7)`. While any socket of the host asks for it, the kernel reads its
    /// clock for each arriving packet. Linux only.
    pub time: bool,
}

impl Facts {
    /// Nothing.
    pub const NONE: Self = Self { tos: false, hop_limit: false, local: false, time: false };

    /// What either asks for.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            tos: self.tos | other.tos,
            hop_limit: self.hop_limit | other.hop_limit,
            local: self.local | other.local,
            time: self.time | other.time,
        }
    }

    /// Whether it is anything at all.
    #[must_use]
    pub const fn any(self) -> bool {
        self.tos | self.hop_limit | self.local | self.time
    }
}

/// The receiving end of a datagram: `IP_PKTINFO` of `ip(7)`, `IPV6_PKTINFO` of RFC 3542.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The address in the IP header; it may be a group or a broadcast address.
    pub destination: IpAddr,
    /// The unicast address of this host to answer from; `None` for an IPv6 group, where the kernel chooses.
    pub source: Option<IpAddr>,
    /// Index of the interface it came in by.
    pub ifindex: u32,
}

/// To whom a datagram was addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// To this host alone.
    Unicast,
    /// To a group.
    Multicast,
    /// To all hosts of a network: 255.255.255.255 or the last address of a subnet.
    Broadcast,
}

impl Local {
    /// Tells unicast, multicast and broadcast apart. A subnet's broadcast address is known by the kernel proposing
    /// another address to answer from.
    #[must_use]
    pub fn kind(&self) -> Cast {
        match self.destination {
            ip if ip.is_multicast() => Cast::Multicast,
            IpAddr::V4(ip) if ip.is_broadcast() => Cast::Broadcast,
            IpAddr::V4(_) if self.source.is_some_and(|source| source != self.destination) => Cast::Broadcast,
            IpAddr::V4(_) | IpAddr::V6(_) => Cast::Unicast,
        }
    }

    /// The source for an answer: the address that was asked. The interface is left to the routing table, except for
    /// IPv6 link-local addresses, which mean nothing without it.
    #[must_use]
    pub fn reply_source(&self) -> Option<Source> {
        self.source.map(|ip| Source {
            ip,
            ifindex: match ip {
                IpAddr::V6(v6) if v6.is_unicast_link_local() => self.ifindex,
                IpAddr::V4(_) | IpAddr::V6(_) => 0,
            },
        })
    }
}

/// The address, and if not 0 the interface, a datagram is to leave from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// An address of this host, of the same family as the destination.
    pub ip: IpAddr,
    /// Interface index; 0 leaves the choice to the routing table.
    pub ifindex: u32,
}

/// One message to send; borrowed, as it lives for one call only.
#[derive(Debug, Clone, Copy)]
pub struct SendMessage<'a> {
    /// The destination. Port 0 fails with EINVAL, a group or broadcast address needs no permission but
    /// [`crate::SocketOptions::broadcast`] for the latter (EACCES).
    /// On a connected socket, Linux sends there all the same, without the cached route; macOS fails with EISCONN. Use
    /// [`crate::UdpSocket::send`] for its peer.
    pub to: SocketAddr,
    /// Source address; `None` leaves it to the kernel, which is right for sockets bound to one address.
    pub from: Option<Source>,
    /// The payload, gathered into one message.
    pub parts: &'a [IoSlice<'a>],
    /// Cut the payload into datagrams of this many bytes (`UDP_SEGMENT`, `udp(7)`), at most
    /// [`crate::MAX_SEGMENTS`] of them. Ignored where the payload is one datagram anyway.
    pub segment: Option<NonZeroU16>,
    /// TOS (RFC 791) or traffic class (RFC 8200), DSCP and ECN, of this message alone; 0 leaves the socket's.
    pub tos: u8,
    /// TTL (RFC 791) or hop limit (RFC 8200) of this message alone: `IP_TTL` of `ip(7)`, `IPV6_HOPLIMIT` of RFC 3542
    /// section 6.3. `None` leaves it to the socket; so does a group as the destination, whose datagrams have a TTL of
    /// their own. Linux only: elsewhere a message with it fails with `Unsupported`.
    pub hop_limit: Option<NonZeroU8>,
}

impl SendMessage<'_> {
    /// Bytes of payload.
    #[inline]
    #[must_use]
    pub fn total(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// The segment size if it cuts the payload into more than one datagram. A `UDP_SEGMENT` on a single datagram
    /// gains nothing and fails with EIO on devices without checksum offload.
    #[inline]
    pub(crate) fn train(&self) -> Option<NonZeroU16> {
        self.segment.filter(|segment| usize::from(segment.get()) < self.total())
    }

    /// The TTL or hop limit that it needs control data for. A group's datagrams are left alone: theirs says how far the
    /// group reaches, and is 1 unless the socket was told otherwise.
    #[inline]
    pub(crate) fn hops(&self) -> Option<NonZeroU8> {
        self.hop_limit.filter(|_| !self.to.ip().to_canonical().is_multicast())
    }

    /// Whether the message needs no control data.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.from.is_none() && self.tos == 0 && self.hops().is_none() && self.train().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_are_told_apart() {
        let local = |destination: &str, source: Option<&str>| Local {
            destination: destination.parse().unwrap(),
            source: source.map(|ip| ip.parse().unwrap()),
            ifindex: 2,
        };
        assert_eq!(local("192.0.2.1", Some("192.0.2.1")).kind(), Cast::Unicast);
        assert_eq!(local("192.0.2.255", Some("192.0.2.1")).kind(), Cast::Broadcast);
        assert_eq!(local("255.255.255.255", None).kind(), Cast::Broadcast);
        assert_eq!(local("239.1.2.3", Some("192.0.2.1")).kind(), Cast::Multicast);
        assert_eq!(local("ff02::1", None).kind(), Cast::Multicast);
        assert_eq!(local("fe80::1", Some("fe80::1")).kind(), Cast::Unicast);
    }

    #[test]
    fn a_train_has_at_least_two_datagrams() {
        let train = |segment, parts: &[IoSlice<'_>]| {
            let to = "192.0.2.1:9".parse().unwrap();
            let segment = NonZeroU16::new(segment);
            let message = SendMessage { to, from: None, parts, segment, tos: 0, hop_limit: None };
            message.train().is_some()
        };
        let parts = [IoSlice::new(b"abc"), IoSlice::new(b"de")];
        assert_eq!([4, 5, 6, 0].map(|segment| train(segment, &parts)), [true, false, false, false]);
        assert!(!train(1, &[]) && !train(1, &parts[..0]));
    }

    #[test]
    fn only_link_local_answers_are_pinned_to_an_interface() {
        let from = |ip: &str| {
            let ip = ip.parse().unwrap();
            Local { destination: ip, source: Some(ip), ifindex: 2 }.reply_source().unwrap().ifindex
        };
        assert_eq!((from("fe80::1"), from("2001:db8::1"), from("192.0.2.1")), (2, 0, 0));
    }
}
