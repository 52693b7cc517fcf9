//! Numbers that upstreams are chosen by: the same for the same address, in every process.

use polyport_plugin::mix;

/// 64 bits of an address and of something else.
pub(crate) fn hash_of(ip: [u8; 16], more: u64) -> u64 {
    let [high, low] =
        [&ip[..8], &ip[8..]].map(|half| half.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)));
    mix(high, low, more)
}
