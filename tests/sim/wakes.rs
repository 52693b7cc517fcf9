//! Handlers that threads wake, and answers in later calls: each from the address that was asked, paid for by what it
//! answers, and counted. The journal checks the addresses, the TTL and the sums of bytes.

use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::reactor::{AddError, Flow, Token};

use crate::bench::{Bench, Bind, Kind, Setup, decaying};
use crate::handlers::PANIC;
use crate::peers::{BREAKS_WOKEN, BY_TICKET, BY_WAKE, FAR};
use crate::world::SocketId;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
/// Commands of `moody`.
const MANY_TICKETS: u8 = 25;
const JOIN: u8 = 26;

fn moody() -> Bind<'static> {
    Bind { kind: Kind::Moody, ..Bind::default() }
}

/// A bench whose threads take so long, and a listener that can be woken.
fn bench(thread_ns: u64) -> (Bench, SocketId, Token) {
    let mut bench = Bench::new(&Setup::default());
    bench.world().orders.thread_ns = Some(thread_ns);
    let (socket, token) = bench.listen(&moody());
    (bench, socket, token)
}

/// What `moody` has counted.
fn cell(bench: &Bench, of: SocketId, name: &str) -> u64 {
    let report = bench.reactor.reports().find(|report| crate::oracle::socket(report.name) == of.0).unwrap();
    report.cells.iter().find(|cell| cell.name == name).unwrap().value()
}

/// Tickets taken, used and refused.
fn tickets(bench: &Bench, of: SocketId) -> [u64; 3] {
    let counters = bench.counters(of);
    [counters.tickets_taken, counters.tickets_used, counters.tickets_refused]
}

#[test]
fn what_is_answered_later_is_consumed_at_once_and_leaves_from_the_address_that_was_asked() {
    for command in [BY_WAKE, BY_TICKET] {
        let mut bench = Bench::new(&Setup::default());
        let bind = Bind { local: "0.0.0.0:7".parse().unwrap(), ..moody() };
        let (socket, _) = bench.listen(&bind);
        for (peer, asked) in [("192.0.2.1:50", [198, 51, 100, 1]), ("192.0.2.1:51", [198, 51, 100, 2])] {
            bench.forge(socket, 0, peer.parse().unwrap(), asked.into(), command);
        }
        bench.settle();
        let counters = bench.counters(socket);
        assert_eq!((counters.received, counters.consumed, counters.replied), (2, 2, 0));
        assert_eq!((counters.queued, counters.sent, tickets(&bench, socket)), (2, 2, [2, 2, 0]));
        assert_eq!(bench.answered(socket).len(), 2);
    }
}

#[test]
fn wakes_before_the_call_are_one() {
    let (mut bench, socket, _) = bench(10 * MS);
    (0..5).for_each(|n| bench.command(socket, n * MS, 1, BY_WAKE));
    bench.settle();
    assert_eq!((cell(&bench, socket, "wakes_total"), bench.answered(socket).len()), (1, 5));
    bench.command(socket, 0, 1, BY_WAKE);
    bench.settle();
    assert_eq!((cell(&bench, socket, "wakes_total"), bench.answered(socket).len()), (2, 6));
}

#[test]
fn a_wake_of_a_listener_that_is_gone_reaches_nobody() {
    let (mut bench, socket, token) = bench(10 * MS);
    bench.command(socket, 0, 1, BY_WAKE);
    while bench.counters(socket).received == 0 {
        bench.turn().unwrap();
    }
    bench.reactor.remove(token).unwrap();
    bench.world().release(socket);
    bench.world().journal.own.clear();
    let (next, of_next) = bench.listen(&moody());
    assert_eq!(of_next.index, token.index, "it has the slot of the one that was woken");
    bench.kinds.remove(0);
    while !bench.world().is_over() {
        assert_eq!(bench.reactor.turn().unwrap(), Flow::Continue);
    }
    bench.reactor.turn().unwrap();
    assert_eq!(cell(&bench, next, "wakes_total"), 0);
}

#[test]
fn a_wake_of_a_handler_that_broke_is_none_of_the_next_one_and_its_tickets_are_gone() {
    // While it is down, and when it is back.
    for thread_ms in [20, 1000] {
        let (mut bench, socket, _) = bench(thread_ms * MS);
        bench.command(socket, 0, 1, BY_WAKE);
        bench.command(socket, 5 * MS, 1, PANIC);
        bench.settle();
        let counters = bench.counters(socket);
        assert_eq!((counters.faults, counters.restarts, cell(&bench, socket, "wakes_total")), (1, 1, 0));
        assert_eq!((tickets(&bench, socket), counters.sent), ([1, 0, 0], 0));
        bench.command(socket, 0, 1, BY_WAKE);
        bench.settle();
        assert_eq!((cell(&bench, socket, "wakes_total"), bench.counters(socket).sent), (1, 1));
    }
}

#[test]
fn a_handler_that_breaks_when_it_is_woken_is_made_again() {
    let (mut bench, socket, _) = bench(MS);
    bench.command(socket, 0, 1, BREAKS_WOKEN);
    bench.burst(socket, 500 * MS, 1, 1);
    bench.settle();
    let counters = bench.counters(socket);
    assert_eq!((counters.faults, counters.restarts, counters.sent, counters.consumed), (1, 1, 1, 1));
}

