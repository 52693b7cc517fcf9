//! The clients: numbered datagrams in bursts and trickles.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand::RngExt;
use rand::rngs::StdRng;

use crate::world::Datagram;

/// Bytes of the number a datagram begins with.
pub(crate) const NUMBER: usize = 8;
/// Byte that the test plugin `moody` obeys; the others do not look at it.
const COMMAND_AT: usize = NUMBER;
/// The command that has `moody` answer when a timer fires.
pub(crate) const LATER: u8 = 6;
/// The command that has `moody` send many copies to a peer of which it says that it has proved its address.
pub(crate) const PROVED: u8 = 20;
/// The command that has `moody` answer when a timer fires, and say that the peer has proved its address.
pub(crate) const PROVED_LATER: u8 = 21;
/// The command that has `moody` take a ticket, and answer when a thread wakes it.
pub(crate) const BY_WAKE: u8 = 22;
/// The command that has `moody` take a ticket, and answer when a timer fires.
pub(crate) const BY_TICKET: u8 = 23;
/// The command that has `moody` break when a thread wakes it.
pub(crate) const BREAKS_WOKEN: u8 = 24;
/// Largest UDP payload over IPv4, bytes.
const LARGEST: usize = 65_507;

/// The ports that no policy allows by itself, written down a second time.
pub(crate) const LOOP_PORTS: [u16; 21] =
    [7, 11, 13, 17, 19, 37, 53, 69, 111, 123, 137, 161, 389, 500, 520, 862, 1434, 1900, 3702, 5353, 11_211];

/// A datagram of `len` bytes that carries its number, if it is long enough, and bytes made from it.
pub(crate) fn payload(id: u64, command: u8, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.push(command);
    let seed = id.to_le_bytes()[0];
    bytes.extend((bytes.len()..len.max(COMMAND_AT + 1)).map(|i| i.to_le_bytes()[0] ^ seed));
    bytes.truncate(len);
    bytes
}

/// The number of a payload that has room for one.
pub(crate) fn number(payload: &[u8]) -> Option<u64> {
    payload.first_chunk::<NUMBER>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Whether `moody` answers a payload by a timer, and so by a datagram that answers none in the books of the host.
pub(crate) fn is_unsolicited(payload: &[u8]) -> bool {
    matches!(payload.get(COMMAND_AT), Some(&(LATER | PROVED_LATER)))
}

/// Whether `moody` answers a payload in a later call, so that the guard decides then.
pub(crate) fn is_later(payload: &[u8]) -> bool {
    is_unsolicited(payload) || matches!(payload.get(COMMAND_AT), Some(&(BY_WAKE | BY_TICKET)))
}

/// Whether `moody` says of the answers to a payload that their receiver has proved its address.
pub(crate) fn is_proved(payload: &[u8]) -> bool {
    matches!(payload.get(COMMAND_AT), Some(&(PROVED | PROVED_LATER)))
}

/// Peer `index`: an address and a port of its own.
pub(crate) fn peer(v6: bool, index: u16) -> SocketAddr {
    if v6 {
        SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, index), 5000))
    } else {
        SocketAddr::from((Ipv4Addr::from(0xc000_0200 | u32::from(index & 0xff)), 5000 + (index >> 8)))
    }
}

/// A peer nobody else uses, for a datagram that is too short to carry its number.
pub(crate) fn lone_peer(v6: bool, id: u64) -> SocketAddr {
    let [a, b, c, ..] = id.to_le_bytes();
    if v6 {
        let low = u16::from_le_bytes([a, b]);
        SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 1, c.into(), low), 6000))
    } else {
        SocketAddr::from((Ipv4Addr::new(10, c, b, a), 6000))
    }
}

/// The TTL that systems send with, where nothing else is said.
pub(crate) const FAR: u8 = 64;

/// The TTL of datagram `id`: mostly the same several times in a row, so that there are trains and runs.
fn hop_limit(id: u64) -> u8 {
    match id / 3 % 16 {
        0 => 1,
        1 => 2,
        2 => [0, 255, 65, 3][usize::try_from(id % 4).unwrap()],
        _ => FAR,
    }
}

/// What is sent to one listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) v6: bool,
    /// The addresses that are asked.
    pub(crate) destinations: [IpAddr; 2],
    /// Sources that are forged most likely.
    pub(crate) forged: [SocketAddr; 7],
    /// A group, and whether it is asked now and then.
    pub(crate) group: Option<IpAddr>,
    pub(crate) datagrams: u64,
    /// Mean time between two, ns; 0 is one burst.
    pub(crate) pause_ns: u64,
    /// Peers that share the load.
    pub(crate) peers: u16,
    /// Whether commands for `moody` are among them.
    pub(crate) moody: bool,
    /// All are of one size, bytes, and so many come at once.
    pub(crate) stream: Option<(usize, u64)>,
    /// Whether datagrams near the limit of UDP are among them.
    pub(crate) large: bool,
    /// Whether TTLs differ, and some are too small for an answer.
    pub(crate) decays: bool,
}

impl Load {
    /// One random datagram.
    pub(crate) fn datagram(&self, id: u64, rng: &mut StdRng) -> Datagram {
        let len = match rng.random_range(0..40) {
            _ if self.stream.is_some() => self.stream.map_or(0, |(len, _)| len),
            0 | 1 => 0,
            2 => rng.random_range(1..NUMBER),
            3 if self.large => LARGEST - rng.random_range(0..2),
            4 => 1472,
            5 => 3000,
            _ => rng.random_range(NUMBER..200),
        };
        let peer = if len < NUMBER {
            lone_peer(self.v6, id)
        } else {
            let mut peer = peer(self.v6, rng.random_range(0..self.peers));
            match rng.random_range(0..60) {
                _ if self.stream.is_some() => {}
                0 | 1 => peer.set_port(0),
                2..=4 => peer = self.forged[rng.random_range(0..self.forged.len())],
                _ => {}
            }
            peer
        };
        let command = match rng.random_range(0..100_u8) {
            0 | 1 if self.moody => 1,
            n @ 2..=7 if self.moody => n,
            8 if self.moody => PROVED,
            9 if self.moody => PROVED_LATER,
            10..=12 if self.moody => BY_WAKE,
            13 | 14 if self.moody => BY_TICKET,
            15 if self.moody => BREAKS_WOKEN,
            _ => 0,
        };
        let to_group = self.group.filter(|_| self.stream.is_none() && rng.random_range(0..20) == 0);
        let destination = to_group.unwrap_or_else(|| self.destinations[rng.random_range(0..2)]);
        // Nothing can be sent from a group, and `moody` would try to when a timer fires.
        let by_timer = matches!(command, LATER | PROVED_LATER);
        let command = if to_group.is_some() && by_timer { 0 } else { command };
        let hop_limit = if self.decays { hop_limit(id) } else { FAR };
        Datagram { id, peer, destination, hop_limit, payload: payload(id, command, len) }
    }
}
