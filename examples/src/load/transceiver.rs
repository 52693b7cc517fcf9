//! Sockets and books together: what is due is sent, what waits is received, and both are entered.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use polyport_net::{Pktinfo, RecvBatch, SlotLayout, SocketOptions, UdpSocket};
use polyport_protocol::client::Slot;
use polyport_protocol::{Decoder, Frame, FrameOption, Integrity, Nanos, Role};
use polyport_terminal::Exit;

use super::behind::Behind;
use super::class::Class;
use super::config::{Config, Expect};
use super::frame::Shape;
use super::histogram::Latencies;
use super::ledger::{Lane, Ledger, NotSent, Received};
use super::one_way::{OneWay, Stamps};
use super::outbox::{BATCH, Event, Outbox, Pending, complaints};
use super::pacing;
use super::plan::Turns;
use super::schedule::Schedule;
use super::summary::Local;
use crate::clock::Clock;
use crate::key::generator;
use crate::outcome::ExitError;
use crate::own_frames::OwnFrames;
use crate::source::{SourceAddress, SourceArgs};
use crate::strangers::Strangers;
use crate::unsent::unsent;

/// Receive buffer to ask for: a tenth of a second at 40 000 datagrams a second, each charged about 1 KiB.
pub const RECEIVE_BUFFER: usize = 4 << 20;

/// Datagrams received with one call.
const RECEIVE_BATCH: usize = 64;

/// Shortest slot for a received datagram: no reply of a responder is longer than its request, but other servers are
/// not ours.
const LEAST_SLOT: usize = 2048;

/// Everything a run works with.
#[derive(Debug)]
pub struct Transceiver<'c> {
    /// The books.
    pub ledger: Ledger,
    /// The histograms.
    pub latencies: Latencies,
    /// Delays of each way, if they are asked for.
    pub one_way: Option<OneWay>,
    /// Longest round trip so far, from sending.
    pub longest: Option<Nanos>,
    /// When the last datagram left.
    pub last_sent: Nanos,
    /// Since when the load has been behind, without the warm-up.
    pub behind: Behind,
    clock: Clock,
    timeout: Nanos,
    outbox: Outbox,
    /// Our ports for each family.
    ports: usize,
    inbox: RecvBatch,
    memory: Vec<u8>,
    layout: SlotLayout,
    decoder: Decoder<'c>,
    /// Whether any datagram from a target is an answer.
    any: bool,
    shape: Shape,
    /// All datagrams are equally long.
    even: bool,
    turns: Turns,
    eagain: u64,
    refusal: Option<(SocketAddr, io::Error)>,
    from: Option<SourceAddress>,
    sealed: bool,
    strangers: Strangers,
    /// The latest frames of the handshake.
    greetings: OwnFrames,
    greets: bool,
    echo: Option<SocketAddr>,
}

/// What [`Transceiver::send_due`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Datagrams that left.
    pub left: u64,
    /// A send buffer was full.
    pub blocked: bool,
}

