//! Reliable requests to one destination: retransmission, retry budget, and the acceptance rules.

mod accept;
mod entry;

#[cfg(test)]
mod tests;

use core::fmt;
use core::net::SocketAddr;

use rand_core::Rng;

use self::entry::{Entry, State};
use super::backoff::retransmit_timer;
use super::{MAX_TRANSMISSIONS, Preset, RejectCounters, RetryBudget, RttEstimator, Transmit};
use crate::auth::{Integrity, Key};
use crate::cookie::Cookie;
use crate::frame::{EncodeError, Encoder, Flags, Header, Kind};
use crate::grease::Grease;
use crate::option::FrameOption;
use crate::{Frame, Nanos};

/// Largest datagram sent unless told otherwise: fits the smallest IPv6 path ([P-84]).
const DEFAULT_MAX_DATAGRAM: usize = 1232;

/// Content of the ROOM that makes a request as long as an ERROR with a COOKIE ([P-56]).
const COOKIE_ROOM: [u8; 16] = [0; 16];

/// What the machine has to know before it starts.
#[derive(Clone, Copy, Debug)]
pub struct RequestConfig<'k> {
    /// The responder.
    pub destination: SocketAddr,
    /// First and lowest timeout.
    pub preset: Preset,
    /// Key of both directions; without one, frames carry a CRC.
    pub key: Option<&'k Key>,
    /// How often frames are greased.
    pub grease: Grease,
    /// Octets of the largest datagram sent.
    pub max_datagram: usize,
}

impl RequestConfig<'_> {
    /// Internet timers, CRC, greasing now and then, datagrams up to 1232 octets.
    #[must_use]
    pub const fn new(destination: SocketAddr) -> Self {
        Self {
            destination,
            preset: Preset::INTERNET,
            key: None,
            grease: Grease::Sometimes,
            max_datagram: DEFAULT_MAX_DATAGRAM,
        }
    }
}

/// One request. The payload has to outlive it, since it may be sent again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'p> {
    /// The payload.
    pub payload: &'p [u8],
    /// Flags such as [`Flags::IDEMPOTENT`]; R, P and X are the machine's own.
    pub flags: Flags,
    /// The datagram is padded to this length, so that a reply may be as long ([P-56]).
    pub pad_to: usize,
    /// Whether to make room for a COOKIE in the first answer, for a reply longer than the request.
    pub want_cookie: bool,
}

/// Names a request of this machine; it is the request's seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(
    /// Counts the requests of the stream from 0.
    pub u64,
);

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'d> {
    /// The answer; the request is closed.
    Answer(Answer<'d>),
    /// A genuine ERROR after which the machine tries again by itself: busy, or a cookie is needed.
    Retry(Handle),
    /// The responder does not speak version 1; the request is closed. The frame lists its versions.
    UnknownVersion(Handle, Frame<'d>),
    /// Not accepted; the reason is counted.
    Rejected(super::Reject),
}

/// An accepted answer. It may be an ERROR: look at the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'d> {
    /// Which request.
    pub handle: Handle,
    /// The reply.
    pub frame: Frame<'d>,
    /// From the transmission that was answered to now.
    pub rtt: Nanos,
    /// Transmissions of the request so far.
    pub transmissions: u8,
}

/// A request that ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Every transmission allowed was sent, and the last timer has run out.
    TimedOut(Handle),
    /// A timer ran out and the retry budget forbids another attempt.
    BudgetExhausted(Handle),
    /// The frame could not be written.
    Encode(Handle, EncodeError),
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// As many requests are outstanding as the machine has places.
    Full,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many requests are outstanding: wait for an answer or a failure")
    }
}

impl core::error::Error for RequestError {}

/// The machine: up to `N` requests of one stream to one destination.
///
/// A closed request keeps its place until a new one needs it, so that late and repeated replies are told from
/// unknown ones. The generator must be of cryptographic strength ([P-74]).
#[derive(Debug)]
pub struct RequestClient<'p, R, const N: usize = 16> {
    config: RequestConfig<'p>,
    rng: R,
    stream_id: u32,
    /// Added to the caller's time to make the timestamps of this run ([P-12]).
    clock_offset: u64,
    next_seq: u64,
    entries: [Entry<'p>; N],
    rtt: RttEstimator,
    budget: RetryBudget,
    cookie: Option<Cookie>,
    any_reply: bool,
    rejects: RejectCounters,
}

impl<'p, R: Rng, const N: usize> RequestClient<'p, R, N> {
    /// A machine with a stream of its own.
    pub fn new(config: RequestConfig<'p>, mut rng: R) -> Self {
        let (stream_id, clock_offset) = (rng.next_u32(), rng.next_u64());
        Self {
            rtt: RttEstimator::new(config.preset),
            config,
            rng,
            stream_id,
            clock_offset,
            next_seq: 0,
            entries: [Entry::free(); N],
            budget: RetryBudget::new(),
            cookie: None,
            any_reply: false,
            rejects: RejectCounters::new(),
        }
    }

