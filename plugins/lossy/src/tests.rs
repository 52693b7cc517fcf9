//! Through the exported table, as the daemon calls it.

use std::net::SocketAddr;
use std::time::Duration;

use polyport_plugin::Level;
use polyport_plugin::testing::{Harness, Incoming, Outcome, START_NS, Sent};

use super::Lossy;

mod ways;

const ALICE: &str = "192.0.2.1:5000";
const BOB: &str = "[2001:db8::1]:6000";

const BAD: &[(&str, &str)] = &[
    ("loss", "20%"),
    ("duplicate", "20%"),
    ("corrupt", "20%"),
    ("late", "20%"),
    ("delay", "20ms"),
    ("jitter", "5ms"),
    ("seed", "7"),
];

fn lossy(options: &[(&str, &str)]) -> Harness<Lossy> {
    Harness::new(options)
}

/// What happened to one peer's datagrams: the bytes and how long after `START_NS` they left.
fn story(sent: &[Sent], peer: &str) -> Vec<(u64, Vec<u8>)> {
    let peer: SocketAddr = peer.parse().unwrap();
    sent.iter().filter(|s| s.to == peer).map(|s| (s.at_ns - START_NS, s.payload.clone())).collect()
}

#[test]
fn without_options_it_is_an_echo() {
    let mut h = lossy(&[]);
    h.send_batch(&[(ALICE, b"a"), (BOB, b""), (ALICE, b"\xFF")]);
    let payloads: Vec<_> = h.sent().into_iter().map(|s| s.payload).collect();
    assert_eq!(payloads, [&b"a"[..], b"", b"\xFF"]);
    assert_eq!((h.counter("datagrams_total"), h.counter("answered_total")), (3, 3));
    let others = ["dropped", "duplicated", "corrupted", "held", "reordered", "delayed", "no_room"];
    for name in others {
        assert_eq!(h.counter(&format!("{name}_total")), 0, "{name}");
    }
}

#[test]
fn length_is_told_before_the_channel_gets_it() {
    let mut h = lossy(&[("reply", "length"), ("duplicate", "100%")]);
    h.send(ALICE, &[0; 1234]);
    let payloads: Vec<_> = h.sent().into_iter().map(|s| s.payload).collect();
    assert_eq!(payloads, [b"Your data was 1234 bytes long"; 2]);
    let mut h = lossy(&[("reply", "length"), ("corrupt", "100%")]);
    h.send(ALICE, b"");
    assert_ne!(h.sent()[0].payload, b"Your data was 0 bytes long");
    assert_eq!(h.counter("corrupted_total"), 1);
}

#[test]
fn a_dropped_datagram_is_discarded_and_the_host_alone_speaks_of_it() {
    let mut h = lossy(&[("loss", "100%")]);
    h.set_log_level(Level::Trace);
    h.send_batch(&[(ALICE, b"a"), (BOB, b"b")]);
    assert_eq!((h.sent().len(), h.discarded(), h.counter("dropped_total")), (0, 2, 2));
    assert!(h.lines().is_empty());
}

#[test]
fn a_corrupted_answer_differs_in_one_bit_and_so_does_its_copy() {
    let mut h = lossy(&[("corrupt", "100%"), ("duplicate", "100%")]);
    h.send(ALICE, &[0; 100]);
    let sent = h.sent();
    let ones = |sent: &Sent| sent.payload.iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(sent.iter().map(ones).collect::<Vec<_>>(), [1, 1]);
    assert_ne!(sent[0].payload, sent[1].payload, "each has luck of its own");
    assert_eq!((h.counter("corrupted_total"), h.counter("duplicated_total")), (2, 1));
    // No bit to flip: passed, and counted apart.
    h.send(ALICE, b"");
    assert_eq!((h.counter("corrupted_total"), h.counter("uncorruptible_total")), (2, 2));
    assert_eq!(h.sent().len(), 2);
}

#[test]
fn delay_keeps_order_and_late_lets_later_ones_overtake() {
    let mut h = lossy(&[("delay", "20ms")]);
    h.send(ALICE, b"a");
    h.advance(Duration::from_millis(19));
    assert_eq!((h.sent().len(), h.waiting()), (0, 1));
    h.advance(Duration::from_millis(1));
    assert_eq!(story(&h.sent(), ALICE), [(20_000_000, b"a".to_vec())]);
    assert_eq!(h.counter("delayed_total"), 1);

    let mut h = lossy(&[("late", "30%"), ("seed", "3")]);
    let sent = run(&mut h, &schedule(), 1);
    assert!(!story(&sent, ALICE).into_iter().map(|(_, bytes)| bytes).is_sorted(), "later ones overtake");
    assert_eq!((story(&sent, ALICE).len(), h.counter("delayed_total")), (100, h.counter("held_total")));
}

