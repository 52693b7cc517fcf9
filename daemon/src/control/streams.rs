//! Connections that become something else than requests and answers: taps, and take-overs.

use std::sync::Arc;

use super::give;
use super::socket::Clerk;
use super::talk::State;
use super::tap::{self, Around};
use super::wire::{Error, Request, code};

impl Clerk {
    /// Asks the loop, with what it needs for a connection that becomes something else.
    pub(super) fn ask_for(&mut self, request: Request) -> Result<u64, Error> {
        if matches!(request, Request::Tap(_)) {
            self.ask_for_tap(request)
        } else if matches!(request, Request::TakeOver(_)) {
            self.ask_for_take_over(request)
        } else {
            self.ask(request, (None, None))
        }
    }

    /// Nobody waits for this take-over any more. The loop sees it.
    pub(super) fn forget_take_over(&mut self, number: u64) {
        if let Some(at) = self.gives.iter().position(|(other, _)| *other == number) {
            self.gives.swap_remove(at);
            self.waker.wake();
        }
    }

    /// Asks the loop for a tap.
    fn ask_for_tap(&mut self, request: Request) -> Result<u64, Error> {
        let Request::Tap(params) = &request else { return self.ask(request, (None, None)) };
        let (feed, pending) = tap::prepare(params)?;
        let number = self.ask(request, (Some(feed), None))?;
        self.taps.retain(|(other, _)| self.waiting.iter().any(|(waiting, _)| waiting == other));
        self.taps.push((number, pending));
        Ok(number)
    }

    /// Asks the loop to hand everything over.
    fn ask_for_take_over(&mut self, request: Request) -> Result<u64, Error> {
        let waker = self.waker.another().map_err(|error| {
            Error::new(code::BUSY, format!("the system has no descriptor for a take-over: {error}"))
        })?;
        let (hand, pending) = give::prepare(waker);
        let number = self.ask(request, (None, Some(hand)))?;
        self.gives.retain(|(other, _)| self.waiting.iter().any(|(waiting, _)| waiting == other));
        self.gives.push((number, pending));
        Ok(number)
    }

    /// The connection belongs to the take-over from now on.
    pub(super) fn begin_take_over(&mut self, number: u64, line: Vec<u8>) {
        let Some(at) = self.gives.iter().position(|(other, _)| *other == number) else { return };
        // Where it is dropped, the loop knows.
        let (_, pending) = self.gives.swap_remove(at);
        let Some(talk) = self.talks.iter().position(|talk| talk.state == State::Waiting(number)) else {
            return self.waker.wake();
        };
        let stream = self.talks.remove(talk).into_stream();
        if let Err(error) =
            give::begin(pending, stream, line, (Arc::clone(&self.hooks.now), self.end.clone()))
        {
            log::warn!("control socket: the thread of a take-over cannot be started: {error}");
            self.waker.wake();
        }
    }

    /// Makes a stream of the connection that has asked for a tap.
    pub(super) fn begin_tap(&mut self, number: u64, line: Vec<u8>) {
        let at = self.taps.iter().position(|(other, _)| *other == number);
        let talk = self.talks.iter().position(|talk| talk.state == State::Waiting(number));
        let (Some(at), Some(talk)) = (at, talk) else { return };
        let (_, pending) = self.taps.swap_remove(at);
        let stream = self.talks.remove(talk).into_stream();
        let clocks = (Arc::clone(&self.hooks.now), Arc::clone(&self.hooks.unix));
        let around = Around { clocks, ending: Arc::clone(&self.ending), _end: self.end.clone() };
        if let Err(error) = tap::begin(pending, stream, line, around) {
            log::warn!("control socket: the thread of a tap cannot be started: {error}");
        }
    }
}
