//! The books fed with real frames: each datagram moves exactly one class, and the identities always hold.

use polyport_protocol::{Code, Decoder, Encoder, Flags, Header, Key, Role};
use proptest::prelude::*;

use super::*;
use crate::key::generator;
use crate::load::frame::Shape;
use crate::load::ids::Ids;
use crate::load::stamp::codec::Answer;

const TIMEOUT: Nanos = 1000;

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn ledger() -> Ledger {
    Ledger::new(LedgerConfig {
        targets: vec![address(9), address(7)],
        streams: 2,
        ring: 8,
        practice_ring: 4,
        timeout: TIMEOUT,
        max_in_flight: 12,
        first: 1,
        first_stream_id: u32::MAX - 3,
        epoch: u64::MAX - 5,
        ids: Ids::new(&mut generator(Some(1))),
        by_port: false,
        numbering: None,
        nameless: false,
    })
}

/// Sends the next planned datagram and returns it as it is on the wire.
fn send(ledger: &mut Ledger, lane: Lane, practice: bool, now: Nanos) -> Option<Vec<u8>> {
    if !practice {
        ledger.plan(1);
    }
    match ledger.send(lane, now, now) {
        Ok(identity) => {
            let shape = Shape::new(4, None, true, None);
            let mut datagram = vec![0; shape.size()];
            shape.write(&mut datagram, &identity, practice).unwrap();
            Some(datagram)
        }
        Err(reason) => {
            if !practice {
                ledger.skip(reason, 1);
            }
            None
        }
    }
}

/// What a responder answers.
fn answer(request: &[u8], kind: Kind, code: Code, change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let frame = Decoder::new(Role::Responder).decode(request).unwrap();
    let mut header = frame.header().reply(kind, code);
    change(&mut header);
    let mut datagram = vec![0; 100];
    let len = Encoder::new(&mut datagram, &header).payload(frame.payload()).finish().unwrap();
    datagram.truncate(len);
    datagram
}

fn receive(ledger: &mut Ledger, datagram: &[u8], port: u16, arrival: Nanos) -> Class {
    receive_at(ledger, datagram, port, 0, arrival)
}

/// Takes a datagram at one of our own ports, by its number.
fn receive_at(ledger: &mut Ledger, datagram: &[u8], port: u16, own: usize, arrival: Nanos) -> Class {
    let decoded = Decoder::new(Role::Client).decode(datagram);
    ledger.receive(decoded.as_ref().map_err(|error| *error), address(port), own, arrival).class
}

#[test]
fn the_reasons_are_in_order() {
    for (index, reason) in NotSent::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index, "{}", reason.name());
    }
}

#[test]
fn each_stream_finds_its_target_even_where_the_ids_wrap() {
    let mut ledger = ledger();
    for target in 0..2 {
        for lane in [
            ledger.lanes().practice(target),
            ledger.lanes().measured(target, 0),
            ledger.lanes().measured(target, 1),
        ] {
            let practice = lane == ledger.lanes().practice(target);
            let request = send(&mut ledger, lane, practice, 5).unwrap();
            let reply = answer(&request, Kind::Response, Code::OK, |_| ());
            let class = if practice { Class::WarmUp } else { Class::Ok };
            let elsewhere = receive_at(&mut ledger, &reply, [9, 7][target], 1 - lane.port, 6);
            assert_eq!(elsewhere, Class::WrongSource, "it left from another port");
            assert_eq!(receive_at(&mut ledger, &reply, [9, 7][target], lane.port, 6), class);
        }
        assert_eq!(ledger.of_target(target).ok, 2);
        assert!(ledger.has_answered(target));
    }
    assert_eq!((ledger.total().sent, ledger.in_flight()), (4, 0), "practice is not counted");
    ledger.audit().unwrap();
}

#[test]
fn any_answer_to_the_handshake_will_do() {
    for (kind, code, arrival) in
        [(Kind::Response, Code::OK, 6), (Kind::Response, Code::OK, 6 + TIMEOUT), (Kind::Error, Code::BUSY, 6)]
    {
        let mut ledger = ledger();
        let lane = ledger.lanes().practice(1);
        let request = send(&mut ledger, lane, true, 5).unwrap();
        assert!(!ledger.has_answered(1));
        let reply = answer(&request, kind, code, |_| ());
        assert_eq!(receive(&mut ledger, &reply, 7, arrival), Class::WarmUp);
        assert!(ledger.has_answered(1) && !ledger.has_answered(0), "{kind:?} at {arrival}");
    }
}