impl<'c> Transceiver<'c> {
    /// Binds the sockets and opens the books.
    ///
    /// # Errors
    /// A socket cannot be bound.
    pub fn new(config: &'c Config, clock: Clock) -> Result<Self, ExitError> {
        let shape = config.shape();
        let layout = SlotLayout::new(shape.size().max(LEAST_SLOT), 0);
        let integrity = match &config.key {
            Some(key) => Integrity::Keys(std::slice::from_ref(key)),
            None => Integrity::Checksum,
        };
        // [P-44]: what a raw echo sends back has R clear.
        let role = if config.expect == Expect::Echo { Role::Any } else { Role::Client };
        let latencies = Latencies::new(config.targets.len())
            .map_err(|error| ExitError::new(Exit::Software, error.to_string()))?;
        let outbox = Outbox::new(sockets(config)?, shape.size())
            .map_err(|error| ExitError::io("ask for ICMP errors", &error))?;
        Ok(Self {
            ledger: Ledger::new(config.books(&mut generator(Some(config.seed)))),
            latencies,
            one_way: config.one_way.then(|| OneWay::new(config.targets.len(), config.seed)),
            longest: None,
            last_sent: clock.now(),
            behind: Behind::default(),
            clock,
            timeout: config.timeout,
            outbox,
            ports: config.ports(),
            inbox: RecvBatch::new(RECEIVE_BATCH),
            memory: vec![0; layout.memory(RECEIVE_BATCH)],
            layout,
            decoder: Decoder::new(role).with_integrity(integrity),
            any: config.expect == Expect::Any,
            even: shape.mix().is_none() && config.template.is_none(),
            shape,
            turns: config.turns(),
            eagain: 0,
            refusal: None,
            from: config.from,
            sealed: config.key.is_some(),
            strangers: Strangers::default(),
            greetings: OwnFrames::default(),
            greets: false,
            echo: None,
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
        for _ in 0..BATCH {
            let slot = match backlog.pop_front() {
                Some(slot) => slot,
                None => {
                    let Some(slot) = pacer.take(now) else { break };
                    if !practice {
                        self.ledger.plan(1);
                    }
                    slot
                }
            };
            let (target, which) = self.turns.of(slot.index);
            let lane =
                if practice { self.ledger.practice(target) } else { self.ledger.measured(target, which) };
            if let Some(reason) = self.enter(lane, slot, practice, now).err().filter(|_| !practice) {
                self.ledger.skip(reason, 1);
            }
        }
        self.flush(backlog, practice, now)
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
        }
        let next = pacer.peek().map(|slot| slot.planned);
        let passed = pacer.pass(time);
        if !practice {
            self.ledger.plan(passed);
            self.ledger.skip(NotSent::Behind, given_up + passed);
            if let Some(planned) = first.or_else(|| next.filter(|_| passed > 0)) {
                self.behind.give_up(planned);
            }
        }
    }

    /// Sends one datagram of handshake to `target`, now.
    pub fn send_practice(&mut self, target: usize) {
        let now = self.clock.now();
        let slot = Slot { index: 0, planned: now };
        let lane = self.ledger.practice(target);
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
        let ready = pacing::ready(self.outbox.sockets())
            .map_err(|error| ExitError::io("ask which sockets are ready", &error))?;
        for index in ready {
            let (socket, port) = (&self.outbox.sockets()[index], index % self.ports);
            match self.inbox.recv(socket, &mut self.memory, self.layout, RECEIVE_BATCH) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                // The error of a datagram that left earlier: the queue has it with the details.
                Err(error) => {
                    let ledger = &mut self.ledger;
                    let told = complaints(socket, |report| {
                        ledger.complain(report.error(), report.quote(), port);
                    });
                    if told == 0 && !is_of_the_network(&error) {
                        return Err(ExitError::io("receive", &error));
                    }
                    any = true;
                    continue;
                }
            }
            let arrival = self.clock.now();
            for (place, meta) in self.inbox.metas().enumerate() {
                let received = if self.any {
                    self.ledger.receive_any(meta.peer, port, arrival)
                } else {
                    let datagram = self.layout.datagram(&self.memory, place, meta.len);
                    let decoded = self.decoder.decode_received(datagram, meta.truncated);
                    // With a key nothing without a tag may end the run: see `own_frames`.
                    if decoded.is_err() && !self.sealed && self.greetings.is_echo(datagram) {
                        self.echo = Some(meta.peer);
                    }
                    let received = self.ledger.receive(
                        decoded.as_ref().map_err(|error| *error),
                        meta.peer,
                        port,
                        arrival,
                    );
                    if let (Some(delays), Some((target, _, sent)), Ok(frame)) =
                        (&mut self.one_way, received.first, &decoded)
                        && let Some((rx, tx)) = times(frame)
                    {
                        delays.record(target, Stamps { sent, received: rx, answered: tx, arrival });
                    }
                    received
                };
                if received.class == Class::WrongSource {
                    self.strangers.heard(meta.peer);
                }
                if let Some(ipdv) = received.ipdv.filter(|_| self.even) {
                    self.latencies.ipdv.record(ipdv);
                }
                if let Received { first: Some((target, planned, sent)), .. } = received {
                    self.longest = self.longest.max(Some(arrival.saturating_sub(sent)));
                    self.latencies.answered(target, planned, sent, arrival);
                }
            }
        }
        Ok(any)
    }

    /// What the sockets have to say at the end of a run.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn local(&self) -> io::Result<Local> {
        let mut local = Local {
            eagain: self.eagain,
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

    /// The last reason why the system refused to send.
    #[must_use]
    pub fn refusal(&self) -> Option<ExitError> {
        let (to, error) = self.refusal.as_ref()?;
        Some(unsent("send to", *to, SourceArgs { from: self.from }.towards(*to), error))
    }

    /// Who sent something that was asked of a target, or of nobody.
    #[must_use]
    pub const fn strangers(&self) -> &Strangers {
        &self.strangers
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
        let Self { ledger, latencies, outbox, refusal, eagain, last_sent, ports, .. } = self;
        let mut left = 0;
        outbox.flush(|event| match event {
            Event::Left(datagram) => {
                left += 1;
                *last_sent = now;
                if !practice {
                    latencies.left(datagram.slot.planned, now);
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
                }
            }
            Event::Complaint(socket, report) => {
                ledger.complain(report.error(), report.quote(), socket % *ports);
            }
        });
        let blocked = outbox.blocked().len();
        *eagain += blocked as u64;
        Turn { left, blocked: blocked > 0 }
    }
}

/// When the responder received a request and sent its answer, on its clock.
fn times(frame: &Frame<'_>) -> Option<(Nanos, Nanos)> {
    frame.options().iter().find_map(|option| {
        let FrameOption::Times { rx_ns, tx_ns } = option else { return None };
        Some((rx_ns, tx_ns))
    })
}

/// A copy of an error of the system, which has no `Clone`.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Whether ICMP can be the cause (`icmp_err_convert` of Linux): another look may have taken its report from the queue.
fn is_of_the_network(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENOPROTOOPT
                | libc::EMSGSIZE
                | libc::EOPNOTSUPP
                | libc::EPROTO
                | libc::EACCES
        )
    )
}

/// Our own ports for each family among the targets, IPv4 first. They are not connected, so that answers from elsewhere
/// are seen and counted ([P-75]).
fn sockets(config: &Config) -> Result<Vec<UdpSocket>, ExitError> {
    let options = SocketOptions {
        recv_buffer: Some(RECEIVE_BUFFER),
        pktinfo: Pktinfo::Never,
        tos: config.tos,
        ttl: config.ttl,
        ..SocketOptions::default()
    };
    let v4 = config.targets.iter().find(|target| target.is_ipv4());
    let v6 = config.targets.iter().find(|target| target.is_ipv6());
    v4.into_iter()
        .chain(v6)
        .flat_map(|target| (0..config.ports()).map(|n| config.own_of_port(*target, n)))
        .map(|own| Ok(UdpSocket::bind(own?, &options)?))
        .collect()
}
