//! A client that has no session gets one, or goes on by another.

use std::net::{IpAddr, SocketAddr};

use polyport_plugin::{Batch, Datagram, Session, SessionId};

use crate::clients::{Client, Leaving, New};
use crate::config::{Affinity, Full};
use crate::counters::Refusal;
use crate::relay::Relay;

impl Relay {
    /// The number of a new session for a client, whose first datagram this is.
    #[cold]
    pub(crate) fn begin(
        &mut self,
        client: Client,
        datagram: &Datagram<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<u32, Refusal> {
        let now_ns = batch.now_ns();
        if self.upstreams.is_empty() {
            return Err(Refusal::Upstream);
        }
        let is_full = self.sessions.is_full();
        if is_full && self.settings.options.full == Full::Refuse {
            return Err(Refusal::Sessions);
        }
        // Before any socket is made: sources may be forged.
        if !self.opens.take(now_ns) {
            return Err(Refusal::Opens);
        }
        let upstream = self.upstreams.choose(self.hash(&client), now_ns, None).ok_or(Refusal::Upstream)?;
        // Where the host has let some in just now, it may be a matter of how many a call may open.
        let was_none_let_in = self.opened_ns != now_ns;
        let opened = self.open(client, upstream, datagram, batch);
        if was_none_let_in && matches!(opened, Err(Refusal::Sessions)) {
            self.make_room(batch);
        }
        let new = opened?;
        if is_full && let Some(oldest) = self.sessions.oldest() {
            self.end(oldest, Leaving::Full, batch);
        }
        self.enter(new, None, now_ns)
    }

    /// The host lets no session be opened, since there are as many as it allows. What ends does so when the call is over, which is
    /// too late for this datagram, but not for the next one of its client.
    pub(crate) fn make_room(&mut self, batch: &mut Batch<'_>) {
        // Of many newcomers one gets the place.
        if self.limits.ends_oldest
            && !self.sessions.has_leaving()
            && let Some(oldest) = self.sessions.oldest()
        {
            self.end(oldest, Leaving::Full, batch);
        }
    }

    /// The number of the session that a client goes on by, who has not heard of its upstream: the one it has, or another, to
    /// another upstream if there is one.
    #[cold]
    pub(crate) fn reconsider(&mut self, number: u32, datagram: &Datagram<'_>, batch: &mut Batch<'_>) -> u32 {
        let now_ns = batch.now_ns();
        let Some(session) = self.sessions.get_mut(number) else { return number };
        let (client, upstream) = (session.client, session.upstream);
        // Where nobody was ever answered, silence says nothing: the protocol may go one way.
        let fell =
            session.silence.has_fallen(self.limits.silence_ns, now_ns) && self.upstreams.answers(upstream);
        if fell {
            session.is_answered = false;
            session.silence.hear();
            if self.upstreams.mark(upstream, now_ns) {
                self.say_down(upstream, "silent", batch);
            }
        }
        let Some(session) = self.sessions.get_mut(number).filter(|session| !session.is_answered) else {
            return number;
        };
        let is_refused = session.is_refused && self.upstreams.another_is_up(upstream, now_ns);
        let is_gone = !self.upstreams.is_listed(upstream) && !self.upstreams.is_empty();
        if !(fell || is_refused || is_gone) || !self.opens.take(now_ns) {
            return number;
        }
        let chosen = self.upstreams.choose(self.hash(&client), now_ns, Some(upstream));
        match chosen.map(|upstream| self.open(client, upstream, datagram, batch)) {
            Some(Ok(new)) => {
                self.end(number, Leaving::Moved, batch);
                self.enter(new, Some(number), now_ns).unwrap_or(number)
            }
            // Its own place is the one that is left: the next datagram of the client gets it.
            Some(Err(Refusal::Sessions)) => {
                self.end(number, Leaving::Moved, batch);
                number
            }
            Some(Err(_)) | None => number,
        }
    }

    /// Ends a session: its client has none from now on. What this call sends by it still leaves.
    pub(crate) fn end(&mut self, number: u32, why: Leaving, batch: &mut Batch<'_>) {
        if let Some(id) = self.sessions.leave(number, why) {
            batch.close(id);
        }
    }

    fn enter(&mut self, new: New, before: Option<u32>, now_ns: u64) -> Result<u32, Refusal> {
        let number = self.sessions.insert(new).ok_or(Refusal::Sessions)?;
        self.network.enter(number, new.client.peer(), before);
        self.upstreams.enter(new.upstream);
        self.counters.opened.add(1);
        self.show();
        self.show_down(now_ns);
        Ok(number)
    }

    /// Asks the host for a session.
    fn open(
        &mut self,
        client: Client,
        upstream: u32,
        datagram: &Datagram<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<New, Refusal> {
        let number = self.sessions.next_number().ok_or(Refusal::Sessions)?;
        let to = self.upstreams.address(upstream).ok_or(Refusal::Upstream)?;
        let options = &self.settings.options;
        let mut session = Session::to(to).idle(options.idle).user(number.into()).client(datagram);
        if options.df {
            session = session.dont_fragment();
        }
        if self.limits.copies_tos {
            session = session.want_tos();
        }
        let opened = match self.settings.sources(to) {
            [] => batch.open(session).map(|id| (id, 0)),
            sources => from_one_of(sources, self.sources[usize::from(to.is_ipv6())], session, batch),
        };
        let now_ns = batch.now_ns();
        let trouble = || self.trouble.filter(|(_, till_ns)| now_ns < *till_ns).map(|(why, _)| why);
        let (id, source) = opened.ok_or_else(|| trouble().unwrap_or(Refusal::Sessions))?;
        self.opened_ns = now_ns;
        Ok(New { id, client, upstream, source })
    }

    fn hash(&self, client: &Client) -> u64 {
        client.hash(self.settings.options.affinity == Affinity::Address)
    }
}

/// The host opens nothing from an address whose ports were used up a moment ago, and then the next one does.
fn from_one_of(
    sources: &[IpAddr],
    first: u8,
    session: Session,
    batch: &mut Batch<'_>,
) -> Option<(SessionId, u8)> {
    let numbered = || (0..=u8::MAX).zip(sources);
    let in_turn = numbered().skip(first.into()).chain(numbered().take(first.into()));
    in_turn.map(|(number, ip)| (number, *ip)).find_map(|(number, ip)| {
        let id = batch.open(session.from(SocketAddr::new(ip, 0)))?;
        Some((id, number))
    })
}
