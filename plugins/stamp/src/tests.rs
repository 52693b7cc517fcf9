//! Through the exported table, as the daemon calls it.

use std::net::SocketAddr;
use std::time::Duration;

use polyport_plugin::Facts;
use polyport_plugin::testing::{Harness, Incoming, LOCAL, Memory, Outcome, START_NS, START_WALL_NS};

use super::Stamp;
use crate::seal::Seal;

const PEER: &str = "192.0.2.1:5000";
const KEY: &str = "000102030405060708090a0b0c0d0e0f";
const SEALED: &[(&str, &str)] = &[("auth", "hmac"), ("key", KEY)];

fn peer() -> SocketAddr {
    PEER.parse().unwrap()
}

/// A packet of a sender: number, some time, an error estimate, and then `rest`.
fn request(sequence: u32, rest: &[u8]) -> Vec<u8> {
    [&sequence.to_be_bytes()[..], &[0xC1; 8], &[0x19, 0x80], rest].concat()
}

/// Its like in the authenticated mode.
fn sealed(sequence: u32, key: &str) -> Vec<u8> {
    let mut packet = [&sequence.to_be_bytes()[..], &[0; 12], &[0xC1; 8], &[0x19, 0x80], &[0; 86]].concat();
    Seal::from_hex(key).unwrap().seal(&mut packet);
    packet
}

#[track_caller]
fn ask(h: &mut Harness<Stamp>, packet: &[u8]) -> Vec<u8> {
    assert_eq!(h.send(PEER, packet), Outcome::Done);
    let mut sent = h.sent();
    assert_eq!((sent.len(), h.bad(), h.refused()), (1, 0, 0));
    assert_eq!((sent[0].to, sent[0].proved), (peer(), false));
    sent.remove(0).payload
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes(*packet.first_chunk().unwrap())
}

/// An NTP timestamp as Unix time, nanoseconds; exact to one.
fn unix_ns(ntp: &[u8]) -> u64 {
    let ntp = u64::from_be_bytes(ntp.try_into().unwrap());
    ((ntp >> 32) - 2_208_988_800) * 1_000_000_000 + (((ntp & 0xFFFF_FFFF) * 1_000_000_000) >> 32)
}

#[test]
fn a_packet_goes_back_with_the_times_the_ttl_and_what_it_said() {
    let mut h = Harness::<Stamp>::new(&[]);
    assert_eq!(h.told(), Facts::HOPS | Facts::TIME);
    h.advance(Duration::from_millis(3));
    let came = START_NS + 1_000_000;
    let mut incoming =
        Incoming { hop_limit: 61, kernel_ns: came, ..Incoming::new(peer(), &request(7, &[0; 30])) };
    assert_eq!(h.deliver(std::slice::from_ref(&incoming)), Outcome::Done);
    let answer = h.sent().remove(0).payload;
    assert_eq!(answer.len(), 44);
    assert_eq!(number(&answer), 7);
    assert!(unix_ns(&answer[4..12]).abs_diff(START_WALL_NS + 3_000_000) <= 1);
    assert_eq!(answer[12..16], [18, 164, 0, 0], "10 ms, of a clock that nothing keeps, as NTP");
    assert!(unix_ns(&answer[16..24]).abs_diff(START_WALL_NS + 1_000_000) <= 1);
    assert_eq!(answer[24..38], request(7, b""));
    assert_eq!(answer[38..], [0, 0, 61, 0, 0, 0]);
    assert_eq!(h.counter("reflected_total"), 1);
    // It came while the turn ran, by the kernel's clock.
    incoming.kernel_ns = h.now_ns() + 500;
    h.deliver(&[incoming]);
    let answer = h.sent().remove(0).payload;
    assert_eq!(answer[4..12], answer[16..24], "it does not leave before it came");
}

