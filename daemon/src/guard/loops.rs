//! Replies to our own listeners: two handlers that answer each other never stop, and one datagram with a forged source
//! is enough to start them (R29, invariant I6).

use std::net::{IpAddr, SocketAddr};

/// The addresses the daemon's own listeners are bound to.
#[derive(Debug)]
pub struct OwnAddresses {
    /// One bit for each port that is bound. Nearly every reply goes to a port without its bit, and needs no other look.
    ports: Vec<u64>,
    /// Port and address in order, each with the number of listeners that share them.
    bound: Vec<(u16, IpAddr, u16)>,
}

impl Default for OwnAddresses {
    fn default() -> Self {
        Self { ports: vec![0; 65_536 / 64], bound: Vec::new() }
    }
}

impl OwnAddresses {
    /// Makes room for so many more listeners.
    pub fn reserve(&mut self, listeners: usize) {
        self.bound.reserve_exact(listeners);
    }

    /// Notes that a listener is bound to `local`.
    pub fn add(&mut self, local: SocketAddr) {
        let (word, bit) = place(local.port());
        if let Some(word) = self.ports.get_mut(word) {
            *word |= bit;
        }
        match self.find(local.port(), local.ip()) {
            Ok(at) => {
                if let Some((.., shared)) = self.bound.get_mut(at) {
                    *shared += 1;
                }
            }
            Err(at) => self.bound.insert(at, (local.port(), local.ip(), 1)),
        }
    }

    /// Notes that a listener is not bound to `local` any more.
    pub fn remove(&mut self, local: SocketAddr) {
        let Ok(at) = self.find(local.port(), local.ip()) else { return };
        let Some((.., shared)) = self.bound.get_mut(at) else { return };
        *shared -= 1;
        if *shared > 0 {
            return;
        }
        self.bound.remove(at);
        let first = self.bound.partition_point(|(port, ..)| *port < local.port());
        let port_is_left = self.bound.get(first).is_some_and(|(port, ..)| *port == local.port());
        let (word, bit) = place(local.port());
        if let Some(word) = self.ports.get_mut(word).filter(|_| !port_is_left) {
            *word &= !bit;
        }
    }

    /// Whether a datagram to `to` would come back to one of the listeners. That is so if a listener is bound to just
    /// this address. It is also so if a listener is bound to every address, and `to` is a loopback address or equals
    /// `asked`, the local address that the reply leaves from.
    #[inline]
    #[must_use]
    pub fn contains(&self, to: SocketAddr, asked: Option<IpAddr>) -> bool {
        let (word, bit) = place(to.port());
        self.ports.get(word).is_some_and(|ports| ports & bit != 0) && self.is_bound(to, asked)
    }

    #[cold]
    fn is_bound(&self, to: SocketAddr, asked: Option<IpAddr>) -> bool {
        let unspecified = match to.ip() {
            IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        let here = to.ip().is_loopback() || asked == Some(to.ip());
        let is_bound = |ip| self.find(to.port(), ip).is_ok();
        is_bound(to.ip()) || (here && is_bound(unspecified))
    }

    /// Where an address is in the list; the error is the place where it belongs.
    fn find(&self, port: u16, ip: IpAddr) -> Result<usize, usize> {
        self.bound.binary_search_by(|entry| (entry.0, entry.1).cmp(&(port, ip)))
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
        bound.iter().for_each(|local| own.add(local.parse().unwrap()));
        own
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
            assert_eq!(own.contains(to.parse().unwrap(), None), ours, "{to}");
        }
    }

    #[test]
    fn an_address_is_ours_until_the_last_listener_that_shares_it_is_gone() {
        let shared = "127.0.0.1:7";
        let mut own = own(&[shared, shared, "[::1]:7"]);
        let is_own = |own: &OwnAddresses, to: &str| own.contains(to.parse().unwrap(), None);
        own.remove(shared.parse().unwrap());
        assert!(is_own(&own, shared));
        own.remove(shared.parse().unwrap());
        assert!(!is_own(&own, shared) && is_own(&own, "[::1]:7"), "the port is another listener's too");
        own.remove("[::1]:7".parse().unwrap());
        own.remove("[::1]:7".parse().unwrap());
        assert!(!is_own(&own, "[::1]:7") && own.ports.iter().all(|word| *word == 0));
    }

    #[test]
    fn a_wildcard_is_reached_at_loopback_and_at_the_address_that_was_asked() {
        let own = own(&["0.0.0.0:7"]);
        let asked = "192.0.2.1".parse().ok();
        assert!(own.contains("127.0.0.9:7".parse().unwrap(), None));
        assert!(own.contains("192.0.2.1:7".parse().unwrap(), asked));
        assert!(!own.contains("192.0.2.2:7".parse().unwrap(), asked));
        assert!(!own.contains("[::1]:7".parse().unwrap(), None));
    }
}
