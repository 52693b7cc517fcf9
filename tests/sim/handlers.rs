//! What a handler that panics, refuses or overdoes it costs: its own listener, and only for a while (I4).

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::reactor::{AddError, Flow, ListenerSpec, Needs, OnFault};

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
    on_fault: OnFault::Restart,
    access: None,
    reply: None,
    chain: false,
};

#[test]
fn a_panic_costs_what_was_before_it_in_its_batch_and_its_listener_for_a_while() {
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
    assert_eq!((counters.dropped(DropReason::HandlerFault), counters.dropped(DropReason::Poison)), (1, 1));
    assert_eq!(counters.dropped(DropReason::HandlerDown), 3);
    assert_eq!(bench.answered(echo).len(), 5);
}

/// Whoever came in one batch with poison, behind it, is answered by the next handler; in trains, and where a call shows only a part
/// of what was received, as well.
#[test]
fn who_was_behind_the_poison_is_answered_later() {
    for (trains, present) in [(false, 1024), (true, 1024), (false, 3), (true, 3)] {
        let exchange = ExchangeLimits { present, slots: 32, ..Setup::default().exchange };
        let mut bench = Bench::new(&Setup { exchange, trains, ..Setup::default() });
        let (moody, _) = bench.listen(&MOODY);
        bench.burst(moody, 0, 1, 2);
        bench.command(moody, 0, 1, PANIC);
        bench.burst(moody, 0, 1, 4);
        bench.burst(moody, 0, 2, 2);
        bench.turn().unwrap();
        assert_eq!((bench.counters(moody).kept, bench.answered(moody).len()), (6, 0), "{trains} {present}");
        bench.settle();
        let counters = bench.counters(moody);
        assert_eq!(bench.answered(moody), [4, 5, 6, 7, 8, 9], "{trains} {present}");
        assert_eq!((counters.faults, counters.restarts, counters.kept), (1, 1, 0));
        assert_eq!(
            (counters.dropped(DropReason::HandlerFault), counters.dropped(DropReason::Poison)),
            (2, 1)
        );
    }
}

/// Two poisoned datagrams in a batch: what is behind the second one was given to a handler once already.
#[test]
fn what_was_kept_is_not_kept_again() {
    let exchange = ExchangeLimits { slots: 32, ..Setup::default().exchange };
    let mut bench = Bench::new(&Setup { exchange, ..Setup::default() });
    let (moody, _) = bench.listen(&MOODY);
    for command in [PANIC, 0, PANIC, 0, 0] {
        bench.command(moody, 0, 1, command);
    }
    bench.burst(moody, 2_000 * MS, 1, 1);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts), (2, 2));
    assert_eq!((counters.dropped(DropReason::HandlerFault), counters.dropped(DropReason::Poison)), (3, 2));
    assert_eq!(bench.answered(moody), [6]);
}

/// Whatever ends a listener while datagrams are kept for its next handler counts them.
#[test]
fn what_is_kept_is_counted_when_there_will_be_no_handler() {
    for how in ["remove", "stop", "break"] {
        let mut bench = Bench::new(&Setup::default());
        let (moody, token) = bench.listen(&MOODY);
        bench.command(moody, 0, 1, PANIC);
        bench.burst(moody, 0, 1, 3);
        bench.turn().unwrap();
        assert_eq!(bench.counters(moody).kept, 3, "{how}");
        let counters = match how {
            "remove" => bench.reactor.remove(token).unwrap().counters,
            "stop" => {
                bench.reactor.stop();
                bench.counters(moody)
            }
            _ => {
                bench.world().script(moody).receives.push_back(Some(libc::EBADF));
                bench.burst(moody, MS, 1, 1);
                bench.fall_silent();
                bench.counters(moody)
            }
        };
        assert_eq!((counters.kept, counters.dropped(DropReason::HandlerDown)), (0, 3), "{how}");
        assert!(counters.conservation(0).holds(), "{how}");
    }
}

#[test]
fn the_wait_doubles_with_each_break_and_the_handler_comes_back_each_time() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&MOODY);
    for nominal in [100, 200, 400, 800, 1600, 3200] {
        let wait = outage_ms(&mut bench, moody, 5000).unwrap();
        assert!((nominal * 8 / 10..=nominal * 12 / 10 + 6).contains(&wait), "{wait} ms, not {nominal}");
    }
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts), (6, 6));
    assert_eq!(counters.dropped(DropReason::Poison), 6);
}

#[test]
fn a_handler_that_is_to_stay_off_stays_off() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&Bind { on_fault: OnFault::Off, ..MOODY });
    bench.command(moody, 0, 1, PANIC);
    bench.burst(moody, 0, 1, 2);
    bench.burst(moody, 60_000 * MS, 1, 3);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts, counters.sent), (1, 0, 0));
    assert_eq!((counters.dropped(DropReason::Poison), counters.dropped(DropReason::HandlerFault)), (1, 2));
    assert_eq!(counters.dropped(DropReason::HandlerDown), 3);
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
fn a_plugin_that_refuses_to_come_back_is_asked_again_and_again() {
    let options = [("refuse_restart", "true".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&Bind { options: &options, ..MOODY });
    bench.command(moody, 0, 1, PANIC);
    bench.burst(moody, 0, 1, 1);
    bench.burst(moody, 4_000 * MS, 1, 2);
    while bench.counters(moody).received < 4 {
        bench.turn().unwrap();
    }
    let counters = bench.counters(moody);
    // 100, 200, 400, 800 and 1600 ms, each a fifth more or less.
    assert!((5..=6).contains(&counters.faults), "{}", counters.faults);
    assert_eq!((counters.restarts, counters.sent, counters.kept), (0, 0, 1));
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
        on_fault: OnFault::Restart,
        access: None,
        reply: Rc::default(),
        needs: Needs::default(),
        outgoing: Rc::default(),
        kernel_drops_seen: 0,
        sessions: None,
        chain: false,
        tag: 0,
    };
    assert!(matches!(bench.reactor.add(spec), Err(AddError::Register(_))));
    bench.turn().unwrap();
    assert!(bench.world().idle, "a timer of a listener that does not exist");
}
