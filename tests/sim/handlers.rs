//! What a handler that panics, refuses or overdoes it costs: its own listener, and only for a while (I4).

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::reactor::{AddError, Flow, ListenerSpec, OnFault};

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::world::SocketId;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
pub(crate) const PANIC: u8 = 1;
const PANIC_IN_TIMER: u8 = 7;
const PANIC_IN_A_SECOND: u8 = 10;

const MOODY: Bind<'_> = Bind {
    kind: Kind::Moody,
    options: &[],
    local: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)), 7),
    capacity: 100_000,
    on_fault: OnFault::Drop,
    reply: None,
};

#[test]
fn a_panic_costs_its_batch_and_its_listener_for_a_while() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&MOODY);
    let (echo, _) = bench.listen(&Bind::default());
    bench.command(moody, 0, 1, 0);
    bench.command(moody, 0, 1, PANIC);
    bench.burst(echo, 0, 1, 5);
    bench.burst(moody, 10 * MS, 1, 3);
    bench.burst(moody, 500 * MS, 1, 3);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts, counters.sent), (1, 1, 3));
    assert_eq!(counters.dropped(DropReason::HandlerFault), 2);
    assert_eq!(counters.dropped(DropReason::HandlerDown), 3);
    assert_eq!(bench.answered(echo).len(), 5);
}

#[test]
fn the_wait_doubles_with_each_break_and_the_fifth_is_the_last() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&MOODY);
    for nominal in [100, 200, 400, 800] {
        let wait = outage_ms(&mut bench, moody, 2000).unwrap();
        assert!((nominal * 8 / 10..=nominal * 12 / 10 + 6).contains(&wait), "{wait} ms, not {nominal}");
    }
    assert_eq!(outage_ms(&mut bench, moody, 60_000), None);
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts), (5, 4));
}

/// Breaks the handler, asks every 5 ms, and says after how many milliseconds somebody answered.
fn outage_ms(bench: &mut Bench, moody: SocketId, most: u64) -> Option<u64> {
    bench.command(moody, 0, 1, PANIC);
    let before = bench.answered(moody).len();
    let first = bench.id() + 1;
    (1..=most / 5).for_each(|i| bench.command(moody, i * 5 * MS, 1, 0));
    bench.settle();
    bench.answered(moody).get(before).map(|id| (id - first + 1) * 5)
}

#[test]
fn a_plugin_that_refuses_to_come_back_is_asked_four_times() {
    let options = [("refuse_restart", "true".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&Bind { options: &options, ..MOODY });
    bench.command(moody, 0, 1, PANIC);
    bench.burst(moody, 4_000 * MS, 1, 2);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts, counters.sent), (5, 0, 0));
    assert_eq!(counters.dropped(DropReason::HandlerDown), 2);
}

#[test]
fn the_daemon_stops_where_the_listener_says_so() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&Bind { on_fault: OnFault::Exit, ..MOODY });
    bench.command(moody, 0, 1, PANIC);
    let flows: Vec<_> = (0..3).map(|_| bench.turn().unwrap()).collect();
    assert!(flows.contains(&Flow::Fatal), "{flows:?}");
}

#[test]
fn a_socket_that_waits_to_be_looked_at_again_survives_a_break() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&MOODY);
    // One batch, then an error with five datagrams queued; the timer breaks the handler before the next look.
    bench.world().script(moody).receives.extend([None, Some(libc::ENOBUFS)]);
    bench.command(moody, 0, 1, PANIC_IN_TIMER);
    bench.burst(moody, 0, 1, 8);
    bench.settle();
    assert_eq!(bench.counters(moody).received, 9);
    assert_eq!(bench.counters(moody).faults, 1);
}

