//! Who has which session: a table by client, and one by the number that the host says with each datagram of a session.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use polyport_plugin::{Chunked, GradualMap, Places, Reservation, SessionId};

use crate::hash::hash_of;
use crate::silence::Silence;

/// What a session costs at worst, bytes: its record, and its part of an index that is just being doubled.
pub(crate) const SESSION_BYTES: usize = 352;

/// No session.
const NONE: u32 = u32::MAX;

/// What tells clients apart: who sends, and which address it asked, since the answers must come from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    peer: [u8; 16],
    asked: [u8; 16],
    /// Of a link-local address, the interface.
    scope: u32,
    port: u16,
}

/// In few words: each datagram of a client is looked up by it. Of IPv4 only what is not the same for all.
impl Hash for Client {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let port = u64::from(self.scope) << 16 | u64::from(self.port);
        let (peer, asked) = (u128::from_be_bytes(self.peer), u128::from_be_bytes(self.asked));
        let is_v4 = peer >> 32 == 0xFFFF && asked >> 32 == 0xFFFF;
        let low = |bits: u128| bits & 0xFFFF_FFFF;
        if is_v4 {
            state.write_u128(u128::from(port) << 64 | low(peer) << 32 | low(asked));
        } else {
            let mut words = [0; 40];
            let parts = [&self.peer[..], &self.asked, &port.to_be_bytes()];
            words.iter_mut().zip(parts.into_iter().flatten()).for_each(|(word, byte)| *word = *byte);
            state.write(&words);
        }
    }
}

impl Client {
    pub(crate) fn new(peer: SocketAddr, asked: IpAddr) -> Self {
        let scope = match peer {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(peer) => peer.scope_id(),
        };
        Self { peer: octets(peer.ip()), asked: octets(asked), scope, port: peer.port() }
    }

    /// With the octets of the address that it asked, as [`asked`](Self::asked) has them.
    pub(crate) fn of_octets(peer: SocketAddr, asked: [u8; 16]) -> Self {
        Self { asked, ..Self::new(peer, IpAddr::V4(Ipv4Addr::UNSPECIFIED)) }
    }

    /// Who sends.
    pub(crate) fn peer(&self) -> SocketAddr {
        let ip = Ipv6Addr::from(self.peer);
        match ip.to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(IpAddr::V4(ip), self.port),
            None => SocketAddrV6::new(ip, self.port, 0, self.scope).into(),
        }
    }

    /// The address that it asked.
    pub(crate) const fn asked(&self) -> [u8; 16] {
        self.asked
    }

    /// 64 bits of its address, with the port or without: what an upstream is chosen by.
    pub(crate) fn hash(&self, with_port: bool) -> u64 {
        hash_of(self.peer, if with_port { u64::from(self.port) << 32 } else { 0 } | u64::from(self.scope))
    }
}

/// As IPv6 has it, mapped from IPv4.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// All is answered.
    Replies,
    /// Another one needed its place.
    Full,
    /// The client goes on by another session.
    Moved,
}

/// What the relay knows of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) client: Client,
    /// Number of its upstream.
    pub(crate) upstream: u32,
    pub(crate) silence: Silence,
    pub(crate) requests: u32,
    pub(crate) answers: u32,
    /// What ICMP, or this host, said.
    pub(crate) errors: u32,
    older: u32,
    newer: u32,
    /// Which of the source addresses it was opened from.
    pub(crate) source: u8,
    /// It has answered, and was not silent since.
    pub(crate) is_answered: bool,
    /// It moves at its next datagram, if there is anywhere to go.
    pub(crate) is_refused: bool,
    /// The length of the path was said.
    pub(crate) told_mtu: bool,
    /// It ends; the host has yet to say so.
    pub(crate) leaving: Option<Leaving>,
    is_free: bool,
}

/// A session that was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New {
    pub(crate) id: SessionId,
    pub(crate) client: Client,
    pub(crate) upstream: u32,
    pub(crate) source: u8,
}

/// All sessions, by number and by client.
#[derive(Debug)]
pub(crate) struct Sessions {
    all: Chunked<Session>,
    by_client: GradualMap<Client, u32>,
    /// First of a list of free places, linked by `newer`.
    free: u32,
    /// Ends of the order of the last answers.
    oldest: u32,
    newest: u32,
    most: usize,
    places: Places,
    /// Places that are taken, those of sessions that end included.
    used: usize,
}

impl Sessions {
    /// Room for `most` sessions of `each` bytes, as far as the reservation grows.
    pub(crate) fn new(most: u32, each: usize, reservation: Reservation) -> Self {
        let most = most as usize;
        Self {
            all: Chunked::new(),
            by_client: GradualMap::new(),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            most,
            places: Places::new(reservation, each, most),
            used: 0,
        }
    }

