//! Sockets and books together: what is due is sent, what waits is received, and both are entered.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use polyport_net::{Pktinfo, RecvBatch, SlotLayout, SocketOptions, UdpSocket};
use polyport_protocol::client::{Pacer, Slot};
use polyport_protocol::{Decoder, Integrity, Nanos, Role};
use polyport_terminal::Exit;
use rand::Rng;
use rand::rngs::StdRng;

use super::class::Class;
use super::config::Config;
use super::frame::Shape;
use super::histogram::Latencies;
use super::ledger::{Lane, Ledger, NotSent};
use super::outbox::{BATCH, Departure, Outbox, Pending};
use super::plan::Turns;
use super::summary::Local;
use crate::clock::Clock;
use crate::key::generator;
use crate::outcome::ExitError;
use crate::own_frames::OwnFrames;
use crate::source::{SourceAddress, SourceArgs};
use crate::strangers::Strangers;
use crate::unsent::unsent;

/// Receive buffer to ask for: a tenth of a second at 40 000 datagrams a second, each charged about 1 KiB.
const RECEIVE_BUFFER: usize = 4 << 20;

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
    /// Longest round trip so far, from sending.
    pub longest: Option<Nanos>,
    /// When the last datagram left.
    pub last_sent: Nanos,
    clock: Clock,
    timeout: Nanos,
    outboxes: Vec<Outbox>,
    inbox: RecvBatch,
    memory: Vec<u8>,
    layout: SlotLayout,
    decoder: Decoder<'c>,
    shape: Shape,
    turns: Turns,
    rng: StdRng,
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

