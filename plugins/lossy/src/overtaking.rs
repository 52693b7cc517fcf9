//! Which answers are overtaken: those of a peer that leave after a later one of the same peer.
//!
//! Only who still can be overtaken is remembered. An answer that is due later overtakes nobody, and one that is due sooner
//! overtakes all that are due after it; so of each peer a rising row of moments is enough.

use std::collections::VecDeque;
use std::net::SocketAddr;

use polyport_plugin::{Recent, Reservation};

/// Most peers whose answers are watched, if the host grants as many: those heard last. One that is forgotten meanwhile has
/// answers overtaken that are not counted. A test of reordering has a few peers; a flood costs 1 MB at most.
pub const MAX_WATCHED: usize = 1024;
/// Most answers of a peer that are watched: those queued last. There are more only where as many in a row are held back
/// and nothing overtakes them.
pub const MOST_MOMENTS: usize = 64;
/// What a watched peer costs at worst, bytes: its node of the list, its part of an index that has just been doubled, and its
/// moments.
pub const WATCHED_BYTES: usize = 192 + 8 * MOST_MOMENTS;

/// The answers of each peer that can still be overtaken.
#[derive(Debug)]
pub struct Overtaking {
    /// When they are due, rising, monotonic ns.
    watched: Recent<SocketAddr, VecDeque<u64>>,
}

impl Overtaking {
    /// Nobody is watched yet, and nothing allocated.
    #[must_use]
    pub fn new(reservation: Reservation) -> Self {
        Self { watched: Recent::with_limit(MAX_WATCHED, WATCHED_BYTES, reservation) }
    }

    /// Notes an answer to `peer` that leaves at `at_ns`, and returns how many earlier ones it overtakes. No later one leaves
    /// before `soonest_ns`. Both are monotonic ns.
    pub fn answer(&mut self, peer: SocketAddr, at_ns: u64, soonest_ns: u64) -> u64 {
        if let Some(moments) = self.watched.get_mut(&peer) {
            return note(moments, at_ns, soonest_ns);
        }
        // What nothing can overtake needs no place.
        if at_ns <= soonest_ns {
            return 0;
        }
        self.watched.push(peer, VecDeque::from([at_ns]));
        0
    }
}

fn note(moments: &mut VecDeque<u64>, at_ns: u64, soonest_ns: u64) -> u64 {
    let mut overtaken = 0;
    while moments.back().is_some_and(|last| *last > at_ns) {
        moments.pop_back();
        overtaken += 1;
    }
    while moments.front().is_some_and(|first| *first <= soonest_ns) {
        moments.pop_front();
    }
    if at_ns > soonest_ns {
        if moments.len() == MOST_MOMENTS {
            moments.pop_front();
        }
        moments.push_back(at_ns);
    }
    overtaken
}

#[cfg(test)]
mod tests {
    use polyport_plugin::Rng;

    use super::*;

    fn peer(n: u16) -> SocketAddr {
        ([192, 0, 2, 1], n).into()
    }

    #[test]
    fn who_leaves_after_a_later_one_is_overtaken_once() {
        let mut table = Overtaking::new(Reservation::default());
        let overtaken = |table: &mut Overtaking, moments: &[(u64, u64)]| -> Vec<u64> {
            moments.iter().map(|(now, at)| table.answer(peer(1), *at, *now)).collect()
        };
        assert_eq!(overtaken(&mut table, &[(0, 10), (1, 11), (2, 2), (3, 3), (4, 14)]), [0, 0, 2, 0, 0]);
        assert_eq!(overtaken(&mut table, &[(14, 14), (15, 15)]), [0, 0], "who has left is not overtaken");
        assert_eq!(
            overtaken(&mut table, &[(20, 30), (21, 30), (22, 25)]),
            [0, 0, 2],
            "of two at once none overtakes"
        );
        assert_eq!(table.answer(peer(2), 1, 0), 0, "peers do not overtake each other");
    }

    /// The count is that of all answers with a later one that leaves before.
    #[test]
    fn the_table_agrees_with_a_list() {
        let (mut table, mut rng) = (Overtaking::new(Reservation::default()), Rng::new(7));
        let mut due = Vec::new();
        let mut overtaken = 0;
        for now in 0..5000_u64 {
            let at = now + 5 + rng.next_u64() % 40;
            overtaken += table.answer(peer(1), at, now + 5);
            due.push(at);
        }
        let slow =
            (0..due.len()).filter(|&i| due[i + 1..].iter().any(|later| *later < due[i])).count() as u64;
        assert_eq!(overtaken, slow);
    }

    #[test]
    fn peers_and_moments_are_bounded() {
        let mut table = Overtaking::new(Reservation::default());
        for n in 0..5000 {
            table.answer(peer(n), 100, 1);
        }
        assert_eq!(table.watched.len(), MAX_WATCHED);
        for at in 0..200 {
            table.answer(peer(1), 1000 + at, 1);
        }
        assert_eq!(table.answer(peer(1), 2, 1), MOST_MOMENTS as u64);
    }

    #[test]
    fn answers_that_nothing_can_overtake_take_no_memory() {
        let mut table = Overtaking::new(Reservation::default());
        (0..100).for_each(|n| assert_eq!(table.answer(peer(n), 5, 5), 0));
        assert!(table.watched.is_empty());
    }
}
