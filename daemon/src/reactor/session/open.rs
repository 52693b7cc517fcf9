//! Sessions are made and ended. What a handler asks for in a call is carried out when the call is settled.

use std::rc::Rc;

use super::chain::Link;
use super::family::Family;
use super::kept::Kept;
use super::slot::Session;
use super::slots::{event_token, trouble};
use crate::exchange::{
    CompactAddr, Facts, NetTrouble, OpenRefused, SessionEnd, SessionEvent, SessionInfo, SessionNews,
    SessionRequest, SessionSpec,
};
use crate::limits::{OPEN_PAUSE_NS, OPEN_WARNING_NS};
use crate::metrics::DropReason;
use crate::reactor::core::Core;
use crate::reactor::errno::{OnOpen, on_open};
use crate::reactor::io::{Dial, Interest, Io, NetError, Token};
use crate::reactor::listener::Listener;

/// Why a session was not made, and the errno behind it.
type NotMade = (SessionEnd, i32);

impl<I: Io> Core<I> {
    /// Opens the desk for the next call of a handler, if it has sessions.
    #[inline]
    pub(in crate::reactor) fn open_desk(&mut self, listener: &Listener<I::Socket>) {
        if listener.has_sessions() {
            self.stock_desk(listener);
        }
    }

    fn stock_desk(&mut self, listener: &Listener<I::Socket>) {
        let Some(family) = &listener.family else { return };
        let most = self.limits.session_opens;
        for _ in 0..self.exchange.missing_ids(most) {
            let Some(id) = self.sessions.reserve() else { break };
            self.exchange.stock_id(id);
        }
        let room = family.room().min(self.limits.sessions.saturating_sub(self.sessions.open));
        self.exchange.open_desk(room.saturating_sub(family.deferred.len()).min(most));
    }

    /// Forgets what a handler asked for that has broken.
    pub(in crate::reactor) fn forget_requests(&mut self) {
        if self.exchange.has_sessions() {
            self.exchange.take_requests(&mut self.sessions.requests);
            for request in std::mem::take(&mut self.sessions.requests) {
                if let SessionRequest::Open(spec) = request {
                    self.sessions.release(spec.id);
                }
            }
            self.exchange.close_desk();
        }
    }

    /// Makes and changes sessions as a handler has asked for in a call. What it asked to end is left for later. What it asked for in
    /// an event is made in the next turn: a failure that repeats must not keep the loop.
    pub(super) fn carry_out(&mut self, listener: &Listener<I::Socket>, family: &mut Family, in_event: bool) {
        let mut requests = std::mem::take(&mut self.sessions.requests);
        self.exchange.take_requests(&mut requests);
        let (refused, bad) = self.exchange.take_session_counts();
        for (count, more) in family.book.opens_refused.iter_mut().zip(refused) {
            *count += more;
        }
        family.book.bad_requests += bad;
        family.failed.clear();
        for request in &requests {
            if let SessionRequest::User(id, _) | SessionRequest::Idle(id, _) = *request
                && self.asks_elsewhere(listener, id, request)
            {
                continue;
            }
            let known = match *request {
                SessionRequest::Open(spec) if in_event => {
                    if family.deferred.is_empty() {
                        self.sessions.deferred.push(listener.token);
                    }
                    family.deferred.push(spec);
                    true
                }
                SessionRequest::Open(spec) => {
                    self.open_session(listener, family, &spec);
                    true
                }
                SessionRequest::Close(_) => true,
                SessionRequest::User(id, user) => self.set_user(listener.token, id, user),
                SessionRequest::Idle(id, idle_ns) => self.set_idle(listener.token, id, idle_ns),
                SessionRequest::Client(id, client) => {
                    self.sessions.of(listener.token, id).map(|s| s.set_client(Some(client))).is_some()
                }
            };
            // What could not be opened in the same call is told anyway.
            if !known && !is_failed(family, request) {
                family.book.bad_requests += 1;
            }
        }
        self.sessions.requests = requests;
    }