/// Its timers were wishes of the one that is gone: the next one would not know them.
#[test]
fn the_handler_that_follows_a_broken_one_does_not_get_its_timers() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&MOODY);
    bench.command(moody, 0, 1, PANIC_IN_A_SECOND);
    bench.command(moody, MS, 1, PANIC);
    bench.burst(moody, 900 * MS, 1, 1);
    bench.burst(moody, 1500 * MS, 1, 1);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts, counters.sent), (1, 1, 2));
}

#[test]
fn answers_beyond_a_handlers_share_are_refused_and_counted() {
    let exchange = ExchangeLimits { tx: 16, tx_total: 100, ..Setup::default().exchange };
    let mut bench = Bench::new(&Setup { exchange, ..Setup::default() });
    let (moody, _) = bench.listen(&Bind { reply: without_budget(), ..MOODY });
    bench.command(moody, 0, 1, 2);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.queued, counters.sent), (300, 100));
    assert_eq!(counters.dropped(DropReason::NoRoom), 200);
}

#[test]
fn timers_beyond_a_handlers_limit_are_refused_and_counted() {
    let ticks = [("tick", "5ms".to_owned())];
    for (handler_timers, options, expected) in
        [(0, &[][..], (3, 0)), (0, &ticks[..], (4, 0)), (1, &[], (0, 3))]
    {
        let limits = Limits { handler_timers, ..Limits::default() };
        let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
        let (moody, _) = bench.listen(&Bind { options, ..MOODY });
        // Each is answered by a timer.
        (0..3).for_each(|n| bench.command(moody, n * MS, 1, 6));
        bench.settle();
        let counters = bench.counters(moody);
        assert_eq!((counters.timers_refused, counters.sent), expected, "{handler_timers} {options:?}");
    }
}

#[test]
fn answers_to_where_nothing_can_go_never_reach_the_socket() {
    for (command, reason) in [(8, DropReason::Invalid), (9, DropReason::NoDestination)] {
        let mut bench = Bench::new(&Setup::default());
        let (moody, _) = bench.listen(&MOODY);
        bench.command(moody, 0, 1, command);
        bench.command(moody, 0, 1, 0);
        bench.reactor.turn().unwrap();
        assert_eq!(bench.counters(moody).dropped(reason), 1, "command {command}");
        assert_eq!(bench.answered(moody), [2]);
        assert!(bench.counters(moody).conservation(0).holds());
    }
}

#[test]
fn delayed_and_timed_answers_leave_after_their_time() {
    for (command, wait) in [(5, 3 * MS), (6, 2 * MS)] {
        let mut bench = Bench::new(&Setup::default());
        let (moody, _) = bench.listen(&MOODY);
        let start = bench.world().mono_ns();
        bench.command(moody, 0, 1, command);
        while bench.world().journal.left.is_empty() {
            bench.turn().unwrap();
        }
        let took = bench.world().mono_ns() - start;
        assert!((wait..wait + MS + MS / 2).contains(&took), "command {command}: {took} ns");
        bench.settle();
        assert_eq!(bench.answered(moody), [1]);
    }
}

#[test]
fn a_listener_that_cannot_be_watched_leaves_no_timer_behind() {
    let mut bench = Bench::new(&Setup::default());
    bench.world().orders.register = Some(libc::ENOSPC);
    let socket = bench.world().bind(false, 1);
    let plugin = Kind::Moody.plugin();
    let tick = [polyport::plugin::Given { name: "tick", value: polyport::plugin::GivenValue::Text("10ms") }];
    let values = Rc::new(polyport::plugin::Values::check(plugin.options(), &tick).unwrap());
    let spec = ListenerSpec {
        name: Arc::from("unwatched"),
        local: MOODY.local,
        socket,
        plugin,
        values,
        on_fault: OnFault::Drop,
        reply: Rc::default(),
        groups: Vec::new(),
        kernel_drops_seen: 0,
        sessions: None,
        tag: 0,
    };
    assert!(matches!(bench.reactor.add(spec), Err(AddError::Register(_))));
    bench.turn().unwrap();
    assert!(bench.world().idle, "a timer of a listener that does not exist");
}
