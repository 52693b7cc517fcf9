//! The kernel's side: bounded receive queues, readiness as `epoll(7)` does it, edge- or level-triggered, a send buffer
//! that fills, and virtual time.

mod calls;
mod host;
mod upstreams;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use polyport::guard::LocalAddress;
use polyport::reactor::{Event, Token};
use rand::RngExt;

use crate::faults::{Faults, Script};
use crate::journal::Journal;
use host::Host;
use upstreams::Side;

pub(crate) use host::{BROADCAST, LINK_LOCAL, own};
pub(crate) use upstreams::{Upstream, Upstreams};

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
    /// TTL or hop limit on arrival.
    pub(crate) hop_limit: u8,
    pub(crate) payload: Vec<u8>,
}

/// Something that will happen.
#[derive(Debug)]
enum Step {
    Arrive(usize, Datagram),
    /// The send buffer has room for so many messages again.
    Room(usize, usize),
    /// The host has these addresses from now on.
    Addresses(Vec<LocalAddress>),
    /// A thread of a handler has woken it.
    Wake,
}

/// A socket as the kernel sees it.
#[derive(Debug)]
struct Socket {
    token: Option<Token>,
    /// Bound to the unspecified address: arrivals tell where they were sent, replies must say from where.
    wildcard: bool,
    /// Arrivals tell their TTL (`IP_RECVTTL`).
    tells_hop_limit: bool,
    queue: VecDeque<Datagram>,
    capacity: usize,
    /// Messages the send buffer takes before it is full.
    room: usize,
    /// Watched for arrivals.
    readable: bool,
    /// Watched for room to send.
    writable: bool,
    /// Datagrams of one peer are joined into trains.
    trains: bool,
    /// On the ready list of epoll.
    listed: bool,
    /// An errno that stays until that moment.
    stuck: Option<(i32, u64)>,
    /// The errno that ended a partial send; the message it belongs to comes first in the next call.
    parked: Option<i32>,
    script: Script,
    /// Closed behind the reactor's back.
    closed: bool,
    /// Given back by the reactor, and closed.
    released: bool,
    /// What it is besides, if it is the socket of a session.
    side: Option<Side>,
}

/// What scenarios change, apart from sockets.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Told by the next poll, before anything else.
    pub(crate) events: Vec<Event>,
    /// Nanoseconds every receive call takes on top.
    pub(crate) slow_ns: u64,
    /// Nanoseconds the next send call takes on top.
    pub(crate) slow_send_ns: u64,
    /// The errno of every attempt to watch a socket for arrivals.
    pub(crate) register: Option<i32>,
    /// The errno of every attempt to watch a socket for room to send.
    pub(crate) watch: Option<i32>,
    /// Segmented messages are taken.
    pub(crate) segments: bool,
    /// New sockets join trains.
    pub(crate) trains: bool,
    /// Nobody tells the reactor that addresses change.
    pub(crate) untold: bool,
    /// The errno of every attempt to read the addresses.
    pub(crate) addresses: Option<i32>,
    /// Addresses that one call reads; 0 leaves it to chance.
    pub(crate) part: usize,
    /// How long threads that wake handlers take for what they do, ns; none leaves it to chance.
    pub(crate) thread_ns: Option<u64>,
    /// There is no descriptor to wake handlers by.
    pub(crate) no_eventfd: bool,
    /// The service ends: a socket that is not watched for arrivals is not visited any more.
    pub(crate) ending: bool,
    /// Whether a reading is said to be torn if a change came while it went on: always, or never; none leaves it to chance.
    pub(crate) tears: Option<bool>,
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
    /// Level-triggered, as Linux is watched; else edge-triggered, as everything else is.
    level: bool,
    mono_ns: u64,
    cpu_ns: u64,
    wall_offset_ns: i64,
    /// Ready list of epoll, oldest first.
    list: VecDeque<usize>,
    sockets: Vec<Socket>,
    pub(crate) host: Host,
    pub(crate) upstreams: Upstreams,
    schedule: BTreeMap<(u64, u64), Step>,
    sequence: u64,
    /// How often the reactor was told, since it was last looked at, that a handler was woken.
    notified: Arc<AtomicUsize>,
    /// Told by the next poll.
    wake: bool,
}

impl World {
    pub(crate) fn new(faults: Faults, level: bool) -> Self {
        Self {
            level,
            faults,
            journal: Journal::default(),
            orders: Orders::default(),
            idle: false,
            mono_ns: 1_000_000,
            cpu_ns: 0,
            wall_offset_ns: WALL,
            list: VecDeque::new(),
            sockets: Vec::new(),
            host: Host::default(),
            upstreams: Upstreams::default(),
            schedule: BTreeMap::new(),
            sequence: 0,
            notified: Arc::default(),
            wake: false,
        }
    }

    /// Binds a socket whose queue holds `capacity` datagrams.
    pub(crate) fn bind(&mut self, wildcard: bool, capacity: usize) -> SocketId {
        self.sockets.push(Socket {
            token: None,
            wildcard,
            tells_hop_limit: false,
            queue: VecDeque::new(),
            capacity,
            room: ROOM,
            readable: false,
            writable: false,
            trains: self.orders.trains,
            listed: false,
            stuck: None,
            parked: None,
            script: Script::default(),
            closed: false,
            released: false,
            side: None,
        });
        self.journal.bind();
        SocketId(self.sockets.len() - 1)
    }

