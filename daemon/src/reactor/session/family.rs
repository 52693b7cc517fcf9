//! The sessions of one listener: which of them are ready, what they counted, and what its handler has to be told.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::book::{SessionBook, SessionReport};
use crate::exchange::{SessionEvent, SessionSpec};
use crate::reactor::io::Outgoing;
use crate::reactor::listener::Repeats;

/// The sessions of one listener, whose plugin has sessions.
#[derive(Debug)]
pub(crate) struct Family {
    /// Ids of those that may have datagrams or errors waiting, in the order in which they became ready.
    pub(super) ready: VecDeque<u64>,
    /// The listener is on the ready list for them.
    pub(super) listed: bool,
    pub(in crate::reactor) book: SessionBook,
    /// Most that there may be.
    pub(super) most: usize,
    /// How the sockets of those send that are made from now on.
    pub(in crate::reactor) outgoing: Rc<Outgoing>,
    /// How many the other addresses of the same handler have as well, with these; none if there is only one address.
    shared: Option<Rc<Cell<usize>>>,
    /// What the handler has not been told yet.
    pub(super) events: VecDeque<SessionEvent>,
    /// Sessions that were asked for in an event, to be opened in the next turn.
    pub(super) deferred: Vec<SessionSpec>,
    /// Ids of sessions that could not be opened in the call that is being settled.
    pub(super) failed: Vec<u64>,
    /// Datagrams that wait for their time to leave by a session.
    pub(super) delayed: u64,
    /// Datagrams that wait for room in the sockets of sessions.
    pub(super) backlogged: u64,
    /// What was said about failed sends.
    pub(super) failures: Repeats,
}

impl Family {
    /// A family without sessions, which may have so many, with sockets that send so.
    pub(crate) fn new(most: usize, outgoing: Rc<Outgoing>) -> Self {
        Self {
            ready: VecDeque::new(),
            listed: false,
            book: SessionBook::default(),
            most,
            outgoing,
            shared: None,
            events: VecDeque::new(),
            deferred: Vec::new(),
            failed: Vec::new(),
            delayed: 0,
            backlogged: 0,
            failures: Repeats::default(),
        }
    }

    /// Datagrams that wait to leave by sessions.
    pub(super) fn waiting(&self) -> u64 {
        self.delayed + self.backlogged
    }

    /// Whether something waits for room in the socket of a session.
    pub(in crate::reactor) fn has_backlog(&self) -> bool {
        self.backlogged > 0
    }

    pub(crate) fn report(&self) -> SessionReport<'_> {
        SessionReport { book: &self.book, waiting: self.waiting() }
    }

    /// The book, at the end of the listener.
    pub(crate) fn into_book(self) -> SessionBook {
        self.book
    }

    /// Whether nothing is missing (invariant I1).
    pub(crate) fn conserves(&self) -> bool {
        self.book.holds(self.waiting())
    }

    /// From now on it has its limit together with all others that count in `open`.
    pub(crate) fn share_room(&mut self, open: &Rc<Cell<usize>>) {
        self.shared = Some(Rc::clone(open));
    }

    /// One more is there.
    pub(super) fn count_open(&mut self) {
        self.book.open += 1;
        if let Some(shared) = &self.shared {
            shared.set(shared.get() + 1);
        }
    }

    /// One is there no more.
    pub(super) fn count_gone(&mut self) {
        self.book.open -= 1;
        if let Some(shared) = &self.shared {
            shared.set(shared.get().saturating_sub(1));
        }
    }

    /// Most that there may be.
    pub(in crate::reactor) fn most(&self) -> usize {
        self.most
    }

    /// Changes how many there may be. If there are more, none is opened until enough have ended.
    pub(in crate::reactor) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        let own = usize::try_from(self.book.open).unwrap_or(usize::MAX);
        self.most.saturating_sub(self.shared.as_ref().map_or(own, |shared| shared.get()))
    }
}
