//! Requests, probes and events, and what their replies carry.

use polyport_plugin::testing::{START_NS, START_WALL_NS};

use super::*;

#[test]
fn a_reply_echoes_this_very_copy_and_nothing_else() {
    let mut h = responder(&[]);
    for attempt in [0, 1, 5] {
        let mut copy = flagged(header(7, 3), Flags::GREASE | Flags::IDEMPOTENT);
        (copy.attempt, copy.timestamp) = (attempt, 99 + u64::from(attempt));
        let answer = ask(&mut h, &encode(&copy, &[], b"ping", None));
        assert_eq!(answer.header, copy.reply(Kind::Response, Code::OK));
        assert_eq!((answer.payload.as_slice(), answer.len, answer.at_ns), (&b"ping"[..], 48, START_NS));
    }
    assert_eq!((h.counter("requests_total"), h.counter("responses_total")), (3, 3));
    assert_eq!((h.counter("executed_total"), h.discarded()), (3, 0));
}

#[test]
fn each_service_answers_over_the_wire() {
    let time = format!("unix {}.000000000", START_WALL_NS / 1_000_000_000);
    for (service, payload, expected) in [
        ("echo", "aB\0", "aB\0"),
        ("upper", "aB é", "AB é"),
        ("sum", "40 2", "42"),
        ("time", &"x".repeat(25), &time),
    ] {
        let mut h = responder(&[("service", service)]);
        let answer = ask(&mut h, &request(1, 1, payload.as_bytes()));
        assert_eq!(String::from_utf8(answer.payload).unwrap(), expected);
    }
}

#[test]
fn what_the_service_refuses_is_an_error_with_its_code_and_a_text_that_fits() {
    let mut h = responder(&[("service", "sum")]);
    let answer = ask(&mut h, &request(1, 1, b"1 two 3                  "));
    assert_eq!((answer.header.kind, answer.code()), (Kind::Error, Code(128)));
    assert_eq!(answer.payload, b"not a decimal integer");
    let answer = ask(&mut h, &request(2, 2, b"x"));
    assert_eq!((answer.code(), answer.payload.len(), answer.len), (Code(128), 0, 44));
    assert_eq!((h.counter("errors_total"), h.counter("options_left_out_total")), (2, 1));
}

#[test]
fn statistics_and_times_are_added_as_far_as_they_fit() {
    let mut h = responder(&[]);
    let wants = Flags::WANT_STATS | Flags::WANT_TIMES;
    let with_room = |id, seq, room: usize| {
        encode(&flagged(header(id, seq), wants), &[FrameOption::Room(&[0; 255][..room])], b"ping", None)
    };
    let answer = ask(&mut h, &with_room(1, 10, 42));
    assert_eq!((answer.rstat, answer.times), (Some((0, 1, 1)), Some((START_NS, START_NS))));
    assert_eq!(answer.len, 92);
    let answer = ask(&mut h, &with_room(2, 11, 22));
    assert_eq!((answer.rstat, answer.times), (Some((1, 2, 0b11)), None));
    let answer = ask(&mut h, &with_room(3, 13, 18));
    assert_eq!((answer.rstat, answer.times), (None, Some((START_NS, START_NS))));
    assert_eq!(h.counter("options_left_out_total"), 2);
    let answer = ask(&mut h, &with_room(3, 13, 42));
    assert_eq!(answer.rstat, Some((3, 4, 0b1101)), "the duplicate counts and has a reply of its own");
    let answer = ask(&mut h, &request(4, 14, b"asks for nothing"));
    assert_eq!((answer.rstat, answer.times), (None, None));
}

#[test]
fn streams_are_counted_apart() {
    let mut h = responder(&[]);
    let wants = flagged(header(1, 5), Flags::WANT_STATS);
    let datagram = |header| encode(&header, &[FrameOption::Room(&[0; 22])], b"", None);
    for (peer, stream_id, expected) in
        [(PEER, 1, (0, 1, 1)), (PEER, 2, (0, 1, 1)), (OTHER, 1, (0, 1, 1)), (PEER, 1, (1, 2, 1))]
    {
        let answer = try_ask(&mut h, peer, &datagram(Header { stream_id, ..wants })).unwrap();
        assert_eq!(answer.rstat, Some(expected), "{peer} {stream_id}");
    }
    assert_eq!(h.gauge("streams"), 3);
}

#[test]
fn warm_up_is_answered_and_counted_nowhere() {
    let mut h = responder(&[]);
    let warm = Flags::WARM_UP | Flags::WANT_STATS;
    let frame =
        |id, seq, flags| encode(&flagged(header(id, seq), flags), &[FrameOption::Room(&[0; 22])], b"w", None);
    let answer = ask(&mut h, &frame(1, 0, warm));
    assert_eq!((answer.rstat, answer.header.flags), (Some((0, 0, 1)), Flags::REPLY | Flags::WARM_UP));
    let answer = ask(&mut h, &frame(2, 1, Flags::WANT_STATS));
    assert_eq!(answer.rstat, Some((0, 1, 0b11)), "the first reply that counts");
    ask(&mut h, &frame(3, 2, warm));
    let answer = ask(&mut h, &frame(4, 3, Flags::WANT_STATS));
    assert_eq!(answer.rstat, Some((1, 2, 0b1111)));
    assert_eq!((h.counter("requests_total"), h.counter("responses_total")), (2, 2));
    assert_eq!((h.counter("warm_up_total"), h.counter("executed_total")), (2, 2));
}

