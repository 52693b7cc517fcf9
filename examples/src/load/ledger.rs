//! The books of a run: every planned datagram and every received one is counted exactly once.
//!
//! ```text
//!   plan --> sent ------> ok | late | error | lost (up, down, unknown) | pending
//!        \-> not sent (reason)
//!
//!   datagram --> decoded? --> stream of this run? --> from its target? --> entry of the ring --> class
//!
//!   ICMP --> about a datagram that is remembered? --> its type and code
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;

use polyport_net::QueuedError;
use polyport_protocol::{DecodeError, Frame, Kind, MAGIC, Nanos};

use super::class::{Class, ClassCounts};
use super::density;
use super::icmp::{Complaint, IcmpCounts};
use super::loss_runs;
use super::stamp::receiver::Reflected;
use super::stamp::settings::Numbering;
use super::stream::{Classified, Reply, Rstat, Stream, Tally};
use super::told;

pub use super::identity::Identity;
pub use super::imbalance::Imbalance;
pub use super::lanes::{Lane, Lanes};
pub use super::ledger_config::LedgerConfig;
pub use super::not_sent::NotSent;
pub use super::received::Received;

/// All books of a run.
#[derive(Debug)]
pub struct Ledger {
    config: LedgerConfig,
    lanes: Lanes,
    /// First those of handshake and warm-up, one a target; then `config.streams` for each target.
    streams: Vec<Stream>,
    /// The targets and their indices, in order.
    sorted: Vec<(SocketAddr, usize)>,
    planned: u64,
    not_sent: [u64; NotSent::ALL.len()],
    in_flight: u64,
    handed_over: u64,
    received: u64,
    counts: ClassCounts,
    icmp: IcmpCounts,
    /// What ICMP said against handshake and warm-up.
    practice_icmp: IcmpCounts,
    /// ICMP messages about the datagrams to each target, without handshake and warm-up.
    refused: Vec<u64>,
    /// The sums of each target in the books of other threads; empty if there are none.
    others: Vec<Tally>,
    /// Losses in a row and displacements in the books of other threads.
    other_runs: BTreeMap<u64, u64>,
    other_density: BTreeMap<i64, u64>,
}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new(config: LedgerConfig) -> Self {
        let practice = (0..config.targets.len()).map(|_| Stream::new(config.practice_ring, config.timeout));
        let measured = config.targets.len() * config.streams as usize;
        let measured = (0..measured).map(|_| Stream::new(config.ring, config.timeout));
        let streams = practice.chain(measured).collect();
        let mut sorted: Vec<_> = config.targets.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        Self {
            refused: vec![0; config.targets.len()],
            others: Vec::new(),
            other_runs: BTreeMap::new(),
            other_density: BTreeMap::new(),
            lanes: Lanes::new(config.targets.len(), config.streams, config.by_port),
            config,
            streams,
            sorted,
            planned: 0,
            not_sent: [0; NotSent::ALL.len()],
            in_flight: 0,
            handed_over: 0,
            received: 0,
            counts: ClassCounts::default(),
            icmp: IcmpCounts::default(),
            practice_icmp: IcmpCounts::default(),
        }
    }

    /// The streams there are.
    #[must_use]
    pub const fn lanes(&self) -> Lanes {
        self.lanes
    }

    /// Places of the schedule came up.
    pub const fn plan(&mut self, count: u64) {
        self.planned = self.planned.saturating_add(count);
    }

    /// Planned datagrams will not be sent.
    pub const fn skip(&mut self, reason: NotSent, count: u64) {
        let skipped = &mut self.not_sent[reason as usize];
        *skipped = skipped.saturating_add(count);
    }

    /// Enters a datagram that leaves at `now`.
    ///
    /// # Errors
    /// [`NotSent::InFlight`], not counted yet.
    pub fn send(&mut self, lane: Lane, planned: Nanos, now: Nanos) -> Result<Identity, NotSent> {
        if self.in_flight >= self.config.max_in_flight {
            self.expire(now);
            if self.in_flight >= self.config.max_in_flight {
                return Err(NotSent::InFlight);
            }
        }
        let (ids, number, nameless) = (self.config.ids, self.number(lane), self.config.nameless);
        let sent = self.with(lane, |stream| {
            stream.send(planned, now, |seq| if nameless { 0 } else { ids.id(number, seq) })
        });
        let (seq, request_id) = sent.map_err(|_full| NotSent::InFlight)?;
        let stream_id = self.first_stream_id().wrapping_add(lane.index);
        Ok(Identity { stream_id, seq, request_id, timestamp: now.wrapping_add(self.config.epoch) })
    }

    /// A datagram left that nobody will answer.
    pub fn hand_over(&mut self, lane: Lane, seq: u64) {
        self.handed_over += u64::from(self.with(lane, |stream| stream.hand_over(seq)));
    }

    /// Strikes out a datagram that did not leave after all.
    pub fn cancel(&mut self, lane: Lane, seq: u64) {
        self.with(lane, |stream| stream.cancel(seq));
    }

    /// Enters a received datagram, decoded or not, that came from `source` to our port `port` at `arrival`.
    pub fn receive(
        &mut self,
        decoded: Result<&Frame<'_>, DecodeError>,
        source: SocketAddr,
        port: usize,
        arrival: Nanos,
    ) -> Received {
        let received = match decoded {
            Ok(frame) => self.judge(frame, source, port, arrival),
            Err(error) => Received { class: Class::Malformed(error), first: None, ipdv: None },
        };
        // A datagram that did not come from a target is counted under its source, whatever it says.
        let stranger = received.first.is_none() && self.target_at(source).is_none();
        self.enter(if stranger { Received { class: Class::WrongSource, ..received } } else { received })
    }

    /// Enters a datagram that is an answer whatever it says.
    pub fn receive_any(&mut self, source: SocketAddr, port: usize, arrival: Nanos) -> Received {
        let Some(target) = self.target_at(source) else {
            return self.enter(Received { class: Class::WrongSource, first: None, ipdv: None });
        };
        let lane = self.lanes.of_port(target, port);
        let classified = self.with(lane, |stream| stream.receive_any(arrival));
        let received = self.of_lane(lane, classified);
        self.enter(received)
    }

    /// Enters a packet of a reflector: its port tells the session, and what it repeats of ours tells which one it answers.
    pub fn receive_reflected(
        &mut self,
        reflected: &Reflected,
        source: SocketAddr,
        port: usize,
        arrival: Nanos,
    ) -> Received {
        let refused = |class| Received { class, first: None, ipdv: None };
        let Some(target) = self.target_at(source) else { return self.enter(refused(Class::WrongSource)) };
        let answer = &reflected.answer;
        if answer.foreign {
            return self.enter(refused(Class::StaleStream));
        }
        let lane = self.lanes.of_port(target, port);
        let stream = &self.streams[lane.index as usize];
        let seq = stream.nearest(answer.their_sequence);
        let reply = Reply {
            rstat: Some(Rstat { rseq: stream.numbers().reflected(answer.sequence), window: None }),
            times: reflected.times,
            inside: reflected.inside,
            // No moment at all is none of ours.
            ..Reply::plain(seq, answer.sent.map_or(Nanos::MAX, |sent| sent.wrapping_sub(self.config.epoch)))
        };
        let classified = self.with(lane, |stream| stream.receive(&reply, arrival));
        let received = self.of_lane(lane, classified);
        self.enter(received)
    }

    /// Enters what ICMP said about a datagram that left from our port `port`, with the start of that datagram. It counts
    /// only if that datagram is still remembered ([P-76]); where any answer is one, if it went to a target.
    pub fn complain(&mut self, error: &QueuedError, quote: &[u8], port: usize) {
        let Some(complaint) = Complaint::new(error.origin) else { return };
        let lane = error.destination.and_then(|to| self.target_at(to)).and_then(|target| {
            if self.config.by_port {
                Some(self.lanes.of_port(target, port))
            } else {
                self.quoted(quote, target)
            }
        });
        match lane {
            None => self.icmp.disbelieve(),
            Some(lane) if self.lanes.is_practice(lane) => self.practice_icmp.count(complaint),
            Some(lane) => {
                self.icmp.count(complaint);
                self.refused[lane.target] += 1;
            }
        }
    }

    /// Marks what is timed out at `now`.
    pub fn expire(&mut self, now: Nanos) {
        self.streams.iter_mut().for_each(|stream| stream.expire(now));
        self.in_flight = self.streams.iter().map(Stream::open).sum();
    }

    /// When each datagram of the load was planned that is without answer and was not timed out at the last
    /// [`Self::expire`].
    pub fn open_plans(&self) -> impl Iterator<Item = Nanos> + '_ {
        self.load().flat_map(Stream::open_plans)
    }

    /// Closes the books.
    pub fn finish(&mut self, now: Nanos, aborted: bool) {
        self.streams.iter_mut().for_each(|stream| stream.finish(now, aborted));
        self.in_flight = 0;
        let Some(numbering) = self.config.numbering else { return };
        let (streams, measured) = (self.config.streams as usize, self.config.targets.len());
        for of_target in self.streams[measured..].chunks_mut(streams) {
            let own = match numbering {
                Numbering::Auto => of_target.iter().any(|stream| stream.numbers().are_its_own()),
                Numbering::Stateful => true,
                Numbering::Stateless => false,
            };
            of_target.iter_mut().filter(|_| own).for_each(Stream::direct);
        }
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
        let mut sum = sum(&self.streams[first..first + streams]);
        if let Some(others) = self.others.get(target) {
            sum.add(others);
        }
        sum
    }

    /// The sums of one flow of these books, that is of its streams to all targets, without those of other threads.
    #[must_use]
    pub fn of_flow(&self, which: u32) -> Tally {
        let measured = self.streams.iter().skip(self.config.targets.len() + which as usize);
        let mut total = Tally::default();
        measured.step_by(self.config.streams as usize).for_each(|stream| total.add(&stream.tally()));
        total
    }

    /// What ICMP said against datagrams of the run, without handshake and warm-up.
    #[must_use]
    pub const fn icmp(&self) -> &IcmpCounts {
        &self.icmp
    }

    /// What ICMP said against handshake and warm-up.
    #[must_use]
    pub const fn practice_icmp(&self) -> &IcmpCounts {
        &self.practice_icmp
    }

    /// What ICMP said against datagrams of the run to one target, in messages.
    #[must_use]
    pub fn refused(&self, target: usize) -> u64 {
        self.refused[target]
    }

    /// The sums of the run, without handshake and warm-up.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = sum(&self.streams[self.config.targets.len()..]);
        self.others.iter().for_each(|others| total.add(others));
        total
    }

    /// How many losses came in a row within a stream of the load, and how often.
    #[must_use]
    pub fn loss_runs(&self) -> BTreeMap<u64, u64> {
        let mine = self.load().map(|stream| stream.loss_runs().lengths());
        loss_runs::sum(mine.chain([self.other_runs.clone()]))
    }

    /// Displacements of first answers within a stream of the load, and how often (RFC 5236).
    #[must_use]
    pub fn density(&self) -> BTreeMap<i64, u64> {
        density::sum(self.load().map(|stream| stream.density().counts()).chain([self.other_density.clone()]))
    }

    /// The streams without those of handshake and warm-up.
    fn load(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter().skip(self.config.targets.len())
    }

    /// Takes the closed books of another thread into these, for the same targets.
    pub fn absorb(&mut self, other: &Self) {
        self.others.resize(self.config.targets.len(), Tally::default());
        for (target, tally) in self.others.iter_mut().enumerate() {
            tally.add(&other.of_target(target));
        }
        self.other_runs =
            loss_runs::sum([std::mem::take(&mut self.other_runs), other.loss_runs()].into_iter());
        self.other_density =
            density::sum([std::mem::take(&mut self.other_density), other.density()].into_iter());
        for (mine, theirs) in self.refused.iter_mut().zip(&other.refused) {
            *mine += theirs;
        }
        for (mine, theirs) in self.not_sent.iter_mut().zip(other.not_sent) {
            *mine = mine.saturating_add(theirs);
        }
        self.planned = self.planned.saturating_add(other.planned);
        self.in_flight += other.in_flight;
        self.handed_over += other.handed_over;
        self.received += other.received;
        self.counts.add(&other.counts);
        self.icmp.add(&other.icmp);
        self.practice_icmp.add(&other.practice_icmp);
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
            ("class ok = ok of all streams", classes.get(Class::Ok) + self.handed_over, total.ok),
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

    fn judge(&mut self, frame: &Frame<'_>, source: SocketAddr, port: usize, arrival: Nanos) -> Received {
        let no_answer = |class| Received { class, first: None, ipdv: None };
        let header = frame.header();
        let Some(lane) = self.lane(header.stream_id) else { return no_answer(Class::StaleStream) };
        if self.config.targets[lane.target] != source || lane.port != port {
            return no_answer(Class::WrongSource);
        }
        let reply = Reply {
            owner: self.owner(lane, header.seq, header.request_id),
            seq: header.seq,
            attempt: header.attempt,
            sent: header.timestamp.wrapping_sub(self.config.epoch),
            // A raw echo sends the REQUEST itself back; without one the decoder refuses it.
            answers: matches!(header.kind, Kind::Response | Kind::Request | Kind::Error),
            error: (header.kind == Kind::Error).then_some(header.code),
            rstat: told::rstat(frame),
            times: told::times(frame),
            inside: 0,
        };
        let classified = self.with(lane, |stream| stream.receive(&reply, arrival));
        self.of_lane(lane, classified)
    }

    /// What a stream made of a datagram, for the run.
    fn of_lane(&self, lane: Lane, Classified { class, first, ipdv }: Classified) -> Received {
        if !self.lanes.is_practice(lane) {
            let first = first.map(|(planned, sent)| (lane.target, planned, sent));
            return Received { class, first, ipdv };
        }
        let answer =
            matches!(class, Class::Ok | Class::Late | Class::Error(_) | Class::DupUp | Class::DupDown);
        Received { class: if answer { Class::WarmUp } else { class }, first: None, ipdv: None }
    }

    fn enter(&mut self, received: Received) -> Received {
        self.received += 1;
        self.counts.count(received.class);
        received
    }

    const fn first_stream_id(&self) -> u32 {
        self.config.first_stream_id.wrapping_add(self.config.first)
    }

    /// The number of a stream in the run.
    const fn number(&self, lane: Lane) -> u32 {
        lane.index.wrapping_add(self.config.first)
    }

    /// The number of the datagram whose id this is. An answer says itself whose it is, and mostly tells the truth.
    fn owner(&self, lane: Lane, seq: u64, request_id: u64) -> u64 {
        let stream = &self.streams[lane.index as usize];
        if stream.id(seq) == Some(request_id) {
            seq
        } else {
            self.config.ids.seq(self.number(lane), request_id)
        }
    }

    fn target_at(&self, address: SocketAddr) -> Option<usize> {
        let place = self.sorted.binary_search_by(|(target, _)| target.cmp(&address)).ok()?;
        self.sorted.get(place).map(|(_, index)| *index)
    }

    /// The stream to `target` that sent the datagram which starts like this, if it is remembered.
    fn quoted(&self, quote: &[u8], target: usize) -> Option<Lane> {
        let field = |from: usize, to: usize| quote.get(from..to);
        if field(0, MAGIC.len())? != MAGIC {
            return None;
        }
        let request_id = u64::from_be_bytes(field(8, 16)?.try_into().ok()?);
        let lane = self.lane(u32::from_be_bytes(field(16, 20)?.try_into().ok()?))?;
        let seq = self.config.ids.seq(self.number(lane), request_id);
        (lane.target == target && self.streams[lane.index as usize].remembers(seq)).then_some(lane)
    }

    fn lane(&self, stream_id: u32) -> Option<Lane> {
        self.lanes.at(stream_id.wrapping_sub(self.first_stream_id()) as usize)
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

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
