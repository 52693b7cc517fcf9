//! Random runs: what is configured, what is sent and what goes wrong all follow from one number.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use polyport::access::Access;
use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;
use polyport::metrics::{Counters, DropReason};
use polyport::reactor::{OnFault, Shortcuts, Token};
use polyport::reply::{Budget, PeerPorts, ReplyPolicy, ReplyTtl};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bench::{Bench, Bind, Kind, Setup};
use crate::faults::Profile;
use crate::peers::Load;
use crate::rare::Rare;
use crate::world::{BROADCAST, LINK_LOCAL, own};

/// Runs of an ordinary test; `POLYPORT_SEEDS` asks for more.
const SEEDS: u64 = 1000;

/// The second run of a seed leaves out all shortcuts, or one of them.
const WITHOUT: [Shortcuts; 3] =
    [Shortcuts::NONE, Shortcuts { one: false, prefetch: true }, Shortcuts { one: true, prefetch: false }];

#[test]
fn every_seed_keeps_the_invariants_and_repeats() {
    let wanted = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match wanted("POLYPORT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..wanted("POLYPORT_SEEDS").unwrap_or(SEEDS),
    };
    let enough = seeds.end - seeds.start >= SEEDS;
    let (mut total, mut reached) = (Counters::default(), BTreeMap::new());
    let mut journals = DefaultHasher::new();
    for seed in seeds.clone() {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let first = run(seed, Shortcuts::default())?;
            let without = WITHOUT[usize::try_from(seed).unwrap() % WITHOUT.len()];
            if first == run(seed, without)? {
                Ok(first)
            } else if first == run(seed, Shortcuts::default())? {
                Err("a shortcut does something else than the long way".to_owned())
            } else {
                Err("I2: the second run differs from the first".to_owned())
            }
        }));
        let error = match result {
            Ok(Ok(Run { journal, counters, reached: of_run, .. })) => {
                journals.write_u64(journal);
                total += &counters;
                of_run.into_iter().for_each(|(place, n)| *reached.entry(place).or_default() += n);
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => "a panic, see above".to_owned(),
        };
        panic!("{error}\nreplay: POLYPORT_SEED={seed} cargo test -p polyport-tests --test sim every_seed");
    }
    // Equal before and after a change that claims to change nothing; shown with `--nocapture`.
    println!("journals of seeds {seeds:?}: {:016x}", journals.finish());
    if enough {
        check_reach(&total, &reached);
    }
}

/// Whether the runs met what they are there to meet.
fn check_reach(total: &Counters, reached: &BTreeMap<Rare, u64>) {
    for place in Rare::ALL {
        assert!(reached.contains_key(&place), "no run came to {place:?}: {reached:?}");
    }
    for reason in REACHED {
        assert!(total.dropped(*reason) > 0, "no run dropped a datagram because: {reason}");
    }
    assert!(total.receive_errors > 0 && total.restarts > 0 && total.sent > 0, "{total:?}");
    assert!(total.segments_refused > 0 && total.kernel_drops > 0, "{total:?}");
}

/// Every reason but those of invalid entries, which an SDK plugin cannot write, and of listeners and loops that end.
const REACHED: &[DropReason] = &[
    DropReason::SourcePortZero,
    DropReason::SourceDenied,
    DropReason::Truncated,
    DropReason::OnPurpose,
    DropReason::HandlerDown,
    DropReason::HandlerFault,
    DropReason::NoRoom,
    DropReason::DelayFull,
    DropReason::BacklogFull,
    DropReason::NoBuffers,
    DropReason::Unreachable,
    DropReason::Forbidden,
    DropReason::TooBig,
    DropReason::Invalid,
    DropReason::AddressGone,
    DropReason::NoDestination,
    DropReason::Unsupported,
    DropReason::OwnListener,
    DropReason::TtlExpired,
    DropReason::Amplification,
    DropReason::RateLimited,
    DropReason::Group,
    DropReason::SamePort,
    DropReason::LoopPort,
    DropReason::SocketBroken,
];

/// What is left of a run.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    /// Everything that happened, and every byte that left, in a number each.
    journal: u64,
    wire: u64,
    /// What all listeners counted.
    counters: Counters,
    /// The rare places it came to.
    reached: BTreeMap<Rare, u64>,
}

/// All that a seed says, before it runs.
pub(crate) fn prepared(seed: u64) -> (Bench, Setup) {
    let mut rng = StdRng::seed_from_u64(seed);
    let setup = setup(seed, &mut rng);
    let mut bench = Bench::new(&setup);
    for _ in 0..rng.random_range(1..=5) {
        listener(&mut bench, &setup, &mut rng);
    }
    readdress(&mut bench, &mut rng);
    (bench, setup)
}

/// Runs a seed, with or without the ways that only save time.
fn run(seed: u64, shortcuts: Shortcuts) -> Result<Run, String> {
    let (mut bench, setup) = prepared(seed);
    bench.reactor.set_shortcuts(shortcuts);
    let result = bench.run();
    let kinds = bench.kinds.clone();
    let mut total = Counters::default();
    bench.reactor.reports().for_each(|report| total += report.counters);
    let journal = &bench.world().journal;
    result
        .map(|()| Run {
            journal: journal.hash(),
            wire: journal.wire(),
            counters: total,
            reached: journal.reached.clone(),
        })
        .map_err(|error| format!("{error}\n{setup:?}\n{kinds:?}\n{}", journal.tail()))
}

