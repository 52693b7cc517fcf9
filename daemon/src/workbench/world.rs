//! A virtual network with an address of each family: what was said arrives when it was said, what is sent is told, and time passes only when
//! nothing else is to be done.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::exchange::{ArrivalFlags, Arrived, Exchange, Facts, ReplySource};
use crate::guard::LocalAddress;
use crate::plugin::{GroupRequest, Notify};
use crate::reactor::{
    AddressReading, Dial, Event, Group, Interest, Io, Link, Message, NetError, Now, Received, Token, Wait,
    nanos,
};

/// The hop limit that arrivals have, where it is asked for.
const HOP_LIMIT: u8 = 64;
/// The ports of sessions begin here: those that a system chooses.
const FIRST_PORT: u16 = 49_152;
/// A look that finds nothing takes so long, ns: a loop that only looks would never come to an end otherwise.
const LOOK_NS: u64 = 1000;

/// Real time that threads of a plugin have in all to wake their instance while no other time passes: a name is looked up in less.
const PATIENCE: Duration = Duration::from_secs(3);
/// What a wake is charged, so that an instance that is woken without end comes to one.
const WAKE: Duration = Duration::from_millis(1);

/// A datagram that will arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, ns from the beginning.
    pub at_ns: u64,
    /// Who has sent it.
    pub peer: SocketAddr,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// What is seen of the network, when it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A datagram is given to the handler.
    In {
        /// The datagram.
        arrival: Arrival,
        /// The address that it was sent to.
        local: SocketAddr,
    },
    /// A datagram leaves.
    Out {
        /// The address that it leaves by.
        local: SocketAddr,
        /// When, ns from the beginning.
        at_ns: u64,
        /// Destination.
        to: SocketAddr,
        /// Its bytes.
        payload: Vec<u8>,
        /// It has the don't-fragment bit.
        df: bool,
    },
}

/// A socket: the address of one family.
#[derive(Debug)]
pub(super) struct Side {
    local: SocketAddr,
    /// What will arrive here, by time.
    arrivals: VecDeque<Arrival>,
    watched: Option<Token>,
    facts: Facts,
}

impl Side {
    fn is_due(&self, now_ns: u64) -> bool {
        self.watched.is_some() && self.arrivals.front().is_some_and(|arrival| arrival.at_ns <= now_ns)
    }
}

/// Whether a thread of the plugin has woken its instance.
#[derive(Debug, Default)]
struct Wakes {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wakes {
    fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Whether somebody was woken since this was asked last, or is within so much real time.
    fn take(&self, at_most: Duration) -> bool {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(woken, at_most, |woken| !*woken);
        let (mut woken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *woken)
    }
}

/// The network.
pub(super) struct World<'a> {
    now_ns: u64,
    sides: Vec<Side>,
    /// Nothing happens from this moment on.
    end_ns: u64,
    rng: StdRng,
    /// None for a plugin that no thread can wake.
    wakes: Option<Arc<Wakes>>,
    patience: Duration,
    told: &'a mut dyn FnMut(Seen),
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now_ns", &self.now_ns)
            .field("sides", &self.sides)
            .finish_non_exhaustive()
    }
}

impl<'a> World<'a> {
    /// A network that lasts for `lasting` after the last arrival. What arrives is dealt out in turn to those of the addresses
    /// `locals` that are of the family of its sender. Those are bound that something will arrive at, or `all` of them.
    pub(super) fn new(
        mut arrivals: Vec<Arrival>,
        lasting: Duration,
        (locals, all): (&[SocketAddr], bool),
        seed: u64,
        told: &'a mut dyn FnMut(Seen),
    ) -> Self {
        arrivals.sort_by_key(|arrival| arrival.at_ns);
        let last = arrivals.last().map_or(0, |arrival| arrival.at_ns);
        let lasting = nanos(lasting);
        let sides = locals.iter().map(|local| {
            let is_mine = |address: SocketAddr| address.is_ipv4() == local.is_ipv4();
            let family: Vec<_> = locals.iter().filter(|other| is_mine(**other)).collect();
            let turn = family.iter().position(|other| *other == local).unwrap_or(0);
            let of_family = arrivals.iter().filter(|arrival| is_mine(arrival.peer));
            let mine = of_family.skip(turn).step_by(family.len().max(1));
            Side { local: *local, arrivals: mine.cloned().collect(), watched: None, facts: Facts::NONE }
        });
        Self {
            now_ns: 0,
            sides: sides.filter(|side| all || !side.arrivals.is_empty()).collect(),
            end_ns: last.saturating_add(lasting),
            rng: StdRng::seed_from_u64(seed),
            wakes: None,
            patience: PATIENCE,
            told,
        }
    }