#[test]
fn an_imbalance_is_found_and_said() {
    let mut ledger = ledger();
    ledger.plan(1);
    ledger.plan(1);
    ledger.skip(NotSent::Refused, 1);
    let said = ledger.audit().unwrap_err().to_string();
    assert_eq!(said, "the books do not balance: planned = sent + not sent is 2 = 1");
    assert_eq!((ledger.planned(), ledger.not_sent()), (2, 1));
    assert_eq!(NotSent::ALL.map(|reason| ledger.skipped(reason)), [0, 0, 1, 0]);
    assert_eq!(NotSent::ALL.map(NotSent::name), ["in_flight", "behind", "refused", "aborted"]);
    assert_eq!(ledger.targets(), [address(9), address(7)]);
}

#[test]
fn every_way_to_be_wrong_has_its_class() {
    let mut ledger = ledger();
    let lane = ledger.lanes().measured(0, 0);
    let request = send(&mut ledger, lane, false, 5).unwrap();
    let good = answer(&request, Kind::Response, Code::OK, |_| ());
    let changed = |change: fn(&mut Header)| answer(&request, Kind::Response, Code::OK, change);
    let malformed = Class::Malformed;
    let cases = [
        (good.clone(), 8, Class::WrongSource),
        (good.clone(), 7, Class::WrongSource),
        (b"garbage".to_vec(), 8, Class::WrongSource),
        (b"garbage".to_vec(), 9, malformed(DecodeError::Short)),
        (vec![1; 60], 7, malformed(DecodeError::NotOurs)),
        (request.clone(), 9, malformed(DecodeError::WrongDirection)),
        (changed(|header| header.stream_id = 1000), 9, Class::StaleStream),
        // Six streams from `u32::MAX - 2` on end at 2.
        (changed(|header| header.stream_id = 3), 9, Class::StaleStream),
        (changed(|header| header.request_id += 1), 9, Class::UnknownId),
        (changed(|header| header.seq += 1), 9, Class::WrongSeq),
        (changed(|header| header.timestamp = header.timestamp.wrapping_add(1)), 9, Class::WrongTimestamp),
        (changed(|header| header.attempt = 1), 9, Class::WrongAttempt),
        (answer(&request, Kind::ProbeAck, Code::OK, |_| ()), 9, Class::WrongKind),
        (good.clone(), 9, Class::Ok),
        (good, 9, Class::DupDown),
    ];
    let count = cases.len() as u64;
    for (datagram, port, class) in cases {
        assert_eq!(receive(&mut ledger, &datagram, port, 6), class, "{datagram:?} from {port}");
        ledger.audit().unwrap();
    }
    assert_eq!(ledger.classes().total(), count);
}

#[test]
fn the_cap_counts_until_the_timeout() {
    let mut ledger = ledger();
    for which in 0..13_u64 {
        let lane = ledger.lanes().measured(usize::from(which % 2 == 0), u32::from(which % 4 < 2));
        assert_eq!(send(&mut ledger, lane, false, 0).is_some(), which < 12);
    }
    assert_eq!((ledger.in_flight(), ledger.skipped(NotSent::InFlight)), (12, 1));
    let lane = ledger.lanes().measured(0, 0);
    assert!(send(&mut ledger, lane, false, TIMEOUT + 1).is_some());
    assert_eq!(ledger.in_flight(), 1);
    ledger.finish(TIMEOUT + 1, true);
    assert_eq!((ledger.total().pending, ledger.total().lost()), (1, 12));
    ledger.audit().unwrap();
}

#[test]
fn any_answer_that_fits_ends_a_handshake() {
    for (kind, code, arrival, answered) in [
        (Kind::Response, Code::OK, 6, true),
        (Kind::Response, Code::OK, 6 + TIMEOUT, true),
        (Kind::Error, Code::BUSY, 6, true),
        (Kind::ProbeAck, Code::OK, 6, false),
    ] {
        let mut ledger = ledger();
        let lane = ledger.lanes().practice(1);
        let request = send(&mut ledger, lane, true, 5).unwrap();
        assert!(!ledger.has_answered(1));
        receive(&mut ledger, &answer(&request, kind, code, |_| ()), 7, arrival);
        assert_eq!(ledger.has_answered(1), answered, "{kind:?} {code:?} at {arrival}");
        assert!(!ledger.has_answered(0), "the other target");
    }
}

#[test]
fn what_did_not_leave_after_all_is_not_in_the_books() {
    let mut ledger = ledger();
    let lane = ledger.lanes().measured(0, 1);
    ledger.plan(1);
    let identity = ledger.send(lane, 5, 5).unwrap();
    assert_eq!((ledger.total().sent, ledger.in_flight()), (1, 1));
    ledger.cancel(lane, identity.seq);
    ledger.skip(NotSent::Refused, 1);
    assert_eq!((ledger.total().sent, ledger.in_flight()), (0, 0));
    assert_eq!((ledger.skipped(NotSent::Refused), ledger.not_sent()), (1, 1));
    ledger.finish(TIMEOUT, false);
    assert_eq!(ledger.total().lost(), 0);
    ledger.audit().unwrap();
}

