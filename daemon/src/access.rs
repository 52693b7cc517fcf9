//! Who may talk to a listener, by the address a datagram comes from. The configuration makes the list, and the guard keeps
//! to it; neither uses the other, and this module uses neither.
//!
//! The longest prefix that an address has decides, as in a routing table and in name servers (`access-control` of
//! unbound.conf(5)): so a network can be let in, one of its subnets not, and a host of that subnet all the same, in
//! whatever order they are written.
//!
//! An IPv4 address is the same however it is spelled: `::ffff:192.0.2.1` (RFC 4291, section 2.5.5.2) is `192.0.2.1`, in a
//! rule and of a peer, so a rule holds on sockets of either family.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: all addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The first of its addresses; an IPv4 address is never mapped into IPv6.
    ip: IpAddr,
    /// Bits that they have in common, of 32 or 128.
    bits: u8,
}

impl Prefix {
    /// Whether it is one of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.ip.is_ipv4()
    }
}

impl FromStr for Prefix {
    type Err = String;

    /// Reads `ADDRESS/BITS`, or the address of a single host.
    ///
    /// # Errors
    /// What was expected, in words.
    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected a prefix such as \"192.0.2.0/24\" or \"2001:db8::/32\", or an address";
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| EXPECTED.to_owned())?;
        let width = width(ip);
        let digits = bits.map(|bits| {
            let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
            bits.parse().ok().filter(|bits| is_number && *bits <= width)
        });
        let Some(bits) = digits.unwrap_or(Some(width)) else {
            return Err(format!("expected 0 to {width} bits behind the `/` of this address"));
        };
        let (ip, bits) = match ip {
            IpAddr::V6(six) => match six.to_ipv4_mapped() {
                Some(four) if bits >= MAPPED_BITS => (IpAddr::V4(four), bits - MAPPED_BITS),
                _ => (ip, bits),
            },
            IpAddr::V4(_) => (ip, bits),
        };
        let prefix = Self { ip: first(ip, bits), bits };
        if prefix.ip == ip {
            Ok(prefix)
        } else {
            let host = Self { ip, bits: self::width(ip) };
            Err(format!(
                "bits behind the first {bits} are not 0: the network is \"{prefix}\", the host \"{host}\""
            ))
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == width(self.ip) {
            write!(f, "{}", self.ip)
        } else {
            write!(f, "{}/{}", self.ip, self.bits)
        }
    }
}

/// Bits of an IPv6 address before the IPv4 address that is mapped into it.
const MAPPED_BITS: u8 = 96;

/// Bits of an address.
fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The first address with these bits of `ip`.
fn first(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let hosts = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & !hosts).into()
        }
        IpAddr::V6(ip) => {
            let hosts = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & !hosts).into()
        }
    }
}

/// Who may talk to a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    allow: Vec<Prefix>,
    deny: Vec<Prefix>,
    v4: Spans<u32>,
    v6: Spans<u128>,
}

impl Access {
    /// Lets in what is in a network of `allow`, and not what is in one of `deny`; the longer prefix decides, and of a
    /// network that is in both lists `deny` does. Who is in neither comes in if `allow` is empty.
    #[must_use]
    pub fn new(mut allow: Vec<Prefix>, mut deny: Vec<Prefix>) -> Self {
        for list in [&mut allow, &mut deny] {
            list.sort_unstable();
            list.dedup();
        }
        let others = allow.is_empty();
        let rules = || {
            let allowed = allow.iter().map(|prefix| (prefix, true));
            allowed.chain(deny.iter().map(|prefix| (prefix, false)))
        };
        let v4 = rules().filter_map(|(prefix, verdict)| match prefix.ip {
            IpAddr::V4(ip) => {
                let hosts = u32::MAX.checked_shr(prefix.bits.into()).unwrap_or(0);
                Some(Rule { first: ip.to_bits(), last: ip.to_bits() | hosts, verdict })
            }
            IpAddr::V6(_) => None,
        });
        let v6 = rules().filter_map(|(prefix, verdict)| match prefix.ip {
            IpAddr::V6(ip) => {
                let hosts = u128::MAX.checked_shr(prefix.bits.into()).unwrap_or(0);
                Some(Rule { first: ip.to_bits(), last: ip.to_bits() | hosts, verdict })
            }
            IpAddr::V4(_) => None,
        });
        let (v4, v6) = (Spans::of(v4.collect(), others), Spans::of(v6.collect(), others));
        Self { allow, deny, v4, v6 }
    }