    /// Takes a request; its first transmission is due at once.
    ///
    /// # Errors
    /// [`RequestError::Full`] if every place holds an open request.
    pub fn request(&mut self, now: Nanos, request: Request<'p>) -> Result<Handle, RequestError> {
        let (request_id, handle) = (self.rng.next_u64(), Handle(self.next_seq));
        // A free place first, else the oldest closed one.
        let place = self.entries.iter_mut().filter(|entry| !entry.is_open());
        let place = place.min_by_key(|entry| (entry.is_used(), entry.seq)).ok_or(RequestError::Full)?;
        *place = Entry::open(request, request_id, handle.0, now);
        self.next_seq = self.next_seq.wrapping_add(1);
        Ok(handle)
    }

    /// Writes the next datagram that is due into `buffer`.
    pub fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        let due = |entry: &&mut Entry<'_>| matches!(entry.state, State::Queued(at) if at <= now);
        while let Some(entry) = self.entries.iter_mut().find(due) {
            let timestamp = now.wrapping_add(self.clock_offset);
            let header = entry.header(self.stream_id, timestamp);
            let limit = buffer.len().min(self.config.max_datagram);
            let room = buffer.get_mut(..limit).unwrap_or_default();
            match encode(room, header, &entry.request, self.cookie, &self.config, &mut self.rng) {
                Ok(len) => {
                    let timer = retransmit_timer(self.rtt.rto(), entry.transmissions, &mut self.rng);
                    entry.sent(now, timer);
                    return Some(Transmit { destination: self.config.destination, len });
                }
                Err(error) => entry.state = State::Failed(Some(Failure::Encode(Handle(entry.seq), error))),
            }
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_transmit`](Self::poll_transmit) have work next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        self.entries.iter().filter_map(Entry::deadline).min()
    }

    /// Judges the timers that have run out at `now`.
    pub fn handle_timeout(&mut self, now: Nanos) {
        for entry in &mut self.entries {
            if !matches!(entry.state, State::Waiting(until) if until <= now) {
                continue;
            }
            let handle = Handle(entry.seq);
            let may_retry = self.budget.failure();
            entry.state = if entry.transmissions >= MAX_TRANSMISSIONS {
                State::Failed(Some(Failure::TimedOut(handle)))
            } else if may_retry {
                State::Queued(now)
            } else {
                State::Failed(Some(Failure::BudgetExhausted(handle)))
            };
        }
    }

    /// The next request that ended without an answer; each is reported once.
    pub fn poll_failure(&mut self) -> Option<Failure> {
        self.entries.iter_mut().find_map(Entry::take_failure)
    }

    /// Requests without an outcome, and failures that [`poll_failure`](Self::poll_failure) has not reported yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_open()).count()
    }

    /// The stream of this run.
    #[must_use]
    pub const fn stream_id(&self) -> u32 {
        self.stream_id
    }

    /// Round-trip time of the destination.
    #[must_use]
    pub const fn rtt(&self) -> &RttEstimator {
        &self.rtt
    }

    /// Retry budget of the destination.
    #[must_use]
    pub const fn budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// Datagrams not accepted, by reason.
    #[must_use]
    pub const fn rejects(&self) -> &RejectCounters {
        &self.rejects
    }

    fn integrity(&self) -> Integrity<'p> {
        self.config.key.map_or(Integrity::Checksum, |key| Integrity::Keys(core::slice::from_ref(key)))
    }
}

fn encode<R: Rng>(
    buffer: &mut [u8],
    mut header: Header,
    request: &Request<'_>,
    cookie: Option<Cookie>,
    config: &RequestConfig<'_>,
    rng: &mut R,
) -> Result<usize, EncodeError> {
    let sprinkle = config.grease.draw(rng);
    header.kind = Kind::Request;
    header.flags = request.flags.without(Flags::REPLY | Flags::GREASE).with(sprinkle.flag);
    let mut encoder = Encoder::new(buffer, &header);
    if let Some(cookie) = cookie {
        encoder = encoder.option(&FrameOption::Cookie(cookie));
    } else if request.want_cookie {
        encoder = encoder.option(&FrameOption::Room(&COOKIE_ROOM));
    }
    if let Some(grease) = sprinkle.option() {
        let auth = config.key.map_or(0, |key| key.tag_len().saturating_add(8));
        encoder = encoder.option_if_fits(&grease, auth.saturating_add(request.payload.len()));
    }
    encoder.auth_if(config.key).payload(request.payload).pad_to(request.pad_to).finish()
}
