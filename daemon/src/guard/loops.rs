//! Datagrams to our own listeners: two handlers that answer each other never stop, and one datagram with a forged source
//! is enough to start them (R29, invariant I6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::local::{LocalAddress, LocalAddresses};
use crate::reply::LOOP_PORTS;

/// The addresses the daemon's own listeners are bound to, and those of the host.
#[derive(Debug)]
pub struct OwnAddresses {
    /// One bit for each port that a rule speaks of: those that are bound, and the [`LOOP_PORTS`]. Nearly every datagram
    /// goes to a port without its bit, and needs no other look.
    ports: Vec<u64>,
    /// In the order of port and address.
    bound: Vec<Bound>,
    local: LocalAddresses,
    /// What of this was changed since [`Self::take_changed`].
    changed: Option<Changed>,
    /// The ports of listeners that have come, gone or changed since then.
    changed_ports: Vec<u16>,
    /// Beside listeners, the addresses of the host have changed.
    host_changed: bool,
}

/// An address that listeners are bound to.
#[derive(Debug)]
struct Bound {
    port: u16,
    ip: IpAddr,
    /// How many listeners share it.
    listeners: u16,
    /// How many of them take no sessions of others.
    closed: u16,
}

/// The listeners that a datagram would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The address they are bound to.
    pub bound: SocketAddr,
    /// One of them takes no sessions of others, because its handler has sessions of its own.
    pub closed: bool,
}

/// What may have changed about where a datagram comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// The addresses of the host. That happens often where interfaces come and go.
    Host,
    /// The listeners, and perhaps the addresses as well. That happens at a start and a reload.
    Listeners,
}

impl Default for OwnAddresses {
    fn default() -> Self {
        let mut own = Self {
            ports: vec![0; 65_536 / 64],
            bound: Vec::new(),
            local: LocalAddresses::default(),
            changed: None,
            changed_ports: Vec::new(),
            host_changed: false,
        };
        LOOP_PORTS.iter().for_each(|(port, _)| own.mark(*port));
        own
    }
}

impl OwnAddresses {
    /// Makes room for so many more listeners.
    pub fn reserve(&mut self, listeners: usize) {
        self.bound.reserve_exact(listeners);
    }

    /// Notes that a listener is bound to `local`, and whether it is closed to sessions of others.
    pub fn add(&mut self, local: SocketAddr, closed: bool) {
        let (port, ip, closed) = (local.port(), local.ip(), u16::from(closed));
        self.mark(port);
        self.note(port);
        match self.find(port, ip) {
            Ok(at) => {
                if let Some(bound) = self.bound.get_mut(at) {
                    bound.listeners += 1;
                    bound.closed += closed;
                }
            }
            Err(at) => self.bound.insert(at, Bound { port, ip, listeners: 1, closed }),
        }
    }

    /// Notes that a listener that was bound to `local` is closed to sessions of others or not, and was before.
    pub fn set_closed(&mut self, local: SocketAddr, before: bool, after: bool) {
        if before != after
            && let Ok(at) = self.find(local.port(), local.ip())
            && let Some(bound) = self.bound.get_mut(at)
        {
            bound.closed = bound.closed + u16::from(after) - u16::from(before);
            self.note(local.port());
        }
    }

    /// Notes that a listener is not bound to `local` any more, and whether it was closed to sessions of others.
    pub fn remove(&mut self, local: SocketAddr, closed: bool) {
        let Ok(at) = self.find(local.port(), local.ip()) else { return };
        self.note(local.port());
        let Some(bound) = self.bound.get_mut(at) else { return };
        bound.listeners -= 1;
        bound.closed -= u16::from(closed);
        if bound.listeners > 0 {
            return;
        }
        self.bound.remove(at);
        let first = self.bound.partition_point(|bound| bound.port < local.port());
        let port_is_left = self.bound.get(first).is_some_and(|bound| bound.port == local.port())
            || LOOP_PORTS.iter().any(|(port, _)| *port == local.port());
        let (word, bit) = place(local.port());
        if let Some(word) = self.ports.get_mut(word).filter(|_| !port_is_left) {
            *word &= !bit;
        }
    }

