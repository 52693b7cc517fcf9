//! Every class of section 6 is counted under its name, and all but two are met with silence.

use polyport_plugin::abi;
use polyport_plugin::testing::Incoming;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!("../../../../protocol/vectors/vectors.jsonl");

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// The options for the key of a vector ([P-91]).
fn options(vector: &Value) -> Vec<(&'static str, String)> {
    let Some(key) = vector["key"].as_str() else { return Vec::new() };
    let (auth, id) = if key.len() == 32 { ("siphash", "1") } else { ("hmac", "2") };
    vec![("auth", auth.into()), ("key", key.into()), ("key_id", id.into())]
}

#[test]
fn every_vector_is_counted_in_its_class_and_answered_only_where_the_rules_say() {
    let mut malformed = 0;
    for line in VECTORS.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let Some(hex) = vector["hex"].as_str() else { continue };
        let (name, expect) = (vector["name"].as_str().unwrap(), vector["expect"].as_str().unwrap());
        let given = options(&vector);
        let given: Vec<_> = given.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let mut h = responder(&given);
        let datagram = unhex(hex);
        assert_eq!(h.send(PEER, &datagram), Outcome::Done);
        let is_reply = datagram[6] & 0x80 != 0;
        let class = if expect == "ok" && is_reply { "wrong_direction" } else { expect };
        if class == "ok" {
            let answered = usize::from(datagram[5] != Kind::Event.to_octet());
            assert_eq!((h.sent().len(), h.discarded()), (answered, 0), "{name}");
            continue;
        }
        malformed += 1;
        assert_eq!(h.counter(&format!("malformed_{class}_total")), 1, "{name}");
        let answered = usize::from(matches!(class, "unknown_version" | "unknown_critical"));
        assert_eq!((h.sent().len(), h.discarded()), (answered, 1 - answered as u64), "{name}");
        let all = polyport_protocol::DecodeError::ALL;
        let sum: u64 = all.iter().map(|class| h.counter(&format!("malformed_{class}_total"))).sum();
        assert_eq!((sum, h.counter("executed_total")), (1, 0), "{name}");
    }
    assert!(malformed >= 20, "{malformed}");
}

#[test]
fn a_cut_datagram_is_truncated_whatever_it_holds() {
    let mut h = responder(&[]);
    let mut incoming = Incoming::new(PEER.parse().unwrap(), &request(1, 1, b"ping"));
    incoming.flags |= abi::RX_TRUNCATED;
    h.deliver(&[incoming]);
    assert_eq!((h.counter("malformed_truncated_total"), h.sent().len()), (1, 0));
}

#[test]
fn an_unknown_version_is_answered_with_the_versions_spoken() {
    let mut h = responder(&[]);
    let mut datagram = request(0x77, 9, b"1234");
    datagram[4] = 9;
    let mut greased = std::collections::BTreeSet::new();
    for _ in 0..50 {
        h.send(PEER, &datagram);
        let sent = h.sent().pop().unwrap();
        let frame = Decoder::new(Role::Client).decode(&sent.payload).unwrap();
        assert_eq!(
            (frame.header().kind, frame.header().request_id, sent.payload.len()),
            (Kind::Version, 0x77, 48)
        );
        let [1, grease] = *frame.options().versions().unwrap() else { panic!("1 and another") };
        assert_eq!(grease & 0x0F, 0x0A);
        greased.insert(grease);
    }
    assert!(greased.len() > 4, "{greased:?}");
    assert_eq!((h.counter("versions_total"), h.counter("malformed_unknown_version_total")), (50, 50));
    silent(&mut h, &datagram[..47]);
    datagram[6] = 0x80;
    silent(&mut h, &datagram);
}

