//! Listeners that are so busy that they are visited every turn instead of being watched.

use std::time::Duration;

use polyport::limits::Limits;
use polyport::metrics::DropReason;

use crate::bench::{Bench, Bind, Kind, Setup};
use crate::handlers::PANIC;
use crate::rare::Rare;
use crate::world::SocketId;

/// Datagrams that make a listener busy: each arrives about when the one before has been served.
const MANY: usize = 400;
const PAUSE_NS: u64 = 2500;

/// One datagram a visit, so that a queue lasts many of them.
fn setup() -> Setup {
    let limits = Limits { visit_datagrams: 1, ..Limits::default() };
    Setup { limits, ..Setup::default() }
}

/// Turns until the listener is polled.
#[track_caller]
fn until_polled(bench: &mut Bench, socket: SocketId) {
    for _ in 0..MANY {
        bench.turn().unwrap();
        if !bench.world().is_watched(socket) {
            return;
        }
    }
    panic!("never polled");
}

#[test]
fn a_busy_listener_is_polled_and_an_idle_one_is_watched_again() {
    let mut bench = Bench::new(&setup());
    let (echo, _) = bench.listen(&Bind::default());
    (0..MANY as u64).for_each(|n| bench.burst(echo, n * PAUSE_NS, 1, 1));
    until_polled(&mut bench, echo);
    bench.settle();
    assert!(bench.world().is_watched(echo));
    // An event brings the next.
    bench.burst(echo, 50_000_000, 1, 1);
    bench.settle();
    assert_eq!(bench.answered(echo), (1..=MANY as u64 + 1).collect::<Vec<_>>());
}

#[test]
fn a_polled_listener_delays_nobody() {
    let mut bench = Bench::new(&setup());
    let (busy, _) = bench.listen(&Bind::default());
    let (quiet, _) = bench.listen(&Bind::default());
    bench.burst(busy, 0, 1, MANY);
    until_polled(&mut bench, busy);
    for n in 0..20 {
        bench.burst(quiet, n * 9000, 2, 1);
    }
    // The journal watches I3.
    bench.settle();
    assert_eq!((bench.answered(busy).len(), bench.answered(quiet).len()), (MANY, 20));
}

#[test]
fn a_full_socket_is_watched_for_room_and_keeps_the_order() {
    let mut bench = Bench::new(&setup());
    let (echo, _) = bench.listen(&Bind::default());
    bench.burst(echo, 0, 1, MANY);
    until_polled(&mut bench, echo);
    bench.world().fill(echo, 2);
    for _ in 0..4 {
        bench.turn().unwrap();
    }
    assert!(bench.world().watches_room(echo) && bench.world().is_watched(echo));
    bench.world().open(echo, 20_000, MANY);
    bench.settle();
    let answered = bench.answered(echo);
    assert!(answered.is_sorted() && bench.world().is_watched(echo));
    assert_eq!(answered.len() as u64, MANY as u64 - bench.counters(echo).dropped(DropReason::BacklogFull));
}

/// Room to send is told by an event, and a polled socket has none.
#[test]
fn who_waits_for_room_is_not_polled_however_busy_it_is() {
    let limits = Limits { backlog_datagrams: 2 * MANY, ..setup().limits };
    let mut bench = Bench::new(&Setup { limits, ..setup() });
    let (echo, _) = bench.listen(&Bind::default());
    bench.burst(echo, 0, 1, MANY);
    until_polled(&mut bench, echo);
    bench.world().fill(echo, 2);
    let mut turns = 0;
    while bench.counters(echo).received < MANY as u64 {
        bench.turn().unwrap();
        if bench.waiting(echo) > 0 {
            assert!(bench.world().watches_room(echo), "nobody tells of room, turn {turns}");
            turns += 1;
        }
    }
    assert!(turns > MANY / 2, "{turns} turns");
    bench.world().open(echo, 20_000, 2 * MANY);
    bench.settle();
    assert_eq!(bench.answered(echo), (1..=MANY as u64).collect::<Vec<_>>());
}

#[test]
fn an_error_that_stays_is_waited_for_and_not_polled() {
    let mut bench = Bench::new(&setup());
    let (echo, _) = bench.listen(&Bind::default());
    bench.burst(echo, 0, 1, MANY);
    until_polled(&mut bench, echo);
    bench.world().script(echo).receives.extend([Some(libc::ENOBUFS); 64]);
    // The oracle sees whether the loop turns and does nothing.
    bench.settle();
    assert_eq!(bench.answered(echo).len(), MANY);
}

#[test]
fn who_cannot_be_watched_again_is_tried_later() {
    let mut bench = Bench::new(&setup());
    let (echo, _) = bench.listen(&Bind::default());
    bench.burst(echo, 0, 1, MANY / 4);
    until_polled(&mut bench, echo);
    bench.world().orders.watch = Some(libc::ENOSPC);
    for _ in 0..MANY {
        bench.turn().unwrap();
    }
    assert!(!bench.world().is_watched(echo));
    bench.burst(echo, 0, 1, 3);
    bench.world().orders.watch = None;
    bench.settle();
    assert!(bench.world().is_watched(echo));
    assert_eq!(bench.answered(echo).len(), MANY / 4 + 3);
}

#[test]
fn a_polled_listener_may_break_and_lose_its_socket() {
    let mut bench = Bench::new(&setup());
    let moody = Bind { kind: Kind::Moody, ..Bind::default() };
    let [(breaks, _), (closes, _)] = [(); 2].map(|()| bench.listen(&moody));
    for socket in [breaks, closes] {
        bench.burst(socket, 0, 1, MANY);
    }
    until_polled(&mut bench, breaks);
    until_polled(&mut bench, closes);
    bench.command(breaks, 0, 1, PANIC);
    bench.world().close(closes);
    bench.settle();
    assert_eq!(bench.counters(breaks).faults, 1);
    assert_eq!(bench.counters(breaks).restarts, 1);
}

/// Trials of every way of waiting, with as little spinning as can be.
#[test]
fn a_stream_is_rested_for_and_nothing_of_it_or_beside_it_is_lost() {
    let mut rests = 0;
    for seed in 0..20 {
        let limits = Limits { epoch_turns: 1, spin: Some(Duration::ZERO), ..Limits::default() };
        let mut bench = Bench::new(&Setup { seed, limits, ..Setup::default() });
        let [(stream, _), (quiet, _)] = [(); 2].map(|()| bench.listen(&Bind::default()));
        for n in 0..200 {
            bench.burst(stream, n * 20_000, 1, 30);
        }
        for n in 0..20 {
            bench.burst(quiet, n * 170_000, 2, 1);
        }
        bench.settle();
        rests += bench.world().journal.reached.get(&Rare::Rest).copied().unwrap_or(0);
        assert_eq!((bench.answered(stream).len(), bench.answered(quiet).len()), (200 * 30, 20));
        assert!(bench.world().is_watched(stream) && bench.world().is_watched(quiet));
    }
    assert!(rests > 0, "nobody rested");
}
