//! What kind of answers a handler queued: the simple kinds need less work.

use super::output::{is_echo, only_answer};
use super::received::Received;
use super::send_queue::SendQueue;
use super::{Answers, Arrived, Output, Outputs};

/// The answers of a call, by kind. The first two kinds are what echoing handlers queue most. They give what
/// [`super::Exchange::outputs`] would give, with less work.
#[derive(Debug)]
pub enum Queued<'a> {
    /// One datagram was presented, and a single answer to its sender leaves at once.
    One(Output<'a>),
    /// All presented datagrams go back as they came, at once.
    Echo(Echoes<'a>),
    /// The answers are of any other kind, or there are none.
    Mixed(Outputs<'a>),
}

impl<'a> Queued<'a> {
    /// The answers in `queue`, if they are of a simple kind.
    #[inline(always)]
    pub(super) fn of(received: &'a Received, queue: &'a SendQueue) -> Option<Self> {
        let tx = queue.only()?;
        if received.shown == 1 {
            let message = received.first_message()?;
            if let Some(output) = only_answer(received, tx, message)
                && output.at_ns <= received.now_ns()
            {
                return Some(Self::One(output));
            }
        }
        let first = received.first_message()?;
        let all = usize::from(tx.run) + 1 == received.shown;
        let unchanged = is_echo(tx) && tx.rx == 0 && first.piece(0).1 == tx.len as usize;
        (all && unchanged).then_some(Self::Echo(Echoes(received)))
    }
}

/// The presented messages on their way back to their senders.
#[derive(Clone, Copy, Debug)]
pub struct Echoes<'a>(&'a Received);

impl<'a> Echoes<'a> {
    /// Each message as an output that sends it back, in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Output<'a>> {
        self.0.shown_messages().map(move |(message, first)| self.returned(message, first))
    }

    #[inline(always)]
    fn returned(self, message: &'a Arrived, first: usize) -> Output<'a> {
        Output {
            answers: Answers { first, count: message.datagrams() },
            payload: self.0.ring.slice(message.offset, message.len),
            to: message.peer,
            from: message.reply_from,
            at_ns: 0,
            segment: message.segment,
            ecn: 0,
        }
    }
}
