//! The kernel's side: bounded receive queues, edge-triggered readiness as `epoll(7)` does it, a send buffer
//! that fills, and virtual time.

use crate::faults::{Faults, Script};
use crate::journal::Journal;
use polyport::plugin::{ArrivalFlags, Arrived, Exchange, ReplySource};
use polyport::reactor::{Event, Io, Message, Now, Received, Token};
use rand::RngExt;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A handle of a socket: an index into the world's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketId(pub(crate) usize);

/// A datagram under way to a socket.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Its number in the journal.
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    /// The address it is sent to.
    pub(crate) destination: IpAddr,
    pub(crate) payload: Vec<u8>,
}

/// Something that will happen.
#[derive(Debug)]
enum Step {
    Arrive(usize, Datagram),
    /// The send buffer has room for so many messages again.
    Room(usize, usize),
}

/// A socket as the kernel sees it.
#[derive(Debug)]
struct Socket {
    token: Option<Token>,
    /// Bound to the unspecified address: arrivals tell where they were sent, replies must say from where.
    wildcard: bool,
    queue: VecDeque<Datagram>,
    capacity: usize,
    /// Messages the send buffer takes before it is full.
    room: usize,
    /// Watched for room to send.
    writable: bool,
    /// On the ready list of epoll.
    listed: bool,
    /// An errno that stays until that moment.
    stuck: Option<(i32, u64)>,
    /// The errno that ended a partial send; the message it belongs to comes first in the next call.
    parked: Option<i32>,
    script: Script,
    /// Closed behind the reactor's back.
    closed: bool,
}

/// What scenarios change, apart from sockets.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Told by the next poll, before anything else.
    pub(crate) events: Vec<Event>,
    /// Nanoseconds every receive call takes on top.
    pub(crate) slow_ns: u64,
    /// The errno of every attempt to watch a socket for arrivals.
    pub(crate) register: Option<i32>,
    /// The same for room to send.
    pub(crate) watch: Option<i32>,
}

/// Messages an empty send buffer takes where no fault makes it smaller.
const ROOM: usize = 1_000_000;
/// 2026-01-01, Unix time in ns: where the wall clock starts.
const WALL: i64 = 1_767_225_600_000_000_000;

