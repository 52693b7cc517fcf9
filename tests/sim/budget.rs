//! What a listener sends to prefixes that have not proved anything, with handlers that would send more (R27, R28).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use polyport::limits::Limits;
use polyport::metrics::DropReason;
use polyport::reply::{Budget, ReplyPolicy};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bench::{ASKED, Bench, Bind, Kind, Setup};
use crate::peers::{LATER, PROVED, PROVED_LATER};
use crate::world::SocketId;

/// Commands of `moody`.
const ECHO: u8 = 0;
const MANY: u8 = 2;
const SILENCE: u8 = 4;
const DELAYED: u8 = 5;
/// How many copies the command [`MANY`] asks for.
const COPIES: u64 = 300;
const MS: u64 = 1_000_000;

fn bind(kind: Kind, budget: Option<Budget>) -> Bind<'static> {
    Bind { kind, reply: Some(ReplyPolicy { budget, ..ReplyPolicy::default() }), ..Bind::default() }
}

fn moody(budget: Budget) -> (Bench, SocketId) {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&bind(Kind::Moody, Some(budget)));
    (bench, moody)
}

/// An address of prefix number `n`.
fn forged(n: u16, host: u8) -> SocketAddr {
    let [high, low] = n.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, high, low, host), 4000))
}

fn ask(bench: &mut Bench, to: SocketId, after_ns: u64, from: SocketAddr, command: u8) {
    bench.forge(to, after_ns, from, IpAddr::V4(ASKED), command);
}

fn drops(bench: &Bench, of: SocketId) -> (u64, u64) {
    let counters = bench.counters(of);
    (counters.dropped(DropReason::Amplification), counters.dropped(DropReason::RateLimited))
}

/// For four seconds many prefixes ask for as much as they can, and somebody wants an echo.
#[test]
fn a_handler_that_multiplies_reaches_no_prefix_with_more_than_was_sent_in_its_name() {
    for (seed, limits) in [(1, Limits::default()), (2, Limits { reply_prefixes: 8, ..Limits::default() })] {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(&Setup { seed, limits, ..Setup::default() });
        let (many, _) = bench.listen(&bind(Kind::Moody, Some(Budget::default())));
        let (steady, _) = bench.listen(&bind(Kind::Echo, Some(Budget::default())));
        for _ in 0..600 {
            let command = [MANY, MANY, ECHO, SILENCE, LATER][rng.random_range(0..5)];
            let from = forged(rng.random_range(0..40), rng.random());
            ask(&mut bench, many, rng.random_range(0..4000 * MS), from, command);
        }
        (0..400).for_each(|n| ask(&mut bench, steady, n * 10 * MS, forged(7, 7), ECHO));
        bench.settle();
        let spent = &bench.world().journal.spent;
        spent.check_every_second();
        assert!(spent.prefixes() > 30, "{} prefixes", spent.prefixes());
        let counters = bench.counters(many);
        let (too_much, limited) = drops(&bench, many);
        assert!(too_much > 50 * COPIES && limited == 0, "{too_much}: {counters:?}");
        assert!(counters.sent > 600, "{counters:?}");
        assert_eq!(counters.prefixes_evicted > 0, seed == 2, "{counters:?}");
        assert_eq!(bench.counters(steady).sent, 400, "who asks for no more than it sends gets all");
    }
}

/// Each request of 60 octets pays for 180, which is three of its copies.
#[test]
fn a_request_pays_for_three_copies_alone_and_in_a_batch() {
    for (requests, apart_ns) in [(1, 0), (5, 0), (5, 10 * MS)] {
        let (mut bench, moody) = moody(Budget::default());
        (0..requests).for_each(|n| ask(&mut bench, moody, n * apart_ns, forged(1, 1), MANY));
        bench.settle();
        assert_eq!(bench.counters(moody).sent, 3 * requests);
        assert_eq!(drops(&bench, moody), ((COPIES - 3) * requests, 0));
    }
}

/// What is left over pays for others of the prefix, be they in the same batch or not.
#[test]
fn who_was_silent_pays_for_the_next() {
    for apart_ns in [0, 10 * MS] {
        let (mut bench, moody) = moody(Budget::default());
        for (number, command) in (0..).zip([SILENCE, ECHO, MANY, ECHO]) {
            ask(&mut bench, moody, number * apart_ns, forged(1, number.to_le_bytes()[0]), command);
        }
        bench.settle();
        // The three before leave three, two and three; the echo behind them has its own.
        assert_eq!(bench.counters(moody).sent, 1 + (3 + 2 + 3) + 1, "{apart_ns}");
    }
}

#[test]
fn an_answer_of_a_timer_is_paid_for_by_what_came_within_a_second() {
    let (mut bench, moody) = moody(Budget::default());
    (0..50).for_each(|n| ask(&mut bench, moody, n * 30 * MS, forged(1, 1), LATER));
    bench.settle();
    assert_eq!((bench.counters(moody).sent, drops(&bench, moody)), (50, (0, 0)));
}

