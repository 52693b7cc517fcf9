//! Sockets and books together: what is due is sent, what waits is received, and both are entered.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use hdrhistogram::CreationError;
use polyport_net::UdpSocket;
use polyport_protocol::client::Slot;
use polyport_protocol::{Decoder, Integrity, Nanos, Role};
use polyport_terminal::Exit;

use super::behind::Behind;
use super::class::Class;
use super::config::{Config, Expect};
use super::frame::Shape;
use super::histogram::Latencies;
use super::inbox::{Arrived, Inbox, is_of_the_network};
use super::intervals::Intervals;
use super::ipdv::Ways;
use super::ledger::{Lane, Ledger, NotSent, Received};
use super::one_way::{self, OneWay};
use super::outbox::{Event, Outbox, Pending, again, complaints};
use super::pacing;
use super::part::Part;
use super::plan::Turns;
use super::schedule::Schedule;
use super::sockets;
use super::stamp::receiver::Receiver;
use super::stamps::Stamps;
use super::summary::{Flow, Local};
use super::told;
use super::turn::Turn;
use crate::clock::Clock;
use crate::key::generator;
use crate::outcome::ExitError;
use crate::own_frames::OwnFrames;
use crate::source::{SourceAddress, SourceArgs};
use crate::strangers::Strangers;
use crate::unsent::unsent;

/// Everything a thread of a run works with.
#[derive(Debug)]
pub struct Transceiver<'c> {
    /// The books.
    pub ledger: Ledger,
    /// The histograms.
    pub latencies: Latencies,
    /// Delays of each way, if they are asked for.
    pub one_way: Option<OneWay>,
    /// By how much those of neighbours differ, wherever the targets stamp.
    pub ways: Option<Ways>,
    /// What tells of reflectors of STAMP, if the targets are such.
    pub stamp: Option<Receiver>,
    /// Books and histograms over time.
    pub intervals: Intervals,
    /// Longest round trip so far, from sending.
    pub longest: Option<Nanos>,
    /// When the last datagram left.
    pub last_sent: Nanos,
    /// Since when the load has been behind, without the warm-up.
    pub behind: Behind,
    clock: Clock,
    timeout: Nanos,
    outbox: Outbox,
    part: Part,
    /// Our ports for each family.
    ports: usize,
    inbox: Inbox,
    decoder: Decoder<'c>,
    /// Whether any datagram from a target is an answer.
    any: bool,
    /// Whether none is expected.
    nothing: bool,
    shape: Shape,
    /// All datagrams are equally long.
    even: bool,
    turns: Turns,
    eagain: u64,
    refusal: Option<(SocketAddr, io::Error)>,
    from: Option<SourceAddress>,
    sealed: bool,
    /// Who sent something that was asked of a target, or of nobody.
    pub strangers: Strangers,
    /// The latest frames of the handshake.
    greetings: OwnFrames,
    greets: bool,
    echo: Option<SocketAddr>,
    /// Sockets that have something to say; here only to keep its memory.
    ready: Vec<usize>,
}

/// To ask so many sockets in vain costs less than to ask whether to ask.
const ALWAYS_ASKED: usize = 2;

impl<'c> Transceiver<'c> {
    /// Binds the sockets of a part of the run and opens its books.
    ///
    /// # Errors
    /// A socket cannot be bound, or does not do what is asked of it.
    pub fn new(config: &'c Config, clock: Clock, part: Part) -> Result<Self, ExitError> {
        let software = |error: CreationError| ExitError::new(Exit::Software, error.to_string());
        let shape = config.shape();
        let integrity = match &config.key {
            Some(key) => Integrity::Keys(std::slice::from_ref(key)),
            None => Integrity::Checksum,
        };
        // [P-44]: what a raw echo sends back has R clear.
        let role = if config.expect == Expect::Echo { Role::Any } else { Role::Client };
        let latencies = Latencies::new(config.targets.len()).map_err(software)?;
        let intervals = Intervals::new(config.duration, config.interval).map_err(software)?;
        let mut sockets = sockets::open(config, part)?;
        let stamp =
            config.stamp.as_ref().map(|stamp| Receiver::new(stamp, clock)).transpose().map_err(software)?;
        let mut books = config.books(&mut generator(Some(config.seed)), part);
        if let Some(stamp) = &stamp {
            // Reflectors compare it with their own clock.
            books.epoch = stamp.epoch();
        }
        let inbox = Inbox::new(&mut sockets, shape.size(), config.gso, config.rx_time)
            .map_err(|error| ExitError::io("prepare the sockets for receiving", &error))?;
        let outbox = Outbox::new(sockets, shape.size(), config.targets.len(), config.gso)
            .map_err(|error| ExitError::io("prepare the sockets for sending", &error))?;
        Ok(Self {
            ledger: Ledger::new(books),
            ways: config.one_way.then(Ways::new).transpose().map_err(software)?,
            stamp,
            latencies,
            intervals,
            one_way: config
                .one_way
                .then(|| OneWay::new(config.targets.len(), config.seed.wrapping_add(part.index().into()))),
            longest: None,
            last_sent: clock.now(),
            behind: Behind::default(),
            clock,
            timeout: config.timeout,
            outbox,
            part,
            ports: config.ports(part),
            inbox,
            decoder: Decoder::new(role).with_integrity(integrity),
            any: matches!(config.expect, Expect::Any | Expect::Nothing),
            nothing: config.expect == Expect::Nothing,
            even: shape.mix().is_none() && config.template.is_none(),
            shape,
            turns: config.turns(),
            eagain: 0,
            refusal: None,
            from: config.from,
            sealed: config.key.is_some() || config.stamp.as_ref().is_some_and(|stamp| stamp.seal.is_some()),
            strangers: Strangers::default(),
            greetings: OwnFrames::default(),
            greets: false,
            echo: None,
            ready: Vec::new(),
        })
    }

