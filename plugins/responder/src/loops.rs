//! Whom a responder never answers ([P-46], [P-47]). One forged datagram could make two servers answer each other's
//! errors for ever (CVE-2024-2169).

use std::net::SocketAddr;

/// Ports of services that answer anything, or that are used to reflect: echo, daytime, qotd, chargen, time, DNS,
/// TFTP, NTP, SNMP, SSDP, memcached.
pub const DENIED_PORTS: [u16; 11] = [7, 13, 17, 19, 37, 53, 69, 123, 161, 1900, 11211];

/// Whether `peer` may get an answer from `local`. The daemon's other addresses are not known here; a frame
/// from one of them has flag R if a responder sent it, and those are never answered.
#[must_use]
pub fn may_answer(peer: SocketAddr, local: SocketAddr) -> bool {
    let port = peer.port();
    let to_itself = port == local.port() && peer.ip().to_canonical() == local.ip().to_canonical();
    port != 0 && !to_itself && !DENIED_PORTS.contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denied_are_denied_and_others_are_not() {
        let local: SocketAddr = "192.0.2.9:1063".parse().unwrap();
        for port in DENIED_PORTS.into_iter().chain([0]) {
            assert!(!may_answer(([192, 0, 2, 1], port).into(), local), "{port}");
        }
        for port in [1, 8, 1063, 40_000, u16::MAX] {
            assert!(may_answer(([192, 0, 2, 1], port).into(), local), "{port}");
        }
        assert!(!may_answer(local, local));
        assert!(!may_answer("[::ffff:192.0.2.9]:1063".parse().unwrap(), local));
    }
}
