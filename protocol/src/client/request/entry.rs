//! One request's memory: what was sent when, and what it waits for.

use super::kinds::{Failure, Request};
use crate::Nanos;
use crate::client::MAX_TRANSMISSIONS;
use crate::frame::{Header, Kind};

/// `MAX_TRANSMISSIONS` as an array length.
const SENDS: usize = 6;
const _: () = assert!(MAX_TRANSMISSIONS == 6);

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'p> {
    pub(super) request: Request<'p>,
    pub(super) request_id: u64,
    pub(super) seq: u64,
    pub(super) state: State,
    /// Transmissions so far; the next attempt has this number.
    pub(super) transmissions: u8,
    /// When each attempt was sent, by the caller's clock.
    sent_at: [Nanos; SENDS],
    /// One repetition with a COOKIE is allowed, so that a responder cannot keep a client busy with them.
    pub(super) cookie_used: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Free,
    /// To be transmitted at this time.
    Queued(Nanos),
    /// Transmitted; the timer runs out at this time.
    Waiting(Nanos),
    Answered,
    /// Given up, with the failure while it is not yet reported.
    Failed(Option<Failure>),
}

impl<'p> Entry<'p> {
    pub(super) fn free() -> Self {
        Self {
            request: Request::default(),
            request_id: 0,
            seq: 0,
            state: State::Free,
            transmissions: 0,
            sent_at: [0; SENDS],
            cookie_used: false,
        }
    }

    pub(super) fn open(request: Request<'p>, request_id: u64, seq: u64, now: Nanos) -> Self {
        Self { request, request_id, seq, state: State::Queued(now), ..Self::free() }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Queued(_) | State::Waiting(_) | State::Failed(Some(_)))
    }

    pub(super) const fn is_used(&self) -> bool {
        !matches!(self.state, State::Free)
    }

    pub(super) const fn header(&self, stream_id: u32, timestamp: u64) -> Header {
        let mut header = Header::new(Kind::Request, self.request_id, stream_id, self.seq, timestamp);
        header.attempt = self.transmissions;
        header
    }

    pub(super) fn sent(&mut self, now: Nanos, timer: Nanos) {
        if let Some(place) = self.sent_at.get_mut(usize::from(self.transmissions)) {
            *place = now;
        }
        self.transmissions = self.transmissions.saturating_add(1);
        self.state = State::Waiting(now.saturating_add(timer));
    }

    /// When attempt `attempt` was sent, if it was.
    pub(super) fn sent_at(&self, attempt: u8) -> Option<Nanos> {
        let sent = attempt < self.transmissions;
        self.sent_at.get(usize::from(attempt)).copied().filter(|_| sent)
    }

    /// Whether `attempt` is the last one sent.
    pub(super) const fn is_latest(&self, attempt: u8) -> bool {
        attempt.saturating_add(1) == self.transmissions
    }

    pub(super) const fn deadline(&self) -> Option<Nanos> {
        match self.state {
            State::Queued(at) | State::Waiting(at) => Some(at),
            State::Free | State::Answered | State::Failed(_) => None,
        }
    }

    pub(super) const fn take_failure(&mut self) -> Option<Failure> {
        match self.state {
            State::Failed(Some(failure)) => {
                self.state = State::Failed(None);
                Some(failure)
            }
            State::Free | State::Queued(_) | State::Waiting(_) | State::Answered | State::Failed(None) => {
                None
            }
        }
    }
}
