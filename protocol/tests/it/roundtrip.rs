//! Properties of encoder and decoder over arbitrary frames and arbitrary bytes ([P-45], [P-93]).

use std::net::SocketAddr;

use polyport_protocol::client::{
    Input, MtuConfig, MtuInput, MtuSearch, Request, RequestClient, RequestConfig,
};
use polyport_protocol::{
    Code, Cookie, Decoder, Encoder, Flags, FrameOption, HEADER_LEN, Header, InPlaceReply, Integrity, Key,
    Kind, MAGIC, Role, is_grease, version_reply,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::vectors::re_encode;

/// An option that owns its value.
#[derive(Clone, Debug)]
enum Owned {
    Room(Vec<u8>),
    Cookie([u8; 16]),
    Times(u64, u64),
    Rstat(u64, u32, u64),
    RetryAfter(u32),
    ProbeInfo(u16, u16),
    Versions(Vec<u8>),
    Private(u8, Vec<u8>),
}

impl Owned {
    fn borrow(&self) -> FrameOption<'_> {
        match self {
            Self::Room(value) => FrameOption::Room(value),
            Self::Cookie(value) => FrameOption::Cookie(Cookie(*value)),
            Self::Times(rx_ns, tx_ns) => FrameOption::Times { rx_ns: *rx_ns, tx_ns: *tx_ns },
            Self::Rstat(rseq, rcount, window) => {
                FrameOption::Rstat { rseq: *rseq, rcount: *rcount, window: *window }
            }
            Self::RetryAfter(ms) => FrameOption::RetryAfter { ms: *ms },
            Self::ProbeInfo(len, limit) => FrameOption::ProbeInfo { len: *len, limit: *limit },
            Self::Versions(value) => FrameOption::Versions(value),
            Self::Private(number, value) => FrameOption::Other { number: *number, value },
        }
    }
}

fn option() -> impl Strategy<Value = Owned> {
    prop_oneof![
        vec(any::<u8>(), 0..=60).prop_map(Owned::Room),
        any::<[u8; 16]>().prop_map(Owned::Cookie),
        any::<(u64, u64)>().prop_map(|(rx, tx)| Owned::Times(rx, tx)),
        any::<(u64, u32, u64)>().prop_map(|(a, b, c)| Owned::Rstat(a, b, c)),
        any::<u32>().prop_map(Owned::RetryAfter),
        any::<(u16, u16)>().prop_map(|(len, limit)| Owned::ProbeInfo(len, limit)),
        vec(any::<u8>(), 0..=9).prop_map(Owned::Versions),
        (0x40..0x80_u8, vec(any::<u8>(), 0..=60)).prop_map(|(number, value)| Owned::Private(number, value)),
    ]
}

const KINDS: &[u8] = &[0x80, 0x9F, 0xB1];

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Request,
        Kind::Response,
        Kind::Error,
        Kind::Event,
        Kind::Probe,
        Kind::ProbeAck,
        Kind::Private(0x9F),
    ])
}

prop_compose! {
    fn header()(
        kind in kind(),
        flags in any::<u8>(),
        (request_id, stream_id, seq, timestamp) in any::<(u64, u32, u64, u64)>(),
        (attempt, code) in any::<(u8, u8)>(),
    ) -> Header {
        let flags = Flags::from_octet(flags).without(Flags::PADDED);
        let flags = match kind.is_reply() {
            Some(true) => flags.with(Flags::REPLY),
            Some(false) => flags.without(Flags::REPLY),
            None => flags,
        };
        Header { kind, flags, request_id, stream_id, attempt, code: Code(code), seq, timestamp }
    }
}

#[derive(Clone, Debug)]
struct Parts {
    header: Header,
    options: Vec<Owned>,
    payload: Vec<u8>,
    padding: usize,
    /// None, or which of the two keys.
    key: Option<usize>,
}

prop_compose! {
    fn parts()(
        header in header(),
        options in vec(option(), 0..6),
        payload in vec(any::<u8>(), 0..200),
        padding in 0..40_usize,
        key in prop::option::of(0..2_usize),
    ) -> Parts {
        Parts { header, options, payload, padding, key }
    }
}

fn keys() -> [Key; 2] {
    [Key::siphash(1, [0x11; 16]), Key::hmac_sha256(2, &[0x22; 32]).unwrap()]
}

impl Parts {
    fn encode(&self, keys: &[Key; 2]) -> Vec<u8> {
        let mut buffer = vec![0xEE; 2048];
        let encoder =
            self.options.iter().fold(Encoder::new(&mut buffer, &self.header), |e, o| e.option(&o.borrow()));
        let unpadded = encoder.auth_if(self.key.map(|at| &keys[at])).payload(&self.payload).finish().unwrap();
        let encoder =
            self.options.iter().fold(Encoder::new(&mut buffer, &self.header), |e, o| e.option(&o.borrow()));
        let encoder = encoder.auth_if(self.key.map(|at| &keys[at])).payload(&self.payload);
        let len = encoder.pad_to(unpadded + self.padding).finish().unwrap();
        buffer.truncate(len);
        buffer
    }

