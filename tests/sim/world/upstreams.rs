//! The other end of sessions: servers that answer or do not, ports and files that run out, and what ICMP says.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};

use polyport::exchange::{ArrivalFlags, Arrived, Exchange};
use polyport::reactor::{Dial, MOST_ERRORS, Message, NetError, Received};

use super::{Datagram, Socket, SocketId, Step, World};
use crate::bench::ASKED;
use crate::journal::datagrams;

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Sends everything back, so many times, after so many nanoseconds.
    Echo { times: usize, after_ns: u64 },
    /// Hears it and says nothing.
    Silent,
    /// Is not there: an ICMP message says so.
    Refusing,
}

/// All servers, and what is left to speak to them.
#[derive(Debug)]
pub(crate) struct Upstreams {
    /// By their addresses; others do not exist, and are silent.
    pub(crate) servers: BTreeMap<SocketAddr, Upstream>,
    /// Sockets that there are ports for.
    pub(crate) ports: usize,
    /// Sockets that there are descriptors for.
    pub(crate) files: usize,
    open: usize,
    /// Attempts to open a socket.
    pub(crate) opens: u64,
    /// Datagrams that a server has got.
    pub(crate) heard: u64,
    /// Datagrams that died because an earlier one had met an error.
    pub(crate) eaten: u64,
    /// When the last session was closed.
    pub(crate) closed_ns: u64,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self {
            servers: BTreeMap::new(),
            ports: usize::MAX,
            files: usize::MAX,
            open: 0,
            opens: 0,
            heard: 0,
            eaten: 0,
            closed_ns: 0,
        }
    }
}

/// What a socket of a session has besides.
#[derive(Debug, Default)]
pub(super) struct Side {
    to: Option<SocketAddr>,
    /// `sk_err`: fails the next call.
    pending: Option<i32>,
    /// The error queue.
    errors: VecDeque<NetError>,
}

impl World {
    /// So many errors are told to every session.
    pub(crate) fn flood_with_errors(&mut self, n: usize) {
        for at in 0..self.sockets.len() {
            if self.sockets[at].side.is_some() && !self.sockets[at].released {
                (0..n).for_each(|_| self.refuse(at));
            }
        }
    }

    fn refuse(&mut self, at: usize) {
        if let Some(side) = &mut self.sockets[at].side {
            side.pending = Some(libc::ECONNREFUSED);
            let reporter = Some(IpAddr::from([203, 0, 113, 1]));
            side.errors.push_back(NetError { errno: libc::ECONNREFUSED, mtu: 0, reporter });
        }
        self.wake(at);
    }

    /// Whether an error waits at a socket, which is always told.
    pub(super) fn has_error(socket: &Socket) -> bool {
        socket.side.as_ref().is_some_and(|side| side.pending.is_some() || !side.errors.is_empty())
    }

