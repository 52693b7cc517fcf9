//! The table against an obvious one, and its bounds.

use super::{MAX_PEERS, Peers, Seen};
use polyport_plugin::Rng;
use std::net::{Ipv4Addr, SocketAddr};

fn peer(n: u64) -> SocketAddr {
    let n = u32::try_from(n).unwrap();
    (Ipv4Addr::from(n), 7).into()
}

/// The same promise kept slowly: most recently heard first.
#[derive(Default)]
struct Slow(Vec<(SocketAddr, u64)>);

impl Slow {
    fn count(&mut self, peer: SocketAddr, limit: usize) -> Seen {
        let before = self.0.iter().position(|(p, _)| *p == peer);
        let number = before.map_or(0, |at| self.0.remove(at).1);
        let forgot = before.is_none() && self.0.len() == limit;
        if forgot {
            self.0.pop();
        }
        self.0.insert(0, (peer, number + 1));
        Seen { number, forgot }
    }
}

#[test]
fn the_table_agrees_with_a_list() {
    for limit in [1, 2, 3, 8] {
        let (mut table, mut slow, mut rng) =
            (Peers::with_limit(limit), Slow::default(), Rng::new(limit as u64));
        for _ in 0..2000 {
            let peer = peer(rng.next_u64() % 12);
            assert_eq!(table.count(peer), slow.count(peer, limit));
            assert!(table.iter().eq(slow.0.iter().copied()), "limit {limit}");
        }
    }
}

#[test]
fn a_million_spoofed_sources_cost_no_more_than_the_limit() {
    let mut table = Peers::default();
    assert!(table.is_empty());
    let mut forgotten = 0;
    let (mut entries, mut index) = (0, 0);
    for n in 0..1_000_000 {
        forgotten += usize::from(table.count(peer(n)).forgot);
        if n == 300_000 {
            (entries, index) = (table.entries.capacity(), table.index.capacity());
        }
    }
    assert_eq!((table.len(), table.index.len()), (MAX_PEERS, MAX_PEERS));
    assert_eq!(forgotten, 1_000_000 - MAX_PEERS);
    // Flat: what was enough after 300,000 is enough after a million, and below 200 bytes a peer.
    assert_eq!(table.entries.capacity(), entries);
    assert!(table.index.capacity() <= index.max(4 * MAX_PEERS), "{}", table.index.capacity());
    let bytes = table.entries.capacity() * size_of::<super::Entry>()
        + table.index.capacity() * 8 / 7 * (size_of::<(SocketAddr, u32)>() + 1);
    assert!(bytes < 200 * MAX_PEERS, "{bytes}");
    // Numbered from 0 again.
    assert_eq!(table.count(peer(0)), Seen { number: 0, forgot: true });
}