impl<'c> Transceiver<'c> {
    /// Binds the sockets and opens the books.
    ///
    /// # Errors
    /// A socket cannot be bound.
    pub fn new(config: &'c Config, clock: Clock) -> Result<Self, ExitError> {
        let shape = config.shape();
        let mut rng = generator(Some(config.seed));
        let layout = SlotLayout::new(shape.size().max(LEAST_SLOT), 0);
        let integrity = match &config.key {
            Some(key) => Integrity::Keys(std::slice::from_ref(key)),
            None => Integrity::Checksum,
        };
        // [P-44]: what a raw echo sends back has R clear.
        let role = if config.raw_echo { Role::Any } else { Role::Client };
        let first_stream_id = u32::try_from(rng.next_u64() >> 32).unwrap_or(0);
        let latencies = Latencies::new(config.targets.len())
            .map_err(|error| ExitError::new(Exit::Software, error.to_string()))?;
        Ok(Self {
            ledger: Ledger::new(config.books(first_stream_id, rng.next_u64())),
            latencies,
            longest: None,
            last_sent: clock.now(),
            clock,
            timeout: config.timeout,
            outboxes: outboxes(config, shape.size())?,
            inbox: RecvBatch::new(RECEIVE_BATCH),
            memory: vec![0; layout.memory(RECEIVE_BATCH)],
            layout,
            decoder: Decoder::new(role).with_integrity(integrity),
            shape,
            turns: config.turns(),
            rng,
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

    /// The sockets, at most one for each family.
    #[must_use]
    pub fn outboxes(&self) -> &[Outbox] {
        &self.outboxes
    }

    /// Sends a batch of what is due at `now`. What finds the send buffer full goes to `backlog`, and is counted neither
    /// as sent nor as not sent yet. Says whether that happened.
    pub fn send_due(&mut self, pacer: &mut Pacer, backlog: &mut VecDeque<Slot>, practice: bool) -> bool {
        let now = self.clock.now();
        for _ in 0..BATCH {
            let slot = match backlog.pop_front() {
                Some(slot) => slot,
                None => {
                    let Some(slot) = pacer.take(now) else { break };
                    if !practice {
                        self.ledger.plan();
                    }
                    slot
                }
            };
            let (target, which) = self.turns.of(slot.index);
            let lane =
                if practice { self.ledger.practice(target) } else { self.ledger.measured(target, which) };
            let refused = if now.saturating_sub(slot.planned) > self.timeout {
                Some(NotSent::Behind)
            } else {
                self.enter(lane, slot, practice, now).err()
            };
            if let Some(reason) = refused.filter(|_| !practice) {
                self.ledger.skip(reason);
            }
        }
        self.flush(backlog, practice, now)
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
        for outbox in &self.outboxes {
            match self.inbox.recv(outbox.socket(), &mut self.memory, self.layout, RECEIVE_BATCH) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(ExitError::io("receive", &error)),
            }
            let arrival = self.clock.now();
            for (index, meta) in self.inbox.metas().enumerate() {
                let datagram = self.layout.datagram(&self.memory, index, meta.len);
                let decoded = self.decoder.decode_received(datagram, meta.truncated);
                // With a key nothing without a tag may end the run: see `own_frames`.
                if decoded.is_err() && !self.sealed && self.greetings.is_echo(datagram) {
                    self.echo = Some(meta.peer);
                }
                let received =
                    self.ledger.receive(decoded.as_ref().map_err(|error| *error), meta.peer, arrival);
                if received.class == Class::WrongSource {
                    self.strangers.heard(meta.peer);
                }
                if let Some((target, planned, sent)) = received.first {
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
        for outbox in &self.outboxes {
            let socket = outbox.socket();
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

    /// Enters one datagram into the books and into the batch of its family.
    fn enter(&mut self, lane: Lane, slot: Slot, practice: bool, now: Nanos) -> Result<(), NotSent> {
        let to = self.ledger.targets()[lane.target];
        let request_id = self.rng.next_u64();
        let identity = self.ledger.send(lane, request_id, slot.planned, now)?;
        // Two boxes at most, the IPv4 one first.
        let index = if to.is_ipv4() { 0 } else { self.outboxes.len() - 1 };
        let outbox = &mut self.outboxes[index];
        match self.shape.write(outbox.room(), &identity, request_id, practice) {
            Ok(len) => {
                if self.greets {
                    self.greetings.remember(outbox.room().get(..len).unwrap_or_default());
                }
                outbox.push(Pending { lane, seq: identity.seq, slot, to, len });
                Ok(())
            }
            Err(error) => {
                self.ledger.cancel(lane, identity.seq);
                self.refusal = Some((to, io::Error::other(error.to_string())));
                Err(NotSent::Refused)
            }
        }
    }

    fn flush(&mut self, backlog: &mut VecDeque<Slot>, practice: bool, now: Nanos) -> bool {
        let Self { ledger, latencies, outboxes, refusal, eagain, last_sent, .. } = self;
        let before = backlog.len();
        for outbox in outboxes {
            let full = backlog.len();
            outbox.flush(|datagram, departure| match departure {
                Departure::Left => {
                    *last_sent = now;
                    if !practice {
                        latencies.left(datagram.slot.planned, now);
                    }
                }
                Departure::Blocked => {
                    ledger.cancel(datagram.lane, datagram.seq);
                    backlog.push_back(datagram.slot);
                }
                Departure::Refused(error) => {
                    ledger.cancel(datagram.lane, datagram.seq);
                    let again = match error.raw_os_error() {
                        Some(errno) => io::Error::from_raw_os_error(errno),
                        None => error.kind().into(),
                    };
                    *refusal = Some((datagram.to, again));
                    if !practice {
                        ledger.skip(NotSent::Refused);
                    }
                }
            });
            *eagain += u64::from(backlog.len() > full);
        }
        backlog.len() > before
    }
}

/// A socket for each family among the targets, IPv4 first. They are not connected, so that answers from elsewhere are
/// seen and counted ([P-75]).
fn outboxes(config: &Config, size: usize) -> Result<Vec<Outbox>, ExitError> {
    let options = SocketOptions {
        recv_buffer: Some(RECEIVE_BUFFER),
        pktinfo: Pktinfo::Never,
        ..SocketOptions::default()
    };
    let v4 = config.targets.iter().find(|target| target.is_ipv4());
    let v6 = config.targets.iter().find(|target| target.is_ipv6());
    v4.into_iter()
        .chain(v6)
        .map(|target| Ok(Outbox::new(UdpSocket::bind(config.own(*target), &options)?, size)))
        .collect()
}
