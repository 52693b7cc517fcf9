//! The end with grace: what has arrived is served, what is due in time leaves at its time, and the rest has a reason.

use std::net::SocketAddr;
use std::time::Duration;

use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::reactor::Flow;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::faults::Profile;
use crate::handlers::PANIC;
use crate::peers::{BY_TICKET, BY_WAKE};
use crate::seeded;
use crate::world::{SocketId, Upstream};

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
const GRACE: Duration = Duration::from_secs(5);
/// Turns after which an end with grace is none.
const MANY_TURNS: u32 = 200_000;
/// What a wait of the simulation may take longer than it was asked to.
const LATE_NS: u64 = 10 * MS;
/// Seeds of the random ends.
const SEEDS: u64 = 300;

/// Ends the service within `grace`, and returns how long that took, ns.
#[track_caller]
fn end(bench: &mut Bench, grace: Duration) -> u64 {
    let from_ns = bench.world().mono_ns();
    bench.world().orders.ending = true;
    bench.reactor.end_within(grace);
    for _ in 0..MANY_TURNS {
        match bench.turn() {
            Ok(Flow::Ended) => {
                let took_ns = bench.world().mono_ns() - from_ns;
                bench.reactor.stop();
                for report in bench.reactor.reports() {
                    let equation = report.counters.conservation(report.waiting);
                    assert!(equation.holds() && report.waiting == 0, "{}: {equation}", report.name);
                    let sessions = report.sessions.filter(|it| !it.book.holds(it.waiting) || it.waiting > 0);
                    assert!(sessions.is_none(), "{}: {sessions:?}", report.name);
                }
                return took_ns;
            }
            Ok(_) => {}
            Err(error) => panic!("{error}\n{}", bench.world().journal.tail()),
        }
    }
    panic!("the end has no end\n{}", bench.world().journal.tail());
}

