//! The calls the reactor makes: receive, send, poll, and how each of them fails.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use polyport::exchange::{ArrivalFlags, Arrived, Exchange, Facts, ReplySource};
use polyport::guard::LocalAddress;
use polyport::plugin::{GroupRequest, Notify};
use polyport::reactor::{
    AddressReading, Dial, Event, Group, Interest, Io, Link, Message, NetError, Now, Received, Token, Wait,
};
use rand::RngExt;

use super::{Datagram, ROOM, Socket, SocketId, Step, WALL, World};
use crate::bench::ASKED;
use crate::rare::Rare;

impl Io for World {
    type Socket = SocketId;

    fn now(&mut self) -> Now {
        if self.faults.hit(self.faults.profile.wall_step) {
            self.wall_offset_ns = WALL + self.faults.rng.random_range(-3_600_000_000_000..3_600_000_000_000);
        }
        Now { mono_ns: self.mono_ns, wall_offset_ns: self.wall_offset_ns }
    }

    fn read_clocks(&mut self) -> Now {
        self.now()
    }

    fn secret(&mut self) -> io::Result<[u8; 32]> {
        Ok(self.faults.rng.random())
    }

    fn notify(&mut self) -> io::Result<Notify> {
        if self.orders.no_eventfd {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let notified = Arc::clone(&self.notified);
        Ok(Box::new(move || {
            notified.fetch_add(1, Ordering::Relaxed);
            true
        }))
    }

    fn cpu_ns(&mut self) -> u64 {
        // Drawn, so that every way of waiting wins now and then.
        self.cpu_ns += self.faults.rng.random_range(0..1_000_000);
        self.cpu_ns
    }

    fn poll(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<bool> {
        self.start_threads();
        self.tick();
        if self.faults.hit(self.faults.profile.interrupted) {
            return Ok(false);
        }
        events.append(&mut self.orders.events);
        self.noise(events);
        if events.is_empty() && wait != Wait::No {
            let before = self.mono_ns;
            self.wait(if let Wait::Until(at_ns) = wait { Some(at_ns) } else { None });
            self.journal.waited(self.mono_ns - before);
        }
        if std::mem::take(&mut self.host.has_news) && !self.orders.untold {
            self.journal.progress += 1;
            events.push(Event::Addresses);
        }
        if std::mem::take(&mut self.wake) {
            self.journal.progress += 1;
            self.journal.reach(Rare::Wake);
            events.push(Event::Wake);
        }
        let more = self.collect(events);
        for event in events.iter() {
            if let Event::Ready { token, readable, writable } = *event {
                let is_heard = |s: &Socket| s.readable || !self.orders.ending;
                let owner = self
                    .sockets
                    .iter()
                    .position(|s| s.token == Some(token) && s.side.is_none() && is_heard(s));
                self.journal.event(owner, readable, writable);
            }
        }
        Ok(more)
    }

    fn can_rest(&self) -> bool {
        true
    }

    fn rest(&mut self, span: Duration) {
        self.start_threads();
        self.journal.reach(Rare::Rest);
        let end = self.mono_ns + u64::try_from(span.as_nanos()).unwrap();
        while !self.has_other_news() && !self.list.iter().any(|at| self.is_ready(*at)) {
            let next = self.schedule.first_key_value().map(|((at, _), _)| *at);
            self.mono_ns = self.mono_ns.max(next.unwrap_or(end).min(end));
            if next.is_none_or(|next| next > end) {
                return;
            }
            self.happen();
        }
    }

    fn register(&mut self, socket: &mut SocketId, token: Token) -> io::Result<()> {
        if let Some(errno) = self.orders.register {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.sockets[socket.0].token = Some(token);
        self.sockets[socket.0].readable = true;
        if self.is_ready(socket.0) {
            self.wake(socket.0);
        }
        Ok(())
    }

    fn watch(&mut self, socket: &mut SocketId, _: Token, interest: Interest) -> io::Result<()> {
        self.tick();
        if let Some(errno) = self.orders.watch {
            return Err(io::Error::from_raw_os_error(errno));
        }
        if interest.writable && !self.sockets[socket.0].writable {
            self.journal.backlog(socket.0);
        }
        self.sockets[socket.0].readable = interest.readable;
        self.sockets[socket.0].writable = interest.writable;
        // EPOLL_CTL_MOD looks at the socket at once.
        if self.is_ready(socket.0) {
            self.wake(socket.0);
        }
        Ok(())
    }

    fn unregister(&mut self, socket: &mut SocketId) -> io::Result<()> {
        let socket = &mut self.sockets[socket.0];
        (socket.token, socket.readable, socket.writable) = (None, false, false);
        Ok(())
    }

    fn can_segment(&mut self, _: &SocketId) -> bool {
        self.orders.segments
    }

    fn kernel_drops(&mut self, socket: &SocketId) -> Option<u32> {
        u32::try_from(self.journal.ledgers[socket.0].kernel_drops).ok()
    }

    fn set_trains(&mut self, socket: &mut SocketId, on: bool) -> bool {
        self.sockets[socket.0].trains = on;
        true
    }

    /// A kernel that cannot tell: handlers do what they can without.
    fn want(&mut self, _: &mut SocketId, _: Facts) -> Facts {
        Facts::NONE
    }

    fn interface_index(&mut self, _: &str) -> Option<u32> {
        None
    }

    fn watch_links(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn tie(&mut self, _: &mut SocketId, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn move_group(&mut self, _: &mut SocketId, _: &Group, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn change_group(&mut self, _: &mut SocketId, _: &GroupRequest) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::ENODEV))
    }

    fn read_addresses(&mut self, again: bool, into: &mut Vec<LocalAddress>) -> io::Result<AddressReading> {
        self.tick();
        self.journal.progress += 1;
        if let Some(errno) = self.orders.addresses {
            return Err(io::Error::from_raw_os_error(errno));
        }
        if self.faults.hit(self.faults.profile.addresses) {
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        }
        let most = match self.orders.part {
            0 => self.faults.part(self.faults.profile.addresses, 8),
            part => part,
        };
        let reading = self.host.read(again, most, into);
        match reading {
            AddressReading::Part => {}
            AddressReading::Whole => self.journal.knows(into.clone(), false),
            AddressReading::Torn => {
                self.journal.reach(Rare::TornAddresses);
                self.journal.knows(into.clone(), true);
            }
        }
        Ok(reading)
    }

    fn tells_of_addresses(&self) -> bool {
        !self.orders.untold
    }

    fn receive(
        &mut self,
        socket: &mut SocketId,
        exchange: &mut Exchange,
        max: usize,
    ) -> io::Result<Received> {
        assert!(max > 0, "a receive call asks for at least one datagram");
        let at = socket.0;
        if self.sockets[at].side.is_some() {
            return self.receive_by_session(at, exchange, max);
        }
        self.expect_owned(at);
        self.mono_ns += self.orders.slow_ns;
        self.tick();
        self.journal.visited(at);
        if !self.sockets[at].readable {
            self.journal.reach(Rare::Poll);
        }
        if let Some(errno) = self.receive_error(at) {
            self.journal.receive_error(at, errno);
            return Err(io::Error::from_raw_os_error(errno));
        }
        let queued = self.sockets[at].queue.len();
        if queued == 0 {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        let asked = max.min(queued);
        let most = self.faults.part(self.faults.profile.partial_receive, asked);
        let mut n = 0;
        while n < most && self.hand_over(at, exchange, n) {
            n += 1;
        }
        // A full batch does not tell that the queue is empty; a short one does, unless an error cut it. What
        // is left in a level-triggered world raises an event by itself.
        let empty = self.sockets[at].queue.is_empty();
        let drained = (empty && n < max) || (self.level && max == 1);
        self.journal.received(at, n, drained);
        // The moment between the last datagram and the answer: what arrives now is a new edge (R9).
        self.tick();
        Ok(Received { messages: n, drained })
    }

    fn send(&mut self, socket: &mut SocketId, messages: &[Message<'_>]) -> io::Result<usize> {
        let at = socket.0;
        self.expect_owned(at);
        self.mono_ns += std::mem::take(&mut self.orders.slow_send_ns);
        self.tick();
        self.journal.ledgers[at].send_calls += 1;
        let most = self.faults.part(self.faults.profile.partial_send, messages.len());
        let has_backlog = self.sockets[at].writable;
        for (done, message) in messages.iter().take(most).enumerate() {
            match self.send_error(at, message) {
                None => {
                    self.journal.sent(at, message);
                    self.took(at);
                }
                Some(errno) if done == 0 => {
                    self.journal.send_error(at, message, errno, has_backlog);
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Some(errno) => {
                    self.sockets[at].parked = (errno != libc::EAGAIN).then_some(errno);
                    self.journal.reach(Rare::PartialSend);
                    self.journal.stopped_at(at, message);
                    return Ok(done);
                }
            }
        }
        if let Some(message) = messages.get(most) {
            self.journal.reach(Rare::PartialSend);
            self.journal.stopped_at(at, message);
        }
        Ok(most)
    }

    fn send_connected(&mut self, socket: &mut SocketId, messages: &[Message<'_>]) -> io::Result<usize> {
        self.send_by_session(socket.0, messages)
    }

    fn open(&mut self, dial: &Dial) -> io::Result<SocketId> {
        self.open_session(dial)
    }

    fn local(&self, socket: &SocketId) -> Option<SocketAddr> {
        Some(SocketAddr::from((ASKED, 40_000 + u16::try_from(socket.0 % 20_000).unwrap())))
    }

    fn close(&mut self, socket: SocketId) {
        self.close_session(socket);
    }

    fn errors(&mut self, socket: &mut SocketId, into: &mut Vec<NetError>) -> bool {
        self.take_errors(socket.0, into);
        true
    }
}

impl World {
    pub(super) fn expect_owned(&mut self, at: usize) {
        if self.sockets[at].released {
            self.journal.fail(format!("socket {at} is used by somebody who gave it away"));
        }
    }

    fn receive_error(&mut self, at: usize) -> Option<i32> {
        let socket = &mut self.sockets[at];
        if socket.closed {
            return Some(libc::EBADF);
        }
        if let Some(errno) = socket.script.receives.pop_front() {
            if errno == Some(libc::EBADF) {
                self.breaks(at, None);
            }
            return errno;
        }
        if let Some((errno, until)) = socket.stuck {
            if self.mono_ns < until {
                return Some(errno);
            }
            socket.stuck = None;
        }
        if self.faults.hit(self.faults.profile.broken) {
            self.breaks(at, None);
            return Some(libc::EBADF);
        }
        let (errno, lasts) = self.faults.receive()?;
        if lasts > 0 {
            self.sockets[at].stuck = Some((errno, self.mono_ns + lasts));
        }
        Some(errno)
    }

    /// A descriptor that is none stays none.
    fn breaks(&mut self, at: usize, message: Option<&Message<'_>>) {
        self.sockets[at].closed = true;
        self.journal.broke(at, message, self.sockets[at].writable);
    }

    fn send_error(&mut self, at: usize, message: &Message<'_>) -> Option<i32> {
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
        // Oftener where it is rare that anything is sent.
        let broken =
            self.faults.profile.broken * if self.journal.ledgers[at].in_pieces() { 10.0 } else { 1.0 };
        let errno = match socket.script.sends.pop_front() {
            Some(scripted) => scripted,
            None if self.faults.hit(broken) => Some(libc::EBADF),
            None => self.faults.send(message.segment.is_some()),
        };
        if errno == Some(libc::EBADF) {
            self.breaks(at, Some(message));
        }
        errno
    }

    /// One message left.
    pub(super) fn took(&mut self, at: usize) {
        self.sockets[at].room -= 1;
        if self.faults.hit(self.faults.profile.full) {
            let n = self.faults.rng.random_range(1..20);
            // Often within the same turn, else a few milliseconds later.
            let longest = if self.faults.rng.random() { 5_000 } else { 5_000_000 };
            let after = self.faults.rng.random_range(100..longest);
            self.sockets[at].room = 0;
            self.plan(self.mono_ns + after, Step::Room(at, n));
        } else if self.sockets[at].room == 0 && self.faults.profile.full > 0.0 {
            self.plan(self.mono_ns + 1000, Step::Room(at, ROOM));
        }
    }

    /// One message into slot `index`: a datagram, or a train of them where the socket takes trains.
    fn hand_over(&mut self, at: usize, exchange: &mut Exchange, index: usize) -> bool {
        let (slot, stride) = (exchange.limits().slot_len, exchange.limits().stride);
        let Socket { wildcard, trains, tells_hop_limit, .. } = self.sockets[at];
        let Some(first) = self.sockets[at].queue.pop_front() else { return false };
        let mut joined = vec![first];
        while trains && joined.len() < 64 && self.joins(at, &joined, slot) {
            joined.extend(self.sockets[at].queue.pop_front());
        }
        let first = &joined[0];
        let offset = index * stride;
        let multicast = first.destination.is_multicast();
        let broadcast = self.host.broadcasts(first.destination);
        // What the kernel proposes to answer from: it has no proposal for a group of IPv6.
        let source = match first.destination {
            ip if !multicast && !broadcast => Some(ip),
            IpAddr::V4(_) => Some(IpAddr::V4(ASKED)),
            IpAddr::V6(_) => None,
        };
        let asked = source.filter(|_| wildcard).map(|ip| ReplySource { ip, ifindex: 0 });
        let mut len = 0;
        for d in &joined {
            let part = d.payload.len().min(slot - len);
            exchange.ring_mut()[offset + len..][..part].copy_from_slice(&d.payload[..part]);
            len += part;
            self.journal.delivered(at, d, asked, multicast || broadcast, part);
        }
        let truncated = first.payload.len() > slot;
        let pushed = exchange.push(Arrived {
            offset,
            len,
            cap: len,
            segment: if joined.len() > 1 { first.payload.len() } else { 0 },
            peer: first.peer,
            destination: wildcard.then_some(first.destination),
            reply_from: asked,
            ifindex: 1,
            tos: 0,
            hop_limit: if tells_hop_limit { first.hop_limit } else { 0 },
            session: 0,
            flags: ArrivalFlags { multicast, broadcast, truncated, has_tos: false },
        });
        assert!(pushed, "the exchange has descriptors for every slot");
        true
    }

    /// Whether the next datagram in the queue belongs to the train: same way, same TTL, same size, and only the last
    /// one may be shorter.
    pub(super) fn joins(&self, at: usize, train: &[Datagram], slot: usize) -> bool {
        let (size, last) = (train[0].payload.len(), &train[train.len() - 1]);
        let bytes: usize = train.iter().map(|d| d.payload.len()).sum();
        self.sockets[at].queue.front().is_some_and(|next| {
            (1..=size).contains(&next.payload.len())
                && last.payload.len() == size
                && bytes + next.payload.len() <= slot
                && (next.peer, next.destination) == (train[0].peer, train[0].destination)
                && next.hop_limit == train[0].hop_limit
        })
    }
}
