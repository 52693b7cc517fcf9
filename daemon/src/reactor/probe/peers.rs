//! Who sends most to a listener, looked at only while somebody asks. Of what a receive call brings, one datagram is drawn, and
//! stands for all: a lone datagram for itself, and however much comes, a call costs one look.

use std::net::SocketAddr;

use rand::RngExt;
use rand::rngs::StdRng;

use super::sketch::{PeerSeen, Sketch};
use crate::exchange::Arrived;

/// Listeners that are looked at at a time; one more takes the place of the one that was asked about longest ago.
const LISTENERS: usize = 4;
/// After the last question the look goes on so long, ns: who asks once a second may miss some.
const KEPT_NS: u64 = 10_000_000_000;
/// After so long all that was seen counts half, ns.
const HALVED_NS: u64 = 8_000_000_000;
/// Halvings after which nothing is left of 64 bits.
const HALVINGS: u64 = 64;

/// The listeners that are looked at.
#[derive(Debug, Default)]
pub(crate) struct PeerWatch {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    listener: String,
    /// When somebody asked last, monotonic ns.
    asked_ns: u64,
    /// When all was halved last, or begun, monotonic ns.
    halved_ns: u64,
    /// How long the time before that counts, ns.
    before_ns: u64,
    datagrams: u64,
    bytes: u64,
    sketch: Sketch,
}

/// What was seen of who sends to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersSeen {
    /// How long the numbers are of, ns; what is old counts less in it as in them.
    pub window_ns: u64,
    /// Datagrams that came, of all peers.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Who sends most, the most first.
    pub peers: Vec<PeerSeen>,
}

impl PeerWatch {
    /// Says who sends most to a listener, and looks at it from now on, for a while.
    pub(crate) fn ask(&mut self, listener: &str, most: usize, now_ns: u64) -> PeersSeen {
        self.forget(now_ns);
        if let Some(watched) = self.watched.iter_mut().find(|watched| watched.listener == listener) {
            watched.asked_ns = now_ns;
            watched.age(now_ns);
            return watched.seen(most, now_ns);
        }
        if self.watched.len() == LISTENERS {
            let longest = (0..).zip(&self.watched).min_by_key(|(_, watched)| watched.asked_ns);
            if let Some((at, _)) = longest {
                self.watched.swap_remove(at);
            }
        }
        self.watched.push(Watched {
            listener: listener.to_owned(),
            asked_ns: now_ns,
            halved_ns: now_ns,
            before_ns: 0,
            datagrams: 0,
            bytes: 0,
            sketch: Sketch::default(),
        });
        PeersSeen::default()
    }

    /// Looks at what a receive call has brought to a listener. Returns whether any is looked at still.
    pub(crate) fn look(
        &mut self,
        listener: &str,
        arrived: &[Arrived],
        now_ns: u64,
        rng: &mut StdRng,
    ) -> bool {
        self.forget(now_ns);
        if let Some(watched) = self.watched.iter_mut().find(|watched| watched.listener == listener) {
            watched.age(now_ns);
            watched.take(arrived, rng);
        }
        !self.watched.is_empty()
    }

    /// Looks no more at what nobody asks about.
    fn forget(&mut self, now_ns: u64) {
        self.watched.retain(|watched| now_ns.saturating_sub(watched.asked_ns) <= KEPT_NS);
    }
}

impl Watched {
    fn take(&mut self, arrived: &[Arrived], rng: &mut StdRng) {
        let datagrams: u64 = arrived.iter().map(|arrived| arrived.datagrams() as u64).sum();
        if datagrams == 0 {
            return;
        }
        self.datagrams = self.datagrams.saturating_add(datagrams);
        self.bytes = self.bytes.saturating_add(arrived.iter().map(|arrived| arrived.len as u64).sum());
        if let Some((peer, mean)) = drawn(arrived, datagrams, rng) {
            self.sketch.add(peer, datagrams, datagrams.saturating_mul(mean));
        }
    }

    fn age(&mut self, now_ns: u64) {
        let halvings = now_ns.saturating_sub(self.halved_ns) / HALVED_NS;
        if halvings == 0 {
            return;
        }
        for _ in 0..halvings.min(HALVINGS) {
            self.before_ns = (self.before_ns + HALVED_NS) / 2;
            self.datagrams /= 2;
            self.bytes /= 2;
            self.sketch.halve();
        }
        self.halved_ns += halvings * HALVED_NS;
    }

    fn seen(&self, most: usize, now_ns: u64) -> PeersSeen {
        PeersSeen {
            window_ns: self.before_ns + now_ns.saturating_sub(self.halved_ns),
            datagrams: self.datagrams,
            bytes: self.bytes,
            peers: self.sketch.top(most),
        }
    }
}