#[test]
fn an_answer_is_as_long_as_its_request_and_ends_as_it_does() {
    let mut h = Harness::<Stamp>::new(&[]);
    h.set_memory(Memory { tx_cap: 1, arena_cap: 0, flushes: 0 });
    for more in [0, 1, 4, 1400, 65_507 - 44] {
        let padding: Vec<u8> = (0..=255).cycle().take(30 + more).collect();
        let answer = ask(&mut h, &request(1, &padding));
        assert_eq!((answer.len(), &answer[44..]), (44 + more, &padding[30..]));
    }
    assert_eq!(h.counter("padded_total"), 0);
}

/// Section 4.6.
#[test]
fn senders_of_twamp_light_get_the_bare_answer_and_what_is_shorter_gets_nothing() {
    let mut h = Harness::<Stamp>::new(&[]);
    for padding in [0, 1, 2, 27, 29] {
        let answer = ask(&mut h, &request(9, &vec![0xFF; padding]));
        assert_eq!((answer.len(), number(&answer)), (44, 9));
        assert_eq!((&answer[14..16], &answer[24..38]), (&[0, 0][..], &request(9, b"")[..]));
    }
    assert_eq!(h.counter("padded_total"), 5);
    for shorter in 0..14 {
        assert_eq!(h.send(PEER, &request(9, b"")[..shorter]), Outcome::Done);
    }
    assert_eq!((h.sent().len(), h.discarded(), h.counter("short_total")), (0, 14, 14));
}

#[test]
fn without_state_numbers_are_the_senders_and_with_it_each_session_has_its_own() {
    let mut stateless = Harness::<Stamp>::new(&[]);
    let mut stateful = Harness::<Stamp>::new(&[("mode", "stateful"), ("session_ttl", "10s")]);
    for (counted, sequence) in [5, 6, 9, u32::MAX].into_iter().enumerate() {
        assert_eq!(number(&ask(&mut stateless, &request(sequence, &[0; 30]))), sequence);
        assert_eq!(
            number(&ask(&mut stateful, &request(sequence, &[0; 30]))),
            u32::try_from(counted).unwrap()
        );
    }
    let elsewhere = SocketAddr::new("198.51.100.2".parse().unwrap(), LOCAL.port());
    let other_port = Incoming::new("192.0.2.1:5001".parse().unwrap(), &request(5, &[]));
    let other_address = Incoming { local: elsewhere, ..Incoming::new(peer(), &request(5, &[])) };
    for other in [other_port, other_address] {
        stateful.deliver(&[other]);
        assert_eq!(number(&stateful.sent()[0].payload), 0);
    }
    assert_eq!(stateful.gauge("sessions"), 3);
    stateful.advance(Duration::from_secs(9));
    assert_eq!(number(&ask(&mut stateful, &request(1, &[]))), 4);
    stateful.advance(Duration::from_secs(10));
    assert_eq!(number(&ask(&mut stateful, &request(1, &[]))), 0, "the session has ended");
}

#[test]
fn what_finds_no_room_takes_no_number() {
    let mut h = Harness::<Stamp>::new(&[("mode", "stateful")]);
    h.set_memory(Memory { tx_cap: 1, arena_cap: 100, flushes: 0 });
    // So short that each answer needs room of its own.
    let packet = request(0, &[]);
    h.send_batch(&[(PEER, &packet[..]), (PEER, &packet), (PEER, &packet)]);
    assert_eq!((h.sent().len(), h.refused(), h.counter("reflected_total")), (1, 2, 1));
    assert_eq!(
        number(&{
            h.send(PEER, &packet);
            h.sent().remove(0).payload
        }),
        1
    );
}

#[test]
fn the_oldest_session_is_forgotten_and_counted() {
    let mut h = Harness::<Stamp>::new(&[("mode", "stateful"), ("sessions", "2")]);
    for (peer, number_of_it, forgotten) in [
        ("10.0.0.1:1", 0, 0),
        ("10.0.0.2:1", 0, 0),
        ("10.0.0.1:1", 1, 0),
        ("10.0.0.3:1", 0, 1),
        ("10.0.0.1:1", 2, 1),
        ("10.0.0.2:1", 0, 2),
    ] {
        h.send(peer, &request(0, &[]));
        assert_eq!(number(&h.sent()[0].payload), number_of_it, "{peer}");
        assert_eq!(h.counter("sessions_forgotten_total"), forgotten);
    }
}

