//! Which addresses are this host's own, and which of them are broadcast addresses: lists that come from outside, made
//! quick to ask.

use std::net::{IpAddr, Ipv4Addr};

/// An address, or a range of them, that the system treats as local.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddress {
    /// The address, or the first of the range.
    pub ip: IpAddr,
    /// Leading bits that all addresses of the range have in common: 32 or 128 is a single address.
    pub bits: u8,
    /// Whether what is sent there goes to all hosts of a network; if not, it comes to this host.
    pub broadcast: bool,
}

impl LocalAddress {
    /// Whether it is that address, or the range has it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (first, last) = range(self);
        let asked = range(&Self { ip, bits: if ip.is_ipv4() { 32 } else { 128 }, broadcast: false });
        first <= asked.0 && asked.1 <= last
    }
}

/// The addresses of this host. Loopback addresses are always among them.
#[derive(Debug, Default)]
pub(super) struct LocalAddresses {
    /// Ranges of addresses as numbers, from first to last, in order; no two of them touch.
    own: Vec<(u128, u128)>,
    /// Ranges of broadcast addresses, in the same form.
    broadcasts: Vec<(u128, u128)>,
    /// One bit for the last octet of each broadcast address. Most addresses have another, and need no other look.
    tails: [u64; 4],
}

impl LocalAddresses {
    pub(super) fn new(list: &[LocalAddress]) -> Self {
        let pick = |broadcast: bool| {
            let mut ranges: Vec<_> =
                list.iter().filter(|prefix| prefix.broadcast == broadcast).map(range).collect();
            merge(&mut ranges);
            ranges
        };
        let (own, broadcasts) = (pick(false), pick(true));
        let mut tails = [0; 4];
        for (first, last) in &broadcasts {
            // A range longer than all last octets has them all.
            for tail in 0..=(last - first).min(255) {
                let (word, bit) = place(low_octet(first + tail));
                tails[word] |= bit;
            }
        }
        Self { own, broadcasts, tails }
    }

    /// Whether a datagram to `ip` comes to this host.
    pub(super) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || contains(&self.own, ip)
    }

    /// Whether a datagram to `ip` goes to a group of hosts, or to all of a network.
    pub(super) fn is_group(&self, ip: IpAddr) -> bool {
        let all = match ip {
            IpAddr::V4(v4) => v4.is_broadcast(),
            IpAddr::V6(_) => false,
        };
        all || ip.is_multicast() || contains(&self.broadcasts, ip)
    }

    /// Whether [`Self::is_group`] may say yes to an IPv4 address; a no is final.
    #[inline]
    pub(super) fn may_be_group(&self, ip: Ipv4Addr) -> bool {
        let [first, .., last] = ip.octets();
        let (word, bit) = place(last);
        first >= FIRST_GROUP || self.tails[word] & bit != 0
    }
}

/// First octet of the first multicast address (RFC 5771); all that follow are multicast, reserved or broadcast.
const FIRST_GROUP: u8 = 224;

/// An address as a number: IPv4 is what it is when mapped into IPv6 (RFC 4291, section 2.5.5.2).
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// The numbers of a prefix, from first to last.
fn range(prefix: &LocalAddress) -> (u128, u128) {
    let bits = if prefix.ip.is_ipv4() { 96 + prefix.bits.min(32) } else { prefix.bits.min(128) };
    let hosts = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
    let first = number(prefix.ip) & !hosts;
    (first, first | hosts)
}

/// Sorts ranges, and makes one of those that overlap or touch.
fn merge(ranges: &mut Vec<(u128, u128)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|(first, last), (_, before)| {
        let touches = *first <= before.saturating_add(1);
        if touches {
            *before = (*before).max(*last);
        }
        touches
    });
}

fn contains(ranges: &[(u128, u128)], ip: IpAddr) -> bool {
    let number = number(ip);
    let at = ranges.partition_point(|(first, _)| *first <= number);
    at.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| number <= *last)
}

