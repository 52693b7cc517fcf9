//! Listeners that are added and removed at random moments of a run, while others serve and things go wrong.

use std::net::SocketAddr;

use polyport::limits::Limits;
use polyport::metrics::{Counters, DropReason, Stage};
use polyport::reactor::{OnFault, Removed, Token};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bench::{Bench, Bind, Kind, Setup};
use crate::oracle::{agree, socket};
use crate::seeded;
use crate::world::SocketId;

/// Runs of an ordinary test.
const SEEDS: u64 = 200;
/// Comings and goings of a run.
const CHANGES: u32 = 40;
/// Turns between two of them, at most.
const TURNS: u32 = 30;

#[test]
fn whoever_comes_and_goes_takes_nothing_along_and_leaves_nothing_behind() {
    let mut total = Counters::default();
    for seed in 0..SEEDS {
        match run(seed) {
            Ok(counters) => total += &counters,
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    // The runs met what they are there to meet.
    assert!(total.dropped(DropReason::ListenerGone) > 0, "nobody left with datagrams that waited");
    assert!(total.restarts > 0 && total.dropped(DropReason::BacklogFull) > 0, "{total:?}");
}

fn run(seed: u64) -> Result<Counters, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let setup = seeded::setup(seed, &mut rng);
    let mut bench = Bench::new(&setup);
    let (mut there, mut total) = (Vec::new(), Counters::default());
    for _ in 0..CHANGES {
        if there.is_empty() || (there.len() < 6 && rng.random()) {
            there.push(seeded::listener(&mut bench, &setup, &mut rng));
        } else {
            let token: Token = there.swap_remove(rng.random_range(0..there.len()));
            total += &remove(&mut bench, token)?;
        }
        for _ in 0..rng.random_range(0..TURNS) {
            bench.turn()?;
            // Where nothing is under way, a wait has no end.
            if std::mem::take(&mut bench.world().idle) {
                break;
            }
        }
    }
    let tail = bench.run();
    tail.map_err(|error| format!("{error}\n{}", bench.world().journal.tail()))?;
    there.into_iter().try_for_each(|token| remove(&mut bench, token).map(|counters| total += &counters))?;
    if bench.reactor.reports().count() > 0 { Err("somebody is left".to_owned()) } else { Ok(total) }
}

/// Removes a listener and checks its last books.
fn remove(bench: &mut Bench, token: Token) -> Result<Counters, String> {
    let Removed { name, local, counters, socket: at, .. } =
        bench.reactor.remove(token).ok_or("it is gone already")?;
    assert_eq!(at.0, socket(&name));
    if bench.reactor.remove(token).is_some() {
        return Err(format!("{name} can be removed twice"));
    }
    let conservation = counters.conservation(0);
    if !conservation.holds() {
        return Err(format!("I1: {name}: {conservation}"));
    }
    let journal = &bench.world().journal;
    agree(&journal.ledgers[at.0], &counters).map_err(|error| format!("{name}: {error}"))?;
    bench.world().release(at);
    let own = &mut bench.world().journal.own;
    own.iter().position(|other| *other == local).map(|one| own.swap_remove(one));
    Ok(counters)
}

/// A listener with `delay` and one whose socket is full, both with answers that wait.
fn two_that_wait() -> (Bench, [(SocketId, Token); 2]) {
    let limits = Limits { delayed_datagrams: 3, backlog_total_bytes: 96, ..Limits::default() };
    let mut bench = Bench::new(&Setup { limits, ..Setup::default() });
    let delay = [("delay", "1s".to_owned())];
    let late = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    let full = bench.listen(&Bind { local: "198.51.100.1:8".parse().unwrap(), ..Bind::default() });
    bench.world().fill(full.0, 0);
    bench.burst(late.0, 0, 1, 3);
    bench.burst(full.0, 0, 1, 3);
    let waits = |bench: &Bench| bench.reactor.reports().map(|report| report.waiting).sum::<u64>();
    for _ in 0..100 {
        bench.turn().unwrap();
        if waits(&bench) == 6 {
            return (bench, [late, full]);
        }
    }
    panic!("{} datagrams wait", waits(&bench));
}

#[test]
fn what_waits_is_dropped_with_its_reason_and_its_room_is_free_again() {
    let (mut bench, leaving) = two_that_wait();
    for (_, token) in leaving {
        let counters = remove(&mut bench, token).unwrap();
        assert_eq!((counters.dropped(DropReason::ListenerGone), counters.dropped_in(Stage::Send)), (3, 3));
    }
    // The same again: both limits were reached, so nothing of the first two may count any more.
    let delay = [("delay", "1ms".to_owned())];
    let (late, _) = bench.listen(&Bind { kind: Kind::Lossy, options: &delay, ..Bind::default() });
    let (full, _) = bench.listen(&Bind { local: "198.51.100.1:8".parse().unwrap(), ..Bind::default() });
    bench.world().fill(full, 0);
    bench.burst(late, 0, 1, 3);
    bench.burst(full, 0, 1, 3);
    bench.world().open(full, 2_000_000, 9);
    bench.settle();
    assert_eq!((bench.answered(late).len(), bench.answered(full).len()), (3, 3));
}

#[test]
fn nothing_reaches_the_next_owner_of_a_slot() {
    let mut bench = Bench::new(&Setup::default());
    let ticks = [("tick", "5ms".to_owned())];
    let bind = Bind { kind: Kind::Moody, options: &ticks, ..Bind::default() };
    let (first, token) = bench.listen(&bind);
    bench.burst(first, 0, 1, 40);
    // It is on the ready list, its timer is armed, and its queue is not empty.
    bench.turn().unwrap();
    remove(&mut bench, token).unwrap();
    let (second, other) = bench.listen(&Bind::default());
    assert_eq!(token.index, other.index);
    bench.burst(second, 0, 1, 1);
    bench.settle();
    let counters = bench.counters(second);
    assert_eq!((counters.received, counters.sent, counters.faults), (1, 1, 0));
}

#[test]
fn the_address_of_a_listener_that_is_gone_is_a_peer_like_any_other() {
    let own: SocketAddr = "198.51.100.1:5001".parse().unwrap();
    let mut bench = Bench::new(&Setup::default());
    let (echo, _) = bench.listen(&Bind { on_fault: OnFault::Exit, ..Bind::default() });
    let (_, twin) = bench.listen(&Bind { local: own, ..Bind::default() });
    let (_, same) = bench.listen(&Bind { local: own, ..Bind::default() });
    let ask = |bench: &mut Bench| {
        bench.from(echo, own);
        bench.settle();
        (bench.counters(echo).sent, bench.counters(echo).dropped(DropReason::OwnListener))
    };
    assert_eq!(ask(&mut bench), (0, 1));
    remove(&mut bench, twin).unwrap();
    assert_eq!(ask(&mut bench), (0, 2), "the other one still has it");
    remove(&mut bench, same).unwrap();
    assert_eq!(ask(&mut bench), (1, 2));
}