fn lossy<'a>(options: &'a [(&'a str, String)]) -> Bind<'a> {
    Bind { kind: Kind::Lossy, options, reply: without_budget(), ..Bind::default() }
}

#[track_caller]
fn assert_between(took_ns: u64, least_ms: u64, most_ms: u64) {
    assert!((least_ms * MS..most_ms * MS + LATE_NS).contains(&took_ns), "{} us", took_ns / 1000);
}

#[test]
fn without_anything_that_waits_it_ends_at_once() {
    for level in [false, true] {
        let mut bench = Bench::new(&Setup { level, ..Setup::default() });
        let (echo, _) = bench.listen(&Bind::default());
        bench.burst(echo, 0, 1, 5);
        bench.settle();
        assert_between(end(&mut bench, GRACE), 0, 0);
        assert_eq!(bench.answered(echo).len(), 5);
    }
}

/// It lies in the socket when the end is asked for, so its sender has no reason to believe that it was lost.
#[test]
fn what_has_arrived_is_served_and_what_comes_later_is_not_taken() {
    for level in [false, true] {
        let limits = Limits { visit_datagrams: 3, turn_datagrams: 5, ..Limits::default() };
        let mut bench = Bench::new(&Setup { level, limits, ..Setup::default() });
        let (echo, _) = bench.listen(&Bind::default());
        let (slow, _) = bench.listen(&lossy(&[("delay", "1s".to_owned())]));
        for socket in [echo, slow] {
            bench.burst(socket, 0, 1, 40);
            bench.burst(socket, 500 * MS, 1, 7);
        }
        assert_between(end(&mut bench, GRACE), 1000, 1010);
        let counters = [echo, slow].map(|socket| bench.counters(socket));
        assert_eq!(counters.map(|c| (c.received, c.sent, c.dropped(DropReason::Stopping))), [(40, 40, 0); 2]);
        assert_eq!([echo, slow].map(|socket| bench.world().queued(socket.0)), [7, 7]);
        assert!(!bench.world().is_watched(echo) && !bench.world().is_watched(slow));
    }
}

#[test]
fn what_is_not_due_in_time_holds_nobody_and_is_dropped_as_stopping() {
    let mut bench = Bench::new(&Setup::default());
    let (near, _) = bench.listen(&lossy(&[("delay", "1s".to_owned())]));
    let (far, _) = bench.listen(&lossy(&[("delay", "10s".to_owned())]));
    for socket in [near, far] {
        bench.burst(socket, 0, 1, 10);
    }
    assert_between(end(&mut bench, GRACE), 1000, 1010);
    let counted = |socket| {
        let counters = bench.counters(socket);
        (counters.replied, counters.sent, counters.dropped(DropReason::Stopping))
    };
    assert_eq!((counted(near), counted(far)), ((10, 10, 0), (10, 0, 10)));
}

/// Somebody asks for it while the end is under way: what lies in the socket is for whoever has it next.
#[test]
fn who_is_paused_when_the_end_begins_is_not_read_again() {
    let mut bench = Bench::new(&Setup::default());
    let (slow, _) = bench.listen(&lossy(&[("delay", "1s".to_owned())]));
    let (quiet, token) = bench.listen(&Bind::default());
    bench.burst(slow, 0, 1, 10);
    assert!(bench.reactor.pause(token));
    bench.burst(quiet, 0, 1, 10);
    bench.world().orders.ending = true;
    bench.reactor.end_within(GRACE);
    assert!(!bench.reactor.resume(token));
    assert_between(end(&mut bench, GRACE), 1000, 1010);
    assert_eq!((bench.counters(slow).sent, bench.counters(quiet).received), (10, 0));
    assert_eq!(bench.world().queued(quiet.0), 10);
}

#[test]
fn without_grace_nothing_is_taken_and_nothing_leaves() {
    let mut bench = Bench::new(&Setup::default());
    let (lossy, _) = bench.listen(&lossy(&[("delay", "1s".to_owned())]));
    bench.burst(lossy, 0, 1, 10);
    bench.settle_until(lossy, 10);
    bench.burst(lossy, 0, 1, 3);
    assert_between(end(&mut bench, Duration::ZERO), 0, 0);
    let counters = bench.counters(lossy);
    assert_eq!((counters.received, counters.dropped(DropReason::Stopping)), (10, 10));
}

#[test]
fn a_flood_does_not_hold_up_the_end() {
    let limits = Limits { visit_datagrams: 1024, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, level: true, ..Setup::default() });
    let (discard, _) = bench.listen(&lossy(&[("loss", "100%".to_owned())]));
    bench.burst(discard, 0, 1, 90_000);
    end(&mut bench, Duration::from_secs(3600));
    let received = bench.counters(discard).received;
    assert!((65_536..=65_536 + 1024).contains(&received), "{received}");
}

#[test]
fn a_backlog_leaves_when_there_is_room() {
    for level in [false, true] {
        let mut bench = Bench::new(&Setup { level, ..Setup::default() });
        let (echo, _) = bench.listen(&Bind::default());
        bench.world().fill(echo, 0);
        bench.burst(echo, 0, 1, 10);
        bench.burst(echo, 100 * MS, 1, 10);
        bench.settle_until(echo, 10);
        bench.world().open(echo, 2000 * MS, 4);
        bench.world().open(echo, 3000 * MS, 100);
        assert_between(end(&mut bench, GRACE), 2990, 3010);
        let counters = bench.counters(echo);
        assert_eq!((counters.received, counters.sent, counters.dropped(DropReason::Stopping)), (10, 10, 0));
    }
}

#[test]
fn who_never_has_room_ends_when_the_time_is_over() {
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind::default());
    bench.world().fill(echo, 0);
    bench.burst(echo, 0, 1, 10);
    assert_between(end(&mut bench, GRACE), 5000, 5010);
    assert_eq!(bench.counters(echo).dropped(DropReason::Stopping), 10);
}

/// By a timer of the handler, and by a thread that wakes it.
#[test]
fn answers_of_later_calls_leave() {
    for command in [BY_TICKET, BY_WAKE] {
        let mut bench = Bench::new(&Setup::default());
        bench.world().orders.thread_ns = Some(700 * MS);
        let (moody, _) = bench.listen(&Bind { kind: Kind::Moody, ..Bind::default() });
        (0..5).for_each(|_| bench.command(moody, 0, 1, command));
        assert_between(end(&mut bench, GRACE), 0, 800);
        let counters = bench.counters(moody);
        assert_eq!((counters.consumed, counters.tickets_used, counters.sent), (5, 5, 5), "{command}");
    }
}

