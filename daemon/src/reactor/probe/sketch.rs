//! Who sends most, in memory that does not grow: the Space-Saving sketch (Metwally, Agrawal and El Abbadi, 2005). Whoever sends
//! more than one in [`PEERS`] datagrams is in it, also while a flood comes from addresses without end.

use std::net::{IpAddr, SocketAddr};

/// Peers that are told apart. A datagram of somebody new is compared with all of them.
pub(super) const PEERS: usize = 64;

/// Peers, with what they sent.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    places: Vec<Place>,
}

/// One place, which several peers may have had one after the other.
#[derive(Clone, Debug)]
struct Place {
    ip: IpAddr,
    scope: u32,
    /// None: it sends from several ports.
    port: Option<u16>,
    /// Datagrams of all who had this place: never less than the peer has sent.
    weight: u64,
    /// Those of the ones before it.
    before: u64,
    /// Payload bytes since it has the place.
    bytes: u64,
}

/// A peer that sends much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSeen {
    /// Its address; one of IPv4 as such also where it comes by IPv6.
    pub ip: IpAddr,
    /// The interface of a link-local address; 0 is none.
    pub scope: u32,
    /// Its port; none if there were several.
    pub port: Option<u16>,
    /// Datagrams of it.
    pub datagrams: u64,
    /// Payload bytes of these.
    pub bytes: u64,
    /// At most so many datagrams more, from before it was told apart.
    pub more: u64,
}

impl Sketch {
    /// Notes datagrams of a peer, and their payload bytes.
    pub(super) fn add(&mut self, peer: SocketAddr, datagrams: u64, bytes: u64) {
        let scope = if let SocketAddr::V6(peer) = peer { peer.scope_id() } else { 0 };
        let (ip, port) = (peer.ip().to_canonical(), peer.port());
        let mut least = (u64::MAX, 0);
        for (at, place) in self.places.iter_mut().enumerate() {
            if place.ip == ip && place.scope == scope {
                place.weight = place.weight.saturating_add(datagrams);
                place.bytes = place.bytes.saturating_add(bytes);
                place.port = place.port.filter(|other| *other == port);
                return;
            }
            if place.weight < least.0 {
                least = (place.weight, at);
            }
        }
        let new = |before: u64| Place {
            ip,
            scope,
            port: Some(port),
            weight: before.saturating_add(datagrams),
            before,
            bytes,
        };
        if self.places.len() < PEERS {
            self.places.push(new(0));
        } else if let Some(place) = self.places.get_mut(least.1) {
            *place = new(least.0);
        }
    }

    /// Has all that was noted count half.
    pub(super) fn halve(&mut self) {
        for place in &mut self.places {
            place.weight /= 2;
            place.before /= 2;
            place.bytes /= 2;
        }
        self.places.retain(|place| place.weight > 0);
    }

    /// Those who certainly sent most, the most first.
    pub(super) fn top(&self, most: usize) -> Vec<PeerSeen> {
        let seen = |place: &Place| PeerSeen {
            ip: place.ip,
            scope: place.scope,
            port: place.port,
            datagrams: place.weight.saturating_sub(place.before),
            bytes: place.bytes,
            more: place.before,
        };
        let mut all: Vec<PeerSeen> = self.places.iter().map(seen).collect();
        all.sort_by(|one, other| {
            let by_size = (other.datagrams, other.more).cmp(&(one.datagrams, one.more));
            by_size.then_with(|| (one.ip, one.scope).cmp(&(other.ip, other.scope)))
        });
        all.truncate(most);
        all
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn few_peers_are_counted_exactly() {
        let mut sketch = Sketch::default();
        for _ in 0..3 {
            sketch.add(peer("198.51.100.1:7"), 1, 10);
        }
        sketch.add(peer("[::ffff:198.51.100.1]:7"), 2, 10);
        sketch.add(peer("[2001:db8::1]:9"), 4, 40);
        sketch.add(peer("[2001:db8::1]:10"), 4, 40);
        let top = sketch.top(9);
        let shown: Vec<_> =
            top.iter().map(|p| (p.ip.to_string(), p.port, p.datagrams, p.bytes, p.more)).collect();
        let expected =
            [("2001:db8::1".to_owned(), None, 8, 80, 0), ("198.51.100.1".to_owned(), Some(7), 5, 40, 0)];
        assert_eq!(shown, expected);
        assert_eq!(sketch.top(1).len(), 1);
    }

    #[test]
    fn link_local_peers_of_two_interfaces_are_two() {
        let mut sketch = Sketch::default();
        let ip: Ipv6Addr = "fe80::1".parse().unwrap();
        for scope in [2, 3] {
            sketch.add(SocketAddr::V6(SocketAddrV6::new(ip, 7, 0, scope)), 1, 1);
        }
        assert_eq!(sketch.top(9).iter().map(|peer| peer.scope).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_flood_from_addresses_without_end_hides_nobody_and_takes_no_memory() {
        let mut sketch = Sketch::default();
        let mut rng = SmallRng::seed_from_u64(7);
        let heavy = peer("192.0.2.1:53");
        let mut sent = 0;
        for _ in 0..200_000 {
            // One in 20 datagrams is of the one who sends most.
            if rng.random_ratio(1, 20) {
                sent += 1;
                sketch.add(heavy, 1, 100);
            } else {
                let forged = Ipv4Addr::from(rng.random::<u32>() | 0xf000_0000);
                sketch.add(SocketAddr::from((forged, 1)), 1, 100);
            }
        }
        assert_eq!((sketch.places.len(), sketch.places.capacity()), (PEERS, PEERS));
        let top = sketch.top(2);
        assert_eq!(top[0].ip, heavy.ip());
        assert!(top[0].datagrams <= sent && top[0].datagrams + top[0].more >= sent, "{sent}: {top:?}");
        assert!(top[0].datagrams > sent / 2, "{sent}: {top:?}");
        assert!(top[1].datagrams < 100, "no address of the flood seems to send much: {top:?}");
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut sketch = Sketch::default();
        sketch.add(peer("192.0.2.1:1"), 8, 80);
        sketch.add(peer("192.0.2.2:1"), 1, 10);
        sketch.halve();
        let top = sketch.top(9);
        assert_eq!((top.len(), top[0].datagrams, top[0].bytes), (1, 4, 40));
    }
}
