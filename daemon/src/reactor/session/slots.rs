//! All sessions, by their ids. An id is never used again: it has the number of the slot and that of its owner, counted over
//! all sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::chain::Chain;
use super::near::Near;
use super::owners::Owners;
use super::slot::Session;
use super::wheel::IdleWheel;
use crate::exchange::{NetTrouble, SessionRequest};
use crate::plugin::prefetch;
use crate::reactor::io::{NetError, Token};

/// Slots that are made at once: what was made is never moved, and who has few sessions takes little memory.
const PAGE: usize = 256;
/// Bits of an id that are the number of the slot, plus one.
const INDEX_BITS: u32 = 24;

/// The sessions of all listeners.
#[derive(Debug)]
pub(crate) struct Sessions<S> {
    pages: Vec<Box<[Option<Session<S>>]>>,
    /// Slots whose ids nobody has.
    free: Vec<u32>,
    /// Owners of slots so far.
    generation: u64,
    /// Sessions that there are.
    pub(super) open: usize,
    owners: Owners,
    pub(super) wheel: IdleWheel,
    pub(super) chain: Chain,
    pub(super) near: Near,
    /// How many sessions lead to each port that any does.
    ports: BTreeMap<u16, usize>,
    /// Listeners with sessions that are to be opened in the next turn.
    pub(super) deferred: Vec<Token>,
    /// Memory for the requests of one call, used again by the next.
    pub(super) requests: Vec<SessionRequest>,
    /// Memory for the errors of one session.
    pub(super) errors: Vec<NetError>,
    /// Sessions whose sockets have turned out to be unusable in the call that is being settled.
    pub(super) broken: Vec<u64>,
    /// When it was said last that ports or files are used up, monotonic ns.
    pub(super) said_ns: Option<u64>,
}

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            free: Vec::new(),
            generation: 0,
            open: 0,
            owners: Owners::default(),
            wheel: IdleWheel::default(),
            chain: Chain::default(),
            near: Near::default(),
            ports: BTreeMap::new(),
            deferred: Vec::new(),
            requests: Vec::new(),
            errors: Vec::new(),
            broken: Vec::new(),
            said_ns: None,
        }
    }
}

impl<S> Sessions<S> {
    /// An id that nobody has had; none when there are 16 million.
    pub(super) fn reserve(&mut self) -> Option<u64> {
        if self.free.is_empty() {
            let first = self.pages.len() * PAGE;
            if first + PAGE >= 1 << INDEX_BITS {
                return None;
            }
            self.pages.push((0..PAGE).map(|_| None).collect());
            self.free.extend((first..first + PAGE).rev().filter_map(|index| u32::try_from(index).ok()));
        }
        let index = self.free.pop()?;
        self.generation += 1;
        Some(self.generation << INDEX_BITS | u64::from(index + 1))
    }

    /// Takes an id back that was never used for a session.
    pub(super) fn release(&mut self, id: u64) {
        self.free.extend(index(id));
    }

    /// Puts a session into the slot of its id.
    pub(super) fn insert(&mut self, session: Session<S>) {
        let (owner, Some(index)) = (session.owner, index(session.id)) else { return };
        let upstream = session.upstream.get();
        if let Some(slot) = self.slot(index) {
            *slot = Some(session);
            if let Some(to) = upstream {
                *self.ports.entry(to.port()).or_default() += 1;
            }
            self.owners.add(owner, index);
            self.open += 1;
        }
    }

    /// Takes the session of an id out of its slot.
    pub(super) fn remove(&mut self, id: u64) -> Option<Session<S>> {
        self.get(id)?;
        let index = index(id)?;
        let session = self.slot(index)?.take()?;
        self.owners.remove(session.owner, index);
        self.wheel.remove(index);
        self.chain.remove(id);
        if let Some(to) = session.upstream.get() {
            self.near.remove(to, id);
            if let Some(count) = self.ports.get_mut(&to.port()) {
                *count -= 1;
                if *count == 0 {
                    self.ports.remove(&to.port());
                }
            }
        }
        self.free.push(index);
        self.open -= 1;
        Some(session)
    }

    /// Whether there is a session to this port, at any address.
    pub(super) fn lead_to(&self, port: u16) -> bool {
        self.ports.contains_key(&port)
    }

    /// The session of an id.
    #[inline]
    pub(super) fn get(&mut self, id: u64) -> Option<&mut Session<S>> {
        self.slot(index(id)?)?.as_mut().filter(|session| session.id == id)
    }

    /// The session of an id, if it belongs to a listener.
    #[inline]
    pub(super) fn of(&mut self, owner: Token, id: u64) -> Option<&mut Session<S>> {
        self.get(id).filter(|session| session.owner == owner)
    }

    /// Fetches the memory of a session that will be needed soon. With thousands of them none is in the cache.
    #[inline]
    pub(super) fn prefetch(&self, id: u64) {
        if let Some(index) = index(id) {
            self.prefetch_slot(index);
        }
    }

    /// Fetches the memory of the session that an event names.
    #[inline]
    pub(in crate::reactor) fn prefetch_named(&self, token: Token) {
        self.prefetch_slot(token.owner().index);
    }

    fn prefetch_slot(&self, index: u32) {
        let index = index as usize;
        if let Some(page) = self.pages.get(index / PAGE) {
            prefetch(page.as_ptr().wrapping_add(index % PAGE), size_of::<Session<S>>());
        }
    }

    /// The session that an event names.
    #[inline]
    pub(super) fn named(&mut self, token: Token) -> Option<&mut Session<S>> {
        let session = self.slot(token.owner().index)?.as_mut()?;
        (event_token(session.id) == token).then_some(session)
    }

