//! The bad network: what happens to the answer to one datagram.
//!
//! Every decision is a pure function of (seed, local port, peer, number of the datagram from that peer, kind
//! of decision). So a run repeats exactly whatever other peers do and however datagrams fall into batches,
//! turning one option on does not shift the decisions of another, and the ports of a range that share a seed
//! do not lose the same numbers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use polyport_plugin::{Ratio, mix, up_to};

use crate::config::LossyConfig;

/// What happens to the answer to one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// There is none. Nothing else is decided.
    Drop,
    /// It is sent.
    Answer(Answer),
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Twice. Both copies are equal and leave at the same moment.
    pub duplicate: bool,
    /// 64 random bits that choose the bit to flip, see [`flip`].
    pub corrupt: Option<u64>,
    /// Delay and jitter.
    pub wait: Duration,
    /// Picked by `reorder`: this much longer, so that answers of the same peer that are due before overtake it.
    pub held: Option<Duration>,
}

impl Answer {
    /// The whole time from the datagram to its answer.
    #[must_use]
    pub fn after(&self) -> Duration {
        self.wait + self.held.unwrap_or_default()
    }
}

/// The streams of random numbers, one a decision. The values are part of what makes a run repeat: do not
/// renumber them.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Stream {
    Drop = 1,
    Duplicate = 2,
    Corrupt = 3,
    CorruptBit = 4,
    Reorder = 5,
    Jitter = 6,
}

/// Decides about datagram `number` (from 0) that `peer` sent to port `local`.
#[must_use]
pub fn decide(config: &LossyConfig, seed: u64, local: u16, peer: SocketAddr, number: u64) -> Fate {
    let way = key(local, peer);
    let random = |stream: Stream| mix(mix(seed, stream as u64, 0), way, number);
    let hit = |ratio: Ratio, stream| ratio.hit(random(stream));
    if hit(config.drop, Stream::Drop) {
        return Fate::Drop;
    }
    Fate::Answer(Answer {
        duplicate: hit(config.duplicate, Stream::Duplicate),
        corrupt: hit(config.corrupt, Stream::Corrupt).then(|| random(Stream::CorruptBit)),
        wait: config.delay + up_to(random(Stream::Jitter), config.jitter),
        held: hit(config.reorder, Stream::Reorder).then_some(config.hold),
    })
}

/// Flips one bit of `payload`, chosen by `random`. False for an empty one, which has no bit to flip.
pub fn flip(payload: &mut [u8], random: u64) -> bool {
    // A payload has at most 65,507 * 8 bits: the bias of the remainder is below 2^-44.
    let bits = payload.len() as u64 * 8;
    let Some(bit) = random.checked_rem(bits) else { return false };
    match usize::try_from(bit / 8).ok().and_then(|at| payload.get_mut(at)) {
        Some(byte) => {
            *byte ^= 1 << (bit % 8);
            true
        }
        None => false,
    }
}

/// Folds the local port, and the address and port of a peer, into 64 bits; the zone of a link-local address counts as well.
fn key(local: u16, peer: SocketAddr) -> u64 {
    let (high, low, zone) = match (peer.ip(), peer) {
        (IpAddr::V6(ip), SocketAddr::V6(v6)) => {
            let bits = ip.to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the two halves of 128 bits")]
            let halves = ((bits >> 64) as u64, bits as u64);
            (halves.0, halves.1, v6.scope_id())
        }
        // The IPv4-mapped form, so that a dual-stack socket decides as an IPv4 one does.
        (IpAddr::V4(ip), _) => (0, 0xFFFF_0000_0000 | u64::from(ip.to_bits()), 0),
        (IpAddr::V6(_), SocketAddr::V4(_)) => (0, 0, 0),
    };
    mix(high, low, u64::from(zone) << 32 | u64::from(local) << 16 | u64::from(peer.port()))
}

#[cfg(test)]
mod tests;