#[test]
fn many_that_were_woken_at_once_are_called_in_many_turns() {
    let limits = Limits { turn_timers: 1, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    bench.world().orders.thread_ns = Some(MS);
    let sockets: Vec<_> = (0..5)
        .map(|n| bench.listen(&Bind { local: ([198, 51, 100, 1], 7 + n).into(), ..moody() }).0)
        .collect();
    sockets.iter().for_each(|socket| bench.command(*socket, 0, 1, BY_WAKE));
    bench.settle();
    for socket in sockets {
        assert_eq!((cell(&bench, socket, "wakes_total"), bench.answered(socket).len()), (1, 1));
    }
}

#[test]
fn a_ticket_is_too_old_after_a_minute() {
    let (mut bench, socket, _) = bench(60_001 * MS);
    bench.command(socket, 0, 1, BY_WAKE);
    bench.settle();
    assert_eq!((cell(&bench, socket, "too_late_total"), bench.counters(socket).sent), (1, 0));
    assert_eq!(tickets(&bench, socket), [1, 0, 0]);
}

/// What a datagram pays for is kept for its ticket, however long that lasts, and only once: three times its length.
#[test]
fn a_ticket_pays_for_its_answers_when_the_store_is_long_empty() {
    let (mut bench, socket, _) = bench(30_000 * MS);
    bench.command(socket, 0, 1, BY_WAKE);
    bench.settle();
    assert_eq!(bench.counters(socket).sent, 1);
    let mut bench = Bench::new(&Setup::default());
    bench.world().orders.thread_ns = Some(30_000 * MS);
    let (socket, _) = bench.listen(&moody());
    // The first of many tickets gets all that the datagram pays for, and five answers would cost more.
    bench.command(socket, 0, 1, MANY_TICKETS);
    bench.settle();
    let counters = bench.counters(socket);
    assert_eq!((counters.sent, counters.dropped(DropReason::Amplification)), (3, 2));
    assert_eq!(tickets(&bench, socket), [300, 1, 0]);
}

/// What is set aside is not there for anybody else.
#[test]
fn what_a_ticket_has_nobody_else_spends() {
    const LATER: u8 = crate::peers::LATER;
    let (mut bench, socket, _) = bench(10 * MS);
    // The answer of the timer has nothing but what its own datagram paid for, which has stayed in the store.
    (0..3).for_each(|_| bench.command(socket, 0, 1, BY_WAKE));
    bench.command(socket, 0, 1, LATER);
    bench.settle();
    assert_eq!(
        (bench.counters(socket).sent, bench.counters(socket).dropped(DropReason::Amplification)),
        (4, 0)
    );
}

#[test]
fn an_answer_by_a_ticket_has_one_hop_less_than_what_it_answers() {
    let mut bench = Bench::new(&Setup::default());
    let (socket, _) = bench.listen(&Bind { reply: Some(decaying()), ..moody() });
    for (command, hop_limit) in [(BY_WAKE, 9), (BY_TICKET, FAR), (BY_WAKE, 1)] {
        bench.ask_with(socket, 1, hop_limit, command);
    }
    bench.settle();
    let mut left_with = bench.world().journal.left_with.clone();
    left_with.sort_unstable();
    assert_eq!((left_with, bench.counters(socket).dropped(DropReason::TtlExpired)), (vec![8, 63], 1));
}

#[test]
fn too_many_tickets_are_refused_and_counted() {
    let exchange = polyport::exchange::ExchangeLimits { tickets: 8, ..Setup::default().exchange };
    let mut bench = Bench::new(&Setup { exchange, ..Setup::default() });
    bench.world().orders.thread_ns = Some(5 * MS);
    let (socket, _) = bench.listen(&moody());
    (0..3).for_each(|_| bench.command(socket, 0, 1, BY_WAKE));
    bench.settle();
    assert_eq!((tickets(&bench, socket), bench.counters(socket).sent), ([2, 2, 1], 2));
    bench.command(socket, 0, 1, BY_WAKE);
    bench.settle();
    assert_eq!(tickets(&bench, socket), [3, 3, 1], "those that were used have made room");
}

#[test]
fn without_a_descriptor_to_wake_it_by_a_handler_is_refused() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().orders.no_eventfd = true;
    let Err(AddError::Create(error)) = bench.try_listen(&moody()) else { panic!("it serves") };
    assert!(error.message.contains("no descriptor to wake the handler by"), "{}", error.message);
    bench.burst(echo, 0, 1, 1);
    bench.settle();
    assert_eq!(bench.answered(echo).len(), 1);
}

#[test]
fn a_group_that_cannot_be_joined_is_counted() {
    let (mut bench, socket, _) = bench(MS);
    (0..2).for_each(|_| bench.command(socket, 0, 1, JOIN));
    bench.settle();
    assert_eq!((bench.counters(socket).groups_refused, bench.counters(socket).consumed), (2, 2));
}
