//! Every line of vectors/vectors.jsonl, decoded, encoded, and where it is a cookie, made and checked.

use std::net::SocketAddr;

use polyport_protocol::{
    Code, Cookie, CookieScope, CookieSecrets, CookieState, Decoder, Encoder, Flags, Frame, FrameOption,
    Header, Integrity, Key, Kind, Role, version_reply,
};
use serde_json::Value;

const VECTORS: &str = include_str!("../../vectors/vectors.jsonl");

#[test]
fn every_frame_has_the_class_the_vectors_expect() {
    let mut frames = 0;
    for vector in vectors().filter(is_frame) {
        let (bytes, keys) = (hex(text(&vector, "hex")), keys(&vector));
        assert_eq!(vector["len"], bytes.len(), "{}", text(&vector, "name"));
        let class = match decoder(&keys).decode(&bytes) {
            Ok(_) => "ok",
            Err(error) => error.name(),
        };
        assert_eq!(class, text(&vector, "expect"), "{}", text(&vector, "name"));
        frames += 1;
    }
    assert_eq!(frames, 34, "a vector was lost");
}

#[test]
fn the_encoder_reproduces_every_valid_frame() {
    let cookies = [cookie()];
    let expected: &[(&str, Parts<'_>)] = &[
        ("request-min", parts(Kind::Request, 0, &[], b"ping")),
        ("response-min", parts(Kind::Response, 0x80, &[], b"pong")),
        ("response-stats-times", Parts { attempt: 1, ..parts(Kind::Response, 0x8C, STATS_TIMES, b"pong") }),
        ("event-group", Parts { id: 0, seq: 42, ..parts(Kind::Event, 0x20, &[], b"hello") }),
        ("probe-1200", Parts { seq: 0, length: 1200, ..parts(Kind::Probe, 0, &[], b"") }),
        ("auth-sip", parts(Kind::Request, 0, &[], b"ping")),
        ("auth-hmac", parts(Kind::Request, 0, &[], b"ping")),
        ("grease-elective", parts(Kind::Request, 0x01, GREASE, b"ping")),
        ("version-negotiation", parts(Kind::Version, 0x80, VERSIONS, b"")),
        ("error-busy", Parts { code: Code::BUSY, ..parts(Kind::Error, 0x80, RETRY, b"") }),
        ("probe-ack", Parts { seq: 0, ..parts(Kind::ProbeAck, 0x80, PROBE_INFO, b"") }),
        ("request-room", parts(Kind::Request, 0x0C, &[FrameOption::Room(&[0; 42])], b"ping")),
        ("error-cookie", Parts { code: Code::COOKIE_REQUIRED, ..parts(Kind::Error, 0x80, &cookies, b"") }),
        ("retry-after-twice", Parts { code: Code::BUSY, ..parts(Kind::Error, 0x80, RETRY_TWICE, b"") }),
    ];
    let valid: Vec<Value> = vectors().filter(is_frame).filter(|v| v["expect"] == "ok").collect();
    assert_eq!(valid.len(), expected.len());
    for (vector, (name, parts)) in valid.iter().zip(expected) {
        assert_eq!(text(vector, "name"), *name);
        assert_eq!(to_hex(&parts.encode(keys(vector).first())), text(vector, "hex"), "{name}");
    }
}

#[test]
fn what_was_decoded_encodes_to_the_same_bytes() {
    for vector in vectors().filter(is_frame).filter(|v| v["expect"] == "ok") {
        let (bytes, keys) = (hex(text(&vector, "hex")), keys(&vector));
        let frame = decoder(&keys).decode(&bytes).unwrap();
        let again = re_encode(&frame, keys.first());
        assert_eq!(to_hex(&again), text(&vector, "hex"), "{}", text(&vector, "name"));
    }
}

#[test]
fn any_flipped_bit_and_any_proper_prefix_of_a_valid_frame_is_refused() {
    for vector in vectors().filter(is_frame).filter(|v| v["expect"] == "ok") {
        let (mut bytes, keys) = (hex(text(&vector, "hex")), keys(&vector));
        let (decoder, name) = (decoder(&keys), text(&vector, "name"));
        // An interpreter tries a few: a checksum takes it milliseconds.
        let step = if cfg!(miri) { 331 } else { 1 };
        for bit in (0..bytes.len() * 8).step_by(step) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decoder.decode(&bytes).is_err(), "{name} with bit {bit} flipped");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in (0..bytes.len()).step_by(step) {
            assert!(decoder.decode(&bytes[..len]).is_err(), "{name} cut to {len}");
        }
    }
}

#[test]
fn the_answer_to_version_5_is_the_version_vector() {
    let asked = hex(text(&named("version-5"), "hex"));
    let mut out = [0; 64];
    let len = version_reply(&asked, &[1, 0x0A], &mut out).unwrap();
    assert_eq!(to_hex(&out[..len]), text(&named("version-negotiation"), "hex"));
}

#[test]
fn the_answer_to_the_request_vector_is_the_response_vector() {
    let asked = hex(text(&named("request-min"), "hex"));
    let frame = Decoder::new(Role::Responder).decode(&asked).unwrap();
    let mut out = [0; 48];
    let header = frame.header().reply(Kind::Response, Code::OK);
    let len = Encoder::new(&mut out, &header).payload(b"pong").finish().unwrap();
    assert_eq!(to_hex(&out[..len]), text(&named("response-min"), "hex"));
}