/// How many answers of a peer come after one to a later datagram: those that RFC 4737 calls reordered.
fn reordered(sent: &[Sent], peer: &str) -> u64 {
    let mut latest = Vec::new();
    let late = story(sent, peer).into_iter().filter(|(_, bytes)| {
        let is_late = *bytes < latest;
        latest = latest.clone().max(bytes.clone());
        is_late
    });
    late.count() as u64
}

#[test]
fn held_is_who_was_picked_and_reordered_who_was_overtaken() {
    for options in [
        &[("late", "30%")][..],
        &[("late", "90%"), ("late_by", "3ms")],
        &[("jitter", "7ms"), ("delay", "7ms")],
        &[("jitter", "9ms"), ("delay", "20ms"), ("late", "20%"), ("late_by", "1500us"), ("loss", "20%")],
    ] {
        let mut h = lossy(options);
        let sent = run(&mut h, &schedule(), 64);
        let seen = reordered(&sent, ALICE) + reordered(&sent, BOB);
        assert!(seen > 0, "{options:?}");
        assert_eq!(h.counter("reordered_total"), seen, "{options:?}");
    }
    // Nothing comes soon enough: a datagram a millisecond, each held for less.
    let mut h = lossy(&[("late", "30%"), ("late_by", "900us")]);
    let sent = run(&mut h, &schedule(), 64);
    assert_eq!((reordered(&sent, ALICE), h.counter("reordered_total")), (0, 0));
    assert!((30..90).contains(&h.counter("held_total")), "{}", h.counter("held_total"));
}

#[test]
fn what_found_no_room_was_not_answered() {
    let mut h = lossy(&[("delay", "20ms"), ("duplicate", "100%")]);
    h.set_delay_room(5);
    h.send_batch(&[(ALICE, b"a"), (ALICE, b"b"), (ALICE, b"c"), (BOB, b"d")]);
    let counts = ["datagrams_total", "answered_total", "duplicated_total", "delayed_total", "no_room_total"];
    assert_eq!(counts.map(|name| h.counter(name)), [4, 3, 2, 5, 1]);
    // What leaves at once needs no such room.
    let mut h = lossy(&[]);
    h.set_delay_room(0);
    h.send(ALICE, b"a");
    assert_eq!(["answered_total", "no_room_total"].map(|name| h.counter(name)), [1, 0]);
}

/// A hundred datagrams of each of two peers, a millisecond apart, numbered.
fn schedule() -> Vec<(u64, &'static str, [u8; 4])> {
    (0..100_u32)
        .flat_map(|i| [(u64::from(i), ALICE, i.to_be_bytes()), (u64::from(i), BOB, i.to_be_bytes())])
        .collect()
}