#[test]
fn an_imbalance_says_which_and_how_much() {
    let mut ledger = ledger();
    ledger.plan(1);
    let imbalance = ledger.audit().unwrap_err();
    assert_eq!((imbalance.left, imbalance.right), (1, 0));
    assert!(imbalance.to_string().contains("planned = sent + not sent is 1 = 0"), "{imbalance}");
}

#[test]
fn a_sealed_run_takes_only_sealed_answers() {
    let mut ledger = ledger();
    let lane = ledger.lanes().measured(0, 0);
    let request = send(&mut ledger, lane, false, 5).unwrap();
    let keys = [Key::siphash(1, [1; 16])];
    let decoder = Decoder::new(Role::Client).with_integrity(polyport_protocol::Integrity::Keys(&keys));
    let reply = answer(&request, Kind::Response, Code::OK, |_| ());
    let decoded = decoder.decode(&reply);
    let verdict = ledger.receive(decoded.as_ref().map_err(|error| *error), address(9), 0, 6);
    assert_eq!(verdict.class, Class::Malformed(DecodeError::NoAuth));
}

#[derive(Clone, Debug)]
enum Step {
    Send { target: usize, which: u32, practice: bool },
    Answer { which: prop::sample::Index, error: bool, stranger: bool, flip: Option<prop::sample::Index> },
    Noise(Vec<u8>),
    Pass(Nanos),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let flip = proptest::option::weighted(0.2, any::<prop::sample::Index>());
    let stranger = proptest::bool::weighted(0.1);
    prop_oneof![
        4 => (0_usize..2, 0_u32..2, proptest::bool::weighted(0.1))
            .prop_map(|(target, which, practice)| Step::Send { target, which, practice }),
        5 => (any::<prop::sample::Index>(), any::<bool>(), stranger, flip)
            .prop_map(|(which, error, stranger, flip)| Step::Answer { which, error, stranger, flip }),
        1 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Step::Noise),
        2 => (0..TIMEOUT).prop_map(Step::Pass),
        1 => Just(Step::Sweep),
    ]
}

fn flipped(mut datagram: Vec<u8>, flip: Option<&prop::sample::Index>) -> Vec<u8> {
    if let Some(bit) = flip.map(|index| index.index(datagram.len() * 8)) {
        datagram[bit / 8] ^= 1 << (bit % 8);
    }
    datagram
}

proptest! {
    #[test]
    fn the_identities_hold_after_every_step(
        steps in proptest::collection::vec(step(), 0..200),
        aborted in any::<bool>(),
    ) {
        let mut ledger = ledger();
        let (mut now, mut requests) = (1, Vec::new());
        for step in steps {
            let before = ledger.classes().total();
            let mut datagrams = 0;
            match step {
                Step::Send { target, which, practice } => {
                    let lane =
                        if practice { ledger.lanes().practice(target) } else { ledger.lanes().measured(target, which) };
                    let sent = send(&mut ledger, lane, practice, now);
                    requests.extend(sent.map(|sent| (sent, [9, 7][target], lane.port)));
                }
                Step::Answer { which, error, stranger, flip } if !requests.is_empty() => {
                    let (request, port, own) = which.get(&requests);
                    let (kind, code) =
                        if error { (Kind::Error, Code::BUSY) } else { (Kind::Response, Code::OK) };
                    let reply = flipped(answer(request, kind, code, |_| ()), flip.as_ref());
                    let from = if stranger { 8 } else { *port };
                    let class = receive_at(&mut ledger, &reply, from, *own, now);
                    datagrams = 1;
                    prop_assert_eq!(class == Class::WrongSource, stranger);
                    prop_assert_eq!(matches!(class, Class::Malformed(_)), flip.is_some() && !stranger);
                }
                Step::Answer { .. } => {}
                Step::Noise(noise) => {
                    receive(&mut ledger, &noise, 9, now);
                    datagrams = 1;
                }
                Step::Pass(time) => now += time,
                Step::Sweep => ledger.expire(now),
            }
            prop_assert_eq!(ledger.classes().total(), before + datagrams);
            ledger.audit().unwrap();
        }
        ledger.finish(now, aborted);
        ledger.audit().unwrap();
        let total = ledger.total();
        prop_assert_eq!((total.open, total.expired, ledger.in_flight()), (0, 0, 0));
        prop_assert!(aborted || total.pending == 0);
    }
}

