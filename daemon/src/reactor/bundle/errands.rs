//! What a call about one address leaves to be done for other addresses of its handler.

use std::collections::VecDeque;

use super::members::Bundles;
use crate::exchange::{Output, OutputError, OwnedOutput, SessionRequest};
use crate::limits::ELSEWHERE_BYTES;
use crate::metrics::{Counters, DropReason};
use crate::plugin::Instance;
use crate::reactor::due::Delayed;
use crate::reactor::io::Token;
use crate::reactor::listener::Listener;

/// Errands in the order in which they came up. None outlives the visit that it came up in.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    queue: VecDeque<Errand>,
    /// Payload bytes of the parcels.
    bytes: usize,
}

/// Something to be done for another address.
#[derive(Debug)]
pub(crate) enum Errand {
    /// The handler of all of them broke; if it was there, here is what is left of it.
    Broke(Token, Option<Instance>),
    /// A datagram leaves by another address.
    Send(Box<Parcel>),
    /// Something is asked for about a session that another address has.
    Ask(Asking),
}

/// Something that is asked for about the session of another address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    /// The bundle of who asks.
    pub(crate) bundle: Token,
    /// Who asks.
    pub(crate) asker: Token,
    /// The address that has the session.
    pub(crate) owner: Token,
    pub(crate) request: SessionRequest,
}

/// A datagram on its way to the address that it leaves by.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// The bundle of who sends it.
    pub(crate) bundle: Token,
    /// The address that the call was about.
    pub(crate) sender: Token,
    /// The address that it leaves by, or that has the session it leaves by.
    pub(crate) by: Token,
    owned: OwnedOutput,
    at_ns: u64,
    proved: bool,
    to_client: bool,
    answers_group: bool,
    /// TTL or hop limit of what it answers; none if it answers nothing.
    pub(crate) asked_with: Option<u8>,
}

impl Parcel {
    /// What is to leave. It answers nothing that the exchange shows now.
    pub(crate) fn output(&self) -> Output<'_> {
        let Self { owned, at_ns, proved, to_client, answers_group, .. } = self;
        let (at_ns, proved, to_client, answers_group) = (*at_ns, *proved, *to_client, *answers_group);
        Output { at_ns, proved, to_client, answers_group, ..owned.as_output() }
    }

    /// The session it leaves by, or whose client it goes to; 0 is none.
    pub(crate) fn session(&self) -> u64 {
        self.owned.envelope.session
    }
}

impl Errands {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, errand: Errand) {
        self.queue.push_back(errand);
    }

    /// Takes the one that came up first.
    pub(crate) fn pop(&mut self) -> Option<Errand> {
        let errand = self.queue.pop_front();
        if let Some(Errand::Send(parcel)) = &errand {
            self.bytes -= parcel.owned.payload.len();
        }
        errand
    }

    /// Takes the first one, if it is a datagram that leaves by the listener's socket of this address.
    pub(crate) fn pop_by(&mut self, by: Token) -> Option<Box<Parcel>> {
        match self.queue.front() {
            Some(Errand::Send(parcel)) if parcel.by == by && parcel.session() == 0 => {}
            _ => return None,
        }
        match self.pop() {
            Some(Errand::Send(parcel)) => Some(parcel),
            _ => None,
        }
    }

    /// Copies an output of a call about `listener` that leaves by another address, `by`. What finds no room is counted in `book`
    /// as dropped.
    #[cold]
    pub(crate) fn send<S>(
        &mut self,
        listener: &Listener<S>,
        by: Token,
        output: &Output<'_>,
        book: &mut Counters,
    ) {
        let Some(seat) = listener.seat() else { return };
        for datagram in output.split() {
            let len = datagram.payload.len();
            if self.bytes + len > ELSEWHERE_BYTES {
                book.queued += 1;
                book.drop_one(DropReason::NoRoom);
                continue;
            }
            self.bytes += len;
            self.push(Errand::Send(Box::new(Parcel {
                bundle: seat.bundle,
                sender: listener.token,
                by,
                owned: OwnedOutput::copy(&datagram, Vec::new()),
                at_ns: datagram.at_ns,
                proved: datagram.proved,
                to_client: datagram.to_client,
                answers_group: datagram.answers_group,
                asked_with: (datagram.answers.count > 0 || datagram.ticket > 0)
                    .then_some(datagram.asked_with),
            })));
        }
    }
}

/// Where outputs go that do not leave at once by the socket in hand.
#[derive(Debug)]
pub(crate) struct Aside<'a> {
    pub(crate) delayed: &'a mut Delayed,
    pub(crate) bundles: &'a Bundles,
    pub(crate) errands: &'a mut Errands,
}

impl Aside<'_> {
    /// Puts an output aside that names another address than that of `listener`. False if it names this one.
    ///
    /// # Errors
    /// The handler has no such address.
    #[cold]
    pub(crate) fn takes<S>(
        &mut self,
        listener: &mut Listener<S>,
        output: &Output<'_>,
    ) -> Result<bool, OutputError> {
        let (mine, by) = match listener.seat() {
            Some(seat) => (seat.number, self.bundles.address(seat.bundle, output.address)),
            None => (0, None),
        };
        if output.address == mine {
            return Ok(false);
        }
        let by = by.ok_or(OutputError::Bad)?;
        let mut book = std::mem::take(&mut listener.counters);
        self.errands.send(listener, by, output, &mut book);
        listener.counters = book;
        Ok(true)
    }
}
