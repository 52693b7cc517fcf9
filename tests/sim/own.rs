//! Datagrams that pretend to come from one of our own listeners: an answer would come back, and never end (I6). The
//! journal fails a run in which one leaves.

use std::net::SocketAddr;

use polyport::exchange::ExchangeLimits;
use polyport::metrics::DropReason;

use crate::bench::{ASKED, Bench, Bind, Kind, Setup};
use crate::peers::LATER;
use crate::world::SocketId;

/// The other listener, which is asked nothing itself.
const OTHER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ASKED), 8);
/// Commands of `moody`.
const ECHO: u8 = 0;
const DISCARD: u8 = 3;
const DELAYED: u8 = 5;

/// A listener, and the other one.
fn bench(kind: Kind, trains: bool) -> (Bench, SocketId, SocketId) {
    let exchange =
        ExchangeLimits { slots: 32, slot_len: 4096, stride: 4096 + 192, ..ExchangeLimits::default() };
    let setup = Setup { exchange, segments: true, trains, level: true, ..Setup::default() };
    let mut bench = Bench::new(&setup);
    let (asked, _) = bench.listen(&Bind { kind, ..Bind::default() });
    let (other, _) = bench.listen(&Bind { local: OTHER, ..Bind::default() });
    (bench, asked, other)
}

fn forged(bench: &mut Bench, to: SocketId, command: u8, n: usize) {
    (0..n).for_each(|_| bench.forge(to, 0, OTHER, ASKED.into(), command));
}

/// An echo of everything goes a way of its own through settling, one of a single datagram another.
#[test]
fn a_batch_of_forged_datagrams_is_not_echoed() {
    for (trains, n) in [(false, 1), (false, 2), (false, 20), (true, 2), (true, 20)] {
        let (mut bench, echo, other) = bench(Kind::Echo, trains);
        forged(&mut bench, echo, ECHO, n);
        bench.settle();
        let counters = bench.counters(echo);
        assert_eq!(counters.dropped(DropReason::OwnListener), n as u64, "trains {trains}: {counters:?}");
        assert_eq!((counters.replied, counters.queued, counters.sent), (n as u64, n as u64, 0));
        assert_eq!(bench.counters(other).received, 0);
    }
}

#[test]
fn the_others_of_a_batch_are_answered_all_the_same() {
    let (mut bench, echo, _) = bench(Kind::Echo, false);
    bench.burst(echo, 0, 1, 2);
    forged(&mut bench, echo, ECHO, 2);
    bench.burst(echo, 0, 1, 2);
    bench.settle();
    assert_eq!(bench.answered(echo), [1, 2, 5, 6]);
    assert_eq!(bench.counters(echo).dropped(DropReason::OwnListener), 2);
}

/// A batch with a datagram that gets no answer goes the long way.
#[test]
fn an_answer_among_others_is_not_sent_to_a_listener_either() {
    for (trains, n) in [(false, 1), (false, 3), (true, 20)] {
        let (mut bench, moody, _) = bench(Kind::Moody, trains);
        bench.command(moody, 0, 1, DISCARD);
        forged(&mut bench, moody, ECHO, n);
        bench.burst(moody, 0, 2, 1);
        bench.settle();
        let counters = bench.counters(moody);
        assert_eq!(counters.dropped(DropReason::OwnListener), n as u64, "trains {trains}: {counters:?}");
        assert_eq!((counters.queued, counters.sent), (n as u64 + 1, 1));
    }
}

/// Answers that are not the bytes that came.
#[test]
fn the_length_of_a_forged_datagram_is_not_told() {
    let length = [("reply", "length".to_owned())];
    for n in [1, 2, 20] {
        let (mut bench, ..) = bench(Kind::Echo, false);
        let (told, _) = bench.listen(&Bind { options: &length, ..Bind::default() });
        forged(&mut bench, told, ECHO, n);
        bench.settle();
        assert_eq!(bench.counters(told).dropped(DropReason::OwnListener), n as u64);
    }
}

#[test]
fn an_answer_that_waits_is_dropped_before_it_does() {
    let (mut bench, moody, _) = bench(Kind::Moody, false);
    forged(&mut bench, moody, DELAYED, 2);
    bench.turn().unwrap();
    assert_eq!(bench.counters(moody).dropped(DropReason::OwnListener), 2);
    assert_eq!(bench.waiting(moody), 0);
}

/// What a handler sends by itself, and not as an answer, goes where it says: also to a listener of ours.
#[test]
fn a_send_that_answers_nothing_may_go_to_a_listener() {
    let (mut bench, moody, _) = bench(Kind::Moody, false);
    forged(&mut bench, moody, LATER, 2);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.sent, counters.dropped(DropReason::OwnListener)), (2, 0));
    assert!(bench.world().journal.left.iter().all(|(_, to, _)| *to == OTHER));
}
