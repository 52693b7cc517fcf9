//! What goes to the loop of the daemon, and how an answer comes back.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::give::Hand;
use super::wire::{Answer, Error, Request, code};
use crate::tap::Feed;

/// A request to the loop of the daemon.
#[derive(Debug)]
pub struct Call {
    /// What is asked for.
    pub request: Request,
    /// Where the answer goes.
    pub reply: Reply,
    /// Of a tap: where its datagrams go.
    pub feed: Option<Feed>,
    /// Of a take-over: the loop's end of it.
    pub hand: Option<Hand>,
}

/// The way of an answer, which is used once. Dropping it says that the daemon ends.
#[derive(Debug)]
pub struct Reply {
    number: u64,
    to: Option<Sender<Answered>>,
    wake: Arc<UnixStream>,
}

/// An answer, with the number of its request.
pub(super) type Answered = (u64, Result<Answer, Error>);

impl Reply {
    pub(super) fn new(number: u64, to: Sender<Answered>, wake: Arc<UnixStream>) -> Self {
        Self { number, to: Some(to), wake }
    }

    /// Nobody waits for it.
    pub(super) fn forget(mut self) {
        self.to = None;
    }

    /// Answers.
    pub fn send(mut self, answer: Result<Answer, Error>) {
        self.deliver(answer);
    }

    fn deliver(&mut self, answer: Result<Answer, Error>) {
        if let Some(to) = self.to.take() {
            // Without the thread there is nobody who waits.
            to.send((self.number, answer)).unwrap_or(());
            poke(&self.wake);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.deliver(Err(Error::new(code::ENDING, "the daemon ends")));
    }
}

/// Has the thread look. A stream that is full is readable already.
pub(super) fn poke(mut wake: &UnixStream) {
    wake.write(&[0]).map(drop).unwrap_or(());
}
