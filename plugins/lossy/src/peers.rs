//! How many datagrams each peer has sent: a table of bounded size.

use std::net::SocketAddr;

use polyport_plugin::{Recent, Reservation};

/// Most peers remembered, if the host grants as many. One takes less than [`PEER_BYTES`], so a flood from spoofed
/// addresses costs 11 MB at most; and a listener with more than 65,536 peers at once is not one that measures single peers.
pub const MAX_PEERS: usize = 65_536;

/// What a peer costs at worst, bytes: its entry, and its part of an index that is just being doubled.
pub const PEER_BYTES: usize = 160;

/// Counts datagrams by peer. When it is full, the peer that has been silent for longest is forgotten, and
/// starts again at 0 if it comes back. Every operation takes constant time.
#[derive(Debug)]
pub struct Peers {
    /// Datagrams so far.
    table: Recent<SocketAddr, u64>,
}

/// What the table says about one more datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of the datagram among those of its peer, from 0.
    pub number: u64,
    /// Another peer was forgotten to make room: the table is full, or the host has no memory for a larger one.
    pub forgot: bool,
}

impl Default for Peers {
    fn default() -> Self {
        Self::new(Reservation::default())
    }
}

impl Peers {
    /// Room for [`MAX_PEERS`], as far as the reservation grows. Allocates as they come.
    #[must_use]
    pub fn new(reservation: Reservation) -> Self {
        Self::with_limit(MAX_PEERS, reservation)
    }

    /// Room for `limit` peers, at least 1 and at most [`MAX_PEERS`], as far as the reservation grows.
    #[must_use]
    pub fn with_limit(limit: usize, reservation: Reservation) -> Self {
        Self { table: Recent::with_limit(limit.min(MAX_PEERS), PEER_BYTES, reservation) }
    }

    /// Counts one datagram of `peer`.
    pub fn count(&mut self, peer: SocketAddr) -> Seen {
        if let Some(count) = self.table.get_mut(&peer) {
            let number = *count;
            *count = number.wrapping_add(1);
            return Seen { number, forgot: false };
        }
        let forgotten = self.table.push(peer, 1);
        Seen { number: 0, forgot: forgotten.is_some() }
    }

    /// Peers remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Nobody was heard yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The peers and their counts, most recently heard first.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, u64)> + '_ {
        self.table.iter().map(|(peer, count)| (*peer, *count))
    }
}

#[cfg(test)]
mod tests;
