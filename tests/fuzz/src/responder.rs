//! Datagrams at the responder: what it may answer, and how long the answer may be.

use std::net::SocketAddr;
use std::time::Duration;

use polyport_plugin::testing::{Harness, Incoming, LOCAL, Outcome, Sent};
use polyport_protocol::{
    Cookie, Decoder, Encoder, Flags, FrameOption, Header, Integrity, Key, Kind, MAGIC, Role,
};
use polyport_responder_handler::Responder;

use crate::input::Input;
use crate::protocol::crc32c;

/// Most steps of one input: enough for a handshake, repetitions and an eviction.
const STEPS: usize = 48;
/// How much longer than its request an answer to a validated peer may be ([P-55]).
const VALIDATED: usize = 3;
/// Octets of header, AUTH and COOKIE.
const CHALLENGE: usize = 88;

/// Ways to be configured. All tables are small, so that they overflow.
const OPTIONS: &[&[(&str, &str)]] = &[
    &[],
    &[("service", "upper"), ("idempotent", "true")],
    &[("service", "sum"), ("group", "answer"), ("probe_ack", "padded")],
    &[("service", "time"), ("cookie_secret", "101112131415161718191a1b1c1d1e1f")],
    &[("auth", "siphash"), ("key", "000102030405060708090a0b0c0d0e0f")],
    &[("service", "time"), ("auth", "hmac"), ("key", "000102030405060708090a0b0c0d0e0f")],
];
const SMALL: &[(&str, &str)] =
    &[("cache_entries", "8"), ("cache_per_peer", "4"), ("cache_ttl", "1s"), ("errors_per_second", "1000000")];
const SECRET: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Sends the responder what the bytes say, step by step.
pub fn requests(data: &[u8]) {
    let mut input = Input(data);
    let way = usize::from(input.u8()) % OPTIONS.len();
    let options = [OPTIONS[way], SMALL].concat();
    let key = match way {
        4 => Some(Key::siphash(1, SECRET)),
        5 => Key::hmac_sha256(1, &SECRET).ok(),
        _ => None,
    };
    let mut run = Run { harness: Harness::new(&options), key, cookie: None };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
    }
    // Answers to a group wait for their moment.
    run.harness.advance(Duration::from_secs(60));
    assert_eq!((run.harness.waiting(), run.harness.bad(), run.harness.refused()), (0, 0, 0));
}

struct Run {
    harness: Harness<Responder>,
    key: Option<Key>,
    /// The last one that the responder gave.
    cookie: Option<Cookie>,
}

impl Run {
    fn step(&mut self, input: &mut Input<'_>) {
        let (step, peer) = (input.u8(), input.u8());
        let last = 40_000 + u16::from(peer >> 4);
        let peer: SocketAddr = match peer & 3 {
            0 => SocketAddr::from(([192, 0, 2, 1], last)),
            1 => SocketAddr::from(([0xFD00, 0, 0, 0, 0, 0, 0, 1], last)),
            2 => SocketAddr::from(([192, 0, 2, 1], u16::from(peer))),
            _ => LOCAL,
        };
        match step % 8 {
            0 => drop(self.harness.advance(Duration::from_millis(input.u16().into()))),
            1 | 2 => {
                let datagram = raw(input, step >= 128);
                self.send(&Incoming::new(peer, &datagram));
            }
            3 => {
                let datagram = self.frame(input);
                let group = SocketAddr::from(([239, 1, 2, 3], 7));
                self.send(&Incoming::multicast(peer, group, &datagram));
            }
            _ => {
                let datagram = self.frame(input);
                self.send(&Incoming::new(peer, &datagram));
                if step >= 128 {
                    self.send(&Incoming::new(peer, &datagram));
                }
            }
        }
    }

