//! Lengths around a payload: headers, the longest datagram, and what the kernel believes of a path.

use std::net::SocketAddr;

use polyport_net::{SocketOptions, UdpSocket};

/// Smallest MTU of a link that carries IPv6 (RFC 8200 section 5).
pub(super) const IPV6_MINIMUM: usize = 1280;

/// The path MTU that the kernel believes in from the address `own` to `peer`, IP header included, if it tells: what the
/// route says, until an ICMP message teaches it better. No datagram is sent.
#[must_use]
pub fn kernel_mtu(own: SocketAddr, peer: SocketAddr) -> Option<usize> {
    // Its port is taken.
    let own = SocketAddr::new(own.ip(), 0);
    let socket = UdpSocket::bind(own, &SocketOptions::default()).ok()?;
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