pub(crate) fn setup(seed: u64, rng: &mut StdRng) -> Setup {
    let mut one_of = |choices: &[usize]| choices[rng.random_range(0..choices.len())];
    let slot_len = one_of(&[2048, 2048, 2048, 65_535]);
    let exchange = ExchangeLimits {
        slots: one_of(&[1, 2, 4, 32]),
        slot_len,
        stride: slot_len + 193,
        rx: 0,
        present: one_of(&[1, 8, 128]),
        tx: one_of(&[4, 64]),
        tx_total: one_of(&[16, 1024]),
        arena: 70_000,
        arena_chunks: one_of(&[1, 3]),
        tickets: one_of(&[4, 65_536]),
    };
    let limits = Limits {
        visit_datagrams: one_of(&[1, 3, 8, 64]),
        visit_bytes: one_of(&[1, 300, 256 << 10]),
        turn_datagrams: one_of(&[1, 3, 16, 2048]),
        delayed_datagrams: one_of(&[2, 16, 65_536]),
        delayed_bytes: one_of(&[3000, 64 << 20]),
        backlog_datagrams: one_of(&[1, 2, 64, 1000]),
        backlog_bytes: one_of(&[400, 256 << 10]),
        backlog_total_bytes: one_of(&[500, 64 << 20]),
        turn_timers: one_of(&[1, 4, 1024]),
        handler_timers: one_of(&[2, 1024]),
        reply_prefixes: one_of(&[8, 65_536]),
        spin: [None, Some(Duration::ZERO)][one_of(&[0, 0, 1])],
        epoch_turns: u32::try_from(one_of(&[1, 4, 128])).unwrap(),
        ..Limits::default()
    };
    let (level, segments, trains) = rng.random();
    let exchange = ExchangeLimits { rx: if trains { 2048 } else { 64 }, ..exchange };
    let torn_readings = rng.random_range(0..3);
    let profile = Profile::random(rng);
    Setup { seed, limits, exchange, profile, level, segments, trains, untold: false, torn_readings }
}

/// Adds a listener and everything that will be sent to it.
pub(crate) fn listener(bench: &mut Bench, setup: &Setup, rng: &mut StdRng) -> Token {
    let kind = [Kind::Echo, Kind::Echo, Kind::Lossy, Kind::Moody][rng.random_range(0..4)];
    let v6: bool = rng.random();
    let asked: IpAddr = if v6 { "2001:db8::1:1" } else { "198.51.100.1" }.parse().unwrap();
    let also_asked: IpAddr = if v6 { "2001:db8::1:2" } else { "198.51.100.2" }.parse().unwrap();
    let any: IpAddr = if v6 { "::" } else { "0.0.0.0" }.parse().unwrap();
    let wildcard: bool = rng.random();
    let local = SocketAddr::new(if wildcard { any } else { asked }, 7);
    let (options, ordered) = options(kind, rng);
    let capacity = [3, 20, 1000][rng.random_range(0..3)];
    let reply = policy(rng);
    let decays = reply.ttl == ReplyTtl::Decay;
    let on_fault = OnFault::Restart;
    let access = access(setup.seed, v6);
    let bind =
        Bind { kind, options: &options, local, capacity, on_fault, access, reply: Some(reply), chain: false };
    let (socket, token) = bench.listen(&bind);
    bench.world().journal.ledgers[socket.0].ordered = ordered;
    // Equal datagrams of one peer make trains; many of them, and fast, make the loop rest.
    let stream =
        (rng.random_range(0..4) == 0).then(|| (rng.random_range(20..60), rng.random_range(1..40_u64)));
    let is_long = stream.is_some() && rng.random_range(0..3) == 0;
    let load = Load {
        v6,
        destinations: [asked, if wildcard { also_asked } else { asked }],
        forged: forged(v6, asked, also_asked),
        group: wildcard.then(|| group(v6, rng)),
        datagrams: if is_long { 600 } else { [0, 5, 40, 120][rng.random_range(0..4)] },
        pause_ns: if is_long { 20_000 } else { PAUSES[rng.random_range(0..PAUSES.len())] },
        peers: if stream.is_some() { 1 } else { rng.random_range(1..8) },
        stream,
        moody: kind == Kind::Moody,
        large: setup.exchange.slot_len > 4096,
        decays,
    };
    let mut at = rng.random_range(0..3_000_000);
    let at_once = stream.map_or(1, |(_, at_once)| at_once);
    for number in 1..=load.datagrams {
        let id = bench.id();
        let datagram = load.datagram(id, rng);
        bench.world().arrive(socket, at, datagram);
        if number.is_multiple_of(at_once) {
            at += rng.random_range(0..=2 * load.pause_ns);
        }
    }
    token
}