    /// The sockets.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Sends a batch of what is due at `now`. What finds the send buffer full goes to `backlog`, and is counted neither
    /// as sent nor as not sent yet.
    pub fn send_due(&mut self, pacer: &mut Schedule, backlog: &mut VecDeque<Slot>, practice: bool) -> Turn {
        let now = self.clock.now();
        if let Some(oldest) = now.checked_sub(self.timeout).and_then(|time| time.checked_sub(1)) {
            self.give_up(pacer, backlog, practice, oldest);
        }
        if !practice {
            let next = backlog.front().copied().or_else(|| pacer.peek()).map(|slot| slot.planned);
            self.behind.look(next.filter(|planned| *planned <= now), now);
        }
        let mut full = false;
        for _ in 0..self.outbox.capacity() {
            let waited = backlog.pop_front();
            let Some(slot) = waited.or_else(|| pacer.take(now)) else { break };
            let (target, flow) = self.turns.of(slot.index);
            let lane = if practice {
                self.ledger.lanes().practice(target)
            } else {
                self.ledger.lanes().measured(target, self.part.below(flow))
            };
            let refused = self.enter(lane, slot, practice, now).err();
            if refused == Some(NotSent::InFlight) && pacer.is_closed() {
                // A closed loop holds nothing back: what has no room is not planned yet.
                match waited {
                    Some(slot) => backlog.push_front(slot),
                    None => pacer.give_back(slot),
                }
                full = true;
                break;
            }
            if waited.is_none() && !practice {
                self.ledger.plan(1);
                self.intervals.plan(slot.planned, 1);
            }
            if let Some(reason) = refused.filter(|_| !practice) {
                self.ledger.skip(reason, 1);
                self.intervals.skip(reason, slot.planned, 1);
            }
        }
        Turn { full, ..self.flush(backlog, practice, now) }
    }

    /// Gives up what was planned up to `time` and has not left: this machine is too slow. One step, however many that are.
    pub fn give_up(
        &mut self,
        pacer: &mut Schedule,
        backlog: &mut VecDeque<Slot>,
        practice: bool,
        time: Nanos,
    ) {
        let mut first = None;
        let mut given_up = 0;
        while let Some(slot) = backlog.front().copied().filter(|slot| slot.planned <= time) {
            backlog.pop_front();
            first.get_or_insert(slot.planned);
            given_up += 1;
            if !practice {
                self.intervals.skip(NotSent::Behind, slot.planned, 1);
            }
        }
        let next = pacer.peek().map(|slot| slot.planned);
        let passed = if practice { pacer.pass(time) } else { self.pass(pacer, time) };
        if !practice {
            self.ledger.plan(passed);
            self.ledger.skip(NotSent::Behind, given_up + passed);
            if let Some(planned) = first.or_else(|| next.filter(|_| passed > 0)) {
                self.behind.give_up(planned);
            }
        }
    }

