//! Reliable requests to one destination: retransmission, retry budget, and the acceptance rules.

mod accept;
mod entry;
mod kinds;

#[cfg(test)]
mod tests;

use rand_core::Rng;

use self::entry::{Entry, State};
use super::backoff::retransmit_timer;
use super::{MAX_TRANSMISSIONS, RejectCounters, RetryBudget, RttEstimator, Transmit};
use crate::Nanos;
use crate::auth::Integrity;
use crate::cookie::Cookie;
use crate::frame::{EncodeError, Encoder, Flags, Header, Kind};
use crate::option::FrameOption;

pub use kinds::{Answer, Failure, Handle, Input, Request, RequestConfig, RequestError};

/// Content of the ROOM that makes a request as long as an ERROR with a COOKIE ([P-56]).
const COOKIE_ROOM: [u8; 16] = [0; 16];

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