    /// A frame that is whole, with fields of the input.
    fn frame(&self, input: &mut Input<'_>) -> Vec<u8> {
        let kinds = [Kind::Request, Kind::Request, Kind::Probe, Kind::Event, Kind::Response, Kind::Error];
        let (kind, marks, flags) = (input.u8(), input.u8(), input.u8());
        let kind = kinds[usize::from(kind) % kinds.len()];
        let header = Header {
            flags: Flags::from_octet(flags),
            attempt: marks >> 6,
            ..Header::new(kind, u64::from(input.u8() % 16), 7, input.u16().into(), input.u32().into())
        };
        let payload = usize::from(input.u8());
        let payload = input.take(payload);
        let room = [0; 200];
        let mut buffer = [0; 1400];
        let mut encoder = Encoder::new(&mut buffer, &header);
        if marks & 1 != 0
            && let Some(cookie) = self.cookie
        {
            encoder = encoder.option(&FrameOption::Cookie(cookie));
        }
        if marks & 2 != 0 {
            encoder = encoder.option(&FrameOption::Room(&room[..usize::from(marks & 0x3C)]));
        }
        let key = self.key.as_ref().filter(|_| marks & 0x30 != 0x30);
        let pad = if flags & 1 != 0 { usize::from(marks) * 5 } else { 0 };
        match encoder.auth_if(key).payload(payload).pad_to(pad).finish() {
            Ok(len) => buffer[..len].to_vec(),
            Err(_) => payload.to_vec(),
        }
    }

    /// Delivers one datagram, and checks what it brings about.
    fn send(&mut self, incoming: &Incoming) {
        // Answers to a group, which wait for their moment, belong to datagrams before.
        self.harness.advance(Duration::ZERO);
        drop(self.harness.sent());
        let before = self.harness.discarded();
        let outcome = self.harness.deliver(std::slice::from_ref(incoming));
        assert_eq!(outcome, Outcome::Done, "{:?}", self.harness.lines());
        let sent = self.harness.sent();
        assert!(sent.len() <= 1, "one answer: {sent:?}");
        if let Some(sent) = sent.first() {
            assert_eq!(self.harness.discarded(), before, "what is answered is not dropped");
            self.answer(incoming, sent);
        }
    }

    /// An answer is a reply to its request, goes to its sender and is not longer than it may be.
    fn answer(&mut self, incoming: &Incoming, sent: &Sent) {
        assert_eq!((sent.to, sent.from), (incoming.peer, incoming.local));
        let keys: Vec<Key> = self.key.iter().cloned().collect();
        let integrity = if keys.is_empty() { Integrity::Checksum } else { Integrity::Keys(&keys) };
        let decoder = Decoder::new(Role::Client).with_integrity(integrity);
        let frame = decoder.decode(&sent.payload);
        assert!(frame.is_ok(), "{frame:?}");
        let Ok(frame) = frame else { return };
        let asked = Decoder::new(Role::Responder).with_integrity(integrity).decode(&incoming.payload);
        let may = match &asked {
            Ok(request) if request.options().cookie().is_some() => incoming.payload.len() * VALIDATED,
            _ => incoming.payload.len(),
        };
        // With keys, whoever has no COOKIE gets one in what an ERROR takes at most ([P-110]).
        let is_challenge = !keys.is_empty() && frame.options().cookie().is_some();
        let may = if is_challenge { may.max(CHALLENGE) } else { may };
        assert!(sent.payload.len() <= may, "{} octets for {may}", sent.payload.len());
        assert!(frame.header().flags.contains(Flags::REPLY));
        if let Ok(request) = &asked {
            let of = |header: &Header| (header.request_id, header.stream_id, header.seq, header.attempt);
            assert_eq!(of(frame.header()), of(request.header()));
            assert!(request.header().may_be_answered());
        } else {
            assert!(matches!(frame.header().kind, Kind::Version | Kind::Error), "{asked:?}");
        }
        self.cookie = frame.options().cookie().or(self.cookie);
    }
}

/// Octets as they are, or behind a magic and with a right checksum.
fn raw(input: &mut Input<'_>, mend: bool) -> Vec<u8> {
    let len = usize::from(input.u8());
    let mut datagram = input.take(len).to_vec();
    if mend && datagram.len() >= 44 {
        datagram[..4].copy_from_slice(&MAGIC);
        datagram[40..44].fill(0);
        let crc = crc32c(&datagram);
        datagram[40..44].copy_from_slice(&crc.to_be_bytes());
    }
    datagram
}
