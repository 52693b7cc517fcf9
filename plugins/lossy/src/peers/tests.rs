//! The table against an obvious one, and its bounds.

use std::net::{Ipv4Addr, SocketAddr};

use polyport_counting_alloc::{CountingAlloc, live_bytes};
use polyport_impair::{Config, Direction, Script, Start};
use polyport_plugin::Rng;

use super::*;

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

fn peer(n: u64) -> SocketAddr {
    let n = u32::try_from(n).unwrap();
    (Ipv4Addr::from(n), 7).into()
}

/// Up to so many peers, with lines up and down as well.
fn peers(limit: usize) -> Peers {
    Peers::with_limit(limit, Keys::new(Key::Address, 7000), 0, Reservation::default())
}

/// One datagram of a peer: its number, and whether another peer was forgotten.
fn count(table: &mut Peers, script: &Script, peer: SocketAddr) -> (u64, bool) {
    let (peer, forgot) = table.peer(peer, true).unwrap();
    let line = peer.line(1).unwrap();
    let number = line.count();
    line.decide(script, 0, 0, 0);
    (number, forgot)
}

fn neutral() -> Script {
    Script::new(1, Direction::Only, Start::Line, &Config::default(), None).unwrap()
}

/// What [`Peers`] promises, kept slowly in a list: most recently heard first.
#[derive(Default)]
struct Slow(Vec<(SocketAddr, u64)>);

impl Slow {
    fn count(&mut self, peer: SocketAddr, limit: usize) -> (u64, bool) {
        let before = self.0.iter().position(|(p, _)| *p == peer);
        let number = before.map_or(0, |at| self.0.remove(at).1);
        let forgot = before.is_none() && self.0.len() == limit;
        if forgot {
            self.0.pop();
        }
        self.0.insert(0, (peer, number + 1));
        (number, forgot)
    }
}

#[test]
fn the_table_agrees_with_a_list() {
    let script = neutral();
    for limit in [1, 2, 3, 8] {
        let (mut table, mut slow, mut rng) = (peers(limit), Slow::default(), Rng::new(limit as u64));
        for _ in 0..2000 {
            let peer = peer(rng.next_u64() % 12);
            assert_eq!(count(&mut table, &script, peer), slow.count(peer, limit));
            assert!(table.iter().eq(slow.0.iter().copied()), "limit {limit}");
        }
    }
}

#[test]
fn any_number_of_spoofed_sources_cost_no_more_than_the_limit() {
    let (script, before) = (neutral(), live_bytes());
    let mut table = peers(MAX_PEERS);
    assert!(table.is_empty());
    let (mut forgotten, mut bytes) = (0, 0);
    for n in 0..400_000 {
        forgotten += usize::from(count(&mut table, &script, peer(n)).1);
        if n == 200_000 {
            bytes = live_bytes();
        }
    }
    assert_eq!(table.len(), MAX_PEERS);
    assert_eq!(forgotten, 400_000 - MAX_PEERS);
    // Flat: what was enough after 200,000 is enough after 400,000; and below 336 bytes a peer.
    assert!((live_bytes() - bytes).unsigned_abs() < 1 << 20, "{} from {bytes}", live_bytes());
    let bytes = usize::try_from(live_bytes() - before).unwrap();
    assert!((100 * MAX_PEERS..PEER_BYTES * MAX_PEERS).contains(&bytes), "{bytes}");
    // Numbered from 0 again.
    assert_eq!(count(&mut table, &script, peer(0)), (0, true));
}

#[test]
fn a_peer_costs_no_more_than_the_host_was_told() {
    let (script, before, mut table) = (neutral(), live_bytes(), peers(MAX_PEERS));
    let mut dearest = 0;
    for n in 0..70_000 {
        count(&mut table, &script, peer(n));
        let each = usize::try_from(live_bytes() - before).unwrap() / table.len();
        // The first few are free.
        dearest = dearest.max(if n < 100 { 0 } else { each });
    }
    // `malloc` adds 8 bytes to the node of a peer and to its box, and rounds both up.
    assert!((PEER_BYTES / 2..=PEER_BYTES - 32).contains(&dearest), "{dearest} bytes");
}