#[test]
fn sessions_are_kept_in_memory_that_the_host_grants() {
    let mut h = Harness::<Stamp>::new(&[("mode", "stateful")]);
    let ask_from =
        |h: &mut Harness<Stamp>, n: u16| h.send(SocketAddr::new([192, 0, 2, 1].into(), n), &request(0, &[]));
    for n in 1..=1000 {
        ask_from(&mut h, n);
    }
    assert!((90_000..1_000_000).contains(&h.kept()), "{}", h.kept());
    h.set_budget(h.kept());
    for n in 1001..=5000 {
        ask_from(&mut h, n);
    }
    assert_eq!(h.sent().len(), 5000, "who comes later is answered as well");
    assert!(h.reservations_refused() > 0 && h.gauge("sessions") < 5000);
}

/// RFC 8972, section 3.
#[test]
fn the_identifier_of_a_session_goes_back_only_if_told() {
    let with_ssid = |ssid: u8| request(3, &[&[0, ssid][..], &[0; 28]].concat());
    let mut h = Harness::<Stamp>::new(&[("mode", "stateful")]);
    assert_eq!(ask(&mut h, &with_ssid(1))[14..16], [0, 0]);
    assert_eq!(number(&ask(&mut h, &with_ssid(2))), 1);
    let mut h = Harness::<Stamp>::new(&[("mode", "stateful"), ("ssid", "true")]);
    for (ssid, expected) in [(1, 0), (2, 0), (1, 1), (2, 1)] {
        let answer = ask(&mut h, &with_ssid(ssid));
        assert_eq!((number(&answer), answer[15]), (expected, ssid));
    }
}

#[test]
fn sealed_packets_are_answered_by_sealed_ones_and_others_not_at_all() {
    let mut h = Harness::<Stamp>::new(SEALED);
    let seal = Seal::from_hex(KEY).unwrap();
    let mut long = sealed(4, KEY);
    long.extend(b"and more");
    for packet in [sealed(4, KEY), long] {
        let answer = ask(&mut h, &packet);
        assert_eq!((answer.len(), number(&answer)), (packet.len(), 4));
        assert!(seal.verifies(&answer));
        assert_eq!(answer[112..], packet[112..]);
        assert_eq!(
            (answer[48..52].to_vec(), answer[64..74].to_vec(), answer[80]),
            (packet[..4].to_vec(), packet[16..26].to_vec(), 64)
        );
        assert!(unix_ns(&answer[32..40]).abs_diff(START_WALL_NS) <= 1);
    }
    let mut changed = sealed(4, KEY);
    changed[3] = 5;
    for (packet, counter) in [
        (changed, "unauthentic_total"),
        (sealed(4, "ffffffffffffffffffffffffffffffff"), "unauthentic_total"),
        (request(4, &[0; 98]), "unauthentic_total"),
        (request(4, &[0; 30]), "short_total"),
        (sealed(4, KEY)[..111].to_vec(), "short_total"),
    ] {
        let before = h.counter(counter);
        h.send(PEER, &packet);
        assert_eq!((h.sent().len(), h.counter(counter)), (0, before + 1), "{counter}");
    }
}

