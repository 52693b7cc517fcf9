//! Handlers with sockets of their own: the example relay in front of servers that answer, are slow, are silent, or are not
//! there; ports and files that run out.

use std::net::SocketAddr;

use polyport::exchange::{ExchangeLimits, OpenRefused, SessionEnd};
use polyport::limits::Limits;
use polyport::metrics::{DropReason, Stage};
use polyport::plugin::{Loader, SearchPath};
use polyport::reactor::SessionBook;
use polyport_tests::plugins::{compile_c, fixture};

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::world::{SocketId, Upstream};

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
/// Where everything goes.
const SERVER: &str = "203.0.113.9:27015";
const ECHO: Upstream = Upstream::Echo { times: 1, after_ns: MS };

/// A relay to a server that behaves so, whose sessions end after so long.
fn relay(setup: &Setup, upstream: Upstream, idle: &str) -> (Bench, SocketId) {
    let mut bench = Bench::new(setup);
    let server: SocketAddr = SERVER.parse().unwrap();
    bench.world().upstreams.servers.insert(server, upstream);
    let options = [("to", SERVER.to_owned()), ("idle", idle.to_owned())];
    let bind = Bind { kind: Kind::Relay, options: &options, reply: without_budget(), ..Bind::default() };
    let (relay, _) = bench.listen(&bind);
    (bench, relay)
}

fn book(bench: &Bench, of: SocketId) -> SessionBook {
    *bench.reactor.reports().nth(of.0).unwrap().sessions.unwrap().book
}

fn closed(book: &SessionBook, end: SessionEnd) -> u64 {
    book.closed[end as usize]
}

/// The journal looks at each answer: from the address that was asked, to who asked, with its bytes.
#[test]
fn answers_of_the_server_go_to_who_asked_from_where_it_asked() {
    for (level, times) in [(false, 1), (true, 1), (true, 2)] {
        let setup = Setup { level, ..Setup::default() };
        let (mut bench, relay) = relay(&setup, Upstream::Echo { times, after_ns: MS }, "1h");
        for round in 0..5 {
            (0..200).for_each(|client| bench.burst(relay, round * 3 * MS, client, 2));
        }
        bench.settle();
        assert_eq!(bench.answered(relay).len(), 2000 * times, "level {level}");
        let book = book(&bench, relay);
        assert_eq!((book.opened, book.open, book.counters.sent), (200, 200, 2000));
        assert_eq!(book.counters.replied, 2000 * u64::try_from(times).unwrap());
        assert_eq!(bench.counters(relay).replied, 2000);
    }
}

/// What several sessions have heard is shown in one call, as far as the ring holds it, and what the call sends to their clients
/// leaves by one call of the kernel. The ring has four slots here.
#[test]
fn what_came_by_several_sessions_is_shown_and_sent_together() {
    for level in [false, true] {
        let (mut bench, relay) = relay(&Setup { level, ..Setup::default() }, ECHO, "1h");
        (0..100).for_each(|client| bench.burst(relay, 0, client, 1));
        bench.settle();
        let before = bench.world().journal.ledgers[relay.0].send_calls;
        // All answer in the same moment.
        (0..100).for_each(|client| bench.burst(relay, MS, client, 1));
        bench.settle();
        let calls = bench.world().journal.ledgers[relay.0].send_calls - before;
        assert_eq!(bench.answered(relay).len(), 200, "level {level}");
        assert!((25..=50).contains(&calls), "level {level}: {calls}");
    }
}

/// The other sessions have been received from already when the error is met: what they heard is shown all the same.
#[test]
fn an_error_of_one_session_holds_back_nothing_that_others_have_heard() {
    let (mut bench, relay) = relay(&Setup { level: true, ..Setup::default() }, ECHO, "1h");
    (0..50).for_each(|client| bench.burst(relay, 0, client, 1));
    bench.settle();
    (0..50).for_each(|client| bench.burst(relay, MS, client, 1));
    bench.world().flood_with_errors(3);
    bench.settle();
    assert_eq!(bench.answered(relay).len(), 100);
    let book = book(&bench, relay);
    assert!(book.errors_taken >= 50, "{}", book.errors_taken);
    assert_eq!((book.open, book.counters.dropped_in(Stage::Receive)), (50, 0));
}

#[test]
fn the_budget_of_the_listener_holds_for_what_a_server_sends() {
    for (times, most) in [(1, 100), (100, 1000)] {
        let mut bench = Bench::new(&Setup::default());
        let upstream = Upstream::Echo { times, after_ns: MS };
        bench.world().upstreams.servers.insert(SERVER.parse().unwrap(), upstream);
        let options = [("to", SERVER.to_owned()), ("idle", "1h".to_owned())];
        let (relay, _) = bench.listen(&Bind { kind: Kind::Relay, options: &options, ..Bind::default() });
        bench.world().journal.ledgers[relay.0].most_answers = 100;
        (0..100).for_each(|client| bench.burst(relay, 0, client, 1));
        bench.settle();
        let answers = bench.answered(relay).len();
        let held = bench.counters(relay).dropped(DropReason::Amplification);
        assert!(answers <= most && answers >= 100, "{times}: {answers}, {held} held back");
        assert_eq!(answers + usize::try_from(held).unwrap(), 100 * times);
    }
}