    pub(super) fn open_session(&mut self, dial: &Dial) -> io::Result<SocketId> {
        self.tick();
        self.upstreams.opens += 1;
        let left = &self.upstreams;
        let errno = if left.open >= left.files {
            Some(libc::EMFILE)
        } else if left.open >= left.ports {
            // What connect says, and what elsewhere means to wait.
            Some(libc::EAGAIN)
        } else {
            None
        };
        if let Some(errno) = errno {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.upstreams.open += 1;
        let socket = self.bind(false, 100_000);
        self.sockets[socket.0].side = Some(Side { to: dial.to, ..Side::default() });
        Ok(socket)
    }

    pub(super) fn close_session(&mut self, socket: SocketId) {
        self.tick();
        self.upstreams.open -= 1;
        self.upstreams.closed_ns = self.mono_ns;
        let socket = &mut self.sockets[socket.0];
        assert!(!socket.released, "a session is closed once");
        (socket.token, socket.readable, socket.writable, socket.released) = (None, false, false, true);
        socket.queue.clear();
        socket.side = None;
    }

    /// What the error queue of a session has, a part of it.
    pub(super) fn take_errors(&mut self, at: usize, into: &mut Vec<NetError>) {
        if let Some(side) = &mut self.sockets[at].side {
            let n = side.errors.len().min(MOST_ERRORS);
            into.extend(side.errors.drain(..n));
            self.journal.progress += 1;
        }
    }

    fn pending(&mut self, at: usize) -> Option<io::Error> {
        let errno = self.sockets[at].side.as_mut()?.pending.take()?;
        Some(io::Error::from_raw_os_error(errno))
    }

    pub(super) fn send_by_session(&mut self, at: usize, messages: &[Message<'_>]) -> io::Result<usize> {
        self.expect_owned(at);
        self.tick();
        if let Some(error) = self.pending(at) {
            self.upstreams.eaten += 1;
            return Err(error);
        }
        let to = self.sockets[at].side.as_ref().and_then(|side| side.to);
        let most = self.faults.part(self.faults.profile.partial_send, messages.len());
        for (done, message) in messages.iter().take(most).enumerate() {
            assert_eq!(Some(*message.to), to, "a session speaks to its upstream");
            match self.session_send_error(at, message) {
                Some(errno) if done == 0 => return Err(io::Error::from_raw_os_error(errno)),
                Some(errno) => {
                    self.sockets[at].parked = (errno != libc::EAGAIN).then_some(errno);
                    return Ok(done);
                }
                None => self.took(at),
            }
            for payload in datagrams(message) {
                self.journal.progress += 1;
                self.hear(at, *message.to, &payload);
            }
        }
        Ok(most)
    }

    /// How a message of a session fails. In the books of the world a session has no page, so this is apart from that of listeners.
    fn session_send_error(&mut self, at: usize, message: &Message<'_>) -> Option<i32> {
        let socket = &mut self.sockets[at];
        if socket.closed {
            return Some(libc::EBADF);
        }
        if socket.room == 0 {
            return Some(libc::EAGAIN);
        }
        if let Some(errno) = socket.parked.take() {
            return Some(errno);
        }
        if self.faults.hit(self.faults.profile.broken) {
            self.sockets[at].closed = true;
            return Some(libc::EBADF);
        }
        self.faults.send(message.segment.is_some())
    }

    /// How a receive call of a session fails.
    fn session_receive_error(&mut self, at: usize) -> Option<i32> {
        if self.sockets[at].closed || self.faults.hit(self.faults.profile.broken) {
            self.sockets[at].closed = true;
            return Some(libc::EBADF);
        }
        self.faults.receive().map(|(errno, _)| errno)
    }

    /// Datagrams that wait in the sockets of sessions.
    pub(crate) fn queued_by_sessions(&self) -> usize {
        self.sockets.iter().filter(|socket| socket.side.is_some()).map(|socket| socket.queue.len()).sum()
    }

    /// A datagram comes to a server.
    fn hear(&mut self, at: usize, server: SocketAddr, payload: &[u8]) {
        let upstream = self.upstreams.servers.get(&server).copied().unwrap_or(Upstream::Silent);
        match upstream {
            Upstream::Echo { times, after_ns } => {
                self.upstreams.heard += 1;
                for _ in 0..times {
                    let datagram = Datagram {
                        id: 0,
                        peer: server,
                        destination: IpAddr::V4(ASKED),
                        hop_limit: 64,
                        payload: payload.to_vec(),
                    };
                    self.plan(self.mono_ns + after_ns, Step::Arrive(at, datagram));
                }
            }
            Upstream::Silent => self.upstreams.heard += 1,
            Upstream::Refusing => self.refuse(at),
        }
    }

    pub(super) fn receive_by_session(
        &mut self,
        at: usize,
        exchange: &mut Exchange,
        max: usize,
    ) -> io::Result<Received> {
        self.expect_owned(at);
        self.tick();
        if let Some(error) = self.pending(at) {
            return Err(error);
        }
        if let Some(errno) = self.session_receive_error(at) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let trains = self.sockets[at].trains;
        let (slot, stride) = (exchange.limits().slot_len, exchange.limits().stride);
        let (first, mut n) = (exchange.next_slot(), 0);
        while n < max
            && let Some(datagram) = self.sockets[at].queue.pop_front()
        {
            let mut joined = vec![datagram];
            while trains && joined.len() < 64 && self.joins(at, &joined, slot) {
                joined.extend(self.sockets[at].queue.pop_front());
            }
            let (offset, mut len) = ((first + n) * stride, 0);
            for one in &joined {
                let part = one.payload.len().min(slot - len);
                exchange.ring_mut()[offset + len..][..part].copy_from_slice(&one.payload[..part]);
                len += part;
            }
            let datagram = &joined[0];
            let pushed = exchange.push(Arrived {
                offset,
                len,
                cap: if joined.len() > 1 { len } else { slot },
                segment: if joined.len() > 1 { datagram.payload.len() } else { 0 },
                peer: datagram.peer,
                destination: None,
                reply_from: None,
                ifindex: 0,
                tos: 0,
                hop_limit: 0,
                session: 0,
                flags: ArrivalFlags { truncated: datagram.payload.len() > slot, ..ArrivalFlags::default() },
            });
            assert!(pushed, "the exchange has descriptors for every slot");
            n += 1;
        }
        if n == 0 {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        self.journal.received_by_session(n);
        let drained = (self.sockets[at].queue.is_empty() && n < max) || (self.level && max == 1);
        Ok(Received { messages: n, drained })
    }
}
