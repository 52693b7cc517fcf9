//! Budget, rounds, batches, deadlines: who gets the loop, and when.

use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::reactor::{Event, Token};

use crate::bench::{Bench, Bind, Kind, Setup};
use crate::faults::Profile;

#[test]
fn batches_of_exactly_the_ring_are_drained() {
    for n in [1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 320] {
        let exchange = ExchangeLimits { slots: 32, ..Setup::default().exchange };
        let mut bench = Bench::new(&Setup { exchange, ..Setup::default() });
        let (echo, _) = bench.listen(&Bind::default());
        bench.burst(echo, 0, 1, n);
        bench.settle();
        assert_eq!(bench.answered(echo).len(), n);
    }
}

#[test]
fn a_listener_the_budget_did_not_reach_goes_on_without_a_new_datagram() {
    for turn_datagrams in [1, 2, 7, 64] {
        let limits = Limits { turn_datagrams, visit_datagrams: 2, ..Limits::default() };
        let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
        let sockets: Vec<_> = (0..10).map(|_| bench.listen(&Bind::default()).0).collect();
        sockets.iter().for_each(|socket| bench.burst(*socket, 0, 1, 20));
        bench.settle();
        for socket in sockets {
            assert_eq!(bench.answered(socket).len(), 20, "budget {turn_datagrams}");
        }
    }
}

#[test]
fn the_budget_of_a_turn_holds() {
    let limits = Limits { turn_datagrams: 8, visit_datagrams: 4, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let sockets: Vec<_> = (0..10).map(|_| bench.listen(&Bind::default()).0).collect();
    sockets.iter().for_each(|socket| bench.burst(*socket, 0, 1, 4));
    for turn in 1..=5 {
        bench.turn().unwrap();
        assert_eq!(bench.world().journal.left.len(), 8 * turn);
    }
}

#[test]
fn ready_listeners_are_served_round_robin() {
    let limits = Limits { visit_datagrams: 4, turn_datagrams: 10, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let sockets: Vec<_> = (0..9).map(|_| bench.listen(&Bind::default()).0).collect();
    sockets.iter().for_each(|socket| bench.burst(*socket, 0, 1, 40));
    bench.settle();
    let order: Vec<usize> = bench.world().journal.left.iter().map(|(at, ..)| *at).collect();
    for (round, answers) in order.chunks(9 * 4).enumerate() {
        let visits: Vec<usize> = answers.chunks(4).map(|visit| visit[0]).collect();
        assert!(answers.chunks(4).all(|visit| visit.iter().all(|at| *at == visit[0])), "round {round}");
        assert_eq!(visits, order.chunks(4).take(9).map(|v| v[0]).collect::<Vec<_>>(), "round {round}");
    }
}

#[test]
fn a_wait_that_tells_of_few_favours_nobody() {
    let limits = Limits { visit_datagrams: 4, turn_datagrams: 10, ..Limits::default() };
    let profile = Profile { few_events: 1.0, ..Profile::default() };
    for seed in 0..50 {
        let mut bench = Bench::new(&Setup { seed, limits, profile, level: true, ..Setup::default() });
        let sockets: Vec<_> = (0..9).map(|_| bench.listen(&Bind::default()).0).collect();
        sockets.iter().for_each(|socket| bench.burst(*socket, 0, 1, 40));
        bench.settle();
        let order: Vec<usize> = bench.world().journal.left.iter().map(|(at, ..)| *at).collect();
        let mut visits = [0; 9];
        for visit in order.chunks(4) {
            assert!(
                visits.iter().all(|n| *n >= visits[visit[0]]),
                "seed {seed}: {visits:?}, now {}",
                visit[0]
            );
            visits[visit[0]] += 1;
        }
        assert_eq!(visits, [10; 9]);
    }
}

#[test]
fn a_flood_delays_a_neighbour_by_one_visit() {
    let limits = Limits { visit_datagrams: 8, turn_datagrams: 16, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let (flooded, _) = bench.listen(&Bind::default());
    let (quiet, _) = bench.listen(&Bind::default());
    bench.burst(flooded, 0, 1, 2000);
    for i in 0..20 {
        bench.burst(quiet, i * 20_000, 2, 1);
    }
    // The journal watches I3.
    bench.settle();
    assert_eq!((bench.answered(flooded).len(), bench.answered(quiet).len()), (2000, 20));
}

#[test]
fn a_full_queue_drops_in_the_kernel_and_nowhere_else() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind { capacity: 3, ..Bind::default() });
    bench.burst(echo, 0, 1, 10);
    bench.settle();
    assert_eq!(bench.world().journal.ledgers[echo.0].kernel_drops, 7);
    assert_eq!(bench.answered(echo), [1, 2, 3]);
}

#[test]
fn an_event_of_another_generation_is_ignored() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, token) = bench.listen(&Bind::default());
    let stale = [
        Token { generation: token.generation + 1, ..token },
        Token { generation: token.generation - 1, ..token },
        Token { index: token.index + 1, ..token },
        Token { index: u32::MAX, generation: u32::MAX },
    ];
    let event = |token| Event::Ready { token, readable: true, writable: true };
    bench.world().orders.events = stale.map(event).to_vec();
    bench.turn().unwrap();
    assert_eq!(bench.world().journal.ledgers[echo.0].calls, 0);
    bench.world().orders.events = vec![event(token)];
    bench.turn().unwrap();
    assert_eq!(bench.world().journal.ledgers[echo.0].calls, 1);
}