    fn decoder<'k>(&self, keys: &'k [Key; 2]) -> Decoder<'k> {
        let integrity = if self.key.is_some() { Integrity::Keys(keys) } else { Integrity::Checksum };
        Decoder::new(Role::Any).with_integrity(integrity).with_private_kinds(KINDS)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 512 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_encoded_comes_back(parts in parts()) {
        let keys = keys();
        let bytes = parts.encode(&keys);
        let frame = parts.decoder(&keys).decode(&bytes).unwrap();
        let mut header = parts.header;
        if parts.padding > 0 {
            header.flags = header.flags.with(Flags::PADDED);
        }
        prop_assert_eq!(*frame.header(), header);
        prop_assert_eq!(frame.payload(), &parts.payload[..]);
        prop_assert_eq!(frame.padding(), parts.padding);
        prop_assert_eq!(frame.datagram_len(), bytes.len());
        let sent: Vec<_> = parts.options.iter().map(Owned::borrow).collect();
        let got: Vec<_> = frame.options().iter().filter(|o| !matches!(o, FrameOption::Auth { .. })).collect();
        prop_assert_eq!(got, sent);
        prop_assert_eq!(re_encode(&frame, parts.key.map(|at| &keys[at])), bytes);
    }

    #[test]
    fn one_flipped_bit_is_refused(parts in parts(), at in any::<Index>()) {
        let keys = keys();
        let mut bytes = parts.encode(&keys);
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(parts.decoder(&keys).decode(&bytes).is_err(), "bit {}", bit);
    }

    #[test]
    fn a_proper_prefix_is_refused(parts in parts(), at in any::<Index>()) {
        let keys = keys();
        let bytes = parts.encode(&keys);
        prop_assert!(parts.decoder(&keys).decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_slice_too_short_is_an_error_and_not_a_panic(parts in parts(), at in any::<Index>()) {
        let keys = keys();
        let full = parts.encode(&keys).len();
        let mut buffer = vec![0; at.index(full)];
        let encoder = parts.options.iter().fold(Encoder::new(&mut buffer, &parts.header), |e, o| e.option(&o.borrow()));
        let encoder = encoder.auth_if(parts.key.map(|at| &keys[at])).payload(&parts.payload);
        prop_assert!(encoder.pad_to(full).finish().is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), truncated in any::<bool>()) {
        exercise(&bytes, truncated);
    }

    /// Bytes that get past the first tests, so that the walk over the options sees hostile input.
    #[test]
    fn near_frames_never_panic(
        (mut bytes, kind, flags) in (vec(any::<u8>(), HEADER_LEN..300), 0..8_u8, any::<u8>()),
        (version, hlen, payload_len) in (0..3_u8, 10..60_u8, 0..200_u16),
    ) {
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&[version, kind, flags, hlen]);
        bytes[22..24].copy_from_slice(&payload_len.to_be_bytes());
        exercise(&bytes, false);
    }

    #[test]
    fn greased_numbers_are_ignored_or_refused_but_never_believed(number in any::<u8>(), header in header()) {
        let number = (number & 0xF0) | 0x0A;
        prop_assert!(is_grease(number));
        let mut buffer = [0; 100];
        let option = FrameOption::Other { number, value: b"xy" };
        let encoded = Encoder::new(&mut buffer, &header).option(&option).finish();
        prop_assert_eq!(encoded.is_ok(), number < 0x80);
        if let Ok(len) = encoded {
            prop_assert!(Decoder::default().with_private_kinds(KINDS).decode(&buffer[..len]).is_ok());
        }
    }
}

/// Feeds bytes to the client machines as if they came from their responder, with requests under way.
fn exercise_clients(bytes: &[u8], truncated: bool) {
    let server: SocketAddr = "192.0.2.1:7000".parse().unwrap();
    let mut buffer = [0; 1500];
    let request = Request { payload: b"ping", ..Request::default() };
    let mut client: RequestClient<'_, _, 2> =
        RequestClient::new(RequestConfig::new(server), StdRng::seed_from_u64(1));
    assert!(client.request(0, request).is_ok() && client.poll_transmit(0, &mut buffer).is_some());
    assert!(matches!(client.handle_input(1, server, bytes, truncated), Input::Rejected(_)));
    assert_eq!((client.rejects().total(), client.outstanding()), (1, 1));
    let mut search = MtuSearch::new(MtuConfig::new(server, 1500), StdRng::seed_from_u64(2));
    assert!(search.poll_transmit(0, &mut buffer).is_some());
    assert!(matches!(search.handle_input(1, server, bytes, truncated), MtuInput::Rejected(_)));
    assert!(!search.handle_icmp(bytes, 100));
}

/// Feeds bytes to everything that reads a datagram.
fn exercise(bytes: &[u8], truncated: bool) {
    exercise_clients(bytes, truncated);
    let keys = keys();
    let mut out = [0; 400];
    let answered = version_reply(bytes, &[1, 0x0A], &mut out);
    assert!(answered.is_none_or(|len| len <= bytes.len()), "an answer longer than its question");
    for integrity in [Integrity::Checksum, Integrity::Keys(&keys)] {
        for role in [Role::Any, Role::Client, Role::Responder] {
            let decoder = Decoder::new(role).with_integrity(integrity);
            if let Ok(frame) = decoder.decode_received(bytes, truncated) {
                assert_eq!(frame.datagram_len(), bytes.len());
                assert!(
                    frame.options().iter().map(|o| o.wire_len()).sum::<usize>() == frame.options().wire_len()
                );
                let mut copy = bytes.to_vec();
                let reply = InPlaceReply::new(&mut copy, frame.place(), Kind::Response, Code::OK);
                assert!(reply.finish(None).unwrap() <= bytes.len());
            }
        }
    }
}