    /// Whether datagrams from an address are let in: a look for its place among the ends of networks, 13 comparisons
    /// where there are 4,096 of them.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.verdict(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.verdict(ip.to_bits()),
        }
    }

    /// The networks that are let in, in order.
    #[must_use]
    pub fn allow(&self) -> &[Prefix] {
        &self.allow
    }

    /// Those that are not.
    #[must_use]
    pub fn deny(&self) -> &[Prefix] {
        &self.deny
    }
}

/// What holds for the addresses of a network, as far as no smaller one in it says otherwise.
#[derive(Clone, Copy)]
struct Rule<N> {
    first: N,
    last: N,
    verdict: bool,
}

/// The addresses of a family, cut into spans: each begins at an address, ends before the next one, and has a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spans<N>(Vec<(N, bool)>);

impl<N: Number> Spans<N> {
    /// Networks lie in each other or apart, so those around an address are a stack.
    fn of(mut rules: Vec<Rule<N>>, others: bool) -> Self {
        // The larger one first, and of two equal ones the one that denies last: what comes last decides.
        rules.sort_unstable_by_key(|rule| (rule.first, std::cmp::Reverse(rule.last), !rule.verdict));
        let mut spans = Self(vec![(N::ZERO, others)]);
        let mut around: Vec<Rule<N>> = Vec::new();
        for rule in rules {
            spans.leave(&mut around, Some(rule.first), others);
            spans.begin(rule.first, rule.verdict);
            around.push(rule);
        }
        spans.leave(&mut around, None, others);
        spans
    }

    /// Ends the networks that end before `next`; all if there is none.
    fn leave(&mut self, around: &mut Vec<Rule<N>>, next: Option<N>, others: bool) {
        while let Some(ended) = around.pop_if(|inner| next.is_none_or(|next| inner.last < next)) {
            if let Some(behind) = ended.last.next() {
                let outer = around.last().map_or(others, |outer| outer.verdict);
                self.begin(behind, outer);
            }
        }
    }

    /// Begins a span. The one that began at the same address is none.
    fn begin(&mut self, at: N, verdict: bool) {
        if let Some(last) = self.0.last_mut()
            && last.0 == at
        {
            last.1 = verdict;
        } else {
            self.0.push((at, verdict));
        }
        if let [.., before, last] = &self.0[..]
            && before.1 == last.1
        {
            self.0.pop();
        }
    }

    fn verdict(&self, address: N) -> bool {
        let behind = self.0.partition_point(|(begin, _)| *begin <= address);
        // The first span begins at 0.
        behind.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, verdict)| *verdict)
    }
}

/// The bits of an address as a number.
trait Number: Copy + Ord {
    const ZERO: Self;
    /// The next address, unless there is none.
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    const ZERO: Self = 0;
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    const ZERO: Self = 0;
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn access(allow: &[&str], deny: &[&str]) -> Access {
        let all = |list: &[&str]| list.iter().map(|text| prefix(text)).collect();
        Access::new(all(allow), all(deny))
    }

    fn allows(access: &Access, ip: &str) -> bool {
        access.allows(ip.parse().unwrap())
    }