/// What was received behind the datagram that broke the handler is for the next one.
#[test]
fn what_is_kept_for_the_next_handler_is_served() {
    let mut bench = Bench::new(&Setup { level: true, ..Setup::default() });
    let (moody, _) = bench.listen(&Bind { kind: Kind::Moody, ..Bind::default() });
    bench.command(moody, 0, 1, PANIC);
    bench.burst(moody, 0, 1, 3);
    assert_between(end(&mut bench, GRACE), 50, 400);
    let counters = bench.counters(moody);
    assert_eq!((counters.faults, counters.restarts, counters.kept), (1, 1, 0));
    assert_eq!(counters.received, 4);
}

/// A relay in front of a server that behaves so, and what it did.
fn relay(upstream: Upstream) -> (Bench, SocketId) {
    let mut bench = Bench::new(&Setup::default());
    let server: SocketAddr = "203.0.113.9:27015".parse().unwrap();
    bench.world().upstreams.servers.insert(server, upstream);
    let options = [("to", server.to_string()), ("idle", "1h".to_owned())];
    let bind = Bind { kind: Kind::Relay, options: &options, reply: without_budget(), ..Bind::default() };
    let (relay, _) = bench.listen(&bind);
    (bench, relay)
}

#[test]
fn answers_that_are_on_their_way_to_a_session_are_waited_for() {
    let (mut bench, asked) = relay(Upstream::Echo { times: 1, after_ns: 300 * MS });
    (0..50).for_each(|client| bench.burst(asked, 0, client, 2));
    assert_between(end(&mut bench, GRACE), 300, 500);
    assert_eq!(bench.answered(asked).len(), 100);
    let (mut bench, asked) = relay(Upstream::Echo { times: 1, after_ns: 300 * MS });
    bench.burst(asked, 0, 1, 1);
    bench.settle();
    assert_between(end(&mut bench, GRACE), 0, 0);
    assert_eq!(bench.answered(asked).len(), 1, "a session that has been answered waits for nothing");
}

#[test]
fn a_server_that_is_silent_holds_the_end_for_a_second() {
    let (mut bench, asked) = relay(Upstream::Silent);
    (0..50).for_each(|client| bench.burst(asked, 0, client, 1));
    assert_between(end(&mut bench, GRACE), 1000, 1010);
    let (mut bench, asked) = relay(Upstream::Silent);
    bench.burst(asked, 0, 1, 1);
    assert_between(end(&mut bench, Duration::from_millis(200)), 200, 210);
    assert_eq!(bench.counters(asked).received, 1);
}

/// Random listeners, loads, and moments to end at. Where nothing goes wrong, nothing is lost of what had arrived and is due in
/// time; where much goes wrong, each datagram has its reason all the same, and the end comes in time.
#[test]
fn every_seed_ends_in_time_and_accounts_for_every_datagram() {
    let (mut cut, mut whole) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut setup = seeded::setup(seed, &mut rng);
        let calm = seed % 2 == 0;
        if calm {
            setup.profile = Profile::default();
            setup.limits = Limits { visit_datagrams: setup.limits.visit_datagrams, ..Limits::default() };
        }
        let mut bench = Bench::new(&setup);
        for _ in 0..rng.random_range(1..=4) {
            seeded::listener(&mut bench, &setup, &mut rng);
        }
        for _ in 0..rng.random_range(0..60) {
            bench.turn().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        let grace = Duration::from_millis([0, 1, 20, 300, 5000][rng.random_range(0..5)]);
        let took_ns = end(&mut bench, grace);
        let grace_ns = u64::try_from(grace.as_nanos()).unwrap();
        assert!(took_ns <= grace_ns + LATE_NS, "seed {seed}: {took_ns} ns of {grace_ns}");
        for report in bench.reactor.reports() {
            let stopped = report.counters.dropped(DropReason::Stopping);
            // Lossy waits 40 ms and a jitter of 3 at most, moody for a second.
            if calm && grace >= GRACE {
                assert_eq!(stopped, 0, "seed {seed}: {}", report.name);
                whole += report.counters.sent;
            }
            cut += stopped;
        }
    }
    assert!(cut > 0 && whole > 0, "{cut} {whole}");
}