/// What leaves later is paid for when the handler queues it: however late it is, its request has paid.
#[test]
fn delayed_datagrams_count_when_they_are_queued() {
    let delay = [("delay", "5s".to_owned()), ("duplicate", "100%".to_owned())];
    let mut bench = Bench::new(&Setup::default());
    let bound = Bind { options: &delay, ..bind(Kind::Lossy, Some(Budget::default())) };
    let (lossy, _) = bench.listen(&bound);
    (0..20).for_each(|n| ask(&mut bench, lossy, n * 300 * MS, forged(1, 1), ECHO));
    bench.settle();
    assert_eq!((bench.counters(lossy).sent, drops(&bench, lossy)), (40, (0, 0)));
    let (mut bench, moody) = moody(Budget::default());
    ask(&mut bench, moody, 0, forged(1, 1), MANY);
    ask(&mut bench, moody, MS, forged(1, 1), DELAYED);
    ask(&mut bench, moody, 2 * MS, forged(1, 1), MANY);
    bench.settle();
    // Three, one, and five: the delayed one has left two thirds of its own.
    assert_eq!(bench.counters(moody).sent, 3 + 1 + 5);
}

#[test]
fn without_a_budget_everything_leaves() {
    let mut bench = Bench::new(&Setup::default());
    let (moody, _) = bench.listen(&bind(Kind::Moody, None));
    ask(&mut bench, moody, 0, forged(1, 1), MANY);
    bench.settle();
    assert_eq!((bench.counters(moody).sent, drops(&bench, moody)), (COPIES, (0, 0)));
}

#[test]
fn loopback_is_exempt_unless_it_counts() {
    for (loopback, sent) in [(false, COPIES), (true, 3)] {
        let (mut bench, moody) = moody(Budget { loopback, ..Budget::default() });
        ask(&mut bench, moody, 0, "127.0.0.9:4000".parse().unwrap(), MANY);
        bench.settle();
        assert_eq!(bench.counters(moody).sent, sent, "{loopback}");
    }
}

#[test]
fn who_has_proved_its_address_gets_everything() {
    let strict = Budget { rate: Some(1), slip: 0, ..Budget::default() };
    let (mut bench, moody) = moody(strict);
    ask(&mut bench, moody, 0, forged(1, 1), PROVED);
    ask(&mut bench, moody, 0, forged(1, 1), PROVED_LATER);
    ask(&mut bench, moody, 100 * MS, forged(1, 1), MANY);
    bench.settle();
    // One of the last: the proof is for the datagrams of which the handler says it.
    assert_eq!(bench.counters(moody).sent, COPIES + 1 + 1);
}

#[test]
fn the_rate_holds_for_each_prefix_and_second_and_every_second_one_slips() {
    for (slip, slipped) in [(0, 0), (2, 10), (5, 4)] {
        let budget = Budget { rate: Some(10), slip, ..Budget::default() };
        let mut bench = Bench::new(&Setup::default());
        let (echo, _) = bench.listen(&bind(Kind::Echo, Some(budget)));
        // The clock of the world begins at a millisecond.
        for second in 0..3 {
            for prefix in 0..5 {
                (0..30).for_each(|host| {
                    ask(&mut bench, echo, second * 1000 * MS + 5 * MS, forged(prefix, host), ECHO);
                });
            }
        }
        bench.settle();
        let counters = bench.counters(echo);
        assert_eq!(counters.sent, 3 * 5 * (10 + slipped), "slip {slip}: {counters:?}");
        assert_eq!(drops(&bench, echo), (0, 3 * 5 * (20 - slipped)), "slip {slip}");
    }
}

#[test]
fn a_train_leaves_as_far_as_the_rate_allows() {
    let budget = Budget { rate: Some(7), slip: 4, ..Budget::default() };
    let mut bench = Bench::new(&Setup { trains: true, segments: true, level: true, ..Setup::default() });
    let (echo, _) = bench.listen(&bind(Kind::Echo, Some(budget)));
    (0..20).for_each(|_| ask(&mut bench, echo, 0, forged(1, 1), ECHO));
    bench.settle();
    assert_eq!((bench.counters(echo).sent, drops(&bench, echo)), (7 + 3, (0, 10)));
    assert_eq!(bench.answered(echo), [1, 2, 3, 4, 5, 6, 7, 11, 15, 19]);
}

/// A listener that is asked does not spend what another one was sent by others.
#[test]
fn what_came_pays_once_for_all_listeners_together() {
    let mut bench = Bench::new(&Setup::default());
    let (one, _) = bench.listen(&bind(Kind::Moody, Some(Budget::default())));
    let local = SocketAddr::from((ASKED, 8));
    let (two, _) = bench.listen(&Bind { local, ..bind(Kind::Moody, Some(Budget::default())) });
    ask(&mut bench, one, 0, forged(1, 1), SILENCE);
    ask(&mut bench, two, MS, forged(1, 2), MANY);
    ask(&mut bench, one, 2 * MS, forged(1, 3), MANY);
    bench.settle();
    assert_eq!((bench.counters(one).sent, bench.counters(two).sent), (3, 3 + 3));
}