#[test]
fn warm_up_frames_carry_the_flag() {
    let mut ledger = ledger();
    let lane = ledger.lanes().practice(1);
    let request = send(&mut ledger, lane, true, 5).unwrap();
    let frame = Decoder::new(Role::Responder).decode(&request).unwrap();
    assert!(frame.header().flags.contains(Flags::WARM_UP));
}

/// What ICMP says about a datagram to `port`.
fn complaint(port: u16) -> QueuedError {
    QueuedError {
        errno: 111,
        origin: polyport_net::ErrorOrigin::Icmp { kind: 3, code: 3 },
        mtu: None,
        offender: None,
        destination: Some(address(port)),
        quoted: 0,
    }
}

#[test]
fn icmp_counts_if_it_quotes_what_was_sent() {
    let mut ledger = ledger();
    let (lane, practice) = (ledger.lanes().measured(1, 1), ledger.lanes().practice(0));
    let request = send(&mut ledger, lane, false, 5).unwrap();
    let greeting = send(&mut ledger, practice, true, 5).unwrap();
    ledger.complain(&complaint(7), &request[..20], 1);
    ledger.complain(&complaint(9), &greeting, 0);
    assert_eq!((ledger.icmp().words().as_str(), ledger.practice_icmp().total()), ("port_unreachable 1", 1));
    assert_eq!((ledger.refused(0), ledger.refused(1)), (0, 1), "the greeting is not of the load");
    let mut other = request.clone();
    other[8] ^= 1;
    for (quote, port) in
        [(&request[..19], 7), (&other[..], 7), (&request[..], 9), (&request[..], 8), (&[][..], 7)]
    {
        ledger.complain(&complaint(port), quote, 1);
    }
    assert_eq!((ledger.icmp().total(), ledger.icmp().disbelieved()), (1, 5));
    let own = QueuedError { origin: polyport_net::ErrorOrigin::Local, ..complaint(7) };
    ledger.complain(&own, &request, 1);
    assert_eq!((ledger.icmp().total(), ledger.icmp().disbelieved()), (1, 5), "that is no ICMP");
}

#[test]
fn where_anything_is_an_answer_the_port_tells_the_stream() {
    let mut ledger = Ledger::new(LedgerConfig { by_port: true, nameless: true, ..ledger().config });
    let lanes = [ledger.lanes().practice(1), ledger.lanes().measured(1, 0), ledger.lanes().measured(1, 1)];
    assert_eq!(lanes.map(|lane| lane.port), [0, 1, 2]);
    for lane in lanes {
        send(&mut ledger, lane, lane.port == 0, 5).unwrap();
    }
    let mut receive = |port, own| ledger.receive_any(address(port), own, 6).class;
    assert_eq!([receive(7, 0), receive(7, 2), receive(7, 2)], [Class::WarmUp, Class::Ok, Class::Unasked]);
    assert_eq!([receive(9, 1), receive(8, 1)], [Class::Unasked, Class::WrongSource]);
    ledger.complain(&complaint(7), b"", 1);
    assert_eq!((ledger.icmp().total(), ledger.refused(1)), (1, 1));
    assert!(ledger.has_answered(1) && !ledger.has_answered(0));
    ledger.finish(TIMEOUT, false);
    assert_eq!((ledger.total().ok, ledger.total().lost()), (1, 1));
    ledger.audit().unwrap();
}

#[test]
fn what_a_reflector_has_counted_before_does_not_hide_where_packets_were_lost() {
    let numbering = Some(Numbering::Auto);
    let config = LedgerConfig { streams: 1, by_port: true, nameless: true, numbering, ..ledger().config };
    for known in [0, 3_000_000_000, u32::MAX - 1] {
        let mut ledger = Ledger::new(config.clone());
        let lane = ledger.lanes().measured(0, 0);
        let mut count = known;
        for (number, (arrives, returns)) in
            (0..).zip([(true, true), (false, false), (true, true), (true, false), (true, true)])
        {
            let Identity { seq, timestamp, .. } = ledger.send(lane, number, number).unwrap();
            let answer = Answer {
                sequence: count,
                their_sequence: seq.try_into().unwrap(),
                sent: Some(timestamp),
                inside: None,
                estimate: None,
                foreign: false,
                ttl: 255,
            };
            count = count.wrapping_add(u32::from(arrives));
            if returns {
                let reflected = Reflected { answer, times: None, inside: 0 };
                let received = ledger.receive_reflected(&reflected, address(9), lane.port, number);
                assert_eq!(received.class, Class::Ok);
            }
        }
        ledger.finish(10 * TIMEOUT, false);
        let Tally { sent, ok, lost_up, lost_down, lost_unknown, .. } = ledger.total();
        assert_eq!((sent, ok, lost_up, lost_down, lost_unknown), (5, 3, 1, 1, 0), "from {known} on");
    }
}
