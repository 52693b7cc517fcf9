//! Whose line it is: the number that stands for a client in every decision about its datagrams.

use core::net::{IpAddr, SocketAddr};

use crate::chance::mix;

/// The client of a line that all share, at whatever port: with one seed, the shared lines of the ports of a range have one
/// run. Where they shall not, each port is a listener with a seed of its own.
pub const SHARED: u64 = 0;

/// By the address of the client and the port that it sends to: the same run however often the client comes back with another
/// port of its own. The zone of a link-local address counts.
///
/// `local` keeps the ports of a range, which have the seed in common, from losing the same numbers; 0 where there is one.
#[must_use]
pub fn by_address(client: SocketAddr, local: u16) -> u64 {
    key(client, local, 0)
}

/// By address and port of the client: two programs on one machine have different runs, and so has a program that comes back
/// with another port.
#[must_use]
pub fn by_address_and_port(client: SocketAddr, local: u16) -> u64 {
    key(client, local, client.port())
}

/// By the order of appearance, from 0: the first client of every run has the same run, wherever it comes from.
#[must_use]
pub const fn by_order(order: u64, local: u16) -> u64 {
    mix(u64::MAX, order, (local as u64) << 16)
}

fn key(client: SocketAddr, local: u16, port: u16) -> u64 {
    let (ip, zone) = match client {
        SocketAddr::V4(v4) => (IpAddr::V4(*v4.ip()), 0),
        SocketAddr::V6(v6) => (IpAddr::V6(*v6.ip()), v6.scope_id()),
    };
    let bits = match ip {
        // The IPv4-mapped form, so that a dual-stack socket decides as an IPv4 one does.
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 128 bits")]
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    mix(high, low, u64::from(zone) << 32 | u64::from(local) << 16 | u64::from(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_shall_count_counts() {
        let all = [
            by_address_and_port(at("192.0.2.1:5000"), 7001),
            by_address_and_port(at("192.0.2.1:5001"), 7001),
            by_address_and_port(at("192.0.2.1:5000"), 7002),
            by_address_and_port(at("192.0.2.2:5000"), 7001),
            by_address_and_port(at("[2001:db8::1]:5000"), 7001),
            by_address_and_port(at("[fe80::1%1]:5000"), 7001),
            by_address_and_port(at("[fe80::1%2]:5000"), 7001),
            by_address(at("192.0.2.1:5000"), 7001),
            by_address(at("192.0.2.1:5000"), 7002),
            by_order(0, 7001),
            by_order(1, 7001),
            by_order(0, 7002),
            SHARED,
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "{i}");
        }
        assert_eq!(by_address(at("192.0.2.1:5000"), 1), by_address(at("192.0.2.1:9"), 1));
        assert_eq!(by_address(at("192.0.2.1:5000"), 1), by_address(at("[::ffff:192.0.2.1]:5"), 1));
        let mapped = at("[::ffff:192.0.2.1]:5000");
        assert_eq!(by_address_and_port(at("192.0.2.1:5000"), 7), by_address_and_port(mapped, 7));
    }
}
