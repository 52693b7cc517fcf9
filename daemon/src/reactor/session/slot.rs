//! One session: its socket, and who speaks by it with whom.

use std::net::SocketAddr;

use crate::exchange::{
    Client, CompactAddr, ReplySource, SessionEvent, SessionFlags, SessionInfo, SessionNews, SessionSpec,
};
use crate::reactor::io::Token;
use crate::reactor::listener::{Backlog, Pace};

/// One session. There may be tens of thousands, so it is kept small.
#[derive(Debug)]
pub(crate) struct Session<S> {
    pub(super) id: u64,
    /// The listener whose handler has opened it.
    pub(super) owner: Token,
    pub(super) user: u64,
    pub(super) socket: S,
    pub(super) pace: Pace,
    pub(super) flags: SessionFlags,
    /// It is on the list of ready sessions of its listener.
    pub(super) ready: bool,
    /// It is not watched, because nobody could serve it.
    pub(super) parked: bool,
    /// Its socket is unusable.
    pub(super) broken: bool,
    pub(super) opened_ns: u64,
    /// When the last datagram came or left that counts against its idle time.
    pub(super) heard_ns: u64,
    /// 0: it is never idle.
    pub(super) idle_ns: u64,
    pub(super) up: (u64, u64),
    pub(super) down: (u64, u64),
    pub(super) dropped: u64,
    pub(super) client: CompactAddr,
    pub(super) asked: Option<ReplySource>,
    pub(super) upstream: CompactAddr,
    pub(super) local: CompactAddr,
    pub(super) backlog: Backlog,
    pub(super) no_segments_until: u64,
}

impl<S> Session<S> {
    /// A session that has just been opened. `segments` is whether its socket takes segmented messages.
    pub(super) fn new(
        spec: &SessionSpec,
        owner: Token,
        socket: S,
        local: Option<SocketAddr>,
        now_ns: u64,
        segments: bool,
    ) -> Self {
        let mut session = Self {
            id: spec.id,
            owner,
            user: spec.user,
            socket,
            pace: Pace::default(),
            flags: spec.flags,
            ready: false,
            parked: false,
            broken: false,
            opened_ns: now_ns,
            heard_ns: now_ns,
            idle_ns: spec.idle_ns,
            up: (0, 0),
            down: (0, 0),
            dropped: 0,
            client: CompactAddr::default(),
            asked: None,
            upstream: CompactAddr::from(spec.to),
            local: CompactAddr::from(local),
            backlog: Backlog::default(),
            no_segments_until: if segments { 0 } else { u64::MAX },
        };
        session.set_client(spec.client);
        session
    }

    pub(super) fn set_client(&mut self, client: Option<Client>) {
        self.client = CompactAddr::from(client.map(|client| client.peer));
        self.asked = client.and_then(|client| client.asked);
    }

    /// When it will have been idle for too long; none if it never will.
    pub(super) fn idle_at(&self) -> Option<u64> {
        (self.idle_ns > 0).then(|| self.heard_ns.saturating_add(self.idle_ns))
    }

    pub(super) fn info(&self) -> SessionInfo {
        SessionInfo {
            id: self.id,
            user: self.user,
            flags: self.flags,
            opened_ns: self.opened_ns,
            heard_ns: self.heard_ns,
            client: self.client,
            upstream: self.upstream,
            local: self.local,
        }
    }

    pub(super) fn event(&self, what: SessionNews, errno: i32) -> SessionEvent {
        let (up, down, dropped) = (self.up, self.down, self.dropped);
        SessionEvent { what, info: self.info(), errno, up, down, dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::mio::Socket;

    #[test]
    fn a_session_is_small() {
        let bytes = size_of::<Option<Session<Socket>>>();
        assert!(bytes <= 352, "{bytes} bytes");
    }
}
