//! Datagrams that would come back to one of our own listeners, and might never end (I6). The journal fails a run in which
//! one leaves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use polyport::exchange::ExchangeLimits;
use polyport::guard::LocalAddress;
use polyport::metrics::DropReason;

use crate::bench::{ASKED, Bench, Bind, Kind, Setup};
use crate::peers::LATER;
use crate::world::{SocketId, own};

/// The other listener, which is asked nothing itself.
const OTHER: SocketAddr = SocketAddr::new(IpAddr::V4(ASKED), 8);
/// Commands of `moody`.
const ECHO: u8 = 0;
const DISCARD: u8 = 3;
const DELAYED: u8 = 5;
const MAPPED: u8 = 11;
/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// A listener, and the other one.
fn bench(kind: Kind, trains: bool) -> (Bench, SocketId, SocketId) {
    let exchange =
        ExchangeLimits { slots: 32, slot_len: 4096, stride: 4096 + 192, ..ExchangeLimits::default() };
    let setup = Setup { exchange, segments: true, trains, level: true, ..Setup::default() };
    let mut bench = Bench::new(&setup);
    let (asked, _) = bench.listen(&Bind { kind, ..Bind::default() });
    let (other, _) = bench.listen(&Bind { local: OTHER, ..Bind::default() });
    (bench, asked, other)
}

fn forged(bench: &mut Bench, to: SocketId, command: u8, n: usize) {
    (0..n).for_each(|_| bench.forge(to, 0, OTHER, ASKED.into(), command));
}

/// An echo of everything goes a way of its own through settling, one of a single datagram another.
#[test]
fn a_batch_of_forged_datagrams_is_not_echoed() {
    for (trains, n) in [(false, 1), (false, 2), (false, 20), (true, 2), (true, 20)] {
        let (mut bench, echo, other) = bench(Kind::Echo, trains);
        forged(&mut bench, echo, ECHO, n);
        bench.settle();
        let counters = bench.counters(echo);
        assert_eq!(counters.dropped(DropReason::OwnListener), n as u64, "trains {trains}: {counters:?}");
        assert_eq!((counters.replied, counters.queued, counters.sent), (n as u64, n as u64, 0));
        assert_eq!(bench.counters(other).received, 0);
    }
}

#[test]
fn the_others_of_a_batch_are_answered_all_the_same() {
    let (mut bench, echo, _) = bench(Kind::Echo, false);
    bench.burst(echo, 0, 1, 2);
    forged(&mut bench, echo, ECHO, 2);
    bench.burst(echo, 0, 1, 2);
    bench.settle();
    assert_eq!(bench.answered(echo), [1, 2, 5, 6]);
    assert_eq!(bench.counters(echo).dropped(DropReason::OwnListener), 2);
}

/// A batch with a datagram that gets no answer goes the long way.
#[test]
fn an_answer_among_others_is_not_sent_to_a_listener_either() {
    for (trains, n) in [(false, 1), (false, 3), (true, 20)] {
        let (mut bench, moody, _) = bench(Kind::Moody, trains);
        bench.command(moody, 0, 1, DISCARD);
        forged(&mut bench, moody, ECHO, n);
        bench.burst(moody, 0, 2, 1);
        bench.settle();
        let counters = bench.counters(moody);
        assert_eq!(counters.dropped(DropReason::OwnListener), n as u64, "trains {trains}: {counters:?}");
        assert_eq!((counters.queued, counters.sent), (n as u64 + 1, 1));
    }
}

/// Answers that are not the bytes that came.
#[test]
fn the_length_of_a_forged_datagram_is_not_told() {
    let length = [("reply", "length".to_owned())];
    for n in [1, 2, 20] {
        let (mut bench, ..) = bench(Kind::Echo, false);
        let (told, _) = bench.listen(&Bind { options: &length, ..Bind::default() });
        forged(&mut bench, told, ECHO, n);
        bench.settle();
        assert_eq!(bench.counters(told).dropped(DropReason::OwnListener), n as u64);
    }
}

#[test]
fn an_answer_that_waits_is_dropped_before_it_does() {
    let (mut bench, moody, _) = bench(Kind::Moody, false);
    forged(&mut bench, moody, DELAYED, 2);
    bench.turn().unwrap();
    assert_eq!(bench.counters(moody).dropped(DropReason::OwnListener), 2);
    assert_eq!(bench.waiting(moody), 0);
}

