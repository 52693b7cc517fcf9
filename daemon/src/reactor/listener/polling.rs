//! Busy listeners are polled instead of watched, as network drivers do with busy devices (NAPI).
//!
//! A watched socket is dear under load: the kernel walks its wait queue at every arrival and again at every datagram
//! that has left, and epoll asks it twice whether it is ready. With one datagram a visit that is a quarter of all. So a
//! listener that had something at every visit for a while leaves the epoll instance and is simply visited every turn.
//! When too many visits find nothing it is watched again, and what came meanwhile raises an event at once.

/// Turns in a row, with hardly a wait between, that make the loop busy.
const BUSY_TURNS: u8 = 8;
/// Visits in a row that found something, before a listener of a busy loop is polled: leaving epoll and coming back
/// costs as much as two or three visits save.
const WORTH: u8 = 4;
/// Credit of a polled listener: a visit that finds nothing takes one, a visit that finds something gives two. So the
/// loop looks for some microseconds longer than there is something, and at a third of visits in vain it pays no more.
const CREDIT: u8 = 8;
/// The longest wait between two turns of a busy loop, ns.
const WAIT_NS: u64 = 2000;
/// What a wait takes for each listener it has to tell of, ns.
const EVENT_NS: u64 = 1000;

/// How long the loop has been busy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BusyPeriod {
    /// Tells stretches apart, for a while.
    number: u16,
    turns: u8,
}

impl BusyPeriod {
    /// A turn found something `gap_ns` after the one before, and visited so many listeners.
    #[inline]
    pub(crate) fn note(&mut self, gap_ns: u64, visits: usize) {
        if gap_ns <= WAIT_NS + visits as u64 * EVENT_NS {
            self.turns = (self.turns + 1).min(BUSY_TURNS);
        } else {
            *self = Self { number: self.number.wrapping_add(1), turns: 0 };
        }
    }
}

/// Whether it is worth while to poll a listener.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Polling {
    /// Visits in a row that found something, or what is left when it is polled.
    credit: u8,
    /// The busy_period they were in.
    busy_period: u16,
}

/// What follows from a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    GoOn,
    /// It is worth while to poll it.
    Poll,
    /// It is not any more.
    Watch,
}

impl Polling {
    /// It is polled from now on, or not.
    pub(crate) fn restart(&mut self, is_polled: bool) {
        self.credit = if is_polled { CREDIT } else { 0 };
    }

    /// Learns from a visit of a listener that is polled or not.
    #[inline]
    pub(crate) fn after(&mut self, is_polled: bool, found: bool, busy_period: BusyPeriod) -> Change {
        if is_polled {
            self.credit = if found { (self.credit + 2).min(CREDIT) } else { self.credit.saturating_sub(1) };
            return if self.credit == 0 { Change::Watch } else { Change::GoOn };
        }
        let before = if self.busy_period == busy_period.number { self.credit } else { 0 };
        self.busy_period = busy_period.number;
        self.credit = if found { (before + 1).min(WORTH) } else { 0 };
        if self.credit == WORTH && busy_period.turns == BUSY_TURNS { Change::Poll } else { Change::GoOn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> BusyPeriod {
        let mut busy_period = BusyPeriod::default();
        (0..BUSY_TURNS).for_each(|_| busy_period.note(WAIT_NS, 1));
        busy_period
    }

    /// What follows from visits that found something (`+`) or nothing (`-`), until there is a change.
    fn change(
        polling: &mut Polling,
        is_polled: bool,
        busy_period: BusyPeriod,
        visits: &str,
    ) -> (Change, usize) {
        let steps = visits.chars().map(|c| polling.after(is_polled, c == '+', busy_period)).zip(1..);
        let mut changes = steps.filter(|(change, _)| *change != Change::GoOn);
        changes.next().unwrap_or((Change::GoOn, visits.len()))
    }

    #[test]
    fn who_always_has_something_is_polled_when_the_loop_is_busy() {
        let mut polling = Polling::default();
        assert_eq!(change(&mut polling, false, busy(), "+++-+++-++++"), (Change::Poll, 12));
        assert_eq!(
            change(&mut Polling::default(), false, BusyPeriod::default(), "++++++++++++"),
            (Change::GoOn, 12)
        );
    }

    #[test]
    fn what_a_visit_found_in_another_busy_period_does_not_count() {
        let (mut polling, mut busy_period) = (Polling::default(), busy());
        assert_eq!(change(&mut polling, false, busy_period, "+++"), (Change::GoOn, 3));
        busy_period.note(WAIT_NS + EVENT_NS + 1, 1);
        (0..BUSY_TURNS).for_each(|_| busy_period.note(0, 1));
        assert_eq!(change(&mut polling, false, busy_period, "++++"), (Change::Poll, 4));
    }

    #[test]
    fn a_wait_is_measured_by_what_it_had_to_tell() {
        let mut busy_period = busy();
        busy_period.note(WAIT_NS + 1000 * EVENT_NS, 1000);
        assert_eq!(busy_period.turns, BUSY_TURNS);
        busy_period.note(WAIT_NS + 1000 * EVENT_NS, 999);
        assert_eq!(busy_period.turns, 0);
    }

    #[test]
    fn who_has_something_at_less_than_a_third_of_visits_is_watched_again() {
        for (visits, expected) in [
            ("--------", (Change::Watch, 8)),
            (&"+--".repeat(50), (Change::GoOn, 150)),
            (&"+---".repeat(50), (Change::Watch, 24)),
        ] {
            let mut polling = Polling::default();
            polling.restart(true);
            assert_eq!(change(&mut polling, true, BusyPeriod::default(), visits), expected, "{visits}");
        }
        let mut polling = Polling::default();
        polling.restart(true);
        polling.restart(false);
        assert_eq!(change(&mut polling, false, busy(), "+++"), (Change::GoOn, 3), "it starts anew");
    }
}
