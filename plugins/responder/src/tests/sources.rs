//! Whom the responder answers: loops, groups, and the bucket of errors.

use core::time::Duration;

use polyport_plugin::abi;
use polyport_plugin::testing::{Incoming, LOCAL, START_NS};

use super::*;

fn sum(id: u64) -> Vec<u8> {
    request(id, id, b"x")
}

#[test]
fn denied_sources_get_nothing_whatever_they_send() {
    let mut h = responder(&[]);
    let mut version_5 = request(1, 1, b"ping");
    version_5[4] = 5;
    let critical = encode(&header(1, 1), &[FrameOption::Other { number: 0xC7, value: b"" }], b"", None);
    let probe = encode(&Header { kind: Kind::Probe, ..header(2, 2) }, &[], b"", None);
    let local = LOCAL.to_string();
    let denied: Vec<String> =
        crate::loops::DENIED_PORTS.iter().map(|port| format!("192.0.2.1:{port}")).chain([local]).collect();
    for peer in denied.iter().map(String::as_str).chain(["192.0.2.1:0"]) {
        for datagram in [&request(1, 1, b"ping"), &version_5, &critical, &probe] {
            assert_eq!(try_ask(&mut h, peer, datagram), None, "{peer}");
        }
    }
    assert_eq!(h.counter("loop_denied_total"), 13 * 4);
    assert_eq!((h.counter("executed_total"), h.discarded()), (0, 13 * 4));
}

#[test]
fn replies_are_never_answered() {
    let mut h = responder(&[]);
    for kind in [Kind::Request, Kind::Response, Kind::Error, Kind::ProbeAck, Kind::Probe, Kind::Event] {
        let frame = encode(&Header { kind, ..flagged(header(1, 1), Flags::REPLY) }, &[], b"x", None);
        silent(&mut h, &frame);
    }
    for kind in [Kind::Response, Kind::Error, Kind::ProbeAck, Kind::Version] {
        silent(&mut h, &encode(&Header { kind, ..header(1, 1) }, &[], b"x", None));
    }
    assert_eq!((h.counter("malformed_wrong_direction_total"), h.discarded()), (10, 10));
}

/// Two responders, each thinking the other a client: after one forged frame there is silence.
#[test]
fn two_responders_fall_silent() {
    let (mut a, mut b) = (responder(&[("service", "sum")]), responder(&[("service", "sum")]));
    let mut frame = sum(1);
    let mut hops = 0;
    for h in [&mut a, &mut b, &mut responder(&[])] {
        h.send(PEER, &frame);
        let Some(sent) = h.sent().pop() else { break };
        frame = sent.payload;
        hops += 1;
    }
    assert_eq!(hops, 1);
}

#[test]
fn errors_and_versions_have_a_bucket_each_for_every_prefix() {
    let mut h = responder(&[("service", "sum"), ("errors_per_second", "5")]);
    let mut version_5 = sum(1000);
    version_5[4] = 5;
    version_5.extend([0; 8]);
    let mut sent = 0;
    for id in 0..10 {
        sent += usize::from(try_ask(&mut h, PEER, &sum(id)).is_some());
        h.send(PEER, &version_5);
        sent += h.sent().len();
    }
    assert_eq!((sent, h.counter("errors_suppressed_total")), (10, 10));
    assert_eq!((h.counter("errors_total"), h.counter("versions_total")), (5, 5));
    assert!(try_ask(&mut h, "192.0.3.1:40000", &sum(20)).is_some(), "the tokens of another prefix");
    assert!(try_ask(&mut h, PEER, &request(50, 50, b"1")).is_some(), "a RESPONSE needs no token");
    h.advance(Duration::from_millis(200));
    assert!(try_ask(&mut h, PEER, &sum(51)).is_some());
    assert!(try_ask(&mut h, PEER, &sum(52)).is_none());
}

#[test]
fn a_cookie_that_was_held_back_with_its_error_is_not_counted() {
    let mut h = responder(&[("service", "time"), ("errors_per_second", "1")]);
    let asks = |id| encode(&header(id, id), &[FrameOption::Room(&[0; 16])], b"", None);
    assert!(ask(&mut h, &asks(1)).cookie.is_some());
    silent(&mut h, &asks(2));
    assert_eq!((h.counter("cookies_sent_total"), h.counter("errors_suppressed_total")), (1, 1));
}

fn to_group(payload: &[u8], flags: u8) -> Incoming {
    let mut incoming = Incoming::new(PEER.parse().unwrap(), payload);
    incoming.flags |= flags;
    incoming
}

#[test]
fn groups_are_ignored_unless_configured() {
    let mut h = responder(&[]);
    for flags in [abi::RX_MULTICAST, abi::RX_BROADCAST] {
        h.deliver(&[to_group(&request(1, 1, b"ping"), flags)]);
    }
    silent(&mut h, &encode(&flagged(header(1, 1), Flags::GROUP), &[], b"ping", None));
    assert_eq!((h.sent().len(), h.waiting(), h.counter("group_ignored_total")), (0, 0, 3));
    assert_eq!((h.counter("executed_total"), h.discarded()), (0, 3));
    let event = Header { kind: Kind::Event, ..flagged(header(0, 1), Flags::GROUP) };
    h.deliver(&[to_group(&encode(&event, &[], b"news", None), abi::RX_MULTICAST)]);
    assert_eq!((h.counter("events_total"), h.discarded()), (1, 3));
}

#[test]
fn answers_to_a_group_are_spread_over_the_leisure() {
    let mut h = responder(&[("group", "answer"), ("group_leisure", "500ms")]);
    let wants = flagged(header(1, 1), Flags::GROUP | Flags::WANT_TIMES);
    for id in 0..100 {
        let frame = encode(&Header { request_id: id, ..wants }, &[FrameOption::Room(&[0; 18])], b"", None);
        h.deliver(&[to_group(&frame, abi::RX_MULTICAST)]);
    }
    assert!(h.waiting() > 90);
    h.advance(Duration::from_millis(500));
    let answers = answers(&mut h, &Decoder::default());
    assert_eq!((answers.len(), h.counter("group_answered_total")), (100, 100));
    assert!(answers.iter().all(|a| !a.header.flags.contains(Flags::GROUP)));
    assert!(answers.iter().all(|a| a.times == Some((START_NS, a.at_ns))), "TIMES tells when it left");
    let early = answers.iter().filter(|a| a.at_ns < START_NS + 250_000_000).count();
    assert!((25..=75).contains(&early), "{early} of 100 in the first half");
}

#[test]
fn a_group_is_never_answered_with_an_error() {
    let mut h = responder(&[("group", "answer"), ("service", "sum")]);
    let mut version_5 = sum(1);
    version_5[4] = 5;
    version_5.extend([0; 8]);
    let critical = encode(&header(1, 1), &[FrameOption::Other { number: 0xC7, value: b"" }], b"", None);
    h.deliver(&[
        to_group(&sum(1), abi::RX_MULTICAST),
        to_group(&version_5, abi::RX_BROADCAST),
        to_group(&critical, abi::RX_MULTICAST),
    ]);
    h.advance(Duration::from_secs(1));
    assert_eq!((h.sent().len(), h.counter("group_errors_total")), (0, 1));
    assert_eq!(h.counter("errors_total") + h.counter("versions_total"), 0);
}