/// Sends what is due in each millisecond, in batches of at most `size`.
fn run(h: &mut Harness<Lossy>, schedule: &[(u64, &'static str, [u8; 4])], size: usize) -> Vec<Sent> {
    for ms in 0..100 {
        let due: Vec<Incoming> = schedule
            .iter()
            .filter(|(at, ..)| *at == ms)
            .map(|(_, peer, bytes)| Incoming::new(peer.parse().unwrap(), bytes))
            .collect();
        for batch in due.chunks(size) {
            assert_eq!(h.deliver(batch), Outcome::Done);
        }
        h.advance(Duration::from_millis(1));
    }
    h.advance(Duration::from_secs(1));
    h.sent()
}

#[test]
fn a_run_repeats_whatever_else_is_going_on() {
    let both = schedule();
    let (alice, bob): (Vec<_>, Vec<_>) = both.iter().copied().partition(|(_, peer, _)| *peer == ALICE);
    let backwards: Vec<_> = both.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    let reference = run(&mut lossy(BAD), &both, 64);
    assert_ne!(story(&reference, ALICE), story(&reference, BOB), "peers fare differently");
    for (what, schedule, size) in
        [("same", &both, 64), ("batches of one", &both, 1), ("other order", &backwards, 64)]
    {
        let sent = run(&mut lossy(BAD), schedule, size);
        assert_eq!(story(&sent, ALICE), story(&reference, ALICE), "{what}");
        assert_eq!(story(&sent, BOB), story(&reference, BOB), "{what}");
    }
    assert_eq!(story(&run(&mut lossy(BAD), &alice, 64), ALICE), story(&reference, ALICE), "alone");
    assert_eq!(story(&run(&mut lossy(BAD), &bob, 64), BOB), story(&reference, BOB), "alone");
}

#[test]
fn every_datagram_is_counted_under_one_verdict() {
    let mut h = lossy(BAD);
    let sent = run(&mut h, &schedule(), 64);
    let count = |name| h.counter(name);
    assert_eq!(count("datagrams_total"), 200);
    assert_eq!(count("answered_total") + count("dropped_total"), 200);
    assert_eq!(count("answered_total") + count("duplicated_total"), sent.len() as u64);
    assert_eq!((h.discarded(), count("delayed_total")), (count("dropped_total"), sent.len() as u64));
    assert!((20..60).contains(&count("corrupted_total")) && (20..60).contains(&count("held_total")));
}

#[test]
fn the_seed_is_the_instance_s_unless_the_configuration_fixes_one() {
    let drops = |options: &[(&str, &str)], seed| {
        let mut h = Harness::<Lossy>::with_seed(options, seed);
        story(&run(&mut h, &schedule(), 64), ALICE)
    };
    let half = &[("loss", "50%"), ("key", "endpoint")][..];
    assert_eq!(drops(half, 1), drops(half, 1));
    assert_ne!(drops(half, 1), drops(half, 2));
    let fixed = &[("loss", "50%"), ("seed", "1"), ("key", "endpoint")][..];
    assert_eq!(drops(fixed, 8), drops(half, 1));
    assert_eq!(drops(&[("loss", "50%"), ("seed", "-1"), ("key", "endpoint")], 8), drops(half, u64::MAX));
}

#[test]
fn new_options_keep_the_numbering_of_peers() {
    let mut h = lossy(&[("loss", "50%"), ("seed", "7")]);
    let mut straight = lossy(&[("loss", "50%"), ("seed", "7")]);
    for _ in 0..50 {
        h.send(ALICE, b"x");
        straight.send(ALICE, b"x");
    }
    h.reconfigure(&[("loss", "50%"), ("delay", "1ms"), ("seed", "7")]).unwrap();
    for _ in 0..50 {
        h.send(ALICE, b"x");
        straight.send(ALICE, b"x");
    }
    assert_eq!(h.counter("dropped_total"), straight.counter("dropped_total"));
}

#[test]
fn a_flood_of_spoofed_sources_is_answered_and_forgotten() {
    let mut h = lossy(&[("corrupt", "50%")]);
    h.set_log_level(Level::Info);
    let sources: Vec<SocketAddr> =
        (0..70_400_u32).map(|n| (std::net::Ipv4Addr::from_bits(0x0A00_0000 + n), 7).into()).collect();
    for batch in sources.chunks(64) {
        let batch: Vec<(SocketAddr, &[u8])> = batch.iter().map(|source| (*source, &b""[..])).collect();
        h.send_batch(&batch);
    }
    assert_eq!(h.counter("answered_total"), 70_400);
    assert_eq!(h.counter("peers_forgotten_total"), 70_400 - 65_536);
}

#[test]
fn shares_and_times_out_of_range_are_refused_with_the_option() {
    for (name, text) in [
        ("loss", "101%"),
        ("corrupt", "-0.1"),
        ("delay", "61s"),
        ("jitter", "5"),
        ("seed", "x"),
        ("key", "x"),
        ("profile", "5g"),
    ] {
        let refused = Harness::<Lossy>::try_new(&[(name, text)], 1).unwrap_err();
        assert_eq!(refused.option.as_deref(), Some(name), "{text}");
    }
}

#[test]
fn copies_and_late_answers_are_uncut_where_that_is_asked_for() {
    for (df, expected) in [("false", false), ("true", true)] {
        for reply in ["same", "length"] {
            let options = [("df", df), ("reply", reply), ("duplicate", "100%"), ("delay", "20ms")];
            let mut h = lossy(&options);
            h.send_batch(&[(ALICE, b"a"), (BOB, b"")]);
            h.advance(Duration::from_millis(20));
            let sent = h.sent();
            assert_eq!(sent.iter().map(|sent| sent.df).collect::<Vec<_>>(), [expected; 4], "{reply}");
        }
    }
}