    /// The session in a slot.
    pub(super) fn at(&mut self, index: u32) -> Option<&mut Session<S>> {
        self.slot(index)?.as_mut()
    }

    /// The ids of the sessions of a listener.
    pub(super) fn ids_of(&mut self, owner: Token) -> Vec<u64> {
        let slots = self.owners.of(owner);
        slots.into_iter().filter_map(|index| self.at(index).map(|session| session.id)).collect()
    }

    /// The ids of all sessions.
    pub(in crate::reactor) fn ids(&self) -> Vec<u64> {
        self.pages.iter().flatten().flatten().map(|session| session.id).collect()
    }

    /// Until when an answer may come by a session that was asked more often than it has answered, if one takes `within_ns` at most:
    /// monotonic ns. None where nothing was asked.
    pub(in crate::reactor) fn answers_until(&mut self, id: u64, within_ns: u64) -> Option<u64> {
        let session = self.get(id).filter(|session| session.up.0 > session.down.0)?;
        Some(session.heard_ns.saturating_add(within_ns))
    }

    /// Whether sessions are to be opened in the next turn.
    pub(in crate::reactor) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// The sessions that are connected to an address for which `is_meant` is true, each with that address. Looks at all there
    /// are.
    pub(super) fn connected(&self, is_meant: impl Fn(SocketAddr) -> bool) -> Vec<(u64, SocketAddr)> {
        let all = self.pages.iter().flatten().flatten();
        let to = all.filter_map(|session| Some((session.id, session.upstream.get()?)));
        to.filter(|(_, to)| is_meant(*to)).collect()
    }

    /// Has the wheel look at a session when it may have been idle for too long.
    pub(super) fn schedule(&mut self, id: u64, now_ns: u64) {
        let Some(at_ns) = self.get(id).map(|session| session.idle_at()) else { return };
        let Some(index) = index(id) else { return };
        match at_ns {
            Some(at_ns) => self.wheel.set(index, at_ns, now_ns),
            None => self.wheel.remove(index),
        }
    }

    /// When something is to be done for a session, monotonic ns.
    pub(crate) fn next(&self) -> Option<u64> {
        if self.deferred.is_empty() { self.wheel.next() } else { Some(0) }
    }

    #[inline]
    fn slot(&mut self, index: u32) -> Option<&mut Option<Session<S>>> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }
}

/// The slot of an id.
#[inline]
pub(super) fn index(id: u64) -> Option<u32> {
    u32::try_from(id & ((1 << INDEX_BITS) - 1)).ok()?.checked_sub(1)
}

/// The name of a session in events.
#[expect(clippy::cast_possible_truncation, reason = "events of four thousand million sessions ago are gone")]
#[inline]
pub(super) fn event_token(id: u64) -> Token {
    Token { index: index(id).unwrap_or(0), generation: (id >> INDEX_BITS) as u32 }.beside()
}

/// What an errno says about a session (`icmp(7)`, `udp(7)`).
pub(super) fn trouble(errno: i32) -> NetTrouble {
    match errno {
        libc::ECONNREFUSED => NetTrouble::Refused,
        libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENETDOWN => NetTrouble::Unreachable,
        libc::EMSGSIZE => NetTrouble::TooBig,
        libc::EACCES | libc::EPERM => NetTrouble::Forbidden,
        _ => NetTrouble::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{SessionFlags, SessionSpec};

    const OWNER: Token = Token { index: 1, generation: 1 };

    fn session(id: u64) -> Session<()> {
        let flags = SessionFlags::default();
        let (to, from, client) = (None, None, None);
        let spec =
            SessionSpec { id, to, from, user: 0, idle_ns: 0, client, recv_buffer: 0, send_buffer: 0, flags };
        Session::new(&spec, OWNER, (), None, 1, true)
    }

    #[test]
    fn an_id_is_never_used_again() {
        let mut sessions = Sessions::<()>::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 * PAGE {
            let id = sessions.reserve().unwrap();
            assert!(seen.insert(id));
            sessions.insert(session(id));
            assert!(sessions.of(OWNER, id).is_some() && sessions.named(event_token(id)).is_some());
            assert!(sessions.of(Token { index: 2, generation: 1 }, id).is_none());
            assert!(
                sessions.remove(id).is_some() && sessions.get(id).is_none() && sessions.remove(id).is_none()
            );
            assert!(sessions.named(event_token(id)).is_none());
        }
        assert_eq!((sessions.pages.len(), sessions.open), (1, 0));
    }

    #[test]
    fn forged_ids_lead_nowhere() {
        let mut sessions = Sessions::<()>::default();
        let id = sessions.reserve().unwrap();
        sessions.insert(session(id));
        for forged in [0, 1, u64::MAX, id + 1, id - 1, id ^ 1 << 63, id & 0xFF_FFFF] {
            assert!(sessions.get(forged).is_none(), "{forged:x}");
        }
        assert_eq!(sessions.ids_of(OWNER), [id]);
    }

    #[test]
    fn slots_never_move() {
        let mut sessions = Sessions::<()>::default();
        let ids: Vec<u64> = (0..PAGE * 3 + 1).map(|_| sessions.reserve().unwrap()).collect();
        ids.iter().for_each(|id| sessions.insert(session(*id)));
        assert_eq!((sessions.pages.len(), sessions.open), (4, PAGE * 3 + 1));
        assert!(ids.iter().all(|id| sessions.get(*id).is_some()));
    }
}