#[test]
fn an_unknown_critical_option_of_a_request_is_an_error_and_of_anything_else_is_silence() {
    let mut h = responder(&[]);
    let critical =
        |header: &Header| encode(header, &[FrameOption::Other { number: 0xC7, value: b"v" }], b"ping", None);
    for kind in [Kind::Request, Kind::Probe] {
        let asked = Header { kind, attempt: 2, ..header(1, 1) };
        let answer = ask(&mut h, &critical(&asked));
        assert_eq!(answer.header, asked.reply(Kind::Error, Code::UNKNOWN_CRITICAL_OPTION));
    }
    silent(&mut h, &critical(&Header { kind: Kind::Event, ..header(1, 1) }));
    silent(&mut h, &critical(&Header { kind: Kind::Error, ..header(1, 1) }));
    silent(&mut h, &critical(&Header { kind: Kind::Private(0x81), ..header(1, 1) }));
    silent(&mut h, &critical(&flagged(header(1, 1), Flags::REPLY)));
    silent(&mut h, &critical(&flagged(header(1, 1), Flags::GROUP)));
    assert_eq!((h.counter("malformed_unknown_critical_total"), h.counter("errors_total")), (7, 2));
}

/// Arbitrary frames, sealed so that many of them are valid.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let room = prop::collection::vec(any::<u8>(), 0..60);
    let payload = prop::collection::vec(prop_oneof![Just(b' '), b'0'..=b'9', any::<u8>()], 0..80);
    let spoilt = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    let fields = (0_u8..8, any::<u8>(), 0_u64..4, 0_u32..2, any::<u8>(), 0_u64..70);
    let options = (room, prop::option::of(any::<[u8; 16]>()), prop::option::weighted(0.1, any::<u8>()));
    (fields, options, payload, 0_usize..120, spoilt).prop_map(|(fields, options, payload, pad, spoilt)| {
        let (kind, flags, id, stream_id, attempt, seq) = fields;
        let kind = Kind::from_octet(kind).unwrap_or(Kind::Request);
        let flags = Flags::from_octet(if flags < 128 { flags } else { flags & 0x5F });
        let header = Header { flags, stream_id, attempt, kind, ..header(id, seq) };
        let mut buffer = [0; 512];
        let mut encoder = Encoder::new(&mut buffer, &header).option(&FrameOption::Room(&options.0));
        if let Some(cookie) = options.1 {
            encoder = encoder.option(&FrameOption::Cookie(Cookie(cookie)));
        }
        if let Some(number) = options.2 {
            encoder = encoder.option(&FrameOption::Other { number: number | 0xC0 & 0xF7, value: b"" });
        }
        let len = encoder.payload(&payload).pad_to(44 + pad).finish().unwrap_or(44);
        let mut datagram = buffer[..len].to_vec();
        if let Some((at, octet)) = spoilt {
            let at = at.index(len);
            datagram[at] = octet;
        }
        datagram
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// [P-55]: without a valid cookie nobody gets more octets than he sent, or more datagrams.
    #[test]
    fn no_reply_is_longer_than_its_request(
        service in prop::sample::select(vec!["echo", "time", "upper", "sum"]),
        padded in prop::sample::select(vec!["short", "padded"]),
        datagrams in prop::collection::vec(frames(), 1..20),
    ) {
        let mut h = responder(&[("service", service), ("probe_ack", padded), ("unlimited_when_validated", "true"), ("group", "answer"), ("group_leisure", "0ms"), ("errors_per_second", "1000000")]);
        for datagram in &datagrams {
            prop_assert_eq!(h.send(PEER, datagram), Outcome::Done);
            let sent = h.sent();
            prop_assert!(sent.len() <= 1);
            for reply in &sent {
                prop_assert!(reply.payload.len() <= datagram.len(), "{} for {}", reply.payload.len(), datagram.len());
                let frame = Decoder::new(Role::Client).decode(&reply.payload);
                prop_assert!(frame.is_ok(), "{frame:?}");
                prop_assert_eq!(&reply.payload[8..16], &datagram[8..16]);
            }
        }
        prop_assert_eq!((h.counter("cookies_valid_total"), h.bad(), h.refused()), (0, 0, 0));
    }

    #[test]
    fn arbitrary_octets_do_no_harm(datagram in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut h = responder(&[]);
        prop_assert_eq!(h.send(PEER, &datagram), Outcome::Done);
        prop_assert!(h.sent().iter().all(|sent| sent.payload.len() <= datagram.len()));
    }
}
