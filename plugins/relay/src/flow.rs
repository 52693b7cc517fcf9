//! The way of a datagram: up to the upstream of its client's session, and down to the client of the session that it came by.

use std::net::SocketAddr;

use polyport_impair::Fate;
use polyport_plugin::{Batch, Datagram, Datagrams, SessionId};

use crate::clients::{Client, Leaving};
use crate::counters::Direction;
use crate::network::{Seen, Way};
use crate::passage::{To, pass};
use crate::relay::Relay;

/// What went one way in a call: neighbours mostly go the same way, and what is counted is counted once.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    datagrams: u64,
    bytes: u64,
}

impl Tally {
    #[inline]
    const fn add(&mut self, len: usize) {
        self.add_many(1, len as u64);
    }

    #[inline]
    const fn add_many(&mut self, datagrams: u32, bytes: u64) {
        self.datagrams += datagrams as u64;
        self.bytes += bytes;
    }

    pub(crate) fn count(&self, direction: &Direction) {
        if self.datagrams > 0 {
            direction.datagrams.add(self.datagrams);
            direction.bytes.add(self.bytes);
        }
    }
}

/// Who sent the datagram before, to which address, and which session that is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    peer: SocketAddr,
    client: Client,
    number: u32,
}

impl Relay {
    /// One of an upstream. True if its session ends with it.
    #[inline]
    pub(crate) fn down(
        &mut self,
        datagram: Datagram<'_>,
        id: SessionId,
        rest: &mut Datagrams<'_>,
        batch: &mut Batch<'_>,
        tally: &mut Tally,
    ) -> bool {
        let number = u32::try_from(datagram.user()).unwrap_or(u32::MAX);
        let Some(session) = self.sessions.get_mut(number).filter(|session| session.id == id) else {
            datagram.discard();
            return false;
        };
        session.silence.hear();
        session.is_answered = true;
        session.is_refused = false;
        session.answers = session.answers.saturating_add(1);
        let client = session.client;
        self.upstreams.heard(session.upstream);
        let replies = self.limits.replies;
        let is_over = replies > 0 && session.answers >= session.requests.saturating_mul(replies);
        if self.limits.ends_oldest {
            self.sessions.touch(number);
        }
        if self.limits.copies_tos {
            datagram.set_tos(datagram.tos());
        }
        if self.network.is_neutral(Way::Down) {
            tally.add(datagram.payload().len());
            datagram.to_client();
            if replies == 0 {
                let more = self.follow(rest, tally);
                if let Some(session) = self.sessions.get_mut(number).filter(|_| more > 0) {
                    session.answers = session.answers.saturating_add(more);
                }
            }
        } else {
            let fate = self.decide(Way::Down, number, client, &datagram);
            pass(datagram, To::Client, fate, batch.now_ns());
        }
        if is_over {
            self.end(number, Leaving::Replies, batch);
        }
        is_over
    }

    /// One of a client.
    #[inline]
    pub(crate) fn up(
        &mut self,
        datagram: Datagram<'_>,
        rest: &mut Datagrams<'_>,
        last: &mut Option<Last>,
        batch: &mut Batch<'_>,
        tally: &mut Tally,
    ) {
        let Some(number) = self.session_of(&datagram, last, batch) else { return datagram.discard() };
        let Some(session) = self.sessions.get(number) else { return datagram.discard() };
        let (id, client) = (session.id, session.client);
        if self.limits.copies_tos {
            datagram.set_tos(datagram.tos());
        }
        let now_ns = batch.now_ns();
        let (sent, leaves_ns) = if self.network.is_neutral(Way::Up) {
            tally.add(datagram.payload().len());
            datagram.to_session(id);
            (1 + self.follow(rest, tally), now_ns)
        } else {
            let fate = self.decide(Way::Up, number, client, &datagram);
            pass(datagram, To::Session(id), fate, now_ns)
        };
        // What was lost on the way is no question that somebody could answer.
        if let Some(session) = self.sessions.get_mut(number).filter(|_| sent > 0) {
            session.silence.ask(leaves_ns);
            session.requests = session.requests.saturating_add(sent);
        }
    }

    /// The others of a train, which nothing is decided about: they go where the one before went.
    #[inline]
    fn follow(&self, rest: &mut Datagrams<'_>, tally: &mut Tally) -> u32 {
        if self.limits.copies_tos {
            return 0;
        }
        let (more, bytes) = rest.follow();
        tally.add_many(more, bytes);
        more
    }

    /// What the network does to a datagram.
    fn decide(&mut self, way: Way, number: u32, client: Client, datagram: &Datagram<'_>) -> Fate {
        let seen = Seen {
            bytes: datagram.payload().len(),
            tos: datagram.tos(),
            // Where the kernel says when it came, a delay counts from there.
            now_ns: datagram.rx_ns(),
            wall_ns: datagram.rx_wall_ns(),
        };
        self.network.decide(way, number, client.peer(), seen)
    }

    /// The number of the session of a client, which is made if there is none.
    #[inline]
    fn session_of(
        &mut self,
        datagram: &Datagram<'_>,
        last: &mut Option<Last>,
        batch: &mut Batch<'_>,
    ) -> Option<u32> {
        // One that came to a group has no address to answer from, and what is more than one host's is no business of a relay.
        if datagram.is_multicast() || datagram.is_broadcast() {
            self.counters.groups.add(1);
            return None;
        }
        let (peer, asked) = (datagram.peer(), self.asked.unwrap_or_else(|| datagram.local().ip()));
        let same = last.filter(|last| last.peer == peer && self.asked.is_some());
        let client = same.map_or_else(|| Client::new(peer, asked), |last| last.client);
        let known = match same {
            Some(last) => Some(last.number),
            None => self.sessions.find(&client),
        };
        let number = match known {
            Some(number) if self.stays(number, batch.now_ns()) => number,
            Some(number) => self.reconsider(number, datagram, batch),
            None => match self.begin(client, datagram, batch) {
                Ok(number) => number,
                Err(why) => {
                    self.counters.refuse(why);
                    // It may be that one which has ended to make room.
                    *last = None;
                    return None;
                }
            },
        };
        *last = Some(Last { peer, client, number });
        Some(number)
    }

    /// Whether there is nothing to be said against a session: it was answered, and not so long ago.
    #[inline]
    fn stays(&self, number: u32, now_ns: u64) -> bool {
        let session = self.sessions.get(number);
        session.is_some_and(|session| {
            session.is_answered && !session.silence.has_fallen(self.limits.silence_ns, now_ns)
        })
    }
}