#[test]
fn delayed_datagrams_have_both_limits_and_share_them() {
    let delay = [("delay", "20ms".to_owned())];
    for limits in [
        Limits { delayed_datagrams: 4, ..Limits::default() },
        Limits { delayed_bytes: 4 * 32, ..Limits::default() },
    ] {
        let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
        let bind = Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() };
        let [(a, _), (b, _)] = [(); 2].map(|()| bench.listen(&bind));
        bench.burst(a, 0, 1, 3);
        bench.burst(b, 1_000_000, 1, 3);
        bench.settle();
        assert_eq!((bench.answered(a), bench.answered(b)), (vec![1, 2, 3], vec![4]));
        assert_eq!(bench.counters(b).dropped(DropReason::DelayFull), 2);
    }
}

/// A flood whose answers wait for seconds filled the store; answers that wait for milliseconds still find room in it.
#[test]
fn who_filled_the_delayed_store_alone_gives_way() {
    let limits = Limits { delayed_datagrams: 64, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let [(flooded, _), (quick, _), (other, _)] = ["4s", "20ms", "20ms"].map(|delay| {
        let delay = [("delay", delay.to_owned())];
        bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() })
    });
    bench.burst(flooded, 0, 1, 200);
    for (round, socket) in [quick, other, quick, other].into_iter().enumerate() {
        bench.burst(socket, 5_000_000 * (round as u64 + 1), 2, 8);
    }
    bench.settle();
    assert_eq!((bench.answered(quick).len(), bench.answered(other).len()), (16, 16));
    let dropped = |socket| bench.counters(socket).dropped(DropReason::DelayFull);
    // Both quick ones reached their 16 at the same time: 32 of the 64 made room.
    assert_eq!((dropped(flooded), dropped(quick), dropped(other)), (200 - 64 + 32, 0, 0));
    assert_eq!(bench.answered(flooded).len(), 32);
}

