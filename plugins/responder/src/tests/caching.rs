//! At most once: duplicates, conflicts, and the limits of what is remembered.

use core::time::Duration;

use polyport_plugin::testing::Incoming;

use super::*;

#[test]
fn duplicates_get_the_reply_of_the_one_execution() {
    let mut h = responder(&[("service", "time")]);
    let first = ask(&mut h, &request(1, 1, &[b'x'; 30]));
    for attempt in 1..=9 {
        h.advance(Duration::from_secs(1));
        let copy = Header { attempt, timestamp: 5000 + u64::from(attempt), ..header(1, 1) };
        let again = ask(&mut h, &encode(&copy, &[], &[b'x'; 30], None));
        assert_eq!(again.payload, first.payload, "the time of the first execution");
        assert_eq!(again.header, copy.reply(Kind::Response, Code::OK), "the header of this copy");
    }
    assert_eq!((h.counter("executed_total"), h.counter("duplicates_answered_total")), (1, 9));
    assert_ne!(ask(&mut h, &request(2, 2, &[b'x'; 30])).payload, first.payload);
}

#[test]
fn duplicates_within_a_batch_are_executed_once() {
    let mut h = responder(&[]);
    let copy = request(1, 1, b"x");
    h.send_batch(&[(PEER, copy.as_slice()), (PEER, &copy), (PEER, &copy)]);
    assert_eq!(answers(&mut h, &Decoder::default()).len(), 3);
    assert_eq!((h.counter("executed_total"), h.counter("duplicates_dropped_total")), (1, 0));
}

#[test]
fn errors_of_the_service_are_remembered_as_well() {
    let mut h = responder(&[("service", "sum")]);
    let copy = request(1, 1, b"x                               ");
    let first = ask(&mut h, &copy);
    assert_eq!(first.code(), Code(128));
    assert_eq!(ask(&mut h, &copy), first);
    assert_eq!(h.counter("executed_total"), 1);
}

#[test]
fn one_id_with_another_content_is_a_conflict() {
    let mut h = responder(&[]);
    ask(&mut h, &request(1, 1, b"first"));
    let answer = ask(&mut h, &request(1, 1, b"other"));
    assert_eq!((answer.header.kind, answer.code()), (Kind::Error, Code::ID_CONFLICT));
    assert_eq!(h.counter("id_conflicts_total"), 1);
    assert_eq!(
        ask(&mut h, &request(1, 2, b"first")).payload,
        b"first",
        "the digest is of kind and payload alone"
    );
}

/// [P-68]: padding is no content.
#[test]
fn padding_does_not_change_the_digest() {
    let mut h = responder(&[]);
    ask(&mut h, &request(1, 1, b"first"));
    let mut padded = [0; 100];
    let len = Encoder::new(&mut padded, &header(1, 1)).payload(b"first").pad_to(100).finish().unwrap();
    assert_eq!(ask(&mut h, &padded[..len]).payload, b"first");
    assert_eq!(h.counter("duplicates_answered_total"), 1);
}

#[test]
fn the_same_id_from_others_is_another_request() {
    let mut h = responder(&[]);
    assert_eq!(ask(&mut h, &request(1, 1, b"mine")).payload, b"mine");
    assert_eq!(try_ask(&mut h, OTHER, &request(1, 1, b"theirs")).unwrap().payload, b"theirs");
    let other_stream = Header { stream_id: 1, ..header(1, 1) };
    assert_eq!(ask(&mut h, &encode(&other_stream, &[], b"new run", None)).payload, b"new run");
    let mut other_port = Incoming::new(PEER.parse().unwrap(), &request(1, 1, b"port"));
    other_port.local.set_port(9);
    h.deliver(&[other_port]);
    assert_eq!(answers(&mut h, &Decoder::default())[0].payload, b"port");
    assert_eq!((h.counter("executed_total"), h.counter("id_conflicts_total")), (4, 0));
}

#[test]
fn what_is_idempotent_is_executed_each_time_and_not_kept() {
    for (options, flags) in [(&[][..], Flags::IDEMPOTENT), (&[("idempotent", "true")], Flags::NONE)] {
        let mut h = responder(options);
        let copy = |payload| encode(&flagged(header(1, 1), flags), &[], payload, None);
        assert_eq!(ask(&mut h, &copy(b"x")).payload, b"x");
        assert_eq!(ask(&mut h, &copy(b"y")).payload, b"y", "no conflict either");
        assert_eq!((h.counter("executed_total"), h.gauge("cache_entries")), (2, 0));
    }
}

#[test]
fn replies_are_kept_for_their_time() {
    let mut h = responder(&[]);
    ask(&mut h, &request(1, 1, b"x"));
    h.advance(Duration::from_millis(119_999));
    ask(&mut h, &request(1, 1, b"x"));
    assert_eq!(h.counter("executed_total"), 1);
    h.advance(Duration::from_millis(1));
    ask(&mut h, &request(1, 1, b"x"));
    assert_eq!((h.counter("executed_total"), h.counter("cache_expired_total")), (2, 1));
}

