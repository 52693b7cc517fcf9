//! How many datagrams each peer has sent: a table of bounded size.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use lru::LruCache;

/// Most peers remembered. One takes less than 200 bytes, so a flood from spoofed addresses costs 13 MB at
/// most; and a listener with more than 65,536 peers at once is not one that measures single peers.
pub const MAX_PEERS: usize = 65_536;

/// Counts datagrams by peer. When it is full, the peer that has been silent for longest is forgotten, and
/// starts again at 0 if it comes back. Every operation takes constant time.
#[derive(Debug)]
pub struct Peers {
    /// Datagrams so far. The hasher is keyed at random, so nobody can choose addresses that collide; the order
    /// of the table is that of hearing, so the hasher cannot change a run.
    table: LruCache<SocketAddr, u64, RandomState>,
}

/// What the table says about one more datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of the datagram among those of its peer, from 0.
    pub number: u64,
    /// Another peer was forgotten to make room.
    pub forgot: bool,
}

impl Default for Peers {
    fn default() -> Self {
        Self::with_limit(MAX_PEERS)
    }
}

impl Peers {
    /// Room for `limit` peers, at least 1 and at most [`MAX_PEERS`]. Allocates as they come.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        // A table made with its limit would allocate for all peers at once, for every listener.
        let mut table = LruCache::unbounded_with_hasher(RandomState::new());
        table.resize(NonZeroUsize::new(limit.min(MAX_PEERS)).unwrap_or(NonZeroUsize::MIN));
        Self { table }
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
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The peers and their counts, most recently heard first.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, u64)> + '_ {
        self.table.iter().map(|(peer, count)| (*peer, *count))
    }
}

#[cfg(test)]
mod tests;