#[test]
fn delayed_datagrams_queue_up_behind_a_backlog() {
    let delay = [("delay", "5ms".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    bench.world().fill(lossy, 0);
    bench.burst(lossy, 0, 1, 3);
    bench.burst(lossy, 2_000_000, 1, 3);
    bench.world().open(lossy, 30_000_000, 2);
    bench.burst(lossy, 26_000_000, 1, 3);
    bench.world().open(lossy, 60_000_000, 100);
    bench.settle();
    assert_eq!(bench.answered(lossy), (1..=9).collect::<Vec<_>>());
}

/// The receive call is: what it brings may have come while it ran. What the turn takes besides is not.
#[test]
fn a_slow_turn_is_not_added_to_a_deadline() {
    let delay = [("delay", "20ms".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    // Of each receive call; the visit makes two, the second finds nothing more.
    bench.world().orders.slow_ns = 7_500_000;
    bench.burst(lossy, 0, 1, 1);
    let start = bench.world().mono_ns();
    while bench.world().journal.left.is_empty() {
        bench.turn().unwrap();
    }
    let waited = bench.world().mono_ns() - start;
    // A wait of epoll may be 1 ms late, and calls take time.
    assert!((27_500_000..29_000_000).contains(&waited), "{waited} ns");
}

/// A datagram may come after the time of the turn was read, by the whole turn: its delay counts from then on all the same.
#[test]
fn what_arrives_during_a_turn_is_not_answered_before_its_time() {
    const MS: u64 = 1_000_000;
    let delay = [("delay", "1ms".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    for round in 0..3 {
        // The turn begins with the first of them, and takes 5 ms for each call; the last come when it is nearly over.
        bench.burst(echo, 0, 1, 1);
        bench.burst(lossy, 0, 1, 1);
        let start = bench.world().mono_ns();
        bench.burst(lossy, 4 * MS, 1, 1);
        bench.burst(lossy, 9_900_000, 1, 1);
        bench.world().orders.slow_ns = 5 * MS;
        while bench.answered(lossy).len() < 3 * round + 3 {
            let before = bench.answered(lossy).len();
            bench.turn().unwrap();
            bench.world().orders.slow_ns = 0;
            // Those of the round that have left by now, by the order they came in.
            for left in before..bench.answered(lossy).len() {
                let came = start + [0, 4 * MS, 9_900_000][left - 3 * round];
                let now = bench.world().mono_ns();
                assert!(now >= came + MS, "{} ns early", came + MS - now);
            }
        }
        bench.settle();
    }
}

/// What a turn has to send before its only visit may take long. The handler that is visited then is not slow.
#[test]
fn delayed_datagrams_that_leave_slowly_make_no_handler_slow() {
    const MS: u64 = 1_000_000;
    let delay = [("delay", "5ms".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    let mut met = 0;
    for _ in 0..50 {
        bench.burst(lossy, 0, 1, 1);
        bench.turn().unwrap();
        // Both are there when the wait ends, if it ends a little late.
        bench.burst(echo, 5 * MS + 1000, 1, 1);
        bench.world().orders.slow_send_ns = 20 * MS;
        let answered = [lossy, echo].map(|of| bench.answered(of).len());
        bench.turn().unwrap();
        met += usize::from([lossy, echo].map(|of| bench.answered(of).len()) == answered.map(|n| n + 1));
        bench.settle();
        bench.world().orders.slow_send_ns = 0;
    }
    assert!(met > 0);
    assert_eq!(bench.counters(echo).slow_calls, 0, "in {met} turns");
}

#[test]
fn timers_that_are_always_due_do_not_keep_delayed_datagrams() {
    let limits = Limits { turn_timers: 1, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let tick = [("tick", "1ns".to_owned())];
    bench.listen(&Bind { kind: Kind::Moody, options: &tick, ..Bind::default() });
    let delay = [("delay", "5ms".to_owned())];
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    bench.burst(lossy, 0, 1, 3);
    let start = bench.world().mono_ns();
    while bench.world().mono_ns() < start + 10_000_000 {
        bench.reactor.turn().unwrap();
    }
    assert_eq!(bench.answered(lossy), [1, 2, 3]);
}

#[test]
fn what_waits_when_the_loop_stops_is_dropped_with_that_reason() {
    let delay = [("delay", "20ms".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let (lossy, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().fill(echo, 1);
    bench.burst(lossy, 0, 1, 3);
    bench.burst(echo, 0, 1, 3);
    bench.turn().unwrap();
    bench.reactor.stop();
    for (socket, waited) in [(lossy, 3), (echo, 2)] {
        assert_eq!(bench.counters(socket).dropped(DropReason::Stopping), waited);
        assert!(bench.counters(socket).conservation(0).holds());
    }
    assert!(bench.reactor.reports().all(|report| report.waiting == 0));
}