    /// Gives a session of `owner` another word. False if it has no such session.
    pub(super) fn set_user(&mut self, owner: Token, id: u64, user: u64) -> bool {
        self.sessions.of(owner, id).map(|session| session.user = user).is_some()
    }

    /// Gives a session of `owner` another idle time. False if it has no such session.
    pub(super) fn set_idle(&mut self, owner: Token, id: u64, idle_ns: u64) -> bool {
        let is_set = self.sessions.of(owner, id).map(|session| session.idle_ns = idle_ns).is_some();
        if is_set {
            self.sessions.schedule(id, self.now.mono_ns);
        }
        is_set
    }

    /// Ends the sessions that a handler has asked to end in the call whose requests were carried out.
    pub(super) fn end_asked(&mut self, listener: &Listener<I::Socket>, family: &mut Family) {
        let mut requests = std::mem::take(&mut self.sessions.requests);
        for request in &requests {
            let SessionRequest::Close(id) = *request else { continue };
            if self.asks_elsewhere(listener, id, request) {
                continue;
            }
            if self.sessions.of(listener.token, id).is_some() {
                self.end_session(family, id, SessionEnd::Asked, 0);
            } else if let Some(at) = family.deferred.iter().position(|spec| spec.id == id) {
                let spec = family.deferred.remove(at);
                self.note_not_made(family, &spec, (SessionEnd::Asked, 0));
            } else if !is_failed(family, request) {
                family.book.bad_requests += 1;
            }
        }
        requests.clear();
        self.sessions.requests = requests;
    }

    /// Makes the sessions of a listener that were asked for in an event of an earlier turn.
    pub(super) fn open_deferred(&mut self, listener: &Listener<I::Socket>, family: &mut Family) {
        family.failed.clear();
        for spec in std::mem::take(&mut family.deferred) {
            self.open_session(listener, family, &spec);
        }
    }

    fn open_session(&mut self, listener: &Listener<I::Socket>, family: &mut Family, spec: &SessionSpec) {
        match self.make(listener, family, spec) {
            Ok((session, link)) => {
                if let Some(link) = link {
                    self.sessions.chain.add(spec.id, link);
                }
                if let Some(to) = spec.to.filter(|to| self.own.may_serve(*to)) {
                    self.sessions.near.add(to, spec.id, self.own.receiver(to));
                }
                family.book.opened += 1;
                family.count_open();
                self.sessions.insert(session);
                self.sessions.schedule(spec.id, self.now.mono_ns);
            }
            Err(why) => self.note_not_made(family, spec, why),
        }
    }

    /// Makes the socket of a session, which may lead to another listener.
    fn make(
        &mut self,
        listener: &Listener<I::Socket>,
        family: &Family,
        spec: &SessionSpec,
    ) -> Result<(Session<I::Socket>, Option<Link>), NotMade> {
        if family.room() == 0 || self.sessions.open >= self.limits.sessions {
            return Err((SessionEnd::Limit, 0));
        }
        match self.exchange.opens_paused(spec.from.map(|from| from.ip())) {
            Some(OpenRefused::Port) => return Err((SessionEnd::NoPort, 0)),
            Some(_) => return Err((SessionEnd::NoFile, 0)),
            None => {}
        }
        let link = match spec.to {
            Some(to) => self.link(listener, to).map_err(|_| (SessionEnd::RefusedAddress, 0))?,
            None => None,
        };
        let buffer = |bytes: u32| (bytes > 0).then_some(bytes as usize);
        let dial = Dial {
            to: spec.to,
            from: spec.from,
            ipv6: listener.local.is_ipv6(),
            df: spec.flags.df,
            recv_buffer: buffer(spec.recv_buffer),
            send_buffer: buffer(spec.send_buffer),
            outgoing: Rc::clone(&family.outgoing),
        };
        let mut socket = self.io.open(&dial).map_err(|error| self.not_made(listener, spec, &error))?;
        if let Err(error) = self.io.register(&mut socket, event_token(spec.id)) {
            self.io.close(socket);
            return Err(self.not_made(listener, spec, &error));
        }
        if spec.flags.tos {
            self.io.want(&mut socket, Facts { tos: true, ..Facts::NONE });
        }
        let (local, segments) = (self.io.local(&socket), self.io.can_segment(&socket));
        let session = Session::new(spec, listener.token, socket, local, self.now.mono_ns, segments);
        Ok((session, link))
    }