#[test]
fn timestamps_have_the_format_of_the_sender_or_that_of_the_options() {
    let as_ptp = |answer: &[u8]| answer[16..20] == 1_700_000_037_u32.to_be_bytes();
    let speaks = |ptp: bool| [&[0; 12][..], &[if ptp { 0x40 } else { 0 }, 1], &[0; 30]].concat();
    for (option, sender, ptp) in
        [("same", false, false), ("same", true, true), ("ntp", true, false), ("ptp", false, true)]
    {
        let mut h = Harness::<Stamp>::new(&[("timestamps", option)]);
        let answer = ask(&mut h, &speaks(sender));
        assert_eq!((as_ptp(&answer), answer[12] & 0x40 != 0), (ptp, ptp), "{option}, {sender}");
    }
    let mut h = Harness::<Stamp>::new(&[
        ("timestamps", "ptp"),
        ("tai_offset", "38s"),
        ("synchronized", "true"),
        ("error", "1s"),
    ]);
    let answer = ask(&mut h, &speaks(false));
    assert_eq!(
        (&answer[16..20], &answer[12..14]),
        (&1_700_000_038_u32.to_be_bytes()[..], &[0xC0 | 25, 128][..])
    );
}

#[test]
fn a_host_that_tells_neither_ttl_nor_time_is_answered_for() {
    let mut h = Harness::<Stamp>::new(&[]);
    h.offer(Facts::default());
    h.restart().unwrap();
    let answer = ask(&mut h, &request(1, &[0; 30]));
    assert_eq!((answer[40], &answer[4..12]), (255, &answer[16..24]));
}

#[test]
fn options_change_without_a_new_instance_unless_the_table_depends_on_them() {
    let mut h = Harness::<Stamp>::new(&[("mode", "stateful")]);
    ask(&mut h, &request(0, &[]));
    h.reconfigure(&[("mode", "stateful"), ("timestamps", "ptp")]).unwrap();
    let answer = ask(&mut h, &request(0, &[]));
    assert_eq!((number(&answer), answer[12] & 0x40), (1, 0x40), "the sessions are those of before");
    assert!(h.reconfigure(&[("mode", "stateless")]).is_err());
    assert!(h.reconfigure(&[("mode", "stateful"), ("auth", "hmac")]).is_err());
}

#[test]
fn options_that_do_not_go_together_are_refused_and_no_key_is_shown() {
    for (options, option, says) in [
        (&[("auth", "hmac")][..], "auth", "needs a key"),
        (&[("key", KEY)], "key", "of no use"),
        (&[("auth", "hmac"), ("key", "deadbeef")], "key", "16 octets at least, not 4"),
        (&[("auth", "hmac"), ("key", "no key at all!")], "key", "pairs of hexadecimal digits"),
        (&[("error", "0s")], "error", "out of bounds"),
    ] {
        let refused = Harness::<Stamp>::try_new(options, 1).unwrap_err();
        assert_eq!(refused.option.as_deref(), Some(option));
        assert!(refused.message.contains(says) && !refused.message.contains("deadbeef"), "{refused}");
    }
}

/// Long answers go in place, short ones are written anew: both in the class.
#[test]
fn a_class_is_reflected_without_ecn_if_that_is_asked_for() {
    for (reflect, expected) in [("false", [0, 0, 0]), ("true", [0xB8, 0x88, 0])] {
        let mut h = Harness::<Stamp>::new(&[("reflect_tos", reflect)]);
        assert_eq!(h.told().contains(Facts::TOS), reflect == "true", "nothing that is not needed");
        for rest in [&[0; 30][..], &[]] {
            let packet = request(7, rest);
            let incoming = |tos| Incoming { tos, ..Incoming::new(peer(), &packet) };
            assert_eq!(h.deliver(&[0xB9, 0x8B, 0x03].map(incoming)), Outcome::Done);
            assert_eq!(h.sent().iter().map(|sent| sent.tos).collect::<Vec<_>>(), expected, "{reflect}");
        }
    }
}

#[test]
fn who_begins_to_reflect_is_made_anew() {
    let mut h = Harness::<Stamp>::new(&[]);
    h.reconfigure(&[("reflect_tos", "true")]).unwrap_err();
    h.reconfigure(&[("reflect_tos", "false"), ("ssid", "true")]).unwrap();
}
