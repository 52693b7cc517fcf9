//! Random runs of a handler with a session for each client, whose sessions are ended in every way while a call shows what several
//! of them have heard: by themselves, by each other, by an error, by a break of the handler in the middle of the call.

use std::sync::Arc;

use polyport::exchange::SessionEnd;
use polyport::metrics::DropReason;
use polyport::plugin::{Loader, Plugin, SearchPath};
use polyport::reactor::SessionBook;
use polyport_tests::plugins::{compile_c, fixture};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bench::{Bench, Bind, Kind, Setup, without_budget};
use crate::seeded;
use crate::world::{SocketId, Upstream};

/// Runs of an ordinary test; `POLYPORT_SEEDS` asks for more, `POLYPORT_SEED` for one.
const SEEDS: u64 = 150;
/// Turns that a run takes at most before the bench looks at its end.
const TURNS: u32 = 3000;
const SERVER: &str = "203.0.113.9:27015";

/// Commands of the handler: see `tests/fixtures/c/crowd.c`. Those that break it are drawn apart.
const COMMANDS: [u8; 12] = [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7];
const BREAK: u8 = 8;
const BREAK_ASKED: u8 = 9;
/// Nobody answers a client more often: twice, what a server sends back twice.
const MOST_ANSWERS: usize = 4;

#[test]
fn whatever_ends_sessions_in_a_call_about_many_the_books_hold() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("crowd"), &[], dir.path(), "crowd") else { return };
    let mut loader = Loader::new(SearchPath::new(&[], None, &[], None), |_| None);
    let plugin = loader.load(library.to_str().unwrap()).unwrap();
    let wanted = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match wanted("POLYPORT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..wanted("POLYPORT_SEEDS").unwrap_or(SEEDS),
    };
    let (mut total, enough) = (SessionBook::default(), seeds.end - seeds.start >= SEEDS);
    for seed in seeds {
        let first = run(seed, &plugin);
        let again = run(seed, &plugin);
        match (first, again) {
            (Ok(first), Ok(again)) => {
                assert_eq!(first.0, again.0, "I2: the second run of seed {seed} differs from the first");
                total += &first.1;
            }
            (Err(error), _) | (_, Err(error)) => panic!(
                "{error}\nreplay: POLYPORT_SEED={seed} cargo test -p polyport-tests --test sim whatever_ends"
            ),
        }
    }
    if enough {
        check_reach(&total);
    }
}

/// Whether the runs met what they are there to meet.
fn check_reach(total: &SessionBook) {
    for end in [SessionEnd::Asked, SessionEnd::Idle, SessionEnd::Broken, SessionEnd::Restart] {
        assert!(total.closed[end as usize] > 0, "no session ended so: {end:?}: {total}");
    }
    for reason in [
        DropReason::OnPurpose,
        DropReason::Poison,
        DropReason::HandlerFault,
        DropReason::SessionClosed,
        DropReason::BacklogFull,
        DropReason::Unreachable,
    ] {
        assert!(total.counters.dropped(reason) > 0, "no run dropped a datagram because: {reason}");
    }
    assert!(total.errors_taken > 0 && total.counters.receive_errors > 0 && total.counters.replied > 0);
}

/// Runs a seed. Returns the journal in a number, and what the sessions counted.
fn run(seed: u64, plugin: &Arc<Plugin>) -> Result<(u64, SessionBook), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let setup = seeded::setup(seed, &mut rng);
    let mut bench = Bench::new(&setup);
    let result = play(&mut bench, &setup, &mut rng, plugin);
    let journal = &bench.world().journal;
    result
        .map(|book| (journal.hash(), book))
        .map_err(|error| format!("{error}\n{setup:?}\n{}", journal.tail()))
}

fn play(
    bench: &mut Bench,
    setup: &Setup,
    rng: &mut StdRng,
    plugin: &Arc<Plugin>,
) -> Result<SessionBook, String> {
    let after_ns = [0, 1_000_000][rng.random_range(0..2)];
    let echo = Upstream::Echo { times: rng.random_range(1..=2), after_ns };
    bench.world().upstreams.servers.insert(SERVER.parse().unwrap(), echo);
    if rng.random_range(0..4) == 0 {
        bench.world().upstreams.ports = rng.random_range(1..10);
    }
    let options = [("to", SERVER.to_owned())];
    let bind = Bind { kind: Kind::Moody, options: &options, reply: without_budget(), ..Bind::default() };
    let (crowd, token) = bench.listen_with(Arc::clone(plugin), &bind);
    bench.world().journal.ledgers[crowd.0].most_answers = MOST_ANSWERS;
    // A neighbour, of which the journal sees that it does not wait.
    seeded::listener(bench, setup, rng);
    talk(bench, crowd, rng);
    let mut floods = rng.random_range(0..4);
    for _ in 0..TURNS {
        bench.turn()?;
        if floods > 0 && rng.random_range(0..20) == 0 {
            floods -= 1;
            bench.world().flood_with_errors(rng.random_range(1..4));
        }
        if std::mem::take(&mut bench.world().idle) {
            break;
        }
    }
    bench.run()?;
    let stuck = bench.world().queued_by_sessions();
    let report = bench.reactor.reports().find(|report| report.token == token).unwrap();
    let (sessions, counters) = (report.sessions.unwrap(), report.counters);
    // Whoever has no handler at the end leaves what arrived in the kernel.
    if stuck > 0 && counters.restarts == counters.faults {
        return Err(format!("{stuck} datagrams lie in the sockets of sessions"));
    }
    if sessions.waiting > 0 {
        return Err(format!("{} datagrams wait to leave by sessions", sessions.waiting));
    }
    Ok(*sessions.book)
}

/// Clients speak, in bursts mostly, and some datagrams have commands.
fn talk(bench: &mut Bench, crowd: SocketId, rng: &mut StdRng) {
    let clients = rng.random_range(1..40);
    let (mut at, mut breaks) = (0, rng.random_range(0..4));
    for _ in 0..rng.random_range(1..300) {
        let command = match rng.random_range(0..40) {
            0 if breaks > 0 => {
                breaks -= 1;
                [BREAK, BREAK_ASKED][rng.random_range(0..2)]
            }
            _ => COMMANDS[rng.random_range(0..COMMANDS.len())],
        };
        bench.command(crowd, at, rng.random_range(0..clients), command);
        at += [0, 0, 0, 5_000, 1_000_000, 40_000_000][rng.random_range(0..6)];
    }
}