    /// Decides what follows from the error of an attempt to make a socket. Where the next one would fail as well, none is made for a
    /// while: an attempt costs milliseconds when all ports are used up.
    #[cold]
    fn not_made(
        &mut self,
        listener: &Listener<I::Socket>,
        spec: &SessionSpec,
        error: &std::io::Error,
    ) -> NotMade {
        let errno = error.raw_os_error().unwrap_or(0);
        let source = spec.from.map(|from| from.ip());
        let (end, what) = match on_open(error, spec.from.is_some_and(|from| from.port() > 0)) {
            OnOpen::NoPort => {
                self.exchange.pause_opens(source, false, self.now.mono_ns.saturating_add(OPEN_PAUSE_NS));
                let of = source.map_or_else(|| "the source address".to_owned(), |ip| ip.to_string());
                let help = "a wider net.ipv4.ip_local_port_range or another source address gives more";
                (SessionEnd::NoPort, format!("the ports of {of} are used up; {help}"))
            }
            OnOpen::NoFile => {
                self.exchange.pause_opens(None, true, self.now.mono_ns.saturating_add(OPEN_PAUSE_NS));
                let help = "`ulimit -n` (LimitNOFILE= of a systemd unit) allows more, `[limits] sessions` asks for fewer";
                (SessionEnd::NoFile, format!("no descriptor or memory is left; {help}"))
            }
            OnOpen::Refused => return (SessionEnd::RefusedAddress, errno),
        };
        let now_ns = self.now.mono_ns;
        if self.sessions.said_ns.is_none_or(|said| now_ns.saturating_sub(said) >= OPEN_WARNING_NS) {
            self.sessions.said_ns = Some(now_ns);
            log::warn!(
                "{listener}: no session can be opened: {error}: {what}; tried again in a second, or when one ends"
            );
        }
        (end, errno)
    }

    /// Counts a session that never was, and has its handler told.
    fn note_not_made(&mut self, family: &mut Family, spec: &SessionSpec, (end, errno): NotMade) {
        family.book.opened += 1;
        count_end(family, end);
        family.failed.push(spec.id);
        self.sessions.release(spec.id);
        family.events.push_back(SessionEvent {
            what: SessionNews::Closed(end),
            info: SessionInfo {
                id: spec.id,
                user: spec.user,
                flags: spec.flags,
                opened_ns: 0,
                heard_ns: 0,
                client: CompactAddr::from(spec.client.map(|client| client.peer)),
                upstream: CompactAddr::from(spec.to),
                local: CompactAddr::default(),
            },
            errno,
            up: (0, 0),
            down: (0, 0),
            dropped: 0,
        });
    }

    /// Ends a session, and has its handler told. What waits for room in its socket is dropped.
    pub(super) fn end_session(&mut self, family: &mut Family, id: u64, end: SessionEnd, errno: i32) {
        let Some(mut session) = self.sessions.remove(id) else { return };
        while session.backlog.pop(&mut self.backlog_bytes).is_some() {
            family.book.counters.drop_one(DropReason::SessionClosed);
            family.backlogged = family.backlogged.saturating_sub(1);
            session.dropped += 1;
        }
        family.count_gone();
        count_end(family, end);
        family.events.push_back(session.event(SessionNews::Closed(end), errno));
        self.io.close(session.socket);
        self.exchange.resume_opens();
    }