/// The world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) orders: Orders,
    /// Nothing will ever happen again unless the reactor does something.
    pub(crate) idle: bool,
    mono_ns: u64,
    wall_offset_ns: i64,
    /// Ready list of epoll, oldest first.
    list: VecDeque<usize>,
    sockets: Vec<Socket>,
    schedule: BTreeMap<(u64, u64), Step>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            faults,
            journal: Journal::default(),
            orders: Orders::default(),
            idle: false,
            mono_ns: 1_000_000,
            wall_offset_ns: WALL,
            list: VecDeque::new(),
            sockets: Vec::new(),
            schedule: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Binds a socket whose queue holds `capacity` datagrams.
    pub(crate) fn bind(&mut self, wildcard: bool, capacity: usize) -> SocketId {
        self.sockets.push(Socket {
            token: None,
            wildcard,
            queue: VecDeque::new(),
            capacity,
            room: ROOM,
            writable: false,
            listed: false,
            stuck: None,
            parked: None,
            script: Script::default(),
            closed: false,
        });
        self.journal.bind();
        SocketId(self.sockets.len() - 1)
    }

    /// Schedules an arrival `after_ns` from now.
    pub(crate) fn arrive(&mut self, to: SocketId, after_ns: u64, datagram: Datagram) {
        self.plan(self.mono_ns + after_ns, Step::Arrive(to.0, datagram));
    }

    /// What shall happen to the next calls on a socket.
    pub(crate) fn script(&mut self, socket: SocketId) -> &mut Script {
        &mut self.sockets[socket.0].script
    }

    /// Leaves room for `n` messages; there is no more until [`World::open`].
    pub(crate) fn fill(&mut self, socket: SocketId, n: usize) {
        self.sockets[socket.0].room = n;
        self.schedule.retain(|_, step| !matches!(step, Step::Room(s, _) if *s == socket.0));
    }

    /// Makes room for `n` messages `after_ns` from now.
    pub(crate) fn open(&mut self, socket: SocketId, after_ns: u64, n: usize) {
        self.plan(self.mono_ns + after_ns, Step::Room(socket.0, n));
    }

    /// Every call on the socket says `EBADF` from now on.
    pub(crate) fn close(&mut self, socket: SocketId) {
        self.sockets[socket.0].closed = true;
    }

    pub(crate) fn mono_ns(&self) -> u64 {
        self.mono_ns
    }

    /// Whether nothing is under way to the sockets.
    pub(crate) fn is_over(&self) -> bool {
        self.schedule.is_empty()
    }

    /// Datagrams that wait in the queue of a socket the reactor has not lost.
    pub(crate) fn queued(&self, socket: usize) -> usize {
        self.sockets.get(socket).filter(|s| !s.closed).map_or(0, |s| s.queue.len())
    }

    fn plan(&mut self, at: u64, step: Step) {
        self.sequence += 1;
        self.schedule.insert((at, self.sequence), step);
    }

    /// A call takes time, and meanwhile things happen.
    fn tick(&mut self) {
        self.mono_ns += self.faults.rng.random_range(50..2000);
        self.happen();
    }

    fn happen(&mut self) {
        while let Some(entry) = self.schedule.first_entry().filter(|entry| entry.key().0 <= self.mono_ns) {
            match entry.remove() {
                Step::Arrive(to, datagram) => {
                    let socket = &mut self.sockets[to];
                    if socket.queue.len() < socket.capacity {
                        socket.queue.push_back(datagram);
                        self.wake(to);
                    } else {
                        self.journal.kernel_drop(to, datagram.id);
                    }
                }
                Step::Room(at, n) => {
                    self.sockets[at].room += n;
                    if self.sockets[at].writable {
                        self.wake(at);
                    }
                }
            }
        }
    }

    /// What `ep_poll_callback` does: the item goes to the ready list unless it is there.
    fn wake(&mut self, at: usize) {
        let socket = &mut self.sockets[at];
        if socket.token.is_some() && !socket.listed {
            socket.listed = true;
            self.list.push_back(at);
        }
    }

    /// What `epoll_wait` asks a listed item: is it ready now?
    fn readiness(&self, at: usize) -> (bool, bool) {
        let socket = &self.sockets[at];
        (!socket.queue.is_empty(), socket.writable && socket.room > 0)
    }

    fn is_ready(&self, at: usize) -> bool {
        let (readable, writable) = self.readiness(at);
        readable || writable
    }

    /// Lets time pass until something is ready or the deadline is there.
    fn wait(&mut self, timeout: Option<Duration>) {
        let deadline = timeout.map(|t| self.mono_ns + u64::try_from(t.as_nanos()).unwrap());
        while !self.list.iter().any(|at| self.is_ready(*at)) {
            let next = self.schedule.first_key_value().map(|((at, _), _)| *at);
            match (next, deadline) {
                (Some(next), deadline) if deadline.is_none_or(|d| next <= d) => {
                    self.mono_ns = self.mono_ns.max(next);
                    self.happen();
                }
                (_, Some(deadline)) => {
                    // epoll's milliseconds are rounded up
                    self.mono_ns = deadline + self.faults.rng.random_range(0..1_000_000);
                    self.happen();
                    return;
                }
                (_, None) => {
                    self.idle = true;
                    return;
                }
            }
        }
    }

    /// Events that mean nothing: for sockets without news, for slots that nobody owns, for earlier owners.
    fn noise(&mut self, events: &mut Vec<Event>) {
        if self.faults.hit(self.faults.profile.spurious) {
            let at = self.faults.rng.random_range(0..self.sockets.len());
            if let Some(token) = self.sockets[at].token {
                let (readable, writable) = self.faults.rng.random();
                events.push(Event::Ready { token, readable, writable });
            }
        }
        if self.faults.hit(self.faults.profile.stale) {
            let index = self.faults.rng.random_range(0..9);
            let token = Token { index, generation: self.faults.rng.random_range(1000..2000) };
            events.push(Event::Ready { token, readable: true, writable: true });
        }
    }

    fn collect(&mut self, events: &mut Vec<Event>) {
        let few = self.faults.part(self.faults.profile.few_events, self.list.len().max(1));
        let mut told = 0;
        while told < few {
            let Some(at) = self.list.pop_front() else { break };
            self.sockets[at].listed = false;
            let (readable, writable) = self.readiness(at);
            if let Some(token) = self.sockets[at].token.filter(|_| readable || writable) {
                events.push(Event::Ready { token, readable, writable });
                told += 1;
            }
        }
    }

    fn receive_error(&mut self, at: usize) -> Option<i32> {
        let socket = &mut self.sockets[at];
        if socket.closed {
            return Some(libc::EBADF);
        }
        if let Some(errno) = socket.script.receives.pop_front() {
            return errno;
        }
        if let Some((errno, until)) = socket.stuck {
            if self.mono_ns < until {
                return Some(errno);
            }
            socket.stuck = None;
        }
        let (errno, lasts) = self.faults.receive()?;
        if lasts > 0 {
            self.sockets[at].stuck = Some((errno, self.mono_ns + lasts));
        }
        Some(errno)
    }

    fn send_error(&mut self, at: usize) -> Option<i32> {
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
        match socket.script.sends.pop_front() {
            Some(errno) => errno,
            None => self.faults.send(),
        }
    }

    /// One message left.
    fn took(&mut self, at: usize) {
        self.sockets[at].room -= 1;
        if self.faults.hit(self.faults.profile.full) {
            let n = self.faults.rng.random_range(1..20);
            let after = self.faults.rng.random_range(100..5_000_000);
            self.sockets[at].room = 0;
            self.plan(self.mono_ns + after, Step::Room(at, n));
        } else if self.sockets[at].room == 0 && self.faults.profile.full > 0.0 {
            self.plan(self.mono_ns + 1000, Step::Room(at, ROOM));
        }
    }

    fn hand_over(&mut self, at: usize, exchange: &mut Exchange, n: usize) {
        let (slot, stride) = (exchange.limits().slot_len, exchange.limits().stride);
        for index in 0..n {
            let wildcard = self.sockets[at].wildcard;
            let Some(d) = self.sockets[at].queue.pop_front() else { break };
            let len = d.payload.len().min(slot);
            let offset = index * stride;
            exchange.ring_mut()[offset..][..len].copy_from_slice(&d.payload[..len]);
            let asked = wildcard.then_some(ReplySource { ip: d.destination, ifindex: 0 });
            let truncated = d.payload.len() > slot;
            let pushed = exchange.push(Arrived {
                offset,
                len,
                cap: slot,
                peer: d.peer,
                destination: wildcard.then_some(d.destination),
                reply_from: asked,
                ifindex: 1,
                ecn: 0,
                hop_limit: 64,
                flags: ArrivalFlags { multicast: false, broadcast: false, truncated },
            });
            assert!(pushed, "the exchange has a descriptor for every slot");
            self.journal.delivered(at, &d, asked, truncated);
        }
    }
}

