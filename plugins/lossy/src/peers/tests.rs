//! The table against an obvious one, and its bounds.

use std::net::{Ipv4Addr, SocketAddr};

use polyport_counting_alloc::{CountingAlloc, allocations, live_bytes};
use polyport_plugin::{Reservation, Rng};

use super::{MAX_PEERS, PEER_BYTES, Peers, Seen};

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

fn peer(n: u64) -> SocketAddr {
    let n = u32::try_from(n).unwrap();
    (Ipv4Addr::from(n), 7).into()
}

/// What [`Peers`] promises, kept slowly in a list: most recently heard first.
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
            (Peers::with_limit(limit, Reservation::default()), Slow::default(), Rng::new(limit as u64));
        for _ in 0..2000 {
            let peer = peer(rng.next_u64() % 12);
            assert_eq!(table.count(peer), slow.count(peer, limit));
            assert!(table.iter().eq(slow.0.iter().copied()), "limit {limit}");
        }
    }
}

#[test]
fn a_million_spoofed_sources_cost_no_more_than_the_limit() {
    let before = live_bytes();
    let mut table = Peers::default();
    assert!(table.is_empty());
    let (mut forgotten, mut blocks) = (0, 0);
    for n in 0..1_000_000 {
        forgotten += usize::from(table.count(peer(n)).forgot);
        if n == 300_000 {
            blocks = allocations();
        }
    }
    assert_eq!(table.len(), MAX_PEERS);
    assert_eq!(forgotten, 1_000_000 - MAX_PEERS);
    // Flat: what was enough after 300,000 is enough after a million, but for an index that is full of what was deleted, which
    // another one replaces after some ten thousands of peers; and below 200 bytes a peer.
    assert!(allocations() - blocks <= 700_000 / 10_000, "{}", allocations() - blocks);
    let bytes = usize::try_from(live_bytes() - before).unwrap();
    assert!((56 * MAX_PEERS..200 * MAX_PEERS).contains(&bytes), "{bytes}");
    // Numbered from 0 again.
    assert_eq!(table.count(peer(0)), Seen { number: 0, forgot: true });
}

#[test]
fn a_peer_costs_no_more_than_the_host_was_told() {
    let (before, mut table) = (live_bytes(), Peers::default());
    let mut dearest = 0;
    for n in 0..70_000 {
        table.count(peer(n));
        let each = usize::try_from(live_bytes() - before).unwrap() / table.len();
        // The first few are free.
        dearest = dearest.max(if n < 100 { 0 } else { each });
    }
    // `malloc` adds 8 bytes to the node of a peer, and rounds it up.
    assert!((PEER_BYTES / 2..=PEER_BYTES - 16).contains(&dearest), "{dearest} bytes");
}