    /// Takes over the addresses of the host, in place of those that were known before.
    pub fn set_local(&mut self, list: &[LocalAddress]) {
        self.local = LocalAddresses::new(list);
        self.host_changed |= self.changed == Some(Changed::Listeners);
        self.changed = self.changed.max(Some(Changed::Host));
    }

    /// What may have changed about where a datagram comes to since the last call. Listeners that have come or gone at ports that
    /// nobody is interested in change nothing.
    #[inline]
    pub fn take_changed(&mut self, is_of_interest: impl Fn(u16) -> bool) -> Option<Changed> {
        let changed = self.changed.take()?;
        if changed == Changed::Host {
            return Some(changed);
        }
        // The addresses of the host may have changed as well, which a look at all does not leave out.
        let concerns = self.changed_ports.iter().any(|port| is_of_interest(*port));
        self.changed_ports.clear();
        let host = std::mem::take(&mut self.host_changed);
        if concerns { Some(Changed::Listeners) } else { host.then_some(Changed::Host) }
    }

    /// Something is another thing at this port.
    fn note(&mut self, port: u16) {
        self.host_changed |= self.changed == Some(Changed::Host);
        self.changed = Some(Changed::Listeners);
        self.changed_ports.push(port);
    }

    /// Whether one of the listeners may get what is sent to an address; a no is final as long as listeners stay.
    #[must_use]
    pub fn may_serve(&self, to: SocketAddr) -> bool {
        self.at(to.port()).next().is_some()
    }

    /// The listeners that get what is sent to an address, if it is an address to send to.
    #[must_use]
    pub fn receiver(&self, to: SocketAddr) -> Option<Served> {
        // An IPv4 address in the form of IPv6 is the same address.
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        if to.ip().is_unspecified() { None } else { self.served_by(to) }
    }

    /// Whether [`Self::serves`], [`Self::is_group`] or a rule about the port may say yes to a destination; a no is final.
    #[inline]
    pub(super) fn may_concern(&self, to: SocketAddr) -> bool {
        let (word, bit) = place(to.port());
        let port = self.ports.get(word).is_some_and(|ports| ports & bit != 0);
        port || match to.ip() {
            IpAddr::V4(ip) => self.local.may_be_group(ip),
            // The second is an IPv4 address in the form of IPv6.
            IpAddr::V6(ip) => ip.is_multicast() || ip.to_bits() >> 32 == 0xffff,
        }
    }

    /// Whether a datagram to `to` would come to one of the listeners. That is so if a listener is bound to just this
    /// address. It is also so if a listener is bound to every address, and `to` is an address of this host or equals
    /// `asked`, the local address that the datagram leaves from: the list of addresses may be late. Interfaces make no
    /// difference, because a link-local address that two of them have is ours at both.
    pub(super) fn serves(&self, to: SocketAddr, asked: Option<IpAddr>) -> bool {
        let ip = to.ip();
        if ip.is_unspecified() {
            // The kernel sends it to this host, to whichever address it likes.
            return self.at(to.port()).any(|bound| bound.is_ipv4() == ip.is_ipv4());
        }
        let unspecified = match ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let is_bound = |ip| self.find(to.port(), ip).is_ok();
        is_bound(ip) || is_bound(unspecified) && (asked == Some(ip) || self.local.is_own(ip))
    }

    /// The listeners that a datagram to `to` would come to, which is no unspecified address. Where some are bound to just this
    /// address and others to all, the kernel gives it to the former.
    pub(super) fn served_by(&self, to: SocketAddr) -> Option<Served> {
        let any = match to.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let exact = self.find(to.port(), to.ip());
        let at =
            exact.or_else(|_| if self.local.is_own(to.ip()) { self.find(to.port(), any) } else { exact });
        let bound = self.bound.get(at.ok()?)?;
        Some(Served { bound: SocketAddr::new(bound.ip, bound.port), closed: bound.closed > 0 })
    }

    /// Whether a datagram to `ip` goes to a multicast group or to a broadcast address.
    #[must_use]
    pub fn is_group(&self, ip: IpAddr) -> bool {
        self.local.is_group(ip)
    }

