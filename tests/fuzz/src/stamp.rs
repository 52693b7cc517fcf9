//! Datagrams at the STAMP reflector: what it answers, and what the answer says.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use polyport_plugin::testing::{Harness, Incoming, Outcome};
use polyport_stamp_handler::Stamp;
use sha2::Sha256;

use crate::input::Input;

/// Most datagrams of one input.
const STEPS: usize = 32;
const SECRET: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const KEY: (&str, &str) = ("key", "000102030405060708090a0b0c0d0e0f");

/// Ways to be configured: which options, and whether answers are counted.
const OPTIONS: &[(&[(&str, &str)], bool)] = &[
    (&[], false),
    (&[("mode", "stateful"), ("sessions", "1000")], true),
    (&[("timestamps", "ptp"), ("ssid", "true"), ("synchronized", "true")], false),
    (&[("auth", "hmac"), KEY], false),
    (&[("auth", "hmac"), KEY, ("mode", "stateful")], true),
];
/// From this way on, packets are sealed.
const SEALED_FROM: usize = 3;

/// Where the sender's numbers are said again, in the open mode and the sealed one: offset here, offset there, octets.
const SAID_AGAIN: [[(usize, usize, usize); 3]; 2] =
    [[(24, 0, 4), (28, 4, 8), (36, 12, 2)], [(48, 0, 4), (64, 16, 8), (72, 24, 2)]];

/// Sends the reflector what the bytes say, datagram by datagram.
pub fn packets(data: &[u8]) {
    let mut input = Input(data);
    let way = usize::from(input.u8()) % OPTIONS.len();
    let (options, counts) = OPTIONS[way];
    let sealed = way >= SEALED_FROM;
    let (shortest, base) = if sealed { (112, 112) } else { (14, 44) };
    let mut harness = Harness::<Stamp>::new(options);
    let mut answered: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let (peer, seals, ttl, len) = (input.u8(), input.u8(), input.u8(), input.u16() % 1500);
        let mut request = input.take(usize::from(len)).to_vec();
        if sealed && seals % 4 != 0 && request.len() >= base {
            let tag = tag(&request);
            request[96..112].copy_from_slice(&tag);
        }
        let peer = SocketAddr::from(([192, 0, 2, peer & 3], 40_000));
        let incoming = Incoming { hop_limit: ttl, ..Incoming::new(peer, &request) };
        let (discarded, outcome) = (harness.discarded(), harness.deliver(&[incoming]));
        assert_eq!(outcome, Outcome::Done, "{:?}", harness.lines());
        let sent = harness.sent();
        let genuine = request.len() >= shortest && (!sealed || tag(&request)[..] == request[96..112]);
        assert_eq!((sent.len(), harness.discarded() - discarded), (genuine.into(), (!genuine).into()));
        let Some(sent) = sent.first() else { continue };
        let answer = &sent.payload;
        assert_eq!((sent.to, answer.len()), (peer, request.len().max(base)));
        assert_eq!(answer.get(base..), Some(request.get(base..).unwrap_or_default()), "what follows stays");
        for (here, there, octets) in SAID_AGAIN[usize::from(sealed)] {
            assert_eq!(answer[here..][..octets], request[there..][..octets], "octet {here}");
        }
        assert_eq!(answer[if sealed { 80 } else { 40 }], if ttl == 0 { 255 } else { ttl });
        assert!(!sealed || tag(answer)[..] == answer[96..112], "its seal is right");
        let count = answered.entry(peer).or_default();
        let number = if counts { count.to_be_bytes().to_vec() } else { request[..4].to_vec() };
        assert_eq!(answer[..4], number);
        *count += 1;
    }
    assert_eq!((harness.bad(), harness.refused(), harness.waiting()), (0, 0, 0));
}

/// The tag of a packet in the sealed mode.
fn tag(packet: &[u8]) -> [u8; 16] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&SECRET).unwrap_or_else(|_| unreachable!("any length is a key"));
    mac.update(&packet[..96]);
    let mut tag = [0; 16];
    tag.copy_from_slice(&mac.finalize().into_bytes()[..16]);
    tag
}
