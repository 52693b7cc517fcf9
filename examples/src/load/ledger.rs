//! The books of a run: every planned datagram and every received one is counted exactly once.
//!
//! ```text
//!   plan --> sent ------> ok | late | error | lost (up, down, unknown) | pending
//!        \-> not sent (reason)
//!
//!   datagram --> decoded? --> stream of this run? --> from its target? --> entry of the ring --> class
//! ```

use std::fmt;
use std::net::SocketAddr;

use polyport_protocol::{DecodeError, Frame, FrameOption, Kind, Nanos};

use super::class::{Class, ClassCounts};
use super::stream::{Classified, Reply, Rstat, Stream, Tally};

/// Why a planned datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The limit of datagrams that wait for their answers was reached.
    InFlight,
    /// It could not leave within the timeout after its planned time: this machine is too slow for the rate, or
    /// the send buffer stayed full.
    Behind,
    /// The system refused it.
    Refused,
    /// The run was broken off before it could leave.
    Aborted,
}

impl NotSent {
    /// Every reason; `ALL[reason as usize] == reason`.
    pub const ALL: [Self; 4] = [Self::InFlight, Self::Behind, Self::Refused, Self::Aborted];

    /// Name of the counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Behind => "behind",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
        }
    }
}

/// Which stream of which target; handshake and warm-up have one of their own for each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Index of the target.
    pub target: usize,
    /// Index of the stream; its id on the wire is this many above that of the first.
    index: u32,
}

/// What identifies a datagram on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The stream.
    pub stream_id: u32,
    /// The number in it.
    pub seq: u64,
    /// The time of sending, on a clock with a random epoch ([P-12]).
    pub timestamp: u64,
}

/// What the books need to know of a run.
#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// Where datagrams go.
    pub targets: Vec<SocketAddr>,
    /// Streams for each target, at least 1.
    pub streams: u32,
    /// Datagrams that each stream remembers.
    pub ring: usize,
    /// Datagrams that each stream of handshake and warm-up remembers.
    pub practice_ring: usize,
    /// After this time an answer is late.
    pub timeout: Nanos,
    /// Most datagrams without answer and not timed out.
    pub max_in_flight: u64,
    /// Random: id of the first stream.
    pub first_stream_id: u32,
    /// Random: what the clock of the timestamps shows at time 0.
    pub epoch: u64,
}

/// All books of a run.
#[derive(Debug)]
pub struct Ledger {
    config: LedgerConfig,
    /// First those of handshake and warm-up, one a target; then `config.streams` for each target.
    streams: Vec<Stream>,
    /// The targets in order, to know a stranger.
    sorted: Vec<SocketAddr>,
    planned: u64,
    not_sent: [u64; NotSent::ALL.len()],
    in_flight: u64,
    received: u64,
    counts: ClassCounts,
}

/// What a received datagram turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its class.
    pub class: Class,
    /// The target whose datagram it answers, plan and departure of that datagram; for first answers only, and not
    /// during handshake and warm-up.
    pub first: Option<(usize, Nanos, Nanos)>,
}

/// A sum that must hold and does not: a fault of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// The identity.
    pub identity: &'static str,
    /// Its left side.
    pub left: u64,
    /// Its right side.
    pub right: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the books do not balance: {} is {} = {}", self.identity, self.left, self.right)
    }
}