    /// The addresses that are bound, each with its socket.
    pub(super) fn bound(&self) -> Vec<(usize, SocketAddr)> {
        self.sides.iter().map(|side| side.local).enumerate().collect()
    }

    /// Lets time pass until `at_ns`. Threads have as much real time before that to wake an instance, while there is patience;
    /// if one does, no time passes, and the answer is true.
    fn pass(&mut self, at_ns: u64) -> bool {
        if let Some(wakes) = &self.wakes {
            let at_most = self.patience.min(Duration::from_nanos(at_ns.saturating_sub(self.now_ns)));
            let woken = wakes.take(at_most);
            if woken && self.patience.is_zero() {
                let charged = self.now_ns.saturating_add(nanos(WAKE));
                self.now_ns = self.now_ns.max(at_ns.min(charged));
            }
            self.patience = self.patience.saturating_sub(if woken { WAKE } else { at_most });
            if woken {
                return true;
            }
        }
        self.now_ns = self.now_ns.max(at_ns);
        false
    }

    fn side(&mut self, socket: usize) -> io::Result<&mut Side> {
        self.sides.get_mut(socket).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Io for World<'_> {
    /// Which side.
    type Socket = usize;

    fn now(&mut self) -> Now {
        Now { mono_ns: self.now_ns, wall_offset_ns: 0 }
    }

    fn read_clocks(&mut self) -> Now {
        self.now()
    }

    fn secret(&mut self) -> io::Result<[u8; 32]> {
        Ok(self.rng.random())
    }

    fn notify(&mut self) -> io::Result<Notify> {
        let wakes = Arc::clone(self.wakes.get_or_insert_default());
        Ok(Box::new(move || {
            wakes.wake();
            true
        }))
    }

    fn cpu_ns(&mut self) -> u64 {
        self.now_ns
    }

    fn poll(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<bool> {
        let now_ns = self.now_ns;
        let mut woken = false;
        if !self.sides.iter().any(|side| side.is_due(now_ns)) {
            let next = self.sides.iter().filter_map(|side| Some(side.arrivals.front()?.at_ns)).min();
            let until = match wait {
                Wait::No => now_ns.saturating_add(LOOK_NS),
                Wait::Until(at_ns) => at_ns,
                Wait::Forever => u64::MAX,
            };
            woken = self.pass(until.min(next.unwrap_or(u64::MAX)).min(self.end_ns));
        }
        let due = self.sides.iter().filter(|side| side.is_due(self.now_ns)).filter_map(|side| side.watched);
        let before = events.len();
        events.extend(woken.then_some(Event::Wake));
        events.extend(due.map(|token| Event::Ready { token, readable: true, writable: false }));
        if self.now_ns >= self.end_ns && events.len() == before {
            events.push(Event::Stop);
        }
        Ok(false)
    }

    fn can_rest(&self) -> bool {
        false
    }

    fn rest(&mut self, _: Duration) {}

    fn register(&mut self, socket: &mut usize, token: Token) -> io::Result<()> {
        self.side(*socket)?.watched = Some(token);
        Ok(())
    }

    fn watch(&mut self, socket: &mut usize, token: Token, interest: Interest) -> io::Result<()> {
        self.side(*socket)?.watched = interest.readable.then_some(token);
        Ok(())
    }

    fn unregister(&mut self, socket: &mut usize) -> io::Result<()> {
        self.side(*socket)?.watched = None;
        Ok(())
    }

    fn can_segment(&mut self, _: &usize) -> bool {
        false
    }

    fn set_trains(&mut self, _: &mut usize, _: bool) -> bool {
        false
    }

    /// All but the time of a kernel that is not there.
    fn want(&mut self, socket: &mut usize, facts: Facts) -> Facts {
        let told = Facts { time: false, lone_time: false, ..facts };
        if let Ok(side) = self.side(*socket) {
            side.facts = told;
        }
        told
    }

    fn kernel_drops(&mut self, _: &usize) -> Option<u32> {
        None
    }

    fn read_addresses(&mut self, _: bool, _: &mut Vec<LocalAddress>) -> io::Result<AddressReading> {
        Ok(AddressReading::Whole)
    }

    fn tells_of_addresses(&self) -> bool {
        true
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

    fn tie(&mut self, _: &mut usize, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn move_group(&mut self, _: &mut usize, _: &Group, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn change_group(&mut self, _: &mut usize, _: &GroupRequest) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, socket: &mut usize, exchange: &mut Exchange, max: usize) -> io::Result<Received> {
        let (slot, stride) = (exchange.limits().slot_len, exchange.limits().stride);
        let (now_ns, first) = (self.now_ns, exchange.next_slot());
        let Some(side) = self.sides.get_mut(*socket) else { return Err(io::ErrorKind::NotFound.into()) };
        let mut messages = 0;
        while messages < max && side.arrivals.front().is_some_and(|arrival| arrival.at_ns <= now_ns) {
            let Some(arrival) = side.arrivals.pop_front() else { break };
            let (offset, len) = ((first + messages) * stride, arrival.payload.len().min(slot));
            let from = arrival.payload.get(..len).unwrap_or_default();
            let room = exchange.ring_mut().get_mut(offset..).and_then(|ring| ring.get_mut(..len));
            room.ok_or(io::ErrorKind::OutOfMemory)?.copy_from_slice(from);
            exchange.push(Arrived {
                offset,
                len,
                cap: len,
                segment: 0,
                peer: arrival.peer,
                destination: side.facts.local.then_some(side.local.ip()),
                reply_from: side.facts.local.then_some(ReplySource { ip: side.local.ip(), ifindex: 0 }),
                ifindex: 0,
                tos: 0,
                hop_limit: if side.facts.hop_limit { HOP_LIMIT } else { 0 },
                session: 0,
                flags: ArrivalFlags {
                    multicast: false,
                    broadcast: false,
                    truncated: false,
                    has_tos: side.facts.tos,
                },
            });
            (self.told)(Seen::In { arrival, local: side.local });
            messages += 1;
        }
        if messages == 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(Received { messages, drained: true })
        }
    }

    fn send(&mut self, socket: &mut usize, messages: &[Message<'_>]) -> io::Result<usize> {
        let local = self.side(*socket)?.local;
        for message in messages {
            let bytes = message.parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
            let size = message.segment.map_or(bytes.len(), |size| usize::from(size.get())).max(1);
            let mut out = |payload: &[u8]| {
                (self.told)(Seen::Out {
                    local,
                    at_ns: self.now_ns,
                    to: *message.to,
                    payload: payload.to_vec(),
                    df: message.df,
                });
            };
            if bytes.is_empty() { out(&[]) } else { bytes.chunks(size).for_each(&mut out) }
        }
        Ok(messages.len())
    }

    fn send_connected(&mut self, socket: &mut usize, messages: &[Message<'_>]) -> io::Result<usize> {
        self.send(socket, messages)
    }

    /// Whom a session is for is there, and never answers.
    fn open(&mut self, dial: &Dial) -> io::Result<usize> {
        let number = self.sides.len();
        let ipv6 = dial.from.or(dial.to).map_or(dial.ipv6, |address| address.is_ipv6());
        let ip = if ipv6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
        let port = u16::try_from(number).map_or(u16::MAX, |number| FIRST_PORT.saturating_add(number));
        let local = dial.from.unwrap_or_else(|| SocketAddr::new(ip, port));
        self.sides.push(Side { local, arrivals: VecDeque::new(), watched: None, facts: Facts::NONE });
        Ok(number)
    }

    fn local(&self, socket: &usize) -> Option<SocketAddr> {
        self.sides.get(*socket).map(|side| side.local)
    }

    fn close(&mut self, socket: usize) {
        if let Ok(side) = self.side(socket) {
            side.watched = None;
        }
    }

    fn errors(&mut self, _: &mut usize, _: &mut Vec<NetError>) -> bool {
        true
    }
}
