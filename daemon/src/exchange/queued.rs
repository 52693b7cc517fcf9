//! What kind of answers a handler queued: the simple kind needs less work.

use super::output::only_answer;
use super::received::Received;
use super::send_queue::SendQueue;
use super::{Output, Outputs};

/// The answers of a call, by kind. The first kind is what most visits of a sparse listener end in. It gives what
/// [`super::Exchange::outputs`] would give, with less work.
#[derive(Debug)]
pub enum Queued<'a> {
    /// One datagram was presented, and a single answer to its sender leaves at once.
    One(Output<'a>),
    /// The answers are of any other kind, or there are none.
    Mixed(Outputs<'a>),
}

impl<'a> Queued<'a> {
    /// The answers in `queue`, if they are of the simple kind.
    #[inline(always)]
    pub(super) fn of(received: &'a Received, queue: &'a SendQueue) -> Option<Self> {
        let tx = queue.only().filter(|_| received.shown == 1)?;
        let output = only_answer(received, queue, tx, received.first_message()?)?;
        (output.at_ns <= received.now_ns()).then_some(Self::One(output))
    }
}