impl Io for World {
    type Socket = SocketId;

    fn now(&mut self) -> Now {
        if self.faults.hit(self.faults.profile.wall_step) {
            self.wall_offset_ns = WALL + self.faults.rng.random_range(-3_600_000_000_000..3_600_000_000_000);
        }
        Now { mono_ns: self.mono_ns, wall_offset_ns: self.wall_offset_ns }
    }

    fn poll(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        self.tick();
        if self.faults.hit(self.faults.profile.interrupted) {
            return Ok(());
        }
        events.append(&mut self.orders.events);
        self.noise(events);
        if events.is_empty() && timeout != Some(Duration::ZERO) {
            let before = self.mono_ns;
            self.wait(timeout);
            self.journal.waited(self.mono_ns - before);
        }
        self.collect(events);
        for event in events.iter() {
            if let Event::Ready { token, readable, writable } = *event {
                let owner = self.sockets.iter().position(|s| s.token == Some(token));
                self.journal.event(owner, readable, writable);
            }
        }
        Ok(())
    }

    fn register(&mut self, socket: &mut SocketId, token: Token) -> io::Result<()> {
        if let Some(errno) = self.orders.register {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.sockets[socket.0].token = Some(token);
        if self.is_ready(socket.0) {
            self.wake(socket.0);
        }
        Ok(())
    }

    fn watch_writable(&mut self, socket: &mut SocketId, _: Token, on: bool) -> io::Result<()> {
        self.tick();
        if let Some(errno) = self.orders.watch {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.sockets[socket.0].writable = on;
        // EPOLL_CTL_MOD looks at the socket at once
        if self.is_ready(socket.0) {
            self.wake(socket.0);
        }
        Ok(())
    }

    fn receive(
        &mut self,
        socket: &mut SocketId,
        exchange: &mut Exchange,
        max: usize,
    ) -> io::Result<Received> {
        let at = socket.0;
        self.mono_ns += self.orders.slow_ns;
        self.tick();
        self.journal.visited(at);
        if let Some(errno) = self.receive_error(at) {
            self.journal.receive_error(at, errno);
            return Err(io::Error::from_raw_os_error(errno));
        }
        let queued = self.sockets[at].queue.len();
        if queued == 0 {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        let asked = max.min(queued);
        let n = self.faults.part(self.faults.profile.partial_receive, asked);
        self.hand_over(at, exchange, n);
        // A full batch does not tell that the queue is empty; a short one does, unless an error cut it.
        let drained = n == asked && asked < max;
        self.journal.received(at, n, drained);
        // The moment between the last datagram and the answer: what arrives now is a new edge (R9).
        self.tick();
        Ok(Received { messages: n, drained })
    }

    fn send(&mut self, socket: &mut SocketId, messages: &[Message<'_>]) -> io::Result<usize> {
        let at = socket.0;
        self.tick();
        let most = self.faults.part(self.faults.profile.partial_send, messages.len());
        for (done, message) in messages.iter().take(most).enumerate() {
            match self.send_error(at) {
                None => {
                    self.journal.sent(at, message);
                    self.took(at);
                }
                Some(errno) if done == 0 => {
                    self.journal.send_error(at, message, errno);
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Some(errno) => {
                    self.sockets[at].parked = (errno != libc::EAGAIN).then_some(errno);
                    self.journal.stopped_at(at, message);
                    return Ok(done);
                }
            }
        }
        if let Some(message) = messages.get(most) {
            self.journal.stopped_at(at, message);
        }
        Ok(most)
    }
}