/// A handler that forwards what it hears would make a loop as well as one that answers.
#[test]
fn a_send_that_answers_nothing_does_not_go_to_a_listener_either() {
    let (mut bench, moody, _) = bench(Kind::Moody, false);
    forged(&mut bench, moody, LATER, 2);
    bench.settle();
    let counters = bench.counters(moody);
    assert_eq!((counters.sent, counters.dropped(DropReason::OwnListener)), (0, 2));
}

/// A listener on every address of a family, and how many of `n` datagrams from `peer` it does not answer.
fn refused_by_wildcard(bench: &mut Bench, peer: SocketAddr, n: usize) -> u64 {
    let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let (asked, _) = bench.listen(&Bind { local: SocketAddr::new(any, 4000), ..Bind::default() });
    let destination: IpAddr = if peer.is_ipv4() { ASKED.into() } else { V6.parse().unwrap() };
    (0..n).for_each(|_| bench.forge(asked, 0, peer, destination, ECHO));
    bench.settle();
    bench.counters(asked).dropped(DropReason::OwnListener)
}

/// An address of the host.
const V6: &str = "2001:db8::1:1";

#[test]
fn a_wildcard_does_not_answer_any_address_of_the_host() {
    for (peer, own) in [
        ("198.51.100.1:4000", true),
        ("198.51.100.2:4000", true),
        ("127.0.0.1:4000", true),
        ("198.51.100.9:4001", false),
        ("198.51.100.2:4001", false),
        ("[2001:db8::1:2]:4000", true),
        ("[::1]:4000", true),
        ("[fe80::1%3]:4000", true),
        ("[fe80::1%9]:4000", true),
        ("[fe80::2%3]:4001", false),
    ] {
        let mut bench = Bench::new(&Setup::default());
        let refused = refused_by_wildcard(&mut bench, peer.parse().unwrap(), 2);
        assert_eq!(refused, if own { 2 } else { 0 }, "{peer}");
    }
}

/// A forward over IPv6 to an address of ours in the form of IPv6, which would not arrive but is no other address.
#[test]
fn a_mapped_address_is_the_address() {
    let (mut bench, _, _) = bench(Kind::Echo, false);
    let local = SocketAddr::new(V6.parse().unwrap(), 9);
    let (moody, _) = bench.listen(&Bind { kind: Kind::Moody, local, ..Bind::default() });
    bench.forge(moody, 0, "[2001:db8::9]:5000".parse().unwrap(), local.ip(), MAPPED);
    bench.settle();
    assert_eq!(bench.counters(moody).dropped(DropReason::OwnListener), 1);
}

#[test]
fn addresses_that_come_and_go_are_own_meanwhile() {
    // Told of by an event, or found out when it is time to look again.
    for (untold, soon) in [(false, 100 * MS), (true, 10_000 * MS)] {
        let mut bench = Bench::new(&Setup { untold, ..Setup::default() });
        let (asked, _) = bench.listen(&Bind { local: "0.0.0.0:4000".parse().unwrap(), ..Bind::default() });
        let before = bench.world().host.addresses();
        let with = with_new(&mut bench);
        for (number, (list, refused)) in (1..).zip([(with.clone(), 1), (before, 1), (with, 2)]) {
            bench.world().readdress(0, list);
            let new = SocketAddr::new(NEW.into(), 4000);
            bench.forge(asked, 2 * soon, new, ASKED.into(), ECHO);
            // As long as addresses are read now and then, the run has no end of its own.
            while bench.counters(asked).received < number {
                bench.turn().unwrap();
            }
            let counters = bench.counters(asked);
            assert_eq!(counters.dropped(DropReason::OwnListener), refused, "untold {untold}: {counters:?}");
        }
        let counters = bench.counters(asked);
        assert_eq!(counters.dropped(DropReason::SamePort), 1, "an address of somebody else: {counters:?}");
    }
}