/// Every eighth run lets in only some of the peers, in one of the two spellings of IPv4. What else a seed means stays the
/// same.
fn access(seed: u64, v6: bool) -> Option<Arc<Access>> {
    let texts = match (seed % 8, v6) {
        (3, true) => ("2001:db8::/126", "2001:db8::1"),
        (3, false) if seed % 16 == 3 => ("192.0.2.0/30", "192.0.2.1"),
        (3, false) => ("::ffff:192.0.2.0/126", "::ffff:192.0.2.1"),
        _ => return None,
    };
    let prefix = |text: &str| vec![text.parse().unwrap()];
    Some(Arc::new(Access::new(prefix(texts.0), prefix(texts.1))))
}

/// The budget of a listener, or none.
fn budget(rng: &mut StdRng) -> Option<Budget> {
    let tight = Budget {
        amplification_milli: [1000, 2718, 10_000][rng.random_range(0..3)],
        rate: rng.random::<bool>().then(|| rng.random_range(1..30)),
        slip: rng.random_range(0..3),
        ..Budget::default()
    };
    [None, Some(Budget::default()), Some(tight)][rng.random_range(0..3)]
}

/// Sources that get no answer, unless the policy of their listener allows it.
fn forged(v6: bool, asked: IpAddr, also_asked: IpAddr) -> [SocketAddr; 7] {
    let other: IpAddr = if v6 { "2001:db8::9" } else { "192.0.2.9" }.parse().unwrap();
    let local: IpAddr = if v6 { IpAddr::V6(LINK_LOCAL) } else { IpAddr::V4(BROADCAST) };
    [(asked, 7), (also_asked, 7), (comes_and_goes(v6), 7), (local, 5000), (local, 7), (other, 7), (other, 19)]
        .map(|(ip, port)| SocketAddr::new(ip, port))
}

/// An address that the host has now and then.
fn comes_and_goes(v6: bool) -> IpAddr {
    if v6 { "2001:db8::1:3" } else { "198.51.100.3" }.parse().unwrap()
}

/// An address that many hosts hear.
fn group(v6: bool, rng: &mut StdRng) -> IpAddr {
    match (v6, rng.random()) {
        (true, _) => "ff02::1".parse().unwrap(),
        (false, true) => "224.0.0.1".parse().unwrap(),
        (false, false) => BROADCAST.into(),
    }
}

/// The default policy mostly.
fn policy(rng: &mut StdRng) -> ReplyPolicy {
    let mut allows = || rng.random_range(0..5) == 0;
    let ports = if allows() { PeerPorts::Any } else { PeerPorts::default() };
    let ttl = if allows() { ReplyTtl::Decay } else { ReplyTtl::System };
    let (same_port, groups) = (allows(), allows());
    ReplyPolicy { ports, same_port, groups, ttl, budget: budget(rng) }
}

/// Addresses come and go, sometimes several at once.
fn readdress(bench: &mut Bench, rng: &mut StdRng) {
    let stays = bench.world().host.addresses();
    let mut at = 0;
    for _ in 0..rng.random_range(0..6) {
        // Some come while the list is read after the one before.
        at += [0, 100, 2000, 10_000, 200_000, 30_000_000, 300_000_000][rng.random_range(0..7)];
        let mut list = stays.clone();
        let others = [comes_and_goes(false), comes_and_goes(true)];
        list.extend(others.into_iter().filter(|_| rng.random()).map(own));
        bench.world().readdress(at, list);
    }
}

/// Mean times between two datagrams of a listener, ns.
const PAUSES: [u64; 5] = [0, 0, 2_000, 300_000, 20_000_000];

/// Options of a plugin, and whether it keeps the order of each peer.
fn options(kind: Kind, rng: &mut StdRng) -> (Vec<(&'static str, String)>, bool) {
    let mut one_of = |choices: &[&str]| choices[rng.random_range(0..choices.len())].to_owned();
    match kind {
        Kind::Echo => (Vec::new(), true),
        Kind::Lossy => {
            let (jitter, late) = (one_of(&["0ms", "0ms", "3ms"]), one_of(&["0%", "0%", "20%"]));
            let ordered = jitter == "0ms" && late == "0%";
            let (loss, duplicate) = (one_of(&["0%", "30%"]), one_of(&["0%", "30%"]));
            let delay = one_of(&["0ms", "1ms", "40ms"]);
            // A jitter above the delay is refused.
            let delay = if jitter == "0ms" || delay == "40ms" { delay } else { jitter.clone() };
            let options = vec![
                ("loss", loss),
                ("duplicate", duplicate),
                ("delay", delay),
                ("jitter", jitter),
                ("late", late),
            ];
            (options, ordered)
        }
        Kind::Moody => {
            let refuse = one_of(&["false", "false", "true"]);
            (vec![("refuse_restart", refuse), ("tick", one_of(&["0ms", "0ms", "30ms"]))], false)
        }
        // In scenarios of their own only: what a server does is not drawn, nor who shares a handler.
        Kind::Census => (Vec::new(), false),
        Kind::Relay => (vec![("to", "203.0.113.9:27015".to_owned())], false),
    }
}