    /// From now on there may be so many. Those that are there stay.
    pub(crate) fn set_most(&mut self, most: u32) {
        self.most = most as usize;
        self.places.set_most(self.most.max(self.used));
    }

    /// Sessions that clients have.
    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether the limit is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// The number of the session of a client.
    #[inline]
    pub(crate) fn find(&self, client: &Client) -> Option<u32> {
        self.by_client.get(client).copied()
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Session> {
        self.all.get(number as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Session> {
        self.all.get_mut(number as usize)
    }

    /// The number for the next session, which is to be given to [`insert`](Self::insert) at once. None: there is no memory for it.
    pub(crate) fn next_number(&mut self) -> Option<u32> {
        // Those that end need their places till the host has said so.
        if self.used >= self.most {
            self.places.set_most(self.used + 1);
        }
        if !self.places.have_room(self.used) {
            return None;
        }
        Some(if self.free == NONE { u32::try_from(self.all.len()).ok()? } else { self.free })
    }

    /// Puts a session where [`next_number`](Self::next_number) says. A client that has one has this one from now on.
    pub(crate) fn insert(&mut self, new: New) -> Option<u32> {
        let number = self.next_number()?;
        let New { id, client, upstream, source } = new;
        let session = Session {
            id,
            client,
            upstream,
            source,
            silence: Silence::default(),
            requests: 0,
            answers: 0,
            errors: 0,
            older: NONE,
            newer: NONE,
            is_answered: false,
            is_refused: false,
            told_mtu: false,
            leaving: None,
            is_free: false,
        };
        match self.all.get_mut(number as usize) {
            Some(place) => {
                self.free = place.newer;
                *place = session;
            }
            None => _ = self.all.push(session),
        }
        self.used += 1;
        self.by_client.insert(client, number);
        self.link(number);
        Some(number)
    }

    /// A session ends: its client has none from now on. Its place is kept till the host says that it has ended. None: it was ending
    /// already, or is none.
    pub(crate) fn leave(&mut self, number: u32, why: Leaving) -> Option<SessionId> {
        let session = self.get_mut(number).filter(|session| !session.is_free && session.leaving.is_none())?;
        session.leaving = Some(why);
        let (id, client) = (session.id, session.client);
        self.forget(&client, number);
        self.unlink(number);
        Some(id)
    }

    /// Whether a session ends, and will have given its place back when the host has said so.
    pub(crate) fn has_leaving(&self) -> bool {
        self.used > self.len()
    }

    /// A session has ended. Returns what was known of it.
    pub(crate) fn remove(&mut self, number: u32, id: SessionId) -> Option<Session> {
        let session = *self.get(number).filter(|session| !session.is_free && session.id == id)?;
        if session.leaving.is_none() {
            self.forget(&session.client, number);
            self.unlink(number);
        }
        let free = std::mem::replace(&mut self.free, number);
        if let Some(place) = self.get_mut(number) {
            (place.is_free, place.newer) = (true, free);
        }
        self.used -= 1;
        Some(session)
    }

    /// A session was heard of: it is the last to have been silent.
    #[inline]
    pub(crate) fn touch(&mut self, number: u32) {
        // One that ends is in no order.
        let is_there = self.get(number).is_some_and(|session| session.leaving.is_none());
        if is_there && self.newest != number {
            self.unlink(number);
            self.link(number);
        }
    }

    /// The session that was unanswered or silent for longest, as far as it was told by [`touch`](Self::touch).
    pub(crate) fn oldest(&self) -> Option<u32> {
        Some(self.oldest).filter(|number| *number != NONE)
    }

    /// All that clients have, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Session)> {
        self.by_client.values().filter_map(|number| Some((*number, self.get(*number)?)))
    }

    fn forget(&mut self, client: &Client, number: u32) {
        if self.by_client.get(client) == Some(&number) {
            self.by_client.remove(client);
        }
    }

    /// Makes a session that is in no order the newest.
    fn link(&mut self, number: u32) {
        let before = std::mem::replace(&mut self.newest, number);
        if let Some(session) = self.get_mut(number) {
            (session.older, session.newer) = (before, NONE);
        }
        match self.get_mut(before) {
            Some(session) => session.newer = number,
            None => self.oldest = number,
        }
    }

    fn unlink(&mut self, number: u32) {
        let Some((older, newer)) = self.get(number).map(|session| (session.older, session.newer)) else {
            return;
        };
        match self.get_mut(newer) {
            Some(session) => session.older = older,
            None => self.newest = older,
        }
        match self.get_mut(older) {
            Some(session) => session.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use polyport_counting_alloc::{CountingAlloc, live_bytes};
    use polyport_plugin::Rng;

    use super::*;
    use crate::tests::ids;

    #[global_allocator]
    static ALLOCATOR: CountingAlloc = CountingAlloc;

    fn client(n: u32) -> Client {
        Client::new(SocketAddr::from((Ipv4Addr::from(n), 7)), IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    fn new(id: SessionId, n: u32) -> New {
        New { id, client: client(n), upstream: 0, source: 0 }
    }

    #[test]
    fn a_session_costs_no_more_than_the_host_was_told() {
        assert!(size_of::<Session>() <= 160, "{}", size_of::<Session>());
        let id = ids(1)[0];
        let before = live_bytes();
        let mut sessions = Sessions::new(70_000, SESSION_BYTES, Reservation::default());
        let mut dearest = 0;
        for n in 0..70_000 {
            sessions.insert(new(id, n)).unwrap();
            let each = usize::try_from(live_bytes() - before).unwrap() / sessions.len();
            // The first few are free.
            dearest = dearest.max(if n < 100 { 0 } else { each });
        }
        assert!((160..SESSION_BYTES).contains(&dearest), "{dearest}");
        let full = live_bytes();
        for n in 0..200_000 {
            sessions.remove(n % 70_000, id).unwrap();
            sessions.insert(new(id, 70_000 + n)).unwrap();
        }
        assert_eq!(sessions.len(), 70_000);
        assert!(live_bytes() - full < 70_000 * 64, "{}", live_bytes() - full);
    }

    /// Against a list.
    #[test]
    fn the_table_agrees_with_a_list() {
        let ids = ids(50);
        let mut sessions = Sessions::new(30, SESSION_BYTES, Reservation::default());
        // Client, id, number, when it was heard, whether it ends.
        let mut list: Vec<(u32, SessionId, u32, u64, bool)> = Vec::new();
        let mut random = Rng::new(5);
        for now in 1..4000_u64 {
            let n = u32::try_from(random.next_u64() % 40).unwrap();
            let own = list.iter().position(|(client, .., leaving)| *client == n && !leaving);
            match (random.next_u64() % 5, own) {
                (0, Some(at)) => {
                    assert_eq!(sessions.leave(list[at].2, Leaving::Full), Some(list[at].1));
                    assert_eq!(sessions.leave(list[at].2, Leaving::Moved), None);
                    // It may be heard of still.
                    sessions.touch(list[at].2);
                    list[at].4 = true;
                }
                (1, _) if !list.is_empty() => {
                    let (_, id, number, ..) = list.swap_remove(usize::try_from(now).unwrap() % list.len());
                    assert_eq!(sessions.remove(number, id).unwrap().id, id);
                    assert!(sessions.remove(number, id).is_none());
                }
                (2, Some(at)) => {
                    sessions.touch(list[at].2);
                    list[at].3 = now;
                }
                (3, _) => {
                    let live = || list.iter().filter(|entry| !entry.4);
                    let oldest = live().min_by_key(|entry| entry.3).map(|entry| entry.2);
                    assert_eq!(sessions.oldest(), oldest);
                }
                (_, None) if list.len() < ids.len() => {
                    let unused = |id: &&SessionId| !list.iter().any(|(_, own, ..)| own == *id);
                    let id = *ids.iter().find(unused).unwrap();
                    let number = sessions.insert(new(id, n)).unwrap();
                    list.push((n, id, number, now, false));
                }
                _ => {}
            }
            let own = list.iter().find(|(client, .., leaving)| *client == n && !leaving);
            assert_eq!(sessions.find(&client(n)), own.map(|entry| entry.2));
            let live = list.iter().filter(|entry| !entry.4).count();
            assert_eq!(
                (sessions.len(), sessions.iter().count(), sessions.is_full()),
                (live, live, live >= 30)
            );
        }
    }

    #[test]
    fn clients_are_told_apart_by_address_port_interface_and_what_they_asked() {
        let asked = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let of = |text: &str| Client::new(text.parse().unwrap(), asked);
        let all = [
            of("192.0.2.1:1"),
            of("192.0.2.1:2"),
            of("192.0.2.2:1"),
            of("[fe80::1%2]:1"),
            of("[fe80::1%3]:1"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one && other.hash(true) != one.hash(true)));
        }
        assert_eq!(all[0].hash(false), all[1].hash(false));
        assert_ne!(
            of("192.0.2.1:1"),
            Client::new("192.0.2.1:1".parse().unwrap(), Ipv4Addr::UNSPECIFIED.into())
        );
        assert_eq!(Client::of_octets("192.0.2.1:1".parse().unwrap(), all[0].asked()), all[0]);
    }
}
