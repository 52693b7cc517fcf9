//! The lines of each peer: a table of bounded size.

use std::net::SocketAddr;

use polyport_impair::Line;
use polyport_impair_options::{Key, Keys, Name};
use polyport_plugin::{Recent, Reservation};

/// Most peers remembered, if the host grants as many. One takes less than [`PEER_BYTES`] where there is no queue, so a flood from
/// spoofed addresses costs 25 MB at most; and a listener with more than 65,536 peers at once is not one that measures single peers.
pub const MAX_PEERS: usize = 65_536;

/// What a peer costs at worst, bytes, without what its lines keep besides: its entry, both lines of `up` and `down`, and its
/// part of an index that is just being doubled.
pub const PEER_BYTES: usize = 336;

/// The peers and their lines. When the table is full, the peer that has been silent for longest is forgotten, and its datagrams
/// are numbered from 0 again if it comes back. Every operation takes constant time.
#[derive(Debug)]
pub struct Peers {
    keys: Keys,
    table: Recent<SocketAddr, Peer>,
}

/// What is kept of one.
#[derive(Debug)]
pub struct Peer {
    /// As the log of decisions calls it, where that is not told by its address.
    order: u64,
    /// The lines of the three ways: of what comes, of the whole, and of what leaves.
    whole: Line,
    ways: Option<Box<[Line; 2]>>,
}

impl Peer {
    /// The line of a way: 0 up, 1 the whole, 2 down.
    pub fn line(&mut self, way: usize) -> Option<&mut Line> {
        match (way, &mut self.ways) {
            (1, _) => Some(&mut self.whole),
            (0, Some(ways)) => ways.first_mut(),
            (_, Some(ways)) => ways.last_mut(),
            (_, None) => None,
        }
    }

    /// What the log of decisions calls it.
    #[must_use]
    pub const fn name(&self, key: Key, address: SocketAddr) -> Name {
        match key {
            Key::Address | Key::Auto => Name::Address(address.ip()),
            Key::Endpoint => Name::Endpoint(address),
            Key::Order => Name::Order(self.order),
        }
    }
}

impl Peers {
    /// Room for [`MAX_PEERS`], as far as the reservation grows by [`PEER_BYTES`] and `more` for each. Allocates as they come.
    #[must_use]
    pub fn new(keys: Keys, more: usize, reservation: Reservation) -> Self {
        Self::with_limit(MAX_PEERS, keys, more, reservation)
    }

    /// Room for `limit` peers, at least 1 and at most [`MAX_PEERS`].
    #[must_use]
    pub fn with_limit(limit: usize, keys: Keys, more: usize, reservation: Reservation) -> Self {
        Self { keys, table: Recent::with_limit(limit.min(MAX_PEERS), PEER_BYTES + more, reservation) }
    }

    /// What peers are known by.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.keys.key()
    }

    /// The lines of a peer, and whether another one was forgotten to make room for it. `both`: it has lines up and down as well.
    #[inline]
    pub fn peer(&mut self, address: SocketAddr, both: bool) -> Option<(&mut Peer, bool)> {
        let Self { keys, table } = self;
        let make = || {
            let order = keys.seen();
            let client = keys.client(address);
            let line = || Line::new(client.key, client.family);
            Peer { order, whole: line(), ways: both.then(|| Box::new([line(), line()])) }
        };
        table.entry(&address, make)
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

    /// The peers and how many of their datagrams were decided, most recently heard first.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, u64)> + '_ {
        self.table.iter().map(|(address, peer)| (*address, peer.whole.count()))
    }
}

#[cfg(test)]
mod tests;