#[test]
fn events_are_seen_and_not_answered() {
    let mut h = responder(&[]);
    let event = Header { kind: Kind::Event, ..header(0, 1) };
    silent(&mut h, &encode(&event, &[], b"news", None));
    assert_eq!((h.counter("events_total"), h.discarded()), (1, 0));
    let wants = flagged(header(1, 2), Flags::WANT_STATS);
    let answer = ask(&mut h, &encode(&wants, &[FrameOption::Room(&[0; 22])], b"", None));
    assert_eq!(answer.rstat, Some((0, 1, 0b11)), "no request, but a number seen");
}

fn probe(len: usize) -> Vec<u8> {
    let header = Header { kind: Kind::Probe, ..header(9, 1) };
    let mut buffer = vec![0; len];
    Encoder::new(&mut buffer, &header).pad_to(len).finish().unwrap();
    buffer
}

#[test]
fn a_probe_is_acknowledged_with_the_length_that_arrived() {
    let mut h = responder(&[]);
    for (len, acknowledged, info) in [
        (44, 44, None),
        (51, 44, None),
        (52, 52, Some((52, 0))),
        (1200, 52, Some((1200, 0))),
        (65_507, 52, Some((65_507, 0))),
    ] {
        let answer = ask(&mut h, &probe(len));
        assert_eq!(
            (answer.header.kind, answer.len, answer.probe),
            (Kind::ProbeAck, acknowledged, info),
            "{len}"
        );
        assert_eq!((answer.padding, answer.header.flags), (0, Flags::REPLY));
    }
    assert_eq!((h.counter("probes_total"), h.counter("probe_acks_total")), (5, 5));
}

/// [P-88]: with flag I a probe asks for it.
#[test]
fn an_acknowledgement_is_as_long_as_the_probe_if_that_asks_for_it() {
    let mut h = responder(&[]);
    for (len, acknowledged) in [(44, 44), (45, 45), (1200, 1200), (1472, 1472)] {
        let header = flagged(Header { kind: Kind::Probe, ..header(9, 1) }, Flags::IDEMPOTENT);
        let mut buffer = vec![0; len];
        Encoder::new(&mut buffer, &header).pad_to(len).finish().unwrap();
        let answer = ask(&mut h, &buffer);
        assert_eq!((answer.header.kind, answer.len), (Kind::ProbeAck, acknowledged));
        assert!(!answer.header.flags.contains(Flags::IDEMPOTENT), "[P-98]");
    }
}

#[test]
fn answers_to_probes_are_never_cut_and_others_may_be() {
    let mut h = responder(&[]);
    let mut df = |datagram: &[u8]| {
        h.send(PEER, datagram);
        h.sent().pop().unwrap().df
    };
    assert!(df(&probe(1200)));
    assert!(!df(&request(1, 2, b"hello")));
    assert!(df(&probe(44)));
}

#[test]
fn a_padded_acknowledgement_is_as_long_as_the_probe() {
    let mut h = responder(&[("probe_ack", "padded")]);
    let answer = ask(&mut h, &probe(1200));
    assert_eq!((answer.len, answer.padding, answer.probe), (1200, 1148, Some((1200, 0))));
    assert!(answer.header.flags.contains(Flags::PADDED));
    assert_eq!(ask(&mut h, &probe(44)).len, 44);
}

#[test]
fn a_full_batch_is_answered_in_order() {
    let mut h = responder(&[]);
    let requests: Vec<_> = (0..64).map(|i| request(i, i, format!("payload {i}").as_bytes())).collect();
    let batch: Vec<_> = requests.iter().map(|r| (PEER, r.as_slice())).collect();
    assert_eq!(h.send_batch(&batch), Outcome::Done);
    let answers = answers(&mut h, &Decoder::new(Role::Client));
    let payloads: Vec<_> = answers.iter().map(|a| String::from_utf8(a.payload.clone()).unwrap()).collect();
    assert_eq!(payloads, (0..64).map(|i| format!("payload {i}")).collect::<Vec<_>>());
}

#[test]
fn the_service_changes_without_a_new_instance_and_replies_kept_stay() {
    let mut h = responder(&[]);
    assert_eq!(ask(&mut h, &request(1, 1, b"a")).payload, b"a");
    h.reconfigure(&[("service", "upper")]).unwrap();
    assert_eq!(ask(&mut h, &request(1, 1, b"a")).payload, b"a");
    assert_eq!(ask(&mut h, &request(2, 2, b"a")).payload, b"A");
}
