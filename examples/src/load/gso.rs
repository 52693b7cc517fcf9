//! Trains: datagrams of one flow to one target leave as one message that the kernel cuts (`UDP_SEGMENT` of `udp(7)`), and
//! are received as one that it has joined (`UDP_GRO`). The kernel's work for a message is done once for the train.

use polyport_net::MAX_SEGMENTS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether trains are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gso {
    /// Where the kernel has them and datagrams of equal size are due together
    #[default]
    Auto,
    /// As with auto, but a kernel without them is an error
    On,
    /// Every datagram by itself
    Off,
}

/// Most payload octets of a train: those of the largest datagram over IPv4.
const MAX_OCTETS: usize = 65_507;

/// How many datagrams of `size` octets one message takes.
#[must_use]
pub const fn most(size: usize) -> usize {
    // The kernel refuses segments of no octets.
    match MAX_OCTETS.checked_div(size) {
        None => 1,
        Some(room) if room < MAX_SEGMENTS => {
            if room == 0 {
                1
            } else {
                room
            }
        }
        Some(_) => MAX_SEGMENTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_is_at_most_one_datagram_long_and_64_many() {
        for (size, expected) in
            [(0, 1), (1, 64), (1023, 64), (1024, 63), (32_753, 2), (32_754, 1), (65_527, 1)]
        {
            assert_eq!(most(size), expected, "{size}");
        }
    }
}