    /// Passes over the places planned up to `time`, in one step for each interval, so that each has its own.
    fn pass(&mut self, pacer: &mut Schedule, time: Nanos) -> u64 {
        let mut passed = 0;
        while let Some(planned) = pacer.peek().map(|slot| slot.planned).filter(|planned| *planned <= time) {
            let count = pacer.pass(time.min(self.intervals.end_of(planned).saturating_sub(1)));
            // In a closed loop nothing is passed over.
            if count == 0 {
                break;
            }
            self.intervals.plan(planned, count);
            self.intervals.skip(NotSent::Behind, planned, count);
            passed += count;
        }
        passed
    }

    /// Sends one datagram of handshake to `target`, now.
    pub fn send_practice(&mut self, target: usize) {
        let now = self.clock.now();
        let slot = Slot { index: 0, planned: now };
        let lane = self.ledger.lanes().practice(target);
        self.greets = true;
        let entered = self.enter(lane, slot, true, now);
        self.greets = false;
        if entered.is_ok() {
            self.flush(&mut VecDeque::new(), true, now);
        }
    }

    /// Receives what waits, a batch for each socket at most. Says whether anything came.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn receive(&mut self) -> Result<bool, ExitError> {
        let mut any = false;
        let count = self.outbox.sockets().len();
        if count <= ALWAYS_ASKED {
            for index in 0..count {
                any |= self.receive_from(index)?;
            }
            return Ok(any);
        }
        let mut ready = std::mem::take(&mut self.ready);
        pacing::ready(self.outbox.sockets(), &mut ready)
            .map_err(|error| ExitError::io("ask which sockets are ready", &error))?;
        for index in &ready {
            any |= self.receive_from(*index)?;
        }
        self.ready = ready;
        Ok(any)
    }

    fn receive_from(&mut self, index: usize) -> Result<bool, ExitError> {
        let Self {
            ledger,
            latencies,
            intervals,
            outbox,
            inbox,
            greetings,
            strangers,
            echo,
            longest,
            one_way,
            ways,
            stamp,
            ..
        } = self;
        let (socket, port) = (&outbox.sockets()[index], index % self.ports);
        match inbox.receive(socket, index, self.clock) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // The error of a datagram that left earlier: the queue has it with the details.
            Err(error) => {
                let told = complaints(socket, |report| ledger.complain(report.error(), report.quote(), port));
                if told == 0 && !is_of_the_network(&error) {
                    return Err(ExitError::io("receive", &error));
                }
                return Ok(true);
            }
        }
        inbox.each(|Arrived { octets, peer, truncated, arrival, tos }| {
            // What of a round trip is not counted, and what its peer stamped.
            let (mut inside, mut times) = (0, None);
            let received = if self.any {
                ledger.receive_any(peer, port, arrival)
            } else if let Some(stamp) = stamp {
                match stamp.read(octets, arrival) {
                    Err(error) => ledger.receive(Err(error), peer, port, arrival),
                    Ok(reflected) => {
                        let received = ledger.receive_reflected(&reflected, peer, port, arrival);
                        if let Some((.., sent)) = received.first {
                            (inside, times) =
                                (reflected.inside.min(arrival.saturating_sub(sent)), reflected.times);
                            stamp.count(&reflected, tos, !self.even || octets.len() == self.shape.size());
                        } else if !self.sealed && greetings.is_echo(octets) {
                            *echo = Some(peer);
                        }
                        received
                    }
                }
            } else {
                let decoded = self.decoder.decode_received(octets, truncated);
                // With a key nothing without a tag may end the run: see `own_frames`.
                if decoded.is_err() && !self.sealed && greetings.is_echo(octets) {
                    *echo = Some(peer);
                }
                times = decoded.as_ref().ok().and_then(told::times);
                ledger.receive(decoded.as_ref().map_err(|error| *error), peer, port, arrival)
            };
            if let (Some(delays), Some((target, _, sent)), Some((rx, tx))) =
                (&mut *one_way, received.first, times)
            {
                let stamps = one_way::Stamps { sent, received: rx, answered: tx, arrival };
                delays.record(target, stamps);
            }
            if received.class == Class::WrongSource {
                strangers.heard(peer);
            }
            if let Some(ipdv) = received.ipdv.filter(|_| self.even) {
                latencies.ipdv.record(ipdv.trip);
                if let (Some(ways), Some(differences)) = (&mut *ways, ipdv.ways) {
                    ways.record(differences);
                }
            }
            if let Received { first: Some((target, planned, sent)), .. } = received {
                *longest = (*longest).max(Some(arrival.saturating_sub(sent)));
                latencies.answered(target, planned, sent, arrival - inside);
                intervals.answered(received.class, planned, sent, arrival - inside);
            }
        });
        Ok(true)
    }

    /// What the sockets have to say at the end of a run.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn local(&self) -> io::Result<Local> {
        let trains = self.outbox.trains();
        let mut local = Local {
            eagain: self.eagain,
            trains: trains.left,
            in_trains: trains.datagrams,
            trains_refused: trains.refused,
            stamps: self.inbox.stamps().map(Stamps::counts),
            refusal: self.refusal().map(|failure| failure.to_string()),
            receive_buffer: usize::MAX,
            ..Local::default()
        };
        for socket in self.outbox.sockets() {
            local.sockets.push(socket.local_addr()?);
            if let Some(drops) = socket.drops()? {
                *local.socket_drops.get_or_insert(0) += u64::from(drops);
            }
            local.receive_buffer = local.receive_buffer.min(socket.buffers()?.recv.got);
        }
        Ok(local)
    }

    /// The result of each flow, with its number in the run.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn flows(&self) -> io::Result<Vec<(u32, Flow)>> {
        let first = self.ports - self.part.flows() as usize;
        let flow = |own: u32| {
            let sockets = self.outbox.sockets().iter().skip(first + own as usize).step_by(self.ports);
            let sockets = sockets.map(UdpSocket::local_addr).collect::<io::Result<_>>()?;
            let flow = Flow { sockets, thread: self.part.index(), tally: self.ledger.of_flow(own) };
            Ok((self.part.flow(own), flow))
        };
        (0..self.part.flows()).map(flow).collect()
    }

    /// The last reason why the system refused to send.
    #[must_use]
    pub fn refusal(&self) -> Option<ExitError> {
        let (to, error) = self.refusal.as_ref()?;
        Some(unsent("send to", *to, SourceArgs { from: self.from }.towards(*to), error))
    }

    /// A target that sends our own frames back, where answers of its own were to come.
    #[must_use]
    pub const fn echo(&self) -> Option<SocketAddr> {
        self.echo
    }

    /// Enters one datagram into the books and into the batch.
    fn enter(&mut self, lane: Lane, slot: Slot, practice: bool, now: Nanos) -> Result<(), NotSent> {
        let to = self.ledger.targets()[lane.target];
        let identity = self.ledger.send(lane, slot.planned, now)?;
        // Two families at most, IPv4 first.
        let first = if to.is_ipv4() { 0 } else { self.outbox.sockets().len() - self.ports };
        let socket = first + lane.port;
        match self.shape.write(self.outbox.room(), &identity, practice) {
            Ok(len) => {
                if self.greets {
                    self.greetings.remember(self.outbox.room().get(..len).unwrap_or_default());
                }
                self.outbox.push(Pending { lane, seq: identity.seq, slot, to, len, socket });
                Ok(())
            }
            Err(error) => {
                self.ledger.cancel(lane, identity.seq);
                self.refusal = Some((to, io::Error::other(error.to_string())));
                Err(NotSent::Refused)
            }
        }
    }

    fn flush(&mut self, backlog: &mut VecDeque<Slot>, practice: bool, now: Nanos) -> Turn {
        let nothing = self.nothing;
        let Self { ledger, latencies, intervals, outbox, refusal, eagain, last_sent, ports, .. } = self;
        let mut left = 0;
        outbox.flush(|event| match event {
            Event::Left(datagram) => {
                left += 1;
                *last_sent = now;
                if nothing {
                    ledger.hand_over(datagram.lane, datagram.seq);
                }
                if !practice {
                    latencies.left(datagram.slot.planned, now);
                    intervals.left(datagram.slot.planned, now);
                }
            }
            Event::Blocked(datagram) => {
                ledger.cancel(datagram.lane, datagram.seq);
                backlog.push_back(datagram.slot);
            }
            Event::Refused(datagram, error) => {
                ledger.cancel(datagram.lane, datagram.seq);
                *refusal = Some((datagram.to, again(error)));
                if !practice {
                    ledger.skip(NotSent::Refused, 1);
                    intervals.skip(NotSent::Refused, datagram.slot.planned, 1);
                }
            }
            Event::Complaint(socket, report) => {
                ledger.complain(report.error(), report.quote(), socket % *ports);
            }
        });
        let blocked = outbox.blocked().len();
        if blocked > 0 {
            // They were told by socket and target; who is given up first is who was planned first.
            backlog.make_contiguous().sort_unstable_by_key(|slot| slot.index);
        }
        *eagain += blocked as u64;
        Turn { left, blocked: blocked > 0, full: false }
    }
}

#[cfg(test)]
#[path = "transceiver_tests.rs"]
mod tests;