/// Lesson of every proxy: the error of one datagram must not eat the next.
#[test]
fn an_error_of_an_earlier_datagram_costs_no_later_one() {
    let (mut bench, relay) = relay(&Setup { level: true, ..Setup::default() }, Upstream::Refusing, "1h");
    bench.burst(relay, 0, 1, 1);
    bench.settle();
    bench.world().upstreams.servers.insert(SERVER.parse().unwrap(), ECHO);
    // The error meets the next send, not a look.
    bench.world().flood_with_errors(1);
    bench.burst(relay, 0, 1, 3);
    bench.settle();
    assert_eq!(bench.answered(relay).len(), 3);
    let book = book(&bench, relay);
    assert!(book.errors_taken >= 1);
    assert_eq!((book.opened, book.open, book.counters.dropped_in(Stage::Send)), (1, 1, 0));
}

#[test]
fn a_flood_of_errors_keeps_nobody_waiting_and_ends_nothing() {
    let (mut bench, relay) = relay(&Setup { level: true, ..Setup::default() }, ECHO, "1h");
    let (echo, _) = bench.listen(&Bind::default());
    (0..50).for_each(|client| bench.burst(relay, 0, client, 1));
    bench.settle();
    bench.world().flood_with_errors(1000);
    bench.burst(echo, 0, 1, 10);
    bench.settle();
    assert_eq!(bench.answered(echo).len(), 10);
    assert_eq!(book(&bench, relay).open, 50);
}

#[test]
fn ports_and_files_that_run_out_cost_few_attempts() {
    for (ports, files, end, refused) in [
        (10, usize::MAX, SessionEnd::NoPort, OpenRefused::Port),
        (usize::MAX, 10, SessionEnd::NoFile, OpenRefused::File),
    ] {
        let (mut bench, relay) = relay(&Setup::default(), ECHO, "1h");
        (bench.world().upstreams.ports, bench.world().upstreams.files) = (ports, files);
        for client in 0..1000 {
            bench.burst(relay, u64::from(client) * MS, client, 1);
        }
        bench.settle();
        let book = book(&bench, relay);
        assert_eq!((book.open, bench.answered(relay).len()), (10, 10), "{end:?}");
        // One attempt for each second, whoever asks.
        let attempts = bench.world().upstreams.opens;
        assert!(attempts <= 13, "{attempts} attempts");
        assert_eq!(closed(&book, end), book.opened - 10);
        let ids = book.opens_refused[refused as usize];
        assert_eq!(ids + book.opened, 1000, "each client was told");
    }
}

#[test]
fn a_session_that_ends_lets_the_next_one_in_at_once() {
    let (mut bench, relay) = relay(&Setup::default(), ECHO, "200ms");
    bench.world().upstreams.ports = 1;
    bench.burst(relay, 0, 1, 1);
    bench.burst(relay, 300 * MS, 2, 1);
    // The first has ended after 450 ms at the latest; the pause after the failure would last a second.
    bench.burst(relay, 600 * MS, 3, 1);
    bench.settle();
    assert_eq!(bench.answered(relay).len(), 2);
}

#[test]
fn a_thousand_busy_sessions_delay_a_neighbour_by_one_visit_more() {
    let limits = Limits { visit_datagrams: 8, turn_datagrams: 64, ..Limits::default() };
    let (mut bench, relay) = relay(&Setup { level: true, limits, ..Setup::default() }, ECHO, "1h");
    let (echo, _) = bench.listen(&Bind::default());
    for round in 0..4 {
        (0..1000).for_each(|client| bench.burst(relay, round * 2 * MS, client, 1));
    }
    for n in 0..200 {
        bench.burst(echo, n * 100_000, 1, 1);
    }
    // The journal watches I3.
    bench.settle();
    assert_eq!((bench.answered(relay).len(), bench.answered(echo).len()), (4000, 200));
    assert_eq!(book(&bench, relay).open, 1000);
}

#[test]
fn no_session_outlives_its_idle_time_by_more_than_a_quarter_of_a_second() {
    for idle_ms in [1, 250, 999, 3000] {
        let setup = Setup { level: true, ..Setup::default() };
        let (mut bench, relay) = relay(&setup, Upstream::Silent, &format!("{idle_ms}ms"));
        let start = bench.world().mono_ns();
        (0..100).for_each(|client| bench.burst(relay, 0, client, 1));
        bench.settle();
        let book = book(&bench, relay);
        assert_eq!((book.open, closed(&book, SessionEnd::Idle)), (0, 100), "{idle_ms} ms");
        let took = (bench.world().upstreams.closed_ns - start) / MS;
        assert!((idle_ms..idle_ms + 300).contains(&took), "{idle_ms} ms: {took} ms");
    }
}

