//! Listeners whose answers leave with the TTL of their request, less one. The journal checks the TTL of whatever leaves.

use polyport::exchange::ExchangeLimits;
use polyport::metrics::DropReason;

use crate::bench::{Bench, Bind, Kind, Setup, decaying};
use crate::peers::{FAR, LATER, peer};
use crate::world::SocketId;

/// Commands of `moody`.
const ECHO: u8 = 0;
const DISCARD: u8 = 3;
const DELAYED: u8 = 5;

/// A listener that decays, or one that does not.
fn bench(kind: Kind, decays: bool, trains: bool) -> (Bench, SocketId) {
    let exchange =
        ExchangeLimits { slots: 32, slot_len: 4096, stride: 4096 + 192, ..ExchangeLimits::default() };
    let setup = Setup { exchange, segments: true, trains, level: true, ..Setup::default() };
    let mut bench = Bench::new(&setup);
    let (socket, _) = bench.listen(&Bind { kind, reply: decays.then(decaying), ..Bind::default() });
    (bench, socket)
}

/// What is asked with these TTLs, all at once, is answered with those.
#[track_caller]
fn expect(kind: Kind, trains: bool, asked: &[u8], answered: &[u8]) {
    let (mut bench, socket) = bench(kind, true, trains);
    asked.iter().for_each(|hop_limit| bench.ask_with(socket, 1, *hop_limit, ECHO));
    bench.settle();
    assert_eq!(bench.world().journal.left_with, answered, "{kind:?} trains {trains} {asked:?}");
    let expired = (asked.len() - answered.len()) as u64;
    let counters = bench.counters(socket);
    assert_eq!(counters.dropped(DropReason::TtlExpired), expired, "{counters:?}");
    assert_eq!((counters.replied, counters.sent), (asked.len() as u64, answered.len() as u64));
}

/// A single answer to a single datagram goes a way of its own through settling.
#[test]
fn an_answer_leaves_with_one_hop_less_or_not_at_all() {
    for kind in [Kind::Echo, Kind::Moody] {
        for (asked, answered) in [(64, 63), (3, 2), (2, 1), (65, 64), (66, 64), (255, 64)] {
            expect(kind, false, &[asked], &[answered]);
        }
        expect(kind, false, &[1], &[]);
        expect(kind, false, &[0], &[]);
    }
}

#[test]
fn each_answer_of_a_batch_has_the_hops_of_its_own_request() {
    for kind in [Kind::Echo, Kind::Moody] {
        for trains in [false, true] {
            expect(kind, trains, &[9, 9, 9, 5, 5, 9, 1, 9, 0, 2], &[8, 8, 8, 4, 4, 8, 8, 1]);
            expect(kind, trains, &[1; 20], &[]);
            expect(kind, trains, &[7; 20], &[6; 20]);
        }
    }
}

/// Equal datagrams to one peer leave as one message, if their TTL is equal, too.
#[test]
fn only_equal_hops_are_joined() {
    for trains in [false, true] {
        let (mut bench, echo) = bench(Kind::Echo, true, trains);
        for hop_limit in [9, 9, 9, 5, 5, 9] {
            bench.ask_with(echo, 1, hop_limit, ECHO);
        }
        bench.settle();
        let messages = bench.world().journal.ledgers[echo.0].messages;
        assert_eq!(messages, 3, "trains {trains}");
    }
}

#[test]
fn a_batch_with_one_that_gets_no_answer_goes_the_long_way_to_the_same_end() {
    for trains in [false, true] {
        let (mut bench, moody) = bench(Kind::Moody, true, trains);
        bench.ask_with(moody, 1, 9, DISCARD);
        [9, 1, 4].iter().for_each(|hop_limit| bench.ask_with(moody, 1, *hop_limit, ECHO));
        bench.settle();
        assert_eq!(bench.world().journal.left_with, [8, 3]);
        assert_eq!(bench.counters(moody).dropped(DropReason::TtlExpired), 1);
    }
}

/// What waits in the store of delayed datagrams keeps the TTL that was found for it when it was queued.
#[test]
fn a_delayed_answer_keeps_its_hops() {
    let (mut bench, moody) = bench(Kind::Moody, true, false);
    [9, 1, 4].iter().for_each(|hop_limit| bench.ask_with(moody, 1, *hop_limit, DELAYED));
    bench.turn().unwrap();
    assert_eq!((bench.waiting(moody), bench.counters(moody).dropped(DropReason::TtlExpired)), (2, 1));
    bench.settle();
    assert_eq!(bench.world().journal.left_with, [8, 3]);
}

/// And so does what a full socket did not take.
#[test]
fn an_answer_that_waits_for_room_keeps_its_hops() {
    for kind in [Kind::Echo, Kind::Moody] {
        let (mut bench, socket) = bench(kind, true, false);
        bench.world().fill(socket, 0);
        [9, 9, 1, 4].iter().for_each(|hop_limit| bench.ask_with(socket, 1, *hop_limit, ECHO));
        bench.settle_but_waiting(socket, 3);
        bench.world().open(socket, 1_000_000, 100);
        bench.settle();
        assert_eq!(bench.world().journal.left_with, [8, 8, 3], "{kind:?}");
    }
}

/// `moody` answers by a timer here, which answers no datagram in the books of the host.
#[test]
fn what_answers_nothing_leaves_with_the_hops_of_the_system() {
    let (mut bench, moody) = bench(Kind::Moody, true, false);
    [9, 1].iter().for_each(|hop_limit| bench.ask_with(moody, 1, *hop_limit, LATER));
    bench.settle();
    assert_eq!(bench.world().journal.left_with, [0, 0]);
    assert_eq!(bench.counters(moody).dropped(DropReason::TtlExpired), 0);
}

#[test]
fn a_listener_that_does_not_decay_neither_looks_at_hops_nor_sets_them() {
    for (kind, trains) in [(Kind::Echo, false), (Kind::Echo, true), (Kind::Moody, false)] {
        let (mut bench, socket) = bench(kind, false, trains);
        [9, 1, 0].iter().for_each(|hop_limit| bench.ask_with(socket, 1, *hop_limit, ECHO));
        bench.settle();
        assert_eq!(bench.world().journal.left_with, [0; 3]);
        assert_eq!(bench.counters(socket).dropped(DropReason::TtlExpired), 0);
    }
}

/// Answers of two daemons that answer each other, after one datagram with this TTL: at most so many are looked at.
fn answers(decays: bool, first: u8, most: usize) -> usize {
    let mut sides = [bench(Kind::Echo, decays, false), bench(Kind::Echo, decays, false)];
    let mut hop_limit = first;
    for answered in 0..most {
        let (bench, echo) = &mut sides[answered % 2];
        bench.ask_with(*echo, 1, hop_limit, ECHO);
        bench.settle();
        let journal = &bench.world().journal;
        if journal.left.len() == answered / 2 {
            return answered;
        }
        assert_eq!(journal.left.last().map(|(_, to, _)| *to), Some(peer(false, 1)));
        hop_limit = match journal.left_with.last() {
            Some(0) | None => FAR,
            Some(set) => *set,
        };
    }
    most
}

#[test]
fn a_loop_of_two_daemons_ends_where_both_decay_and_nowhere_else() {
    for first in [0_u8, 1, 2, 64, 128, 255] {
        let expected = usize::from(first.saturating_sub(1).min(64));
        assert_eq!(answers(true, first, 1000), expected, "TTL {first}");
    }
    assert_eq!(answers(false, 64, 1000), 1000);
}
