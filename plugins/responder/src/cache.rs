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
//! An entry joins the chain of those that may be evicted when it is done. So the oldest of the chain is the
//! oldest that is done, and an empty chain is a cache full of work in progress. A handler works on one
//! request at a time: there, one entry at most is in progress, and only within a call.

use std::collections::HashMap;
use std::net::SocketAddr;

use polyport_protocol::Code;

use crate::arena::{Arena, Chain};

/// Lane of the chain of all entries that are done, in the order they were done.
const ALL: usize = 0;
/// Lane of the chains of each peer.
const PEER: usize = 1;
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
    /// Entries, each of about 200 bytes.
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
    /// Its hasher is keyed at random, so nobody can choose keys that collide; nothing iterates over it, so that
    /// cannot change a run.
    index: HashMap<RequestKey, u32>,
    arena: Arena<Entry, 2>,
    done: Chain,
    peers: HashMap<SocketAddr, Share>,
    bytes: usize,
    tally: Tally,
}

#[derive(Debug)]
struct Entry {
    key: RequestKey,
    digest: u64,
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
    /// An empty cache; memory is allocated as entries come.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: HashMap::new(),
            arena: Arena::new(),
            done: Chain::default(),
            peers: HashMap::new(),
            bytes: 0,
            tally: Tally::default(),
        }
    }

    /// Changes the limits. Entries beyond them are evicted when the next requests come.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Looks `key` up at `now_ns`. `digest` is of the kind and the payload ([P-68]).
    pub fn begin(&mut self, key: RequestKey, digest: u64, now_ns: u64) -> Lookup<'_> {
        self.expire(now_ns);
        if let Some(&at) = self.index.get(&key)
            && self.arena.get(at).is_some_and(|entry| entry.reply.is_some() && entry.expires_ns <= now_ns)
        {
            self.tally.expired += 1;
            self.evict(at);
        }
        if let Some(&at) = self.index.get(&key) {
            return match self.arena.get(at) {
                Some(Entry { reply: Some(reply), digest: of, .. }) if *of == digest => Lookup::Done(reply),
                Some(Entry { reply: Some(_), .. }) => Lookup::Conflict,
                Some(Entry { reply: None, .. }) | None => Lookup::InProgress,
            };
        }
        if !self.make_room(key.peer) {
            return Lookup::Full;
        }
        let at = self.arena.insert(Entry { key, digest, expires_ns: 0, reply: None });
        self.index.insert(key, at);
        self.peers.entry(key.peer).or_default().in_progress += 1;
        Lookup::New(Ticket(at))
    }

    /// Stores the reply of a request in progress; it is kept for the time to live.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is good for one time")]
    pub fn finish(&mut self, ticket: Ticket, code: Code, payload: &[u8], now_ns: u64) {
        let Ticket(at) = ticket;
        while self.bytes.saturating_add(payload.len()) > self.limits.bytes
            && let Some(oldest) = self.done.oldest()
        {
            self.tally.evicted_bytes += 1;
            self.evict(oldest);
        }
        let Some(entry) = self.arena.get_mut(at) else { return };
        let Some(share) = self.peers.get_mut(&entry.key.peer) else { return };
        share.in_progress = share.in_progress.saturating_sub(1);
        entry.expires_ns = now_ns.saturating_add(self.limits.ttl_ns);
        entry.reply = Some(Stored { code, payload: payload.into() });
        self.bytes += payload.len();
        self.arena.link(&mut self.done, ALL, at);
        self.arena.link(&mut share.done, PEER, at);
        if self.bytes > self.limits.bytes {
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
        self.bytes
    }

    /// What happened since the last time this was asked.
    pub const fn take_tally(&mut self) -> Tally {
        std::mem::replace(
            &mut self.tally,
            Tally { expired: 0, evicted_entries: 0, evicted_bytes: 0, evicted_peer: 0, not_kept: 0 },
        )
    }

    fn expire(&mut self, now_ns: u64) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(at) = self.done.oldest() else { return };
            if self.arena.get(at).is_none_or(|entry| entry.expires_ns > now_ns) {
                return;
            }
            self.tally.expired += 1;
            self.evict(at);
        }
    }

    /// Evicts entries until one more of `peer` fits within the limits. False if all that are left are in progress.
    fn make_room(&mut self, peer: SocketAddr) -> bool {
        while let Some(share) = self.peers.get(&peer)
            && share.done.len() + share.in_progress >= self.limits.per_peer
        {
            let Some(at) = share.done.oldest() else { return false };
            self.tally.evicted_peer += 1;
            self.evict(at);
        }
        while self.index.len() >= self.limits.entries {
            let Some(at) = self.done.oldest() else { return false };
            self.tally.evicted_entries += 1;
            self.evict(at);
        }
        true
    }

    /// Removes an entry that is done.
    fn evict(&mut self, at: u32) {
        self.arena.unlink(&mut self.done, ALL, at);
        let Some(peer) = self.arena.get(at).map(|entry| entry.key.peer) else { return };
        if let Some(share) = self.peers.get_mut(&peer) {
            self.arena.unlink(&mut share.done, PEER, at);
            if share.done.is_empty() && share.in_progress == 0 {
                self.peers.remove(&peer);
            }
        }
        if let Some(entry) = self.arena.remove(at) {
            self.index.remove(&entry.key);
            self.bytes = self.bytes.saturating_sub(entry.reply.map_or(0, |reply| reply.payload.len()));
        }
    }
}

#[cfg(test)]
mod tests;
