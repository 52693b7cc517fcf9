//! Runs of equal datagrams: joined on the way in, sent as one on the way out, and what happens when the
//! kernel does not want that.

use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;
use polyport::metrics::DropReason;

use crate::bench::{Bench, Bind, Setup};
use crate::faults::SEND_ERRORS;
use crate::peers::peer;

/// Segmented sends, and memory for trains.
fn bench(trains: bool) -> Bench {
    let exchange =
        ExchangeLimits { slots: 32, slot_len: 4096, stride: 4096 + 192, ..ExchangeLimits::default() };
    Bench::new(&Setup { exchange, segments: true, trains, level: true, ..Setup::default() })
}

fn numbers(n: u64) -> Vec<u64> {
    (1..=n).collect()
}

#[test]
fn equal_datagrams_to_one_peer_leave_in_one_call_and_in_order() {
    for trains in [false, true] {
        let mut bench = bench(trains);
        let (echo, _) = bench.listen(&Bind::default());
        bench.burst(echo, 0, 1, 30);
        bench.settle();
        assert_eq!(bench.answered(echo), numbers(30), "trains {trains}");
        assert_eq!(bench.world().journal.ledgers[echo.0].send_calls, 1, "trains {trains}");
    }
}

#[test]
fn a_peer_in_bulk_turns_trains_on_and_nothing_is_lost_on_the_way() {
    let mut bench = bench(false);
    let (echo, _) = bench.listen(&Bind::default());
    for round in 0..5 {
        bench.burst(echo, round * 1_000_000, 1, 100);
    }
    bench.settle();
    assert_eq!(bench.answered(echo), numbers(500));
    assert!(bench.world().takes_trains(echo));
}

#[test]
fn datagrams_of_different_peers_are_never_joined() {
    let mut bench = bench(true);
    let (echo, _) = bench.listen(&Bind::default());
    for i in 0..64 {
        bench.burst(echo, 0, 1 + i % 2, 1);
    }
    bench.settle();
    assert_eq!(bench.answered(echo).len(), 64);
}

#[test]
fn what_the_kernel_does_not_segment_is_sent_one_by_one_and_costs_nothing() {
    for errno in [libc::EIO, libc::EMSGSIZE, libc::EINVAL, libc::EOPNOTSUPP] {
        for trains in [false, true] {
            let mut bench = bench(trains);
            let (echo, _) = bench.listen(&Bind::default());
            bench.world().script(echo).sends.push_back(Some(errno));
            bench.burst(echo, 0, 1, 20);
            bench.settle();
            assert_eq!(bench.answered(echo), numbers(20), "errno {errno}");
            assert_eq!(bench.counters(echo).segments_refused, 1, "errno {errno}");
        }
    }
}

#[test]
fn a_device_without_offload_is_left_alone_for_a_minute() {
    let mut bench = bench(false);
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().script(echo).sends.push_back(Some(libc::EIO));
    for second in [0, 1, 59, 61] {
        bench.burst(echo, second * 1_000_000_000, 1, 10);
    }
    bench.settle();
    assert_eq!(bench.answered(echo), numbers(40));
    // The refused call, ten pieces, then ten plain messages in one call twice, then one segmented message.
    assert_eq!(bench.world().journal.ledgers[echo.0].send_calls, 1 + 10 + 2 + 1);
}

#[test]
fn any_other_errno_costs_the_run_and_no_more() {
    for &(errno, reason) in SEND_ERRORS {
        if [libc::EIO, libc::EMSGSIZE, libc::EINVAL, libc::EOPNOTSUPP].contains(&errno) {
            continue;
        }
        let mut bench = bench(true);
        let (echo, _) = bench.listen(&Bind::default());
        bench.world().script(echo).sends.push_back(Some(errno));
        bench.burst(echo, 0, 1, 10);
        bench.burst(echo, 0, 2, 10);
        bench.settle();
        assert_eq!(bench.answered(echo), (11..=20).collect::<Vec<_>>(), "errno {errno}");
        assert_eq!(bench.counters(echo).dropped(reason), 10, "errno {errno}");
    }
}

/// Of what waited, a run is sent as one message, which is refused; its datagrams leave one by one, and some find no
/// room. They are what waits from then on.
#[test]
fn a_refused_run_of_a_backlog_of_which_some_leave_is_not_sent_twice() {
    for room in 1..8 {
        let mut bench = bench(false);
        let (echo, _) = bench.listen(&Bind::default());
        bench.world().fill(echo, 0);
        bench.burst(echo, 0, 2, 2);
        bench.burst(echo, 0, 1, 10);
        bench.settle_but_waiting(echo, 12);
        bench.world().script(echo).sends.extend([Some(libc::EMSGSIZE), None, None, Some(libc::EMSGSIZE)]);
        // The run of two, and some of that of ten.
        bench.world().open(echo, 1_000_000, 2 + room);
        bench.settle_but_waiting(echo, 10 - room as u64);
        assert_eq!(bench.answered(echo), numbers(2 + room as u64));
        bench.world().open(echo, 1_000_000, 100);
        bench.settle();
        assert_eq!(bench.answered(echo), numbers(12), "room {room}");
        assert_eq!(bench.counters(echo).segments_refused, 2, "room {room}");
    }
}

/// A wildcard listener answers from the address that was asked: answers from two addresses are no run.
#[test]
fn one_peer_that_asks_two_addresses_is_answered_from_both() {
    for trains in [false, true] {
        let mut bench = bench(trains);
        let (echo, _) = bench.listen(&Bind { local: "0.0.0.0:7".parse().unwrap(), ..Bind::default() });
        let addresses = ["198.51.100.1", "198.51.100.2"].map(|ip| ip.parse().unwrap());
        for n in 0..20 {
            bench.forge(echo, 0, peer(false, 1), addresses[n / 5 % 2], 0);
        }
        // The journal watches I7.
        bench.settle();
        assert_eq!(bench.answered(echo), numbers(20), "trains {trains}");
        assert_eq!(bench.world().journal.ledgers[echo.0].send_calls, 1, "trains {trains}");
    }
}

#[test]
fn a_full_socket_keeps_the_rest_of_a_train_in_order() {
    for (room, refused) in [(0, false), (3, true)] {
        let limits = Limits { backlog_datagrams: 100, ..Limits::default() };
        let exchange =
            ExchangeLimits { slots: 32, slot_len: 4096, stride: 4288, ..ExchangeLimits::default() };
        let setup = Setup { limits, exchange, segments: true, trains: true, level: true, ..Setup::default() };
        let mut bench = Bench::new(&setup);
        let (echo, _) = bench.listen(&Bind::default());
        if refused {
            bench.world().script(echo).sends.push_back(Some(libc::EMSGSIZE));
        }
        bench.world().fill(echo, room);
        bench.burst(echo, 0, 1, 20);
        bench.world().open(echo, 1_000_000, 100);
        bench.settle();
        assert_eq!(bench.answered(echo), numbers(20), "room {room}");
        assert_eq!(bench.counters(echo).dropped(DropReason::BacklogFull), 0);
    }
}
