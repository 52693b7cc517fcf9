//! What strangers send: datagrams by chance, and those that find mistakes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// The longest datagram, bytes.
pub(super) const LONGEST: usize = 65_507;
/// Lengths at which mistakes are made: nothing, words, header sizes, powers of two and their neighbours, path MTUs, the most.
pub(super) const LENGTHS: &[usize] = &[
    0, 1, 2, 3, 4, 7, 8, 9, 11, 12, 13, 15, 16, 17, 19, 20, 23, 24, 31, 32, 33, 43, 44, 47, 48, 63, 64, 65,
    100, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 1232, 1280, 1452, 1472, 1473, 1500,
    2048, 4095, 4096, 4097, 8192, 9000, 16_384, 32_767, 32_768, 65_506, LONGEST,
];
/// How many peers send.
const PEERS: u16 = 40;

/// A datagram that arrives.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    /// Who sends it.
    pub(super) peer: SocketAddr,
    /// Its bytes.
    pub(super) payload: Vec<u8>,
    /// It was sent to a group.
    pub(super) to_group: bool,
    /// It is a train of datagrams of so many bytes each; 0: it is one.
    pub(super) segment: usize,
}

impl Datagram {
    /// One from a peer by chance.
    pub(super) fn new(rng: &mut StdRng, payload: Vec<u8>) -> Self {
        Self { peer: peer(rng), payload, to_group: false, segment: 0 }
    }

    /// One of any kind.
    pub(super) fn any(rng: &mut StdRng) -> Self {
        let len = length(rng);
        let payload = content(rng, len);
        let mut datagram = Self::new(rng, payload);
        datagram.to_group = rng.random_ratio(1, 16);
        if len > 1 && rng.random_ratio(1, 8) {
            datagram.segment = rng.random_range(len.div_ceil(64)..=len);
        }
        datagram
    }
}

/// So many datagrams, each short and of any content.
pub(super) fn short(rng: &mut StdRng, n: usize) -> Vec<Datagram> {
    let one = |rng: &mut StdRng| {
        let len = rng.random_range(0..=64);
        let payload = content(rng, len);
        Datagram::new(rng, payload)
    };
    (0..n).map(|_| one(rng)).collect()
}

/// Who sends: few peers of both families, so that they come again.
fn peer(rng: &mut StdRng) -> SocketAddr {
    let n = rng.random_range(1..=PEERS);
    let last = u8::try_from(n).unwrap_or(1);
    let ip = match n % 3 {
        0 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)),
        _ => IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
    };
    SocketAddr::new(ip, 40_000 + n)
}

fn length(rng: &mut StdRng) -> usize {
    match rng.random_range(0..8) {
        0 => LENGTHS.get(rng.random_range(0..LENGTHS.len())).copied().unwrap_or(0),
        1 => rng.random_range(0..=2048),
        _ => rng.random_range(0..=128),
    }
}

/// Bytes by chance, texts, one byte again and again, and numbers.
pub(super) fn content(rng: &mut StdRng, len: usize) -> Vec<u8> {
    const WORDS: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"hello",
        b"SIP/2.0",
        b"%s%n",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"0",
        b"\n",
    ];
    let mut bytes = vec![0; len];
    match rng.random_range(0..4) {
        0 => bytes.fill(rng.random()),
        1 => {
            let words =
                WORDS.iter().cycle().skip(rng.random_range(0..WORDS.len())).flat_map(|word| word.iter());
            bytes.iter_mut().zip(words).for_each(|(byte, of_word)| *byte = *of_word);
        }
        _ => rng.fill_bytes(&mut bytes),
    }
    bytes
}
