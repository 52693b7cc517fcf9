//! The reply cache: a request is executed at most once while its entry lives ([P-65] to [P-69]).
//!
//! | Found | Answer of [`ReplyCache::begin`] | What the responder does |
//! |---|---|---|
//! | nothing | [`Lookup::New`] | executes, then [`ReplyCache::finish`] |
//! | in progress | [`Lookup::InProgress`] | drops the duplicate |
//! | done, same digest | [`Lookup::Done`] | sends the same payload again |
//! | done, other digest | [`Lookup::Conflict`] | ERROR 20 |
//! | nothing, and no room | [`Lookup::Full`] | ERROR 16 |
//!
//! An entry joins the chain of those of its kind that may be evicted when it is done. So the oldest of the chain is the
//! oldest that is done, and an empty chain is a cache full of work in progress. A handler works on one
//! request at a time: there, one entry at most is in progress, and only within a call.
//!
//! Requests of peers that have proved their address, by a COOKIE, are kept apart from all others: each kind has
//! half of the entries and of the bytes for itself, and may use what the other leaves. So a flood from forged addresses
//! evicts its own kind only, and an honest client's retransmission still finds its reply.

use std::net::SocketAddr;

use polyport_plugin::{GradualMap, Places, Reservation};
use polyport_protocol::Code;

use crate::arena::{Arena, Chain};

/// Lane of the two chains of all entries that are done, in the order they were done.
const ALL: usize = 0;
/// Lane of the chains of each peer.
const PEER: usize = 1;
/// What an entry costs at worst beside its payload, bytes: its slot, and its parts of the two indexes, which are just
/// being doubled.
pub const ENTRY_BYTES: usize = 640;
/// Bytes of payloads that the cache keeps without asking the host.
const FREE_BYTES: usize = 4096;
/// Bytes of payloads that it asks for at once.
const STEP_BYTES: usize = 16_384;
/// How many expired entries one lookup clears away. With more than one their number falls; they are few, so that
/// no request waits long for the clearing.
const EXPIRED_AT_ONCE: usize = 4;

/// What makes two requests the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Address and port of the client.
    pub peer: SocketAddr,
    /// Port the request came to.
    pub local_port: u16,
    /// Run of the client.
    pub stream_id: u32,
    /// Number of the request.
    pub request_id: u64,
}

/// What the cache may hold. A reply that is longer than `bytes` is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries, each of at most [`ENTRY_BYTES`].
    pub entries: usize,
    /// Bytes of payloads, beside the entries.
    pub bytes: usize,
    /// Entries of one peer: one address and port.
    pub per_peer: usize,
    /// Life of an entry from the moment it is done, nanoseconds.
    pub ttl_ns: u64,
}

/// A reply that can be sent again.
#[derive(Debug)]
pub struct Stored {
    /// [`Code::OK`], or the code of an ERROR.
    pub code: Code,
    /// Its payload.
    pub payload: Box<[u8]>,
}

/// An entry in progress, to be finished.
#[derive(Debug)]
#[must_use = "an entry that is never finished stays in progress"]
pub struct Ticket(u32);

/// What is known of a request.
#[derive(Debug)]
pub enum Lookup<'c> {
    /// Nothing; it is in progress from now on.
    New(Ticket),
    /// It is being executed.
    InProgress,
    /// This is its reply.
    Done(&'c Stored),
    /// Another request had the same id.
    Conflict,
    /// Nothing, and every entry that could make room is in progress.
    Full,
}

/// What happened since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries whose time was up.
    pub expired: u64,
    /// Entries evicted because there were too many.
    pub evicted_entries: u64,
    /// Entries evicted because the payloads were too long together.
    pub evicted_bytes: u64,
    /// Entries evicted because the peer had too many.
    pub evicted_peer: u64,
    /// Replies longer than all the room for payloads.
    pub not_kept: u64,
}

/// The cache. Every operation takes constant time, except that making room for a long payload takes one step for
/// each entry that has to go.
#[derive(Debug)]
pub struct ReplyCache {
    limits: Limits,
    index: GradualMap<RequestKey, u32>,
    arena: Arena<Entry, 2>,
    unproved: Kept,
    proved: Kept,
    /// By kind as well: who forges the address of a client evicts nothing that the client has proved.
    peers: GradualMap<(SocketAddr, Peer), Share>,
    /// What the host grants for entries.
    places: Places,
    /// What the host grants for payloads.
    payloads: Reservation,
    tally: Tally,
}

/// What is known of the peer of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Nothing: its address may be forged.
    Unproved,
    /// It receives at its address.
    Proved,
}