    #[test]
    fn a_prefix_is_shown_as_it_is_kept() {
        for (text, shown) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::1/128", "::1"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(prefix(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused_in_words() {
        for (text, words) in [
            ("", "expected a prefix such as"),
            ("192.0.2", "expected a prefix such as"),
            ("192.0.2.0/", "expected 0 to 32 bits"),
            ("192.0.2.0/33", "expected 0 to 32 bits"),
            ("192.0.2.0/+4", "expected 0 to 32 bits"),
            ("192.0.2.0/24/1", "expected 0 to 32 bits"),
            ("192.0.02.0/24", "expected a prefix such as"),
            ("2001:db8::/129", "expected 0 to 128 bits"),
            ("fe80::1%lo/64", "expected a prefix such as"),
            ("192.0.2.7/24", "the network is \"192.0.2.0/24\", the host \"192.0.2.7\""),
            ("::ffff:192.0.2.7/120", "the network is \"192.0.2.0/24\", the host \"192.0.2.7\""),
            ("::ffff:0:0/95", "bits behind the first 95 are not 0"),
            ("2001:db8::1/32", "the network is \"2001:db8::/32\", the host \"2001:db8::1\""),
        ] {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    /// R24: whichever way a rule and a peer are spelled.
    #[test]
    fn an_ipv4_address_is_the_same_in_both_spellings() {
        for spelled in ["192.0.2.0/24", "::ffff:192.0.2.0/120"] {
            let (denied, allowed) = (access(&[], &[spelled]), access(&[spelled], &[]));
            for (peer, is_in) in [
                ("192.0.2.9", true),
                ("::ffff:192.0.2.9", true),
                ("192.0.3.0", false),
                ("::ffff:192.0.1.255", false),
                // An IPv4-compatible address is none of IPv4 (RFC 4291, section 2.5.5.1).
                ("::192.0.2.9", false),
                ("2001:db8::192.0.2.9", false),
            ] {
                assert_eq!(
                    (allows(&denied, peer), allows(&allowed, peer)),
                    (!is_in, is_in),
                    "{spelled} {peer}"
                );
            }
        }
    }

    #[test]
    fn the_longest_prefix_decides_and_deny_where_both_are_equal() {
        let access = access(
            &["10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "192.0.2.0/24"],
            &["10.1.0.0/16", "0.0.0.0/0", "192.0.2.0/24"],
        );
        for (peer, is_let_in) in [
            ("10.0.0.0", true),
            ("10.0.255.255", true),
            ("10.1.0.0", false),
            ("10.1.2.2", false),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("10.1.255.255", false),
            ("10.2.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("192.0.2.1", false),
            ("2001:db8::1", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(allows(&access, peer), is_let_in, "{peer}");
        }
    }

    #[test]
    fn who_is_in_no_list_comes_in_unless_some_are_let_in_by_name() {
        assert!(allows(&access(&[], &["192.0.2.0/24"]), "203.0.113.1"));
        assert!(allows(&access(&[], &["192.0.2.0/24"]), "2001:db8::1"));
        assert!(!allows(&access(&["192.0.2.0/24"], &[]), "203.0.113.1"));
        assert!(!allows(&access(&["192.0.2.0/24"], &[]), "2001:db8::1"), "a list of one family is a list");
        assert!(!allows(&access(&[], &["::/0"]), "::1"));
        assert!(
            allows(&access(&[], &["::/0"]), "127.0.0.1"),
            "IPv4 is another family, however it is spelled"
        );
    }

    /// Against the definition, for thousands of networks that lie in each other.
    #[test]
    fn it_is_what_the_definition_says() {
        let mut rng = StdRng::seed_from_u64(24);
        for round in 0..40 {
            let count = if round == 0 { 2048 } else { rng.random_range(1..40) };
            let mut some = || -> Vec<Prefix> {
                let one = |_| {
                    let bits = rng.random_range(0..=32);
                    // Few addresses, so that networks meet.
                    let near = 0xC000_0200_u32
                        ^ (rng.random::<u32>() & if round == 0 { u32::MAX } else { 0x00FF_00FF });
                    let ip = first(Ipv4Addr::from_bits(near).into(), bits);
                    Prefix { ip, bits }
                };
                (0..count).map(one).collect()
            };
            let (allow, deny) = (some(), some());
            let access = Access::new(allow.clone(), deny.clone());
            let is_in = |prefix: &Prefix, ip: IpAddr| first(ip, prefix.bits) == prefix.ip;
            let longest = |list: &[Prefix], ip: IpAddr| {
                list.iter().filter(|prefix| is_in(prefix, ip)).map(|prefix| prefix.bits).max()
            };
            for _ in 0..200 {
                let all = [&allow[..], &deny[..]].concat();
                let near = all[rng.random_range(0..all.len())];
                let IpAddr::V4(four) = near.ip else { unreachable!() };
                let flip = 1_u32.checked_shl(rng.random_range(0..32)).unwrap_or(0);
                let ip = IpAddr::from(Ipv4Addr::from_bits(four.to_bits() ^ flip));
                let expected = match (longest(&allow, ip), longest(&deny, ip)) {
                    (Some(allowed), Some(denied)) => allowed > denied,
                    (allowed, None) => allowed.is_some(),
                    (None, Some(_)) => false,
                };
                assert_eq!(access.allows(ip), expected, "{ip}: {allow:?} {deny:?}");
            }
        }
    }
}