    /// The addresses that are bound with a port.
    fn at(&self, port: u16) -> impl Iterator<Item = IpAddr> {
        let first = self.bound.partition_point(|bound| bound.port < port);
        let from = self.bound.get(first..).unwrap_or_default();
        from.iter().take_while(move |bound| bound.port == port).map(|bound| bound.ip)
    }

    /// Notes that a rule speaks of a port.
    fn mark(&mut self, port: u16) {
        let (word, bit) = place(port);
        if let Some(word) = self.ports.get_mut(word) {
            *word |= bit;
        }
    }

    /// Where an address is in the list; the error is the place where it belongs.
    fn find(&self, port: u16, ip: IpAddr) -> Result<usize, usize> {
        self.bound.binary_search_by(|bound| (bound.port, bound.ip).cmp(&(port, ip)))
    }
}

/// The word of a port in the set of ports, and its bit there.
fn place(port: u16) -> (usize, u64) {
    (usize::from(port / 64), 1 << (port % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(bound: &[&str]) -> OwnAddresses {
        let mut own = OwnAddresses::default();
        bound.iter().for_each(|local| own.add(local.parse().unwrap(), false));
        own
    }

    /// What the guard asks: the quick look must not hide what the long one finds.
    fn contains(own: &OwnAddresses, to: &str, asked: Option<IpAddr>) -> bool {
        let to = to.parse().unwrap();
        let serves = own.serves(to, asked);
        assert!(own.may_concern(to) || !serves, "{to}");
        serves
    }

    #[test]
    fn only_our_own_addresses_are_ours() {
        let own = own(&["127.0.0.1:7", "[::1]:65535", "192.0.2.1:0"]);
        for (to, ours) in [
            ("127.0.0.1:7", true),
            ("127.0.0.2:7", false),
            ("127.0.0.1:8", false),
            ("127.0.0.1:71", false),
            ("[::1]:65535", true),
            ("[::1]:7", false),
        ] {
            assert_eq!(contains(&own, to, None), ours, "{to}");
        }
    }

    #[test]
    fn an_address_is_ours_until_the_last_listener_that_shares_it_is_gone() {
        let untouched = own(&[]);
        let shared = "127.0.0.1:7";
        let mut own = own(&[shared, shared, "[::1]:7", "[::1]:8"]);
        let is_own = |own: &OwnAddresses, to: &str| contains(own, to, None);
        own.remove(shared.parse().unwrap(), false);
        assert!(is_own(&own, shared));
        own.remove(shared.parse().unwrap(), false);
        assert!(!is_own(&own, shared) && is_own(&own, "[::1]:7"), "the port is another listener's too");
        own.remove("[::1]:7".parse().unwrap(), false);
        own.remove("[::1]:7".parse().unwrap(), false);
        assert!(own.may_concern("[::2]:8".parse().unwrap()));
        own.remove("[::1]:8".parse().unwrap(), false);
        assert!(!is_own(&own, "[::1]:7") && own.ports == untouched.ports, "the ports of rules stay");
        assert!(own.may_concern("[::2]:7".parse().unwrap()) && !own.may_concern("[::2]:8".parse().unwrap()));
    }

    #[test]
    fn who_stays_is_ours_whatever_goes() {
        // Neighbours in the list on both sides, and a port that differs by the bits of a word.
        let there = ["127.0.0.1:5", "127.0.0.1:7", "[::1]:7", "127.0.0.1:9", "127.0.0.1:71"];
        for gone in there {
            let mut own = own(&there);
            own.remove(gone.parse().unwrap(), false);
            for to in there {
                assert_eq!(contains(&own, to, None), to != gone, "{to} without {gone}");
            }
        }
    }

    #[test]
    fn a_wildcard_is_reached_at_loopback_and_at_the_address_that_was_asked() {
        let own = own(&["0.0.0.0:7"]);
        let asked = "192.0.2.1".parse().ok();
        assert!(contains(&own, "127.0.0.9:7", None));
        assert!(contains(&own, "192.0.2.1:7", asked));
        assert!(!contains(&own, "192.0.2.2:7", asked));
        assert!(!contains(&own, "[::1]:7", None));
    }

    #[test]
    fn a_wildcard_is_reached_at_every_address_of_the_host_while_it_has_it() {
        let mut own = own(&["0.0.0.0:7", "[::]:8", "192.0.2.9:9"]);
        let single = |ip: &str| LocalAddress {
            ip: ip.parse().unwrap(),
            bits: if ip.contains(':') { 128 } else { 32 },
            broadcast: false,
        };
        let ours = ["192.0.2.1:7", "[fe80::1%3]:8", "[fe80::1%4]:8", "[2001:db8::1]:8"];
        let others =
            ["192.0.2.2:7", "[fe80::2%3]:8", "192.0.2.1:8", "[2001:db8::1]:7", "192.0.2.1:9", "192.0.2.1:10"];
        assert!(!ours.iter().chain(&others).any(|to| contains(&own, to, None)));
        own.set_local(&[single("192.0.2.1"), single("fe80::1"), single("2001:db8::1")]);
        assert!(ours.iter().all(|to| contains(&own, to, None)));
        assert!(!others.iter().any(|to| contains(&own, to, None)));
        assert!(contains(&own, "192.0.2.9:9", None), "bound, whatever the host's addresses are");
        own.set_local(&[single("fe80::1")]);
        assert!(!contains(&own, ours[0], None) && contains(&own, ours[1], None));
    }

    #[test]
    fn a_change_of_the_host_is_told_from_one_of_the_listeners() {
        let mut own = own(&["0.0.0.0:7"]);
        assert_eq!(
            (own.take_changed(|_| true), own.take_changed(|_| true)),
            (Some(Changed::Listeners), None)
        );
        own.set_local(&[]);
        assert_eq!(own.take_changed(|_| true), Some(Changed::Host));
        let local = "192.0.2.1:7".parse().unwrap();
        own.add(local, false);
        own.set_local(&[]);
        assert_eq!(own.take_changed(|_| true), Some(Changed::Listeners));
        own.set_closed(local, false, true);
        assert_eq!(own.take_changed(|_| true), Some(Changed::Listeners));
        own.remove(local, true);
        assert_eq!(own.take_changed(|_| true), Some(Changed::Listeners));
    }

    #[test]
    fn ports_that_are_of_no_interest_change_nothing() {
        let mut own = own(&["0.0.0.0:7", "0.0.0.0:8"]);
        assert_eq!(own.take_changed(|port| port == 9), None);
        assert_eq!(own.take_changed(|_| true), None, "it was looked at");
        let local = "192.0.2.1:9".parse().unwrap();
        for host_first in [true, false] {
            if host_first {
                own.set_local(&[]);
            }
            own.add(local, false);
            if !host_first {
                own.set_local(&[]);
            }
            assert_eq!(
                own.take_changed(|port| port != 9),
                Some(Changed::Host),
                "what else has changed counts"
            );
            own.remove(local, false);
            assert_eq!(own.take_changed(|port| port == 9), Some(Changed::Listeners));
        }
    }

    /// The ports of rules, and addresses that end as a broadcast address does, have nothing to do with it.
    #[test]
    fn only_who_sends_to_the_port_of_a_listener_may_come_to_one() {
        let own = own(&["0.0.0.0:7", "127.0.0.1:8"]);
        for (to, may, served) in [
            ("192.0.2.1:7", true, None),
            ("127.0.0.2:7", true, Some("0.0.0.0:7")),
            ("[::ffff:127.0.0.1]:8", true, Some("127.0.0.1:8")),
            ("0.0.0.0:8", true, None),
            ("192.0.2.1:53", false, None),
            ("255.255.255.255:9", false, None),
        ] {
            let to = to.parse().unwrap();
            assert_eq!((own.may_serve(to), own.may_concern(to)), (may, true), "{to}");
            assert_eq!(own.receiver(to).map(|served| served.bound.to_string()).as_deref(), served, "{to}");
        }
    }

    #[test]
    fn an_unspecified_destination_is_this_host() {
        let own = own(&["127.0.0.1:7", "[2001:db8::1]:8"]);
        assert!(contains(&own, "0.0.0.0:7", None) && contains(&own, "[::]:8", None));
        assert!(!contains(&own, "0.0.0.0:8", None) && !contains(&own, "[::]:7", None));
    }
}