#[test]
fn every_limit_of_the_cache_has_a_counter() {
    let peer = |n: u64| format!("192.0.2.1:{}", 20_000 + n);
    let mut h = responder(&[("cache_entries", "10"), ("cache_per_peer", "4")]);
    for n in 0..5 {
        ask(&mut h, &request(n, n, b"x"));
    }
    assert_eq!((h.counter("cache_evicted_peer_total"), h.gauge("cache_entries")), (1, 4));
    for n in 0..8 {
        try_ask(&mut h, &peer(n), &request(n, n, b"x")).unwrap();
    }
    assert_eq!((h.counter("cache_evicted_entries_total"), h.gauge("cache_entries")), (2, 10));
    let mut h = responder(&[("cache_bytes", "65536")]);
    for n in 0..66 {
        ask(&mut h, &request(n, n, &[0; 1000]));
    }
    assert_eq!((h.counter("cache_evicted_bytes_total"), h.gauge("cache_bytes")), (1, 65_000));
    assert_eq!(h.counter("cache_not_kept_total"), 0);
}

#[test]
fn a_flood_of_streams_is_answered_and_forgotten() {
    let mut h = responder(&[("cache_entries", "1000")]);
    h.set_log_level(polyport_plugin::Level::Info);
    let mut datagrams: Vec<Vec<u8>> = vec![Vec::new(); 64];
    for first in (0..70_400_u32).step_by(64) {
        for (datagram, n) in datagrams.iter_mut().zip(first..) {
            *datagram = encode(&Header { stream_id: n, ..header(u64::from(n), 0) }, &[], b"x", None);
        }
        let batch: Vec<_> = datagrams.iter().map(|d| (PEER, d.as_slice())).collect();
        h.send_batch(&batch);
        assert_eq!(h.sent().len(), 64);
    }
    assert_eq!((h.gauge("streams"), h.gauge("cache_entries")), (65_536, 1000));
    assert_eq!(h.counter("streams_forgotten_total"), 70_400 - 65_536);
    assert_eq!(h.counter("cache_evicted_entries_total"), 70_400 - 1000);
    assert_eq!(h.counter("executed_total"), 70_400);
}

/// A5: what the host grants is all that is kept, and who is honest is answered all the same.
#[test]
fn a_forged_flood_keeps_no_more_than_the_host_grants() {
    const BUDGET: u64 = 200_000;
    let mut h = responder(&[]);
    h.set_budget(BUDGET);
    for id in 0..3_000_u64 {
        let forged = Header { stream_id: u32::try_from(id).unwrap(), ..header(10_000 + id, 1) };
        let [a, b] = u16::try_from(id).unwrap().to_be_bytes();
        h.send(std::net::SocketAddr::from(([10, 0, a, b], 4000)), &encode(&forged, &[], &[b'x'; 300], None));
        h.sent();
        if id % 100 == 0 {
            assert_eq!(ask(&mut h, &request(id, id, b"honest")).payload, b"honest");
            assert_eq!(ask(&mut h, &request(id, id, b"honest")).payload, b"honest", "and once more");
        }
    }
    assert!((BUDGET / 2..=BUDGET).contains(&h.kept()), "{}", h.kept());
    let evicted = h.counter("cache_evicted_entries_total") + h.counter("cache_evicted_bytes_total");
    assert!(h.reservations_refused() > 0 && evicted > 2_000, "{evicted}");
    assert!(h.gauge("cache_bytes") <= BUDGET);
    assert_eq!((h.counter("duplicates_answered_total"), h.counter("cache_busy_total")), (30, 0));
    h.restart().unwrap();
    assert_eq!(h.kept(), 0, "what the instance kept went with it");
}

/// With nothing granted at all a responder still serves, and remembers the last few.
#[test]
fn without_any_grant_a_responder_serves() {
    let mut h = responder(&[("service", "time")]);
    h.set_budget(0);
    let cookie = FrameOption::Cookie(
        ask(&mut h, &encode(&header(1, 1), &[FrameOption::Room(&[0; 16])], b"", None)).cookie.unwrap(),
    );
    for id in 10..500 {
        let first = ask(&mut h, &encode(&header(id, id), &[cookie], b"", None));
        assert_eq!(ask(&mut h, &encode(&header(id, id), &[cookie], b"", None)).payload, first.payload);
    }
    for id in 1000..1100_u64 {
        let forged = Header { stream_id: u32::try_from(id).unwrap(), ..header(id, 1) };
        h.send(OTHER, &encode(&forged, &[], &[b'x'; 1000], None));
    }
    assert!(h.gauge("streams") <= 16 && h.gauge("cache_entries") <= 16 && h.gauge("cache_bytes") <= 4096);
    assert_eq!(h.kept(), 0);
}

#[test]
fn replay_windows_are_kept_as_far_as_the_host_grants() {
    let key = Key::siphash(1, [7; 16]);
    let mut h = responder(&[("auth", "siphash"), ("key", &"07".repeat(16))]);
    h.set_budget(0);
    for stream_id in 0..100 {
        let frame = Header { kind: Kind::Probe, stream_id, ..header(1, 1) };
        h.send(PEER, &encode(&frame, &[], b"", Some(&key)));
    }
    assert_eq!(h.counter("windows_forgotten_total"), 100 - 16);
}