/// Steady changes cost a reading every 100 ms, and no more.
#[test]
fn a_burst_of_changes_is_read_once_and_again_at_its_end() {
    let mut bench = Bench::new(&Setup::default());
    bench.listen(&Bind::default());
    let list = bench.world().host.addresses();
    (0..500).for_each(|n| bench.world().readdress(n * MS, list.clone()));
    let before = bench.world().journal.readings();
    bench.fall_silent();
    let readings = bench.world().journal.readings() - before;
    assert!((5..=7).contains(&readings), "{readings} readings in half a second");
}

#[test]
fn addresses_that_cannot_be_read_are_asked_for_again() {
    let mut bench = Bench::new(&Setup::default());
    let (asked, _) = bench.listen(&Bind { local: "0.0.0.0:4000".parse().unwrap(), ..Bind::default() });
    bench.world().orders.addresses = Some(libc::ENOBUFS);
    let with = with_new(&mut bench);
    bench.world().readdress(0, with);
    let second = "198.51.100.2:4000".parse().unwrap();
    bench.forge(asked, 1500 * MS, second, ASKED.into(), ECHO);
    while bench.counters(asked).received < 1 {
        bench.turn().unwrap();
    }
    assert_eq!(bench.counters(asked).dropped(DropReason::OwnListener), 1, "what was known is known still");
    // Nobody tells of the change again.
    bench.world().orders.addresses = None;
    bench.forge(asked, 1500 * MS, SocketAddr::new(NEW.into(), 4000), ASKED.into(), ECHO);
    bench.settle();
    assert_eq!(bench.counters(asked).dropped(DropReason::OwnListener), 2);
}

/// The first reading is over before anything is served, and a torn one does not count, except where every one is torn.
#[test]
fn a_first_reading_that_is_torn_is_read_again_before_anything_is_served() {
    for (torn, readings, refused) in [(0, 1, 2), (1, 2, 2), (7, 8, 2), (99, 100, 2), (u32::MAX, 100, 1)] {
        let mut bench = Bench::new(&Setup { torn_readings: torn, ..Setup::default() });
        assert_eq!(bench.world().journal.readings(), readings, "{torn} torn");
        let (asked, _) = bench.listen(&Bind { local: "[::]:4000".parse().unwrap(), ..Bind::default() });
        // One of the half that a torn reading finds, and one of the other.
        for peer in ["[2001:db8::1:1]:4000", "[2001:db8::1:2]:4000"] {
            bench.forge(asked, 0, peer.parse().unwrap(), V6.parse().unwrap(), ECHO);
        }
        while bench.counters(asked).received < 2 {
            bench.turn().unwrap();
        }
        assert_eq!(bench.counters(asked).dropped(DropReason::OwnListener), refused, "{torn} torn");
    }
}

/// A reading has parts, and the address comes when some of them are read already.
#[test]
fn a_change_during_a_reading_is_read_soon_after() {
    for (tears, untold) in [(true, false), (false, false), (true, true)] {
        let mut bench = Bench::new(&Setup { untold, ..Setup::default() });
        (bench.world().orders.part, bench.world().orders.tears) = (1, Some(tears));
        let (asked, _) = bench.listen(&Bind { local: "0.0.0.0:4000".parse().unwrap(), ..Bind::default() });
        let before = bench.world().host.addresses();
        bench.world().readdress(0, before);
        while !bench.world().host.is_read() {
            bench.turn().unwrap();
        }
        let with = with_new(&mut bench);
        bench.world().readdress(0, with);
        let second: SocketAddr = "198.51.100.2:4000".parse().unwrap();
        let readings = bench.world().journal.readings();
        while bench.world().journal.readings() == readings {
            bench.turn().unwrap();
        }
        // What the torn reading did not find was known before.
        bench.forge(asked, 0, second, ASKED.into(), ECHO);
        bench.forge(asked, 200 * MS, SocketAddr::new(NEW.into(), 4000), ASKED.into(), ECHO);
        while bench.counters(asked).received < 2 {
            bench.turn().unwrap();
        }
        let counters = bench.counters(asked);
        assert_eq!(
            counters.dropped(DropReason::OwnListener),
            2,
            "torn {tears}, untold {untold}: {counters:?}"
        );
    }
}

/// An address that the host gets.
const NEW: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The addresses of the host, and the new one.
fn with_new(bench: &mut Bench) -> Vec<LocalAddress> {
    let mut list = bench.world().host.addresses();
    list.push(own(NEW));
    list
}
