//! Search for the path MTU with probes (RFC 8899, section 17 of SPEC.md).
//!
//! A probe that is answered proves that its size passes. A probe that is not answered proves nothing: it may
//! have been too long, or lost. So every miss is followed by a control probe of 64 octets, misses count only
//! while control probes come back, and the more loss they show the more misses it takes.

mod evidence;
mod plan;

#[cfg(test)]
mod tests;

use core::net::SocketAddr;

use rand_core::Rng;

use self::evidence::LossEstimate;
use self::plan::{Plan, Target};
use super::{Reject, RejectCounters, Transmit};
use crate::auth::{Integrity, Key};
use crate::frame::{Decoder, Encoder, Frame, HEADER_LEN, Header, Kind, MAGIC, Role};
use crate::grease::Grease;
use crate::option::FrameOption;
use crate::{Nanos, SECOND};

pub use self::plan::{Bound, CONTROL_LEN, MtuResult};

/// Lost control probes in a row after which the responder counts as unreachable.
const MAX_CONTROL_LOSSES: u8 = 10;

/// Probes remembered, so that an answer that comes after its timer still counts.
const REMEMBERED: usize = 16;

/// Octets of a quoted datagram that must be there to check an ICMP error: up to the end of the request id.
const QUOTED: usize = 16;

/// What the search has to know before it starts.
#[derive(Clone, Copy, Debug)]
pub struct MtuConfig<'k> {
    /// The responder.
    pub destination: SocketAddr,
    /// Largest UDP payload worth trying, such as the local interface allows.
    pub max_payload: usize,
    /// How long to wait for an answer; RFC 8899 section 5.1.1 wants at least a second on the Internet.
    pub probe_timer: Nanos,
    /// Key of both directions; without one, frames carry a CRC.
    pub key: Option<&'k Key>,
    /// How often probes are greased.
    pub grease: Grease,
}

impl MtuConfig<'_> {
    /// One second a probe, CRC, greasing now and then.
    #[must_use]
    pub const fn new(destination: SocketAddr, max_payload: usize) -> Self {
        Self { destination, max_payload, probe_timer: SECOND, key: None, grease: Grease::Sometimes }
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtuInput<'d> {
    /// A probe of this size came back.
    Echo {
        /// Octets of UDP payload.
        size: usize,
        /// Time since the probe left.
        rtt: Nanos,
    },
    /// A genuine ERROR: the responder refuses probes, and the search will find it unreachable.
    Refused(Frame<'d>),
    /// Not accepted; the reason is counted.
    Rejected(Reject),
}

/// The search. It ends when [`result`](Self::result) is there.
#[derive(Debug)]
pub struct MtuSearch<'k, R> {
    config: MtuConfig<'k>,
    rng: R,
    stream_id: u32,
    clock_offset: u64,
    next_seq: u64,
    plan: Plan,
    loss: LossEstimate,
    /// Misses of the size under test that control probes have confirmed.
    misses: u8,
    /// The size whose miss waits for its control probe.
    unconfirmed: Option<usize>,
    control_losses: u8,
    next: Option<Target>,
    /// The probe waited for, and until when.
    waiting: Option<(Probe, Nanos)>,
    sent: [Option<Probe>; REMEMBERED],
    result: Option<MtuResult>,
    rejects: RejectCounters,
}

/// A probe on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    request_id: u64,
    seq: u64,
    sent_at: Nanos,
    size: usize,
    answered: bool,
}

impl<'k, R: Rng> MtuSearch<'k, R> {
    /// A search with a stream of its own. The generator must be of cryptographic strength ([P-74]).
    pub fn new(config: MtuConfig<'k>, mut rng: R) -> Self {
        let (stream_id, clock_offset) = (rng.next_u32(), rng.next_u64());
        Self {
            plan: Plan::new(config.max_payload, control_len(config.key)),
            config,
            rng,
            stream_id,
            clock_offset,
            next_seq: 0,
            loss: LossEstimate::default(),
            misses: 0,
            unconfirmed: None,
            control_losses: 0,
            next: Some(Target::Control),
            waiting: None,
            sent: [None; REMEMBERED],
            result: None,
            rejects: RejectCounters::new(),
        }
    }