fn low_octet(number: u128) -> u8 {
    number.to_be_bytes()[15]
}

/// The word of an octet in a set of octets, and its bit there.
fn place(octet: u8) -> (usize, u64) {
    (usize::from(octet / 64), 1 << (octet % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(prefixes: &[(&str, bool)]) -> LocalAddresses {
        let parse = |(text, broadcast): &(&str, bool)| {
            let (ip, bits) = text.split_once('/').unwrap();
            LocalAddress { ip: ip.parse().unwrap(), bits: bits.parse().unwrap(), broadcast: *broadcast }
        };
        LocalAddresses::new(&prefixes.iter().map(parse).collect::<Vec<_>>())
    }

    #[test]
    fn addresses_and_ranges_are_own_and_their_neighbours_are_not() {
        let local = local(&[
            ("192.0.2.7/32", false),
            ("198.51.100.0/25", false),
            ("198.51.100.64/26", false),
            ("198.51.100.128/25", false),
            ("fe80::1/128", false),
            ("2001:db8:1::/48", false),
        ]);
        assert_eq!(local.own.len(), 4, "what touches is one range");
        for own in [
            "192.0.2.7",
            "::ffff:192.0.2.7",
            "198.51.100.0",
            "198.51.100.255",
            "fe80::1",
            "2001:db8:1::",
            "2001:db8:1:ffff:ffff:ffff:ffff:ffff",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
        ] {
            assert!(local.is_own(own.parse().unwrap()), "{own}");
        }
        for other in [
            "192.0.2.6",
            "192.0.2.8",
            "198.51.99.255",
            "198.51.101.0",
            "fe80::",
            "fe80::2",
            "2001:db8:0:ffff:ffff:ffff:ffff:ffff",
            "2001:db8:2::",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert!(!local.is_own(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn everything_may_be_own() {
        let all = local(&[("0.0.0.0/0", false), ("::/0", false)]);
        assert!(
            ["0.0.0.0", "255.255.255.255", "::", "ffff::"].iter().all(|ip| all.is_own(ip.parse().unwrap()))
        );
        let v4 = local(&[("0.0.0.0/0", false)]);
        assert!(v4.is_own("8.8.8.8".parse().unwrap()) && !v4.is_own("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn groups_and_broadcasts_are_told_from_hosts() {
        let local = local(&[("192.0.2.255/32", true), ("10.0.0.63/32", true), ("198.51.100.0/30", true)]);
        for (ip, group) in [
            ("192.0.2.255", true),
            ("::ffff:192.0.2.255", true),
            ("10.0.0.63", true),
            ("198.51.100.0", true),
            ("198.51.100.3", true),
            ("198.51.100.4", false),
            ("255.255.255.255", true),
            ("224.0.0.1", true),
            ("239.255.255.255", true),
            ("223.255.255.1", false),
            ("192.0.3.255", false),
            ("10.0.0.62", false),
            ("ff02::1", true),
            ("fe80::1", false),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(local.is_group(ip), group, "{ip}");
            if let IpAddr::V4(v4) = ip {
                assert!(local.may_be_group(v4) || !group, "{ip}");
            }
        }
        assert!(!local.may_be_group(Ipv4Addr::new(192, 0, 2, 4)), "most addresses need no other look");
        assert!(LocalAddresses::new(&[]).is_group("255.255.255.255".parse().unwrap()));
    }

    /// A slow twin: every address of a small net, against every prefix by itself.
    #[test]
    fn ranges_are_what_their_prefixes_are() {
        let prefixes = [
            ("10.0.0.8/29", false),
            ("10.0.0.12/32", false),
            ("10.0.0.16/30", false),
            ("10.0.0.31/32", false),
        ];
        let local = local(&prefixes);
        for last in 0..=255_u8 {
            let expected = (8..16).contains(&last) || (16..20).contains(&last) || last == 31;
            assert_eq!(local.is_own(Ipv4Addr::new(10, 0, 0, last).into()), expected, "{last}");
        }
    }
}
