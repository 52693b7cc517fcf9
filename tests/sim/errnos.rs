//! Every line of the errno table, partial sends, and a socket that has no room.

use polyport::limits::Limits;
use polyport::metrics::DropReason;

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::faults::{RECEIVE_ERRORS, SEND_ERRORS};

#[test]
fn every_errno_of_a_send_costs_its_own_datagram_and_no_other() {
    for &(errno, reason) in SEND_ERRORS {
        for bad in [&[0][..], &[2], &[4], &[1, 2], &[0, 1, 2, 3, 4]] {
            let mut bench = Bench::new(&Setup::default());
            let (echo, _) = bench.listen(&Bind::default());
            let script = (0..5).map(|i| bad.contains(&i).then_some(errno));
            bench.world().script(echo).sends.extend(script);
            bench.burst(echo, 0, 1, 5);
            bench.settle();
            let good: Vec<u64> = (0..5).filter(|i| !bad.contains(i)).map(|i| i + 1).collect();
            assert_eq!(bench.answered(echo), good, "errno {errno}, bad {bad:?}");
            assert_eq!(bench.counters(echo).dropped(reason), u64::try_from(bad.len()).unwrap());
        }
    }
}

#[test]
fn no_errno_of_a_receive_strands_the_queue() {
    for &errno in RECEIVE_ERRORS {
        for in_a_row in [1, 15, 16, 17, 100] {
            let mut bench = Bench::new(&Setup::default());
            let (echo, _) = bench.listen(&Bind::default());
            let errors = std::iter::repeat_n(Some(errno), in_a_row);
            // One batch goes well, then the errors come with datagrams still queued and no new edge (R13).
            bench.world().script(echo).receives.extend([None].into_iter().chain(errors));
            bench.burst(echo, 0, 1, 10);
            bench.settle();
            assert_eq!(bench.answered(echo).len(), 10, "errno {errno}, {in_a_row} in a row");
            assert_eq!(bench.counters(echo).receive_errors, u64::try_from(in_a_row).unwrap());
        }
    }
}

#[test]
fn an_error_that_stays_does_not_keep_the_loop_busy() {
    for &errno in RECEIVE_ERRORS {
        let mut bench = Bench::new(&Setup::default());
        let (echo, _) = bench.listen(&Bind::default());
        bench.world().script(echo).receives.extend(std::iter::repeat_n(Some(errno), 4000));
        bench.burst(echo, 0, 1, 1);
        let start = bench.world().mono_ns();
        while bench.world().mono_ns() < start + 1_000_000_000 {
            bench.turn().unwrap();
        }
        // A look every 10 ms, of 16 calls at most.
        assert!(bench.counters(echo).receive_errors <= 100 * 16, "errno {errno}");
        assert!(bench.counters(echo).receive_errors >= 50, "errno {errno}");
    }
}

#[test]
fn a_full_socket_keeps_the_order_and_the_backlog_keeps_its_limit() {
    let limits = Limits { backlog_datagrams: 3, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().fill(echo, 2);
    bench.burst(echo, 0, 1, 10);
    bench.world().open(echo, 1_000_000, 4);
    bench.burst(echo, 2_000_000, 1, 2);
    bench.world().open(echo, 3_000_000, 100);
    bench.settle();
    assert_eq!(bench.answered(echo), [1, 2, 3, 4, 5, 11, 12]);
    assert_eq!(bench.counters(echo).dropped(DropReason::BacklogFull), 5);
    assert!(!bench.world().watches_room(echo), "there is nothing left to wait for");
}

#[test]
fn room_in_the_middle_of_a_turn_lets_nobody_overtake_the_backlog() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().fill(echo, 0);
    bench.burst(echo, 0, 1, 3);
    bench.turn().unwrap();
    // The second burst is received while there is no room, and answered when there is.
    bench.world().orders.slow_ns = 2_000_000;
    bench.burst(echo, 1_000_000, 1, 3);
    bench.world().open(echo, 2_000_000, 100);
    bench.settle();
    assert_eq!(bench.answered(echo), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn bytes_of_all_backlogs_have_one_limit_and_are_given_back() {
    let limits = Limits { backlog_total_bytes: 32 * 5, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let [(a, _), (b, _)] = [(); 2].map(|()| bench.listen(&Bind::default()));
    for round in 0..3 {
        for socket in [a, b] {
            bench.world().fill(socket, 0);
            bench.burst(socket, 0, 1, 4);
            bench.world().open(socket, 1_000_000, 100);
        }
        bench.settle();
        let dropped = [a, b].map(|s| bench.counters(s).dropped(DropReason::BacklogFull));
        assert_eq!(dropped.iter().sum::<u64>(), 3 * (round + 1), "round {round}: {dropped:?}");
    }
}

#[test]
fn room_that_comes_before_anybody_watches_is_not_missed() {
    for after_ns in (0..8000).step_by(100) {
        let mut bench = Bench::new(&Setup { seed: after_ns, ..Setup::default() });
        let (echo, _) = bench.listen(&Bind::default());
        bench.world().fill(echo, 0);
        bench.burst(echo, 0, 1, 3);
        bench.world().open(echo, after_ns, 100);
        bench.settle();
        assert_eq!(bench.answered(echo), [1, 2, 3]);
    }
}

#[test]
fn errors_of_backlogged_datagrams_cost_only_themselves() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().fill(echo, 0);
    bench.burst(echo, 0, 1, 4);
    bench.world().script(echo).sends.extend([None, Some(libc::EPERM), Some(libc::EINVAL), None]);
    bench.world().open(echo, 1_000_000, 100);
    bench.settle();
    assert_eq!(bench.answered(echo), [1, 4]);
}

#[test]
fn a_backlog_nobody_can_watch_is_dropped_with_a_reason() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().orders.watch = Some(libc::ENOMEM);
    bench.world().fill(echo, 1);
    bench.burst(echo, 0, 1, 3);
    bench.reactor.turn().unwrap();
    assert_eq!(bench.answered(echo), [1]);
    assert_eq!(bench.counters(echo).dropped(DropReason::NoBuffers), 2);
    assert_eq!(bench.reactor.reports().next().unwrap().waiting, 0);
}

#[test]
fn a_closed_descriptor_ends_its_own_listener_only() {
    for kind in [Kind::Echo, Kind::Lossy, Kind::Moody] {
        let mut bench = Bench::new(&Setup::default());
        let (closed, _) = bench.listen(&Bind { kind, ..Bind::default() });
        let (good, _) = bench.listen(&Bind::default());
        bench.burst(closed, 0, 1, 3);
        bench.settle();
        bench.world().close(closed);
        bench.burst(closed, 0, 1, 3);
        bench.burst(good, 0, 1, 3);
        bench.burst(closed, 50_000_000, 1, 3);
        while !bench.world().is_over() {
            bench.reactor.turn().unwrap();
        }
        assert_eq!(bench.answered(closed).len(), 3);
        assert_eq!(bench.answered(good).len(), 3);
        assert_eq!(bench.counters(closed).receive_errors, 1, "it is not looked at again");
    }
}

#[test]
fn a_descriptor_that_closes_while_answers_are_sent_drops_every_one_of_them() {
    // 300 answers of one call: the socket breaks in the first of five sends.
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&Bind { kind: Kind::Moody, reply: without_budget(), ..Bind::default() });
    bench.world().script(moody).sends.extend([None, None, Some(libc::EBADF)]);
    bench.command(moody, 0, 1, 2);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.queued, counters.sent), (300, 2));
    assert_eq!(counters.dropped(DropReason::SocketBroken), 298);
}