    /// Writes the next probe into `buffer`, which needs `max_payload` octets; a shorter buffer lowers the
    /// search's own limit.
    pub fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        while self.result.is_none() {
            let size = self.plan.size(self.next?);
            let request_id = self.rng.next_u64();
            let seq = self.next_seq;
            let timestamp = now.wrapping_add(self.clock_offset);
            let header = Header::new(Kind::Probe, request_id, self.stream_id, seq, timestamp);
            if let Some(len) = self.encode(buffer, header, size) {
                let probe = Probe { request_id, seq, sent_at: now, size, answered: false };
                self.remember(probe);
                self.next_seq = seq.wrapping_add(1);
                self.next = None;
                self.waiting = Some((probe, now.saturating_add(self.config.probe_timer)));
                return Some(Transmit { destination: self.config.destination, len });
            }
            // The caller's buffer is the end of what can be tried.
            self.refuse(size, Bound::Limit);
        }
        None
    }

    /// Takes a datagram that came from `source`. `truncated` is `MSG_TRUNC`.
    pub fn handle_input<'d>(
        &mut self,
        now: Nanos,
        source: SocketAddr,
        datagram: &'d [u8],
        truncated: bool,
    ) -> MtuInput<'d> {
        let accepted = self.accept(source, datagram, truncated);
        self.take(now, accepted, Self::echoed)
    }

    /// Takes an answer that came in fragments, as [`handle_input`](Self::handle_input) takes one that came whole. Its size
    /// passes one way and not the other; it counts as too long, unless it is that of a control probe.
    pub fn handle_fragmented<'d>(
        &mut self,
        now: Nanos,
        source: SocketAddr,
        datagram: &'d [u8],
        truncated: bool,
    ) -> MtuInput<'d> {
        let accepted = self.accept(source, datagram, truncated);
        self.take(now, accepted, |search, probe| {
            if probe.size == search.plan.control() {
                search.echoed(probe);
            } else {
                search.limited(probe.size, Bound::Fragments);
            }
        })
    }

    /// Learns from an answer what `learn` makes of the probe that it answers.
    fn take<'d>(
        &mut self,
        now: Nanos,
        accepted: Result<(Frame<'d>, Probe), Reject>,
        learn: impl FnOnce(&mut Self, &Probe),
    ) -> MtuInput<'d> {
        match accepted {
            Ok((frame, _)) if frame.header().kind == Kind::Error => MtuInput::Refused(frame),
            Ok((_, probe)) => {
                learn(self, &probe);
                MtuInput::Echo { size: probe.size, rtt: now.saturating_sub(probe.sent_at) }
            }
            Err(reject) => MtuInput::Rejected(self.rejects.count(reject)),
        }
    }

    /// The first `len` octets of the probe `request_id` came back, and no more. They prove that so many pass, and say
    /// nothing about the path beyond. Returns whether that was believed: the probe must be open and longer, a control
    /// probe must fit, and what was answered before must not contradict it.
    pub fn handle_cut(&mut self, request_id: u64, len: usize) -> bool {
        let control = self.plan.control();
        let places = self.sent.iter_mut().flatten();
        let open = |probe: &&mut Probe| probe.request_id == request_id && !probe.answered && probe.size > len;
        let believable = len >= control && self.plan.allows_bound(len.saturating_add(1));
        let Some(probe) = places.into_iter().find(open).filter(|_| believable) else { return false };
        probe.answered = true;
        self.plan.confirm(len);
        self.limited(len.saturating_add(1), Bound::Cut);
        true
    }

    /// Tries these sizes before all others, if it is open whether they pass: the caller expects the limit there.
    pub const fn expect(&mut self, sizes: [usize; 2]) {
        self.plan.expect(sizes);
    }

    /// The local stack refused the probe just written (`EMSGSIZE`).
    pub fn handle_message_too_long(&mut self) {
        if let Some((probe, _)) = self.waiting.take() {
            self.refuse(probe.size, Bound::MessageTooLong);
        }
    }

    /// An ICMP "too big" arrived that quotes `quoted`, the start of our UDP payload, and names a next hop that
    /// takes `payload` octets of UDP payload. Returns whether it was believed: the quotation must be a probe
    /// of ours that is not answered, and the limit must not contradict an answer ([P-76]).
    pub fn handle_icmp(&mut self, quoted: &[u8], payload: usize) -> bool {
        let Some((magic, rest)) = quoted.get(..QUOTED).and_then(<[u8]>::split_first_chunk::<4>) else {
            return false;
        };
        let Some(id) = rest.last_chunk::<8>().map(|id| u64::from_be_bytes(*id)) else { return false };
        let ours = |probe: &Probe| probe.request_id == id && !probe.answered && payload < probe.size;
        if *magic != MAGIC || !self.sent.iter().flatten().any(ours) {
            return false;
        }
        if payload < self.plan.control() || !self.plan.allows_bound(payload.saturating_add(1)) {
            return false;
        }
        self.limited(payload.saturating_add(1), Bound::NextHop);
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) has work next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        self.waiting.map(|(_, until)| until)
    }

    /// Judges the timer of the probe waited for.
    pub fn handle_timeout(&mut self, now: Nanos) {
        let Some((probe, _)) = self.waiting.take_if(|(_, until)| *until <= now) else { return };
        if probe.size == self.plan.control() {
            self.control_losses = self.control_losses.saturating_add(1);
            self.loss.lost(1);
            if self.control_losses >= MAX_CONTROL_LOSSES {
                self.result = Some(MtuResult::Unreachable);
            }
        } else {
            self.unconfirmed = Some(probe.size);
        }
        self.next = Some(Target::Control);
    }

    /// The finding, once the search has ended.
    #[must_use]
    pub const fn result(&self) -> Option<MtuResult> {
        self.result
    }

    /// Datagrams not accepted, by reason.
    #[must_use]
    pub const fn rejects(&self) -> &RejectCounters {
        &self.rejects
    }

    fn encode(&mut self, buffer: &mut [u8], mut header: Header, size: usize) -> Option<usize> {
        let sprinkle = self.config.grease.draw(&mut self.rng);
        header.flags = sprinkle.flag;
        let mut encoder = Encoder::new(buffer.get_mut(..size)?, &header);
        let auth = self.config.key.map_or(0, |key| key.tag_len().saturating_add(8));
        if let Some(grease) = sprinkle.option() {
            encoder = encoder.option_if_fits(&grease, auth);
        }
        encoder.auth_if(self.config.key).pad_to(size).finish().ok()
    }

    fn remember(&mut self, probe: Probe) {
        let oldest = self.sent.iter_mut().min_by_key(|place| place.map(|probe| probe.seq));
        if let Some(place) = oldest {
            *place = Some(probe);
        }
    }

    /// [P-72] for probes: the frame and the probe it answers, which it marks as answered.
    fn accept<'d>(
        &mut self,
        source: SocketAddr,
        datagram: &'d [u8],
        truncated: bool,
    ) -> Result<(Frame<'d>, Probe), Reject> {
        if source != self.config.destination {
            return Err(Reject::WrongSource);
        }
        let integrity =
            self.config.key.map_or(Integrity::Checksum, |key| Integrity::Keys(core::slice::from_ref(key)));
        let decoder = Decoder::new(Role::Client).with_integrity(integrity);
        let frame = decoder.decode_received(datagram, truncated).map_err(Reject::Malformed)?;
        let header = frame.header();
        if header.kind == Kind::Version {
            return Err(Reject::VersionIgnored);
        }
        if header.stream_id != self.stream_id {
            return Err(Reject::StaleStream);
        }
        let places = self.sent.iter_mut().flatten();
        let probe = places
            .into_iter()
            .find(|probe| probe.request_id == header.request_id)
            .ok_or(Reject::UnknownId)?;
        if header.seq != probe.seq {
            return Err(Reject::WrongSeq);
        }
        if header.attempt != 0 {
            return Err(Reject::WrongAttempt);
        }
        if header.timestamp != probe.sent_at.wrapping_add(self.clock_offset) {
            return Err(Reject::WrongTimestamp);
        }
        match header.kind {
            Kind::Error => return Ok((frame, *probe)),
            Kind::ProbeAck => {}
            Kind::Version | Kind::Request | Kind::Response | Kind::Event | Kind::Probe | Kind::Private(_) => {
                return Err(Reject::WrongKind);
            }
        }
        if probe.answered {
            return Err(Reject::Duplicate);
        }
        if !arrived_whole(&frame, probe.size) {
            return Err(Reject::WrongSize);
        }
        probe.answered = true;
        Ok((frame, *probe))
    }

    fn echoed(&mut self, probe: &Probe) {
        let waited_for = self.waiting.is_some_and(|(waiting, _)| waiting.request_id == probe.request_id);
        if probe.size == self.plan.control() {
            // Answers that all come too late lead nowhere, and a search must not go on for ever because of them.
            if waited_for {
                self.control_losses = 0;
            }
            self.loss.passed();
        } else {
            self.plan.confirm(probe.size);
        }
        if waited_for {
            self.waiting = None;
            if probe.size != self.plan.control() {
                // That size passes, so its misses were loss.
                self.loss.passed();
                self.loss.lost(self.misses);
                self.misses = 0;
            } else if let Some(size) = self.unconfirmed.take().filter(|size| self.plan.is_open(*size)) {
                self.misses = self.misses.saturating_add(1);
                if self.misses >= self.loss.misses_needed() {
                    return self.refute(size, Bound::Silence);
                }
            } else {
                self.misses = 0;
            }
            self.proceed();
        }
    }

    /// A size that cannot even be sent. If that is the control size, nothing can.
    fn refuse(&mut self, size: usize, bound: Bound) {
        if size <= self.plan.control() {
            self.result = Some(MtuResult::Unreachable);
        } else {
            self.refute(size, bound);
        }
    }

    /// Something else than silence says that `size` does not pass.
    fn limited(&mut self, size: usize, bound: Bound) {
        if !self.plan.allows_bound(size) {
            return;
        }
        if self.waiting.is_some_and(|(waiting, _)| waiting.size >= size) {
            self.waiting = None;
            self.refute(size, bound);
        } else {
            self.plan.refute(size, bound);
            if matches!(self.next, Some(Target::Size(_))) {
                self.proceed();
            }
        }
    }

    fn refute(&mut self, size: usize, bound: Bound) {
        self.plan.refute(size, bound);
        self.misses = 0;
        self.unconfirmed = None;
        self.proceed();
    }

    fn proceed(&mut self) {
        self.next = self.plan.next(self.loss.any());
        if self.next.is_none() {
            self.result = Some(self.plan.result());
        }
    }
}

/// Octets of a control probe: 64, or what a header with its tag needs.
fn control_len(key: Option<&Key>) -> usize {
    let tagged = key.map_or(0, |key| key.tag_len().saturating_add(8)).saturating_add(HEADER_LEN);
    tagged.max(CONTROL_LEN)
}

/// Whether `PROBE_INFO`, if there is one, says that the whole probe arrived.
fn arrived_whole(frame: &Frame<'_>, size: usize) -> bool {
    frame.options().iter().all(|option| match option {
        FrameOption::ProbeInfo { len, .. } => usize::from(len) == size,
        FrameOption::Room(_)
        | FrameOption::Cookie(_)
        | FrameOption::Times { .. }
        | FrameOption::Rstat { .. }
        | FrameOption::RetryAfter { .. }
        | FrameOption::Versions(_)
        | FrameOption::Auth { .. }
        | FrameOption::Other { .. } => true,
    })
}
