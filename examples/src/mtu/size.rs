//! Lengths around a payload: headers, the longest datagram, and what the kernel believes of a path.

use std::net::SocketAddr;

use polyport_net::{SocketOptions, UdpSocket};

use crate::target;

/// Smallest MTU of a link that carries IPv6 (RFC 8200 section 5).
pub(super) const IPV6_MINIMUM: usize = 1280;

/// The path MTU that the kernel believes in, IP header included, if it tells: what the route says, until an ICMP message
/// teaches it better. No datagram is sent.
#[must_use]
pub fn kernel_mtu(peer: SocketAddr) -> Option<usize> {
    let socket = UdpSocket::bind(target::any_like(peer), &SocketOptions::default()).ok()?;
    socket.connect(peer).ok()?;
    socket.path_mtu().ok()
}

/// Octets of the IP and UDP headers around a payload.
#[must_use]
pub const fn overhead(peer: SocketAddr) -> usize {
    match peer {
        SocketAddr::V4(_) => 28,
        SocketAddr::V6(_) => 48,
    }
}

/// The longest payload of one datagram: 65,535 octets of IPv4 packet, or of IPv6 payload, less the headers.
#[must_use]
pub const fn longest(peer: SocketAddr) -> usize {
    match peer {
        SocketAddr::V4(_) => 65_507,
        SocketAddr::V6(_) => 65_527,
    }
}
