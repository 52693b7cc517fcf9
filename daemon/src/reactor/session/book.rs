//! What the sessions of a listener counted, those that have ended included.

use std::fmt;
use std::ops::AddAssign;

use crate::exchange::{OpenRefused, SessionEnd};
use crate::metrics::Counters;

/// The book of all sessions of one listener. The listener's own socket has another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionBook {
    /// Datagrams that came in by sessions, and what was to leave by them.
    pub counters: Counters,
    /// Sessions that were to be made.
    pub opened: u64,
    /// Sessions that there are.
    pub open: u64,
    /// Sessions that there are no more, or never were, by [`SessionEnd`].
    pub closed: [u64; SessionEnd::COUNT],
    /// Errors of earlier datagrams that a call met.
    pub errors_taken: u64,
    /// How often no id was given out, by [`OpenRefused`].
    pub opens_refused: [u64; OpenRefused::COUNT],
    /// Requests for or about sessions that make no sense.
    pub bad_requests: u64,
}

impl SessionBook {
    /// Whether nothing is missing, neither a datagram (invariant I1) nor a session. `waiting` is how many datagrams still
    /// wait to be sent.
    #[must_use]
    pub fn holds(&self, waiting: u64) -> bool {
        self.counters.conservation(waiting).holds()
            && self.opened == self.open + self.closed.iter().sum::<u64>()
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign<&Self> for SessionBook {
    fn add_assign(&mut self, other: &Self) {
        self.counters += &other.counters;
        self.opened += other.opened;
        self.open += other.open;
        self.errors_taken += other.errors_taken;
        self.bad_requests += other.bad_requests;
        let counts = self.closed.iter_mut().chain(&mut self.opens_refused);
        for (mine, theirs) in counts.zip(other.closed.iter().chain(&other.opens_refused)) {
            *mine += theirs;
        }
    }
}

/// The part that is not about datagrams: how many sessions there were.
impl fmt::Display for SessionBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opened, open, closed, errors_taken, opens_refused, bad_requests, .. } = self;
        write!(f, "opened {opened} = open {open} + closed {}", closed.iter().sum::<u64>())?;
        let ends = SessionEnd::ALL.iter().zip(closed).map(|(end, n)| (end.name(), *n));
        listed(f, ends)?;
        if *errors_taken > 0 {
            write!(f, "; errors {errors_taken}")?;
        }
        if opens_refused.iter().sum::<u64>() > 0 {
            write!(f, "; refused {}", opens_refused.iter().sum::<u64>())?;
            listed(f, OpenRefused::NAMES.into_iter().zip(opens_refused.iter().copied()))?;
        }
        if *bad_requests > 0 {
            write!(f, "; bad requests {bad_requests}")?;
        }
        if *opened != open + closed.iter().sum::<u64>() {
            f.write_str(" (DOES NOT ADD UP: please report this)")?;
        }
        Ok(())
    }
}

/// Writes what is not 0 in parentheses, if anything is.
fn listed<'a>(f: &mut fmt::Formatter<'_>, counts: impl Iterator<Item = (&'a str, u64)>) -> fmt::Result {
    let mut first = true;
    for (name, n) in counts.filter(|(_, n)| *n > 0) {
        write!(f, "{}{name} {n}", if first { " (" } else { ", " })?;
        first = false;
    }
    if first { Ok(()) } else { f.write_str(")") }
}

/// What the reactor tells of the sessions of a listener.
#[derive(Clone, Copy, Debug)]
pub struct SessionReport<'a> {
    /// What they counted.
    pub book: &'a SessionBook,
    /// Datagrams that wait to leave by them.
    pub waiting: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_says_what_became_of_each_session() {
        let mut book = SessionBook { opened: 5, open: 2, errors_taken: 1, ..SessionBook::default() };
        assert!(!book.holds(0) && book.to_string().contains("DOES NOT ADD UP"));
        book.closed[SessionEnd::Idle as usize] = 2;
        book.closed[SessionEnd::NoPort as usize] = 1;
        book.opens_refused[OpenRefused::Port as usize] = 4;
        assert!(book.holds(0));
        assert_eq!(
            book.to_string(),
            "opened 5 = open 2 + closed 3 (idle 2, no_port 1); errors 1; refused 4 (port 4)"
        );
        let mut sum = SessionBook::default();
        assert!(sum.is_blank());
        sum += &book;
        sum += &book;
        assert_eq!((sum.opened, sum.closed[SessionEnd::Idle as usize], sum.opens_refused[1]), (10, 4, 8));
    }
}