#[test]
fn a_session_that_is_heard_now_and_then_stays() {
    let (mut bench, relay) = relay(&Setup::default(), ECHO, "500ms");
    (0..10).for_each(|n| bench.burst(relay, n * 400 * MS, 1, 1));
    bench.settle();
    let book = book(&bench, relay);
    assert_eq!((book.opened, closed(&book, SessionEnd::Idle), bench.answered(relay).len()), (1, 1, 10));
}

#[test]
fn limits_hold_and_are_counted() {
    let limits = Limits { sessions: 7, ..Limits::default() };
    let (mut bench, relay) = relay(&Setup { limits, ..Setup::default() }, ECHO, "1h");
    (0..20).for_each(|client| bench.burst(relay, u64::from(client) * MS, client, 1));
    bench.settle();
    let book = book(&bench, relay);
    assert_eq!((book.open, book.opens_refused[OpenRefused::Limit as usize]), (7, 13));
    assert_eq!(bench.counters(relay).dropped(DropReason::OnPurpose), 13);
}

#[test]
fn a_call_opens_no_more_than_it_may() {
    let limits = Limits { session_opens: 3, ..Limits::default() };
    let (mut bench, relay) = relay(&Setup { limits, ..Setup::default() }, ECHO, "1h");
    // They are there before the first visit: four a batch, which is what the ring holds.
    (0..8).for_each(|client| bench.burst(relay, 0, client, 1));
    bench.settle();
    let book = book(&bench, relay);
    assert!((6..8).contains(&book.open), "{book}");
}

#[test]
fn nothing_goes_to_our_own_listeners_that_have_sessions() {
    let mut bench = Bench::new(&Setup::default());
    let own = Bind::default().local;
    let options = [("to", own.to_string()), ("idle", "1h".to_owned())];
    let local = SocketAddr::new(own.ip(), 4000);
    let bind = Bind { kind: Kind::Relay, options: &options, local, ..Bind::default() };
    let (relay, _) = bench.listen(&bind);
    let (other, _) = bench.listen(&Bind { local: own, ..bind });
    bench.burst(relay, 0, 1, 1);
    bench.settle();
    let book = book(&bench, relay);
    assert_eq!((book.open, closed(&book, SessionEnd::RefusedAddress)), (0, 1));
    assert_eq!(book.counters.dropped(DropReason::SessionFailed), 1);
    assert_eq!((bench.counters(other).received, bench.world().upstreams.opens), (0, 0));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed| {
        let (mut bench, relay) = relay(&Setup { seed, level: true, ..Setup::default() }, ECHO, "1s");
        (0..300).for_each(|n| bench.burst(relay, n * 37_000, u16::try_from(n % 40).unwrap(), 1));
        bench.settle();
        (bench.world().journal.hash(), format!("{:?}", book(&bench, relay)))
    };
    assert_eq!(run(5), run(5));
}

#[test]
fn a_listener_that_goes_takes_its_sessions_along() {
    let mut bench = Bench::new(&Setup::default());
    bench.world().upstreams.servers.insert(SERVER.parse().unwrap(), ECHO);
    let options = [("to", SERVER.to_owned()), ("idle", "1h".to_owned())];
    let bind = Bind { kind: Kind::Relay, options: &options, reply: without_budget(), ..Bind::default() };
    let (relay, token) = bench.listen(&bind);
    (0..5).for_each(|client| bench.burst(relay, 0, client, 1));
    bench.settle();
    let removed = bench.reactor.remove(token).unwrap();
    let book = removed.sessions.unwrap();
    assert_eq!((book.open, closed(&book, SessionEnd::ListenerGone)), (0, 5));
    assert!(book.holds(0));
}

/// What had come by a session and was not shown yet is in the book of the sessions, and nothing of it goes to the next handler.
#[test]
fn a_handler_that_breaks_at_the_end_of_a_session_leaves_the_books_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["-DBREAKS_AT_THE_END"];
    let Some(library) = compile_c(&fixture("sessions"), &flags, dir.path(), "sessions") else { return };
    let mut loader = Loader::new(SearchPath::new(&[], None, &[], None), |_| None);
    let plugin = loader.load(library.to_str().unwrap()).unwrap();
    let exchange = ExchangeLimits { present: 1, ..Setup::default().exchange };
    let mut bench = Bench::new(&Setup { exchange, ..Setup::default() });
    let server: SocketAddr = SERVER.parse().unwrap();
    bench.world().upstreams.servers.insert(server, Upstream::Echo { times: 3, after_ns: MS });
    let options = [("to", SERVER.to_owned())];
    let bind = Bind { kind: Kind::Relay, options: &options, reply: without_budget(), ..Bind::default() };
    let (relay, _) = bench.listen_with(plugin, &bind);
    bench.burst(relay, 0, 1, 1);
    // The example, of which the end of a run expects more, never breaks.
    bench.settle_but_waiting(relay, 0);
    let (counters, book) = (bench.counters(relay), book(&bench, relay));
    assert_eq!((counters.faults, counters.restarts, counters.kept), (1, 1, 0));
    assert_eq!((counters.received, counters.dropped_in(Stage::Receive)), (1, 0));
    assert_eq!(
        (book.counters.received, book.counters.replied, book.counters.dropped_in(Stage::Receive)),
        (3, 1, 2)
    );
}
