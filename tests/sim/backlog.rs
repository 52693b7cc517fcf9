//! What a socket did not take, again and again: what a backlog holds is counted back when it leaves.

use polyport::limits::Limits;
use polyport::metrics::DropReason;

use crate::bench::{Bench, Bind, Setup};
use crate::world::SocketId;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
/// Datagrams of 32 bytes that fit.
const FIT: usize = 5;

/// Each way to say that five datagrams of 32 bytes fit.
const LIMITS: [fn() -> Limits; 3] = [
    || Limits { backlog_datagrams: FIT, ..Limits::default() },
    || Limits { backlog_bytes: FIT * 32, ..Limits::default() },
    || Limits { backlog_total_bytes: FIT * 32, ..Limits::default() },
];

fn full(limits: Limits) -> (Bench, SocketId) {
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let (echo, _) = bench.listen(&Bind::default());
    (bench, echo)
}

#[test]
fn a_backlog_that_was_drained_holds_as_much_as_before() {
    for (which, limits) in LIMITS.iter().enumerate() {
        let (mut bench, echo) = full(limits());
        for round in 1..=4 {
            bench.world().fill(echo, 0);
            bench.burst(echo, 0, 1, FIT + 2);
            bench.settle_but_waiting(echo, FIT as u64);
            bench.world().open(echo, MS, 100);
            bench.settle();
            assert_eq!(bench.answered(echo).len(), round * FIT, "limit {which}");
            let dropped = bench.counters(echo).dropped(DropReason::BacklogFull);
            assert_eq!(dropped, round as u64 * 2, "limit {which}");
        }
    }
}

/// Room for a part only: what is left stays in front of what comes.
#[test]
fn a_backlog_that_is_drained_in_part_takes_as_many_more_and_keeps_the_order() {
    for (which, limits) in LIMITS.iter().enumerate() {
        let (mut bench, echo) = full(limits());
        bench.world().fill(echo, 0);
        bench.burst(echo, 0, 1, FIT);
        bench.settle_but_waiting(echo, FIT as u64);
        bench.world().open(echo, MS, 3);
        bench.burst(echo, 2 * MS, 1, 4);
        bench.world().open(echo, 3 * MS, 100);
        bench.settle();
        assert_eq!(bench.answered(echo), [1, 2, 3, 4, 5, 6, 7, 8], "limit {which}");
        assert_eq!(bench.counters(echo).dropped(DropReason::BacklogFull), 1, "limit {which}");
    }
}