/// What is kept of the peers of one kind.
#[derive(Debug, Default)]
struct Kept {
    /// Entries that are done, in the order they were done or proved.
    done: Chain,
    /// Bytes of their payloads.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    key: RequestKey,
    digest: u64,
    of: Peer,
    expires_ns: u64,
    /// `None` while in progress.
    reply: Option<Stored>,
}

/// What belongs to one peer.
#[derive(Debug, Default)]
struct Share {
    done: Chain,
    in_progress: usize,
}

impl ReplyCache {
    /// An empty cache; memory is allocated as entries come, as far as the reservations grow: the first for entries, the
    /// second for payloads.
    #[must_use]
    pub fn new(limits: Limits, [entries, payloads]: [Reservation; 2]) -> Self {
        Self {
            places: Places::new(entries, ENTRY_BYTES, limits.entries),
            payloads,
            limits,
            index: GradualMap::new(),
            arena: Arena::new(),
            unproved: Kept::default(),
            proved: Kept::default(),
            peers: GradualMap::new(),
            tally: Tally::default(),
        }
    }

    /// Changes the limits. Entries beyond them are evicted when the next requests come.
    pub fn set_limits(&mut self, limits: Limits) {
        self.places.set_most(limits.entries);
        self.limits = limits;
    }

    /// Looks `key` up at `now_ns`. `digest` is of the kind and the payload ([P-68]); `of` is what the request proves.
    pub fn begin(&mut self, key: RequestKey, digest: u64, of: Peer, now_ns: u64) -> Lookup<'_> {
        self.expire(now_ns);
        if let Some(&at) = self.index.get(&key)
            && self.arena.get(at).is_some_and(|entry| entry.reply.is_some() && entry.expires_ns <= now_ns)
        {
            self.tally.expired += 1;
            self.evict(at);
        }
        if let Some(&at) = self.index.get(&key) {
            self.prove(at, of);
            return match self.arena.get(at) {
                Some(Entry { reply: Some(reply), digest: of, .. }) if *of == digest => Lookup::Done(reply),
                Some(Entry { reply: Some(_), .. }) => Lookup::Conflict,
                Some(Entry { reply: None, .. }) | None => Lookup::InProgress,
            };
        }
        if !self.make_room(key.peer, of) {
            return Lookup::Full;
        }
        let at = self.arena.insert(Entry { key, digest, of, expires_ns: 0, reply: None });
        self.index.insert(key, at);
        match self.peers.get_mut(&(key.peer, of)) {
            Some(share) => share.in_progress += 1,
            None => drop(self.peers.insert((key.peer, of), Share { in_progress: 1, ..Share::default() })),
        }
        Lookup::New(Ticket(at))
    }

    /// Stores the reply of a request in progress; it is kept for the time to live.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is good for one time")]
    pub fn finish(&mut self, ticket: Ticket, code: Code, payload: &[u8], now_ns: u64) {
        let Ticket(at) = ticket;
        let Some(of) = self.arena.get(at).map(|entry| entry.of) else { return };
        let mut fits = self.hold(payload.len());
        while !fits {
            let full = self.kept(of).bytes.saturating_add(payload.len()) > self.most_bytes() / 2;
            let Some(oldest) = self.oldest_for(of, full) else { break };
            self.tally.evicted_bytes += 1;
            self.evict(oldest);
            fits = self.hold(payload.len());
        }
        let Some(entry) = self.arena.get_mut(at) else { return };
        let Some(share) = self.peers.get_mut(&(entry.key.peer, of)) else { return };
        share.in_progress = share.in_progress.saturating_sub(1);
        entry.expires_ns = now_ns.saturating_add(self.limits.ttl_ns);
        entry.reply = Some(Stored { code, payload: payload.into() });
        let kept = match of {
            Peer::Unproved => &mut self.unproved,
            Peer::Proved => &mut self.proved,
        };
        kept.bytes += payload.len();
        self.arena.link(&mut kept.done, ALL, at);
        self.arena.link(&mut share.done, PEER, at);
        if !fits {
            self.tally.not_kept += 1;
            self.evict(at);
        }
    }

    /// Entries there are, those in progress included.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.index.len()
    }

    /// Bytes of payloads there are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.unproved.bytes + self.proved.bytes
    }

    /// What happened since the last time this was asked.
    pub const fn take_tally(&mut self) -> Tally {
        std::mem::replace(
            &mut self.tally,
            Tally { expired: 0, evicted_entries: 0, evicted_bytes: 0, evicted_peer: 0, not_kept: 0 },
        )
    }

    const fn kept(&self, of: Peer) -> &Kept {
        match of {
            Peer::Unproved => &self.unproved,
            Peer::Proved => &self.proved,
        }
    }

    /// Most bytes of payloads, by the limits and by what the host has granted.
    fn most_bytes(&self) -> usize {
        self.limits.bytes.min(self.payloads.bytes().saturating_add(FREE_BYTES))
    }

    /// Whether `more` bytes of payload can be kept beside what there is. Asks the host if need be.
    fn hold(&mut self, more: usize) -> bool {
        let after = self.bytes().saturating_add(more);
        if after > self.limits.bytes {
            return false;
        }
        let missing = after.saturating_sub(self.most_bytes());
        missing == 0 || self.payloads.try_grow(missing.next_multiple_of(STEP_BYTES))
    }

    /// Who goes for one more entry of a kind: its own oldest if it has half of all, else the oldest of the other kind,
    /// which has more than half then, or its own.
    const fn oldest_for(&self, of: Peer, has_half: bool) -> Option<u32> {
        let (own, other) = match of {
            Peer::Unproved => (&self.unproved, &self.proved),
            Peer::Proved => (&self.proved, &self.unproved),
        };
        match other.done.oldest() {
            Some(oldest) if !has_half => Some(oldest),
            _ => own.done.oldest(),
        }
    }

    /// An entry that is done and whose peer has proved something since is kept as such.
    fn prove(&mut self, at: u32, of: Peer) {
        let Some(entry) = self.arena.get_mut(at).filter(|entry| of == Peer::Proved && entry.of != of) else {
            return;
        };
        let Some(bytes) = entry.reply.as_ref().map(|reply| reply.payload.len()) else { return };
        entry.of = of;
        let peer = entry.key.peer;
        self.unproved.bytes -= bytes;
        self.proved.bytes += bytes;
        self.arena.unlink(&mut self.unproved.done, ALL, at);
        self.arena.link(&mut self.proved.done, ALL, at);
        if let Some(share) = self.peers.get_mut(&(peer, Peer::Unproved)) {
            self.arena.unlink(&mut share.done, PEER, at);
            if share.done.is_empty() && share.in_progress == 0 {
                self.peers.remove(&(peer, Peer::Unproved));
            }
        }
        if self.peers.get(&(peer, of)).is_none() {
            let _new = self.peers.insert((peer, of), Share::default());
        }
        if let Some(share) = self.peers.get_mut(&(peer, of)) {
            self.arena.link(&mut share.done, PEER, at);
        }
    }

    fn expire(&mut self, now_ns: u64) {
        for of in [Peer::Unproved, Peer::Proved] {
            for _ in 0..EXPIRED_AT_ONCE {
                let oldest = self.kept(of).done.oldest();
                let expired = |at: &u32| self.arena.get(*at).is_some_and(|entry| entry.expires_ns <= now_ns);
                let Some(at) = oldest.filter(expired) else { break };
                self.tally.expired += 1;
                self.evict(at);
            }
        }
    }

    /// Evicts entries until one more of `peer` fits within the limits. False if no entry may go for it.
    fn make_room(&mut self, peer: SocketAddr, of: Peer) -> bool {
        while let Some(share) = self.peers.get(&(peer, of))
            && share.done.len() + share.in_progress >= self.limits.per_peer
        {
            let Some(at) = share.done.oldest() else { return false };
            self.tally.evicted_peer += 1;
            self.evict(at);
        }
        while !self.places.have_room(self.index.len()) {
            let has_half = self.kept(of).done.len() >= self.places.granted().div_ceil(2);
            let Some(at) = self.oldest_for(of, has_half) else { return false };
            self.tally.evicted_entries += 1;
            self.evict(at);
        }
        true
    }

    /// Removes an entry that is done.
    fn evict(&mut self, at: u32) {
        let Some(Entry { key, of, .. }) = self.arena.get(at) else { return };
        let (peer, of) = (key.peer, *of);
        let kept = match of {
            Peer::Unproved => &mut self.unproved,
            Peer::Proved => &mut self.proved,
        };
        self.arena.unlink(&mut kept.done, ALL, at);
        if let Some(share) = self.peers.get_mut(&(peer, of)) {
            self.arena.unlink(&mut share.done, PEER, at);
            if share.done.is_empty() && share.in_progress == 0 {
                self.peers.remove(&(peer, of));
            }
        }
        if let Some(entry) = self.arena.remove(at) {
            self.index.remove(&entry.key);
            kept.bytes = kept.bytes.saturating_sub(entry.reply.map_or(0, |reply| reply.payload.len()));
        }
    }
}

#[cfg(test)]
mod tests;