/// One of these datagrams, each as likely as any other: its peer, and the mean size of those of its message.
fn drawn(arrived: &[Arrived], datagrams: u64, rng: &mut StdRng) -> Option<(SocketAddr, u64)> {
    let mut place = if datagrams == 1 { 0 } else { rng.random_range(0..datagrams) };
    for message in arrived {
        let here = message.datagrams() as u64;
        if place < here {
            return Some((message.peer, message.len as u64 / here));
        }
        place -= here;
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::exchange::ArrivalFlags;

    fn message(peer: &str, len: usize, segment: usize) -> Arrived {
        Arrived {
            offset: 0,
            len,
            cap: len,
            segment,
            peer: peer.parse().unwrap(),
            destination: None,
            reply_from: None,
            ifindex: 0,
            tos: 0,
            hop_limit: 0,
            flags: ArrivalFlags::default(),
            session: 0,
        }
    }

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_listener_is_looked_at_from_the_first_question_to_a_while_after_the_last() {
        let (mut watch, mut rng) = (PeerWatch::default(), StdRng::seed_from_u64(1));
        let one = [message("192.0.2.1:7", 10, 0)];
        assert!(!watch.look("a", &one, 0, &mut rng), "nobody has asked");
        assert_eq!(watch.ask("a", 9, 0), PeersSeen::default());
        assert!(watch.look("a", &one, S, &mut rng) && watch.look("b", &one, S, &mut rng));
        let seen = watch.ask("a", 9, 2 * S);
        assert_eq!((seen.window_ns, seen.datagrams, seen.bytes, seen.peers.len()), (2 * S, 1, 10, 1));
        assert!(watch.look("b", &one, 12 * S, &mut rng));
        assert!(!watch.look("b", &one, 13 * S, &mut rng), "nobody asks any more");
        assert_eq!(watch.ask("a", 9, 13 * S), PeersSeen::default(), "it begins anew");
    }

    #[test]
    fn one_of_a_batch_stands_for_all_and_is_fair() {
        let (mut watch, mut rng) = (PeerWatch::default(), StdRng::seed_from_u64(1));
        watch.ask("a", 9, 0);
        // 30 of a train, 10 alone, and 60 in two trains of another peer.
        let mut batch = vec![message("192.0.2.1:7", 3000, 100)];
        batch.extend((0..10).map(|_| message("192.0.2.2:7", 50, 0)));
        batch.extend([message("[::ffff:192.0.2.3]:7", 6000, 200), message("192.0.2.3:7", 6000, 200)]);
        for _ in 0..2000 {
            watch.look("a", &batch, S, &mut rng);
        }
        let seen = watch.ask("a", 9, S);
        assert_eq!((seen.datagrams, seen.bytes), (200_000, 31_000_000));
        let shares: Vec<_> =
            seen.peers.iter().map(|peer| (peer.ip.to_string(), peer.datagrams / 2000)).collect();
        for ((ip, share), (expected, ideal)) in
            shares.iter().zip([("192.0.2.3", 60), ("192.0.2.1", 30), ("192.0.2.2", 10)])
        {
            assert!(ip == expected && share.abs_diff(ideal) <= 3, "{shares:?}");
        }
        assert!(seen.peers[0].bytes.abs_diff(24_000_000) < 1_500_000, "{seen:?}");
    }

    #[test]
    fn the_time_is_halved_with_what_came_in_it() {
        let (mut watch, mut rng) = (PeerWatch::default(), StdRng::seed_from_u64(1));
        let one = [message("192.0.2.1:7", 10, 0)];
        watch.ask("a", 9, 0);
        for second in 0..20 {
            for _ in 0..100 {
                watch.look("a", &one, second * S, &mut rng);
            }
            let seen = watch.ask("a", 9, second * S + S - 1);
            let rate = seen.datagrams * S / seen.window_ns;
            assert!(rate.abs_diff(100) <= 2, "{second}: {seen:?}");
            assert!(seen.window_ns <= 2 * HALVED_NS, "{second}: {seen:?}");
        }
    }

    #[test]
    fn not_more_than_some_listeners_are_looked_at() {
        let mut watch = PeerWatch::default();
        for (at, name) in (0..).zip(["a", "b", "c", "d", "e"]) {
            watch.ask(name, 1, at);
        }
        let names: Vec<&str> = watch.watched.iter().map(|watched| &*watched.listener).collect();
        assert!(names.len() == LISTENERS && !names.contains(&"a"), "{names:?}");
    }
}