    /// Arrivals tell their TTL from now on, and the journal expects every answer to leave with one less.
    pub(crate) fn tell_hop_limit(&mut self, socket: SocketId) {
        self.sockets[socket.0].tells_hop_limit = true;
        self.journal.ledgers[socket.0].decays = true;
    }

    /// Schedules an arrival `after_ns` from now.
    pub(crate) fn arrive(&mut self, to: SocketId, after_ns: u64, datagram: Datagram) {
        self.plan(self.mono_ns + after_ns, Step::Arrive(to.0, datagram));
    }

    /// The host has these addresses `after_ns` from now.
    pub(crate) fn readdress(&mut self, after_ns: u64, list: Vec<LocalAddress>) {
        self.plan(self.mono_ns + after_ns, Step::Addresses(list));
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

    /// Whether the reactor wants to know of room to send.
    pub(crate) fn watches_room(&self, socket: SocketId) -> bool {
        self.sockets[socket.0].writable
    }

    /// Whether arrivals raise events.
    pub(crate) fn is_watched(&self, socket: SocketId) -> bool {
        self.sockets[socket.0].readable
    }

    /// Whether datagrams of one peer are joined.
    pub(crate) fn takes_trains(&self, socket: SocketId) -> bool {
        self.sockets[socket.0].trains
    }

    /// Every call on the socket says `EBADF` from now on.
    pub(crate) fn close(&mut self, socket: SocketId) {
        self.sockets[socket.0].closed = true;
        self.journal.ledgers[socket.0].closed = true;
    }

    /// The owner of a socket has closed it: whatever is still under way to it arrives nowhere, and a call on it is a
    /// mistake.
    pub(crate) fn release(&mut self, socket: SocketId) {
        self.schedule
            .retain(|_, step| !matches!(step, Step::Arrive(to, _) | Step::Room(to, _) if *to == socket.0));
        self.journal.released(socket.0);
        let socket = &mut self.sockets[socket.0];
        assert!(socket.token.is_none(), "it was taken out of the watch");
        socket.queue.clear();
        socket.released = true;
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
        self.journal.now_ns = self.mono_ns;
        self.happen();
    }

    fn happen(&mut self) {
        while let Some(entry) = self.schedule.first_entry().filter(|entry| entry.key().0 <= self.mono_ns) {
            match entry.remove() {
                Step::Arrive(to, datagram) => {
                    let socket = &mut self.sockets[to];
                    if socket.released {
                        continue;
                    }
                    if socket.queue.len() < socket.capacity {
                        socket.queue.push_back(datagram);
                        self.wake(to);
                    } else {
                        self.journal.kernel_drop(to, datagram.id);
                    }
                }
                Step::Addresses(list) => {
                    let tears = self.orders.tears.unwrap_or_else(|| self.faults.rng.random());
                    self.host.set(list, tears);
                }
                Step::Wake => self.wake = true,
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
        let watched = socket.token.is_some() && (socket.readable || socket.writable);
        if watched && !socket.listed {
            socket.listed = true;
            self.list.push_back(at);
        }
    }

    /// What `epoll_wait` asks a listed item: is it ready now?
    fn readiness(&self, at: usize) -> (bool, bool) {
        let socket = &self.sockets[at];
        let readable = socket.readable && (!socket.queue.is_empty() || Self::has_error(socket));
        (readable, socket.writable && socket.room > 0)
    }

    fn is_ready(&self, at: usize) -> bool {
        let (readable, writable) = self.readiness(at);
        readable || writable
    }

    /// Handlers that were woken in the last turn: their threads have begun, and take their time.
    fn start_threads(&mut self) {
        for _ in 0..self.notified.swap(0, Ordering::Relaxed) {
            let takes = self.orders.thread_ns.unwrap_or_else(|| {
                let most = [1, 2_000, 300_000, 50_000_000][self.faults.rng.random_range(0..4)];
                self.faults.rng.random_range(0..most)
            });
            self.plan(self.mono_ns + takes, Step::Wake);
        }
    }

    /// Whether somebody beside the sockets has news.
    fn has_other_news(&self) -> bool {
        self.host.has_news || self.wake
    }

    /// Lets time pass until something is ready or the deadline is there.
    fn wait(&mut self, deadline: Option<u64>) {
        while !self.has_other_news() && !self.list.iter().any(|at| self.is_ready(*at)) {
            let next = self.schedule.first_key_value().map(|((at, _), _)| *at);
            match (next, deadline) {
                (Some(next), deadline) if deadline.is_none_or(|d| next <= d) => {
                    self.mono_ns = self.mono_ns.max(next);
                    self.happen();
                }
                (_, Some(deadline)) => {
                    // Where there is no timerfd, milliseconds are rounded up.
                    self.mono_ns = self.mono_ns.max(deadline) + self.faults.rng.random_range(0..1_000_000);
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

    /// True when it keeps some back.
    fn collect(&mut self, events: &mut Vec<Event>) -> bool {
        let few = self.faults.part(self.faults.profile.few_events, self.list.len().max(1));
        let mut told = 0;
        // What level-triggered items put back is for the next call.
        for _ in 0..self.list.len() {
            if told == few {
                return true;
            }
            let Some(at) = self.list.pop_front() else { break };
            self.sockets[at].listed = false;
            let (readable, writable) = self.readiness(at);
            if let Some(token) = self.sockets[at].token.filter(|_| readable || writable) {
                events.push(Event::Ready { token, readable, writable });
                told += 1;
                if self.level {
                    self.wake(at);
                }
            }
        }
        false
    }
}
