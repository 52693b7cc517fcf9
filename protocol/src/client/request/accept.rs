//! What a client accepts: [P-72] and [P-73], one test after the other, and what each answer leads to.

use core::net::SocketAddr;

use rand_core::Rng;

use super::entry::State;
use super::{Answer, Handle, Input, RequestClient};
use crate::client::backoff::{TIMER_CAP, busy_wait};
use crate::client::{MAX_TRANSMISSIONS, Reject};
use crate::frame::{Code, Decoder, Frame, Kind, Role, VERSION};
use crate::{MILLISECOND, Nanos};

impl<R: Rng, const N: usize> RequestClient<'_, R, N> {
    /// Takes a datagram that came from `source` to the socket the requests leave from. `truncated` is
    /// `MSG_TRUNC`.
    pub fn handle_input<'d>(
        &mut self,
        now: Nanos,
        source: SocketAddr,
        datagram: &'d [u8],
        truncated: bool,
    ) -> Input<'d> {
        match self.accept(now, source, datagram, truncated) {
            Ok(input) => input,
            Err(reject) => Input::Rejected(self.rejects.count(reject)),
        }
    }

    fn accept<'d>(
        &mut self,
        now: Nanos,
        source: SocketAddr,
        datagram: &'d [u8],
        truncated: bool,
    ) -> Result<Input<'d>, Reject> {
        if source != self.config.destination {
            return Err(Reject::WrongSource);
        }
        let decoder = Decoder::new(Role::Client).with_integrity(self.integrity());
        let frame = decoder.decode_received(datagram, truncated).map_err(Reject::Malformed)?;
        if frame.header().kind == Kind::Version {
            return self.version(frame);
        }
        let (index, sent_at) = self.find(&frame)?;
        let rtt = now.saturating_sub(sent_at);
        self.rtt.sample(rtt);
        self.any_reply = true;
        let fresh = frame.options().cookie();
        self.cookie = fresh.or(self.cookie);
        Ok(self.settle(now, index, frame, rtt))
    }

    /// The entry a reply belongs to and when the attempt it answers was sent.
    fn find(&self, frame: &Frame<'_>) -> Result<(usize, Nanos), Reject> {
        let header = frame.header();
        if header.stream_id != self.stream_id {
            return Err(Reject::StaleStream);
        }
        let matching = |entry: &super::Entry<'_>| entry.is_used() && entry.request_id == header.request_id;
        let index = self.entries.iter().position(matching).ok_or(Reject::UnknownId)?;
        let entry = self.entries.get(index).ok_or(Reject::UnknownId)?;
        if entry.seq != header.seq {
            return Err(Reject::WrongSeq);
        }
        let sent_at = entry.sent_at(header.attempt).ok_or(Reject::WrongAttempt)?;
        if header.timestamp != sent_at.wrapping_add(self.clock_offset) {
            return Err(Reject::WrongTimestamp);
        }
        if !matches!(header.kind, Kind::Response | Kind::Error) {
            return Err(Reject::WrongKind);
        }
        match entry.state {
            State::Queued(_) if asks_again(frame) => Err(Reject::Superseded),
            State::Waiting(_) if asks_again(frame) && !entry.is_latest(header.attempt) => {
                Err(Reject::Superseded)
            }
            State::Queued(_) | State::Waiting(_) => Ok((index, sent_at)),
            State::Answered => Err(Reject::Duplicate),
            State::Failed(_) => Err(Reject::Late),
            State::Free => Err(Reject::UnknownId),
        }
    }

    /// Closes the entry, or queues another attempt if the answer asks for one.
    fn settle<'d>(&mut self, now: Nanos, index: usize, frame: Frame<'d>, rtt: Nanos) -> Input<'d> {
        let busy = frame.header().kind == Kind::Error && frame.header().code == Code::BUSY;
        let again = self.retry_at(now, index, &frame);
        let Some(entry) = self.entries.get_mut(index) else { return Input::Rejected(Reject::UnknownId) };
        let handle = Handle(entry.seq);
        if let Some(at) = again {
            entry.state = State::Queued(at);
            return Input::Retry(handle);
        }
        entry.state = State::Answered;
        if !busy {
            self.budget.success();
        }
        Input::Answer(Answer { handle, frame, rtt, transmissions: entry.transmissions })
    }

    /// When to try again after an ERROR that allows it: [P-81] and [P-56].
    fn retry_at(&mut self, now: Nanos, index: usize, frame: &Frame<'_>) -> Option<Nanos> {
        let entry = self.entries.get_mut(index)?;
        if frame.header().kind != Kind::Error {
            return None;
        }
        let sends_left = entry.transmissions < MAX_TRANSMISSIONS;
        match frame.header().code {
            Code::BUSY => {
                let after =
                    u64::from(frame.options().retry_after_ms().unwrap_or(0)).saturating_mul(MILLISECOND);
                let may_retry = self.budget.failure() && sends_left && after <= TIMER_CAP;
                let at = now.saturating_add(busy_wait(after, self.rtt.rto(), &mut self.rng));
                may_retry.then_some(at)
            }
            Code::COOKIE_REQUIRED | Code::BAD_COOKIE => {
                if frame.options().cookie().is_none() {
                    // What we hold, if anything, has just been refused.
                    self.cookie = None;
                    return None;
                }
                let first = !entry.cookie_used;
                entry.cookie_used = true;
                (first && sends_left).then_some(now)
            }
            _ => None,
        }
    }

    /// A VERSION frame is matched by source and id alone ([P-28]) and believed only in [P-29]'s cases.
    fn version<'d>(&mut self, frame: Frame<'d>) -> Result<Input<'d>, Reject> {
        let lists = frame.options().versions().unwrap_or_default();
        let id = frame.header().request_id;
        let open = |entry: &&mut super::Entry<'_>| {
            entry.request_id == id && matches!(entry.state, State::Waiting(_) | State::Queued(_))
        };
        let entry = self.entries.iter_mut().find(open).ok_or(Reject::UnknownId)?;
        if entry.transmissions == 0 || self.any_reply || lists.is_empty() || lists.contains(&VERSION) {
            return Err(Reject::VersionIgnored);
        }
        entry.state = State::Answered;
        Ok(Input::UnknownVersion(Handle(entry.seq), frame))
    }
}

/// Whether the reply is an ERROR after which the client tries again by itself. Only the one for the latest attempt
/// counts ([P-108]): a copy of an older one must neither start another attempt nor end the request.
fn asks_again(frame: &Frame<'_>) -> bool {
    let code = frame.header().code;
    frame.header().kind == Kind::Error
        && matches!(code, Code::BUSY | Code::COOKIE_REQUIRED | Code::BAD_COOKIE)
}
