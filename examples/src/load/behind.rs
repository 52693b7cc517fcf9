//! Since when a tester is behind its schedule.

use polyport_protocol::{MILLISECOND, Nanos};

/// Follows one schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    since: Option<Nanos>,
    missed: Option<Nanos>,
}

/// What leaves later than this after its time is behind. A machine that is merely busy oversleeps by less.
const TOLERATED: Nanos = 10 * MILLISECOND;

impl Behind {
    /// The oldest datagram that is due at `now` was planned for `planned`; `None` if none is due.
    pub fn look(&mut self, planned: Option<Nanos>, now: Nanos) {
        match planned {
            Some(planned) if now.saturating_sub(planned) > TOLERATED => {
                self.since.get_or_insert(planned);
            }
            Some(_) | None => self.since = None,
        }
    }

    /// A datagram planned for `planned` will not be sent any more: the rate is missed.
    pub fn give_up(&mut self, planned: Nanos) {
        self.missed.get_or_insert_with(|| self.since.unwrap_or(planned));
    }

    /// Takes the account of another thread: whoever missed the rate first.
    pub fn absorb(&mut self, other: &Self) {
        self.missed = self.missed.into_iter().chain(other.missed).min();
    }

    /// When the first datagram was planned from which on the tester was behind without a break, until it gave one up.
    #[must_use]
    pub const fn missed_since(&self) -> Option<Nanos> {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_catches_up_is_not_behind() {
        let mut behind = Behind::default();
        behind.look(Some(5), 5 + 2 * TOLERATED);
        behind.look(Some(100), 5 + 3 * TOLERATED);
        behind.look(None, 5 + 3 * TOLERATED);
        assert_eq!(behind.missed_since(), None, "nothing was given up");
        behind.look(Some(70 * TOLERATED), 71 * TOLERATED);
        behind.look(Some(80 * TOLERATED), 82 * TOLERATED);
        behind.look(Some(81 * TOLERATED), 85 * TOLERATED);
        behind.give_up(81 * TOLERATED);
        assert_eq!(behind.missed_since(), Some(80 * TOLERATED), "the first of the last time");
        behind.look(None, 90 * TOLERATED);
        behind.give_up(95 * TOLERATED);
        assert_eq!(behind.missed_since(), Some(80 * TOLERATED), "the first time counts");
    }

    #[test]
    fn what_is_given_up_at_once_is_the_beginning() {
        let mut behind = Behind::default();
        behind.give_up(7);
        assert_eq!(behind.missed_since(), Some(7));
        let mut other = Behind::default();
        other.absorb(&behind);
        other.absorb(&Behind::default());
        assert_eq!(other.missed_since(), Some(7));
    }
}