impl std::error::Error for Imbalance {}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new(config: LedgerConfig) -> Self {
        let practice = (0..config.targets.len()).map(|_| Stream::new(config.practice_ring, config.timeout));
        let measured = config.targets.len() * config.streams as usize;
        let measured = (0..measured).map(|_| Stream::new(config.ring, config.timeout));
        let streams = practice.chain(measured).collect();
        let mut sorted = config.targets.clone();
        sorted.sort_unstable();
        Self {
            config,
            streams,
            sorted,
            planned: 0,
            not_sent: [0; NotSent::ALL.len()],
            in_flight: 0,
            received: 0,
            counts: ClassCounts::default(),
        }
    }

    /// The stream of `target` for handshake and warm-up.
    #[must_use]
    pub fn practice(&self, target: usize) -> Lane {
        Lane { target, index: u32::try_from(target).unwrap_or(u32::MAX) }
    }

    /// Stream `which` of `target`, below the number of streams.
    #[must_use]
    pub fn measured(&self, target: usize, which: u32) -> Lane {
        let index = self.config.targets.len() + target * self.config.streams as usize + which as usize;
        Lane { target, index: u32::try_from(index).unwrap_or(u32::MAX) }
    }

    /// A place of the schedule came up.
    pub const fn plan(&mut self) {
        self.planned += 1;
    }

    /// A planned datagram will not be sent.
    pub const fn skip(&mut self, reason: NotSent) {
        self.not_sent[reason as usize] += 1;
    }

    /// Enters a datagram that leaves at `now`.
    ///
    /// # Errors
    /// [`NotSent::InFlight`], not counted yet.
    pub fn send(
        &mut self,
        lane: Lane,
        request_id: u64,
        planned: Nanos,
        now: Nanos,
    ) -> Result<Identity, NotSent> {
        if self.in_flight >= self.config.max_in_flight {
            self.expire(now);
            if self.in_flight >= self.config.max_in_flight {
                return Err(NotSent::InFlight);
            }
        }
        let sent = self.with(lane, |stream| stream.send(request_id, planned, now));
        let seq = sent.map_err(|_full| NotSent::InFlight)?;
        let stream_id = self.config.first_stream_id.wrapping_add(lane.index);
        Ok(Identity { stream_id, seq, timestamp: now.wrapping_add(self.config.epoch) })
    }

    /// Strikes out a datagram that did not leave after all.
    pub fn cancel(&mut self, lane: Lane, seq: u64) {
        self.with(lane, |stream| stream.cancel(seq));
    }

    /// Enters a received datagram, decoded or not, that came from `source` at `arrival`.
    pub fn receive(
        &mut self,
        decoded: Result<&Frame<'_>, DecodeError>,
        source: SocketAddr,
        arrival: Nanos,
    ) -> Received {
        let received = match decoded {
            Ok(frame) => self.judge(frame, source, arrival),
            Err(error) => Received { class: Class::Malformed(error), first: None },
        };
        // A datagram that did not come from a target is counted under its source, whatever it says.
        let stranger = received.first.is_none() && self.sorted.binary_search(&source).is_err();
        let received = if stranger { Received { class: Class::WrongSource, ..received } } else { received };
        self.received += 1;
        self.counts.count(received.class);
        received
    }

    /// Marks what is timed out at `now`.
    pub fn expire(&mut self, now: Nanos) {
        self.streams.iter_mut().for_each(|stream| stream.expire(now));
        self.in_flight = self.streams.iter().map(Stream::open).sum();
    }

    /// Closes the books.
    pub fn finish(&mut self, now: Nanos, aborted: bool) {
        self.streams.iter_mut().for_each(|stream| stream.finish(now, aborted));
        self.in_flight = 0;
    }

    /// Whether the handshake with `target` has succeeded: any answer that fits will do.
    #[must_use]
    pub fn has_answered(&self, target: usize) -> bool {
        let tally = self.streams[target].tally();
        tally.ok + tally.late + tally.error > 0
    }

    /// The targets.
    #[must_use]
    pub fn targets(&self) -> &[SocketAddr] {
        &self.config.targets
    }

    /// The sums of one target.
    #[must_use]
    pub fn of_target(&self, target: usize) -> Tally {
        let streams = self.config.streams as usize;
        let first = self.config.targets.len() + target * streams;
        sum(&self.streams[first..first + streams])
    }

    /// The sums of the run, without handshake and warm-up.
    #[must_use]
    pub fn total(&self) -> Tally {
        sum(&self.streams[self.config.targets.len()..])
    }

    /// Places of the schedule that came up.
    #[must_use]
    pub const fn planned(&self) -> u64 {
        self.planned
    }

    /// Planned datagrams not sent for this reason.
    #[must_use]
    pub const fn skipped(&self, reason: NotSent) -> u64 {
        self.not_sent[reason as usize]
    }

    /// Planned datagrams not sent.
    #[must_use]
    pub fn not_sent(&self) -> u64 {
        self.not_sent.iter().sum()
    }

    /// Datagrams without answer and not timed out, those of the warm-up included.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The classes of all received datagrams.
    #[must_use]
    pub const fn classes(&self) -> &ClassCounts {
        &self.counts
    }

    /// Checks the identities.
    ///
    /// # Errors
    /// The first one that does not hold.
    pub fn audit(&self) -> Result<(), Imbalance> {
        let (total, classes) = (self.total(), &self.counts);
        let balances = [
            ("planned = sent + not sent", self.planned, total.sent + self.not_sent()),
            ("sent = ok + late + error + lost + pending", total.sent, total.accounted()),
            ("received = sum of its classes", self.received, classes.total()),
            ("class ok = ok of all streams", classes.get(Class::Ok), total.ok),
            ("class late = late of all streams", classes.get(Class::Late), total.late),
            ("class error = error of all streams", classes.errors(), total.error),
            ("class dup_up = dup_up of all streams", classes.get(Class::DupUp), total.dup_up),
            ("class dup_down = dup_down of all streams", classes.get(Class::DupDown), total.dup_down),
        ];
        match balances.into_iter().find(|(_, left, right)| left != right) {
            Some((identity, left, right)) => Err(Imbalance { identity, left, right }),
            None => Ok(()),
        }
    }

    fn judge(&mut self, frame: &Frame<'_>, source: SocketAddr, arrival: Nanos) -> Received {
        let no_answer = |class| Received { class, first: None };
        let header = frame.header();
        let Some(lane) = self.lane(header.stream_id) else { return no_answer(Class::StaleStream) };
        if self.config.targets[lane.target] != source {
            return no_answer(Class::WrongSource);
        }
        let error = match header.kind {
            Kind::Response | Kind::Request => None,
            Kind::Error => Some(header.code),
            Kind::Version | Kind::Event | Kind::Probe | Kind::ProbeAck | Kind::Private(_) => {
                return no_answer(Class::WrongKind);
            }
        };
        if header.attempt != 0 {
            return no_answer(Class::UnknownId);
        }
        let reply = Reply {
            seq: header.seq,
            request_id: header.request_id,
            sent: header.timestamp.wrapping_sub(self.config.epoch),
            error,
            rstat: rstat(frame),
        };
        let Classified { class, first } = self.with(lane, |stream| stream.receive(&reply, arrival));
        if lane.index as usize >= self.config.targets.len() {
            Received { class, first: first.map(|(planned, sent)| (lane.target, planned, sent)) }
        } else if class == Class::UnknownId {
            no_answer(class)
        } else {
            no_answer(Class::WarmUp)
        }
    }

    fn lane(&self, stream_id: u32) -> Option<Lane> {
        let index = stream_id.wrapping_sub(self.config.first_stream_id);
        let place = index as usize;
        let targets = self.config.targets.len();
        let target = match place.checked_sub(targets) {
            None => place,
            Some(measured) => measured / self.config.streams as usize,
        };
        (place < self.streams.len()).then_some(Lane { target, index })
    }

    /// Calls `f` with a stream and keeps the sum over all streams right.
    fn with<T>(&mut self, lane: Lane, f: impl FnOnce(&mut Stream) -> T) -> T {
        let stream = &mut self.streams[lane.index as usize];
        let before = stream.open();
        let result = f(stream);
        self.in_flight = self.in_flight + stream.open() - before;
        result
    }
}

fn sum(streams: &[Stream]) -> Tally {
    let mut total = Tally::default();
    streams.iter().for_each(|stream| total.add(&stream.tally()));
    total
}

fn rstat(frame: &Frame<'_>) -> Option<Rstat> {
    frame.options().iter().find_map(|option| {
        let FrameOption::Rstat { rseq, window, .. } = option else { return None };
        Some(Rstat { rseq, window })
    })
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