#[test]
fn the_cookies_are_reproduced_and_accepted() {
    let cookies: Vec<Value> = vectors().filter(|vector| !is_frame(vector)).collect();
    assert_eq!(cookies.len(), 2, "a vector was lost");
    cookies.iter().for_each(check_cookie);
}

#[track_caller]
fn check_cookie(vector: &Value) {
    let secrets = CookieSecrets::new(hex(text(vector, "secret")).try_into().unwrap());
    let scope = CookieScope {
        peer: text(vector, "client").parse::<SocketAddr>().unwrap(),
        local_port: u16::try_from(vector["local_port"].as_u64().unwrap()).unwrap(),
        stream_id: u32::from_str_radix(text(vector, "stream_id"), 16).unwrap(),
    };
    let time = u32::try_from(vector["time"].as_u64().unwrap()).unwrap();
    let expected = Cookie(hex(text(vector, "cookie")).try_into().unwrap());
    assert_eq!(secrets.make(&scope, time), expected);
    assert_eq!(secrets.check(&expected, &scope, time), CookieState::Valid);
}

#[derive(Clone, Copy)]
struct Parts<'a> {
    kind: Kind,
    flags: u8,
    id: u64,
    attempt: u8,
    code: Code,
    seq: u64,
    options: &'a [FrameOption<'a>],
    payload: &'a [u8],
    /// 0: no padding.
    length: usize,
}

const STATS_TIMES: &[FrameOption<'_>] = &[
    FrameOption::Times { rx_ns: 1000, tx_ns: 1500 },
    FrameOption::Rstat { rseq: 6, rcount: 7, window: 0x7F },
];
const GREASE: &[FrameOption<'_>] = &[FrameOption::Other { number: 0x5A, value: &[0xDE, 0xAD, 0xBE] }];
const VERSIONS: &[FrameOption<'_>] = &[FrameOption::Versions(&[1, 0x0A])];

const RETRY: &[FrameOption<'_>] = &[FrameOption::RetryAfter { ms: 1500 }];
const RETRY_TWICE: &[FrameOption<'_>] =
    &[FrameOption::RetryAfter { ms: 1 }, FrameOption::RetryAfter { ms: 2 }];
const PROBE_INFO: &[FrameOption<'_>] = &[FrameOption::ProbeInfo { len: 1200, limit: 65_507 }];

fn cookie() -> FrameOption<'static> {
    FrameOption::Cookie(Cookie(hex(text(&named("cookie-v4"), "cookie")).try_into().unwrap()))
}

const fn parts<'a>(kind: Kind, flags: u8, options: &'a [FrameOption<'a>], payload: &'a [u8]) -> Parts<'a> {
    Parts {
        kind,
        flags,
        id: 0x0123_4567_89AB_CDEF,
        attempt: 0,
        code: Code::OK,
        seq: 7,
        options,
        payload,
        length: 0,
    }
}

impl Parts<'_> {
    fn encode(&self, key: Option<&Key>) -> Vec<u8> {
        let mut header = Header::new(self.kind, self.id, 0xCAFE_F00D, self.seq, 123_456_789);
        header.flags = Flags::from_octet(self.flags);
        header.attempt = self.attempt;
        header.code = self.code;
        let mut buffer = [0xEE; 1500];
        let encoder = self.options.iter().fold(Encoder::new(&mut buffer, &header), |e, o| e.option(o));
        let len = encoder.auth_if(key).payload(self.payload).pad_to(self.length).finish().unwrap();
        buffer[..len].to_vec()
    }
}

pub(crate) fn re_encode(frame: &Frame<'_>, key: Option<&Key>) -> Vec<u8> {
    let mut buffer = vec![0xEE; frame.datagram_len()];
    let plain = frame.options().iter().filter(|o| !matches!(o, FrameOption::Auth { .. }));
    let encoder = plain.fold(Encoder::new(&mut buffer, frame.header()), |e, o| e.option(&o));
    let len = encoder.auth_if(key).payload(frame.payload()).pad_to(frame.datagram_len()).finish().unwrap();
    assert_eq!(len, buffer.len());
    buffer
}

fn vectors() -> impl Iterator<Item = Value> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap())
}

#[track_caller]
fn named(name: &str) -> Value {
    vectors().find(|v| v["name"] == name).unwrap()
}

fn is_frame(vector: &Value) -> bool {
    vector.get("hex").is_some()
}

/// The vectors give the key; its length tells the algorithm, and SPEC.md section 18 the id.
fn keys(vector: &Value) -> Vec<Key> {
    let Some(secret) = vector.get("key").and_then(Value::as_str).map(hex) else { return Vec::new() };
    let key = match secret.len() {
        16 => Key::siphash(1, secret.try_into().unwrap()),
        _ => Key::hmac_sha256(2, &secret).unwrap(),
    };
    vec![key]
}

const fn decoder(keys: &[Key]) -> Decoder<'_> {
    let integrity = if keys.is_empty() { Integrity::Checksum } else { Integrity::Keys(keys) };
    Decoder::new(Role::Any).with_integrity(integrity)
}

#[track_caller]
fn text<'v>(vector: &'v Value, field: &str) -> &'v str {
    vector[field].as_str().unwrap()
}

#[track_caller]
fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}