    /// Ends all sessions of a listener whose handler will not be told, because it is gone or about to go.
    pub(in crate::reactor) fn end_sessions(&mut self, listener: &mut Listener<I::Socket>, end: SessionEnd) {
        let tapped = listener.tapped;
        let Some(family) = &mut listener.family else { return };
        for id in self.sessions.ids_of(listener.token) {
            self.end_session(family, id, end, 0);
        }
        self.forget_news(family);
        let reason =
            if end == SessionEnd::Stopping { DropReason::Stopping } else { DropReason::SessionClosed };
        self.delayed.remove(listener.token.beside());
        self.taps.missed(tapped, family.delayed);
        family.book.counters.drop_many(reason, std::mem::take(&mut family.delayed));
    }

    /// Forgets what the handler of a listener was to be told, and what it has asked for.
    pub(in crate::reactor) fn forget_handler_of_sessions(&mut self, listener: &mut Listener<I::Socket>) {
        if let Some(family) = &mut listener.family {
            self.forget_news(family);
        }
    }

    fn forget_news(&mut self, family: &mut Family) {
        family.events.clear();
        for spec in family.deferred.drain(..) {
            self.sessions.release(spec.id);
        }
    }

    /// What the next handler of a listener is told of the sessions that there are.
    pub(in crate::reactor) fn sessions_of(&mut self, listener: &Listener<I::Socket>) -> Vec<SessionInfo> {
        if listener.family.is_none() {
            return Vec::new();
        }
        let ids = self.sessions.ids_of(listener.token);
        ids.iter().filter_map(|id| self.sessions.get(*id).map(|session| session.info())).collect()
    }

    /// Goes on with the sessions that a new handler has kept, each with its new word, and ends the others.
    pub(in crate::reactor) fn keep_sessions(
        &mut self,
        listener: &mut Listener<I::Socket>,
        kept: &[(u64, u64)],
    ) {
        self.keep(listener, &Kept::new(kept));
    }

    /// Goes on with those sessions of a listener that are kept, and ends the others.
    pub(super) fn keep(&mut self, listener: &mut Listener<I::Socket>, kept: &Kept) {
        let Some(family) = &mut listener.family else { return };
        for id in self.sessions.ids_of(listener.token) {
            let Some(user) = kept.word(id) else {
                self.end_session(family, id, SessionEnd::Restart, 0);
                continue;
            };
            let Some(session) = self.sessions.get(id) else { continue };
            session.user = user;
            let interest = if session.backlog.is_empty() { Interest::READ } else { Interest::READ_WRITE };
            let parked = std::mem::take(&mut session.parked);
            if parked && self.io.watch(&mut session.socket, event_token(id), interest).is_err() {
                self.end_session(family, id, SessionEnd::Broken, 0);
            }
        }
    }

    /// Takes what the network has said about a session, and has its handler told: one event for each kind. `taken` is the
    /// error that a call met, for systems that keep no list.
    pub(super) fn take_errors(&mut self, family: &mut Family, id: u64, taken: i32) {
        let mut errors = std::mem::take(&mut self.sessions.errors);
        let Some(session) = self.sessions.get(id) else { return };
        errors.clear();
        if !self.io.errors(&mut session.socket, &mut errors) && taken != 0 {
            errors.push(NetError { errno: taken, mtu: 0, reporter: None });
        }
        for kind in NetTrouble::ALL {
            let all = errors.iter().filter(|error| trouble(error.errno) == *kind);
            let count = u32::try_from(all.clone().count()).unwrap_or(u32::MAX);
            if let Some(last) = all.max_by_key(|error| error.mtu > 0) {
                let news = SessionNews::Error { kind: *kind, count, mtu: last.mtu, reporter: last.reporter };
                family.events.push_back(session.event(news, last.errno));
            }
        }
        self.sessions.errors = errors;
    }
}

/// Whether a request is about a session that could not be opened in the same call.
fn is_failed(family: &Family, request: &SessionRequest) -> bool {
    let (SessionRequest::Close(id)
    | SessionRequest::User(id, _)
    | SessionRequest::Idle(id, _)
    | SessionRequest::Client(id, _)) = request
    else {
        return false;
    };
    family.failed.contains(id)
}

fn count_end(family: &mut Family, end: SessionEnd) {
    if let Some(count) = family.book.closed.get_mut(end as usize) {
        *count += 1;
    }
}
