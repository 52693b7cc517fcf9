//! How many datagrams each peer has sent: a table of bounded size.

use std::collections::HashMap;
use std::net::SocketAddr;

/// Most peers remembered. One takes less than 200 bytes, so a flood from spoofed addresses costs 13 MB at
/// most; and a listener with more than 65,536 peers at once is not one that measures single peers.
pub const MAX_PEERS: usize = 65_536;

/// End of the list.
const NONE: u32 = u32::MAX;

/// Counts datagrams by peer. When it is full, the peer that has been silent for longest is forgotten, and
/// starts again at 0 if it comes back. Every operation takes constant time.
#[derive(Debug)]
pub struct Peers {
    /// Where a peer is in `entries`. Its hasher is keyed at random, so nobody can choose addresses that
    /// collide; nothing iterates over it, so that cannot change a run.
    index: HashMap<SocketAddr, u32>,
    entries: Vec<Entry>,
    limit: usize,
    /// Heard from last.
    newest: u32,
    /// Silent for longest.
    oldest: u32,
}

#[derive(Debug)]
struct Entry {
    peer: SocketAddr,
    count: u64,
    newer: u32,
    older: u32,
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
        let limit = limit.clamp(1, MAX_PEERS);
        Self { index: HashMap::new(), entries: Vec::new(), limit, newest: NONE, oldest: NONE }
    }

    /// Counts one datagram of `peer`.
    pub fn count(&mut self, peer: SocketAddr) -> Seen {
        if let Some(&at) = self.index.get(&peer) {
            self.unlink(at);
            self.link_newest(at);
            return Seen { number: self.bump(at), forgot: false };
        }
        let forgot = self.entries.len() >= self.limit;
        let at = if forgot { self.reuse_oldest(peer) } else { self.append(peer) };
        self.index.insert(peer, at);
        self.link_newest(at);
        Seen { number: self.bump(at), forgot }
    }

    /// Peers remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nobody was heard yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The peers and their counts, most recently heard first.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, u64)> + '_ {
        let mut at = self.newest;
        std::iter::from_fn(move || {
            let entry = self.entries.get(at as usize)?;
            at = entry.older;
            Some((entry.peer, entry.count))
        })
    }

    fn append(&mut self, peer: SocketAddr) -> u32 {
        let at = u32::try_from(self.entries.len()).unwrap_or(NONE);
        self.entries.push(Entry { peer, count: 0, newer: NONE, older: NONE });
        at
    }

    fn reuse_oldest(&mut self, peer: SocketAddr) -> u32 {
        let at = self.oldest;
        self.unlink(at);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            self.index.remove(&entry.peer);
            (entry.peer, entry.count) = (peer, 0);
        }
        at
    }

    /// Returns the number before.
    fn bump(&mut self, at: u32) -> u64 {
        self.entries.get_mut(at as usize).map_or(0, |entry| {
            let number = entry.count;
            entry.count = number.wrapping_add(1);
            number
        })
    }

    fn unlink(&mut self, at: u32) {
        let Some(entry) = self.entries.get(at as usize) else { return };
        let (newer, older) = (entry.newer, entry.older);
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let before = self.newest;
        match self.entries.get_mut(before as usize) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
        if let Some(entry) = self.entries.get_mut(at as usize) {
            (entry.newer, entry.older) = (NONE, before);
        }
        self.newest = at;
    }
}

#[cfg(test)]
mod tests;
