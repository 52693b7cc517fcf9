//! How long a datagram may be.

use std::net::SocketAddr;

/// Largest payload that can be sent to an address, bytes.
#[inline]
#[must_use]
pub fn longest_to(to: SocketAddr) -> usize {
    if to.is_ipv4() { MAX_V4 } else { MAX_V6 }
}

/// Largest UDP payload over IPv4, bytes: 65,535 less 20 of the IP header and 8 of the UDP header (RFC 791, RFC 768).
const MAX_V4: usize = 65_507;
/// Largest UDP payload over IPv6 without jumbograms, bytes: 65,535 less 8 of the UDP header (RFC 8200).
pub(super) const MAX_V6: usize = 65_527;
