//! When the loop polls a listener instead of watching it, as network drivers do with busy devices (NAPI).
//!
//! Watching a busy socket is expensive. The kernel walks the socket's wait queue for every datagram that arrives and
//! for every datagram that has left, and epoll asks the socket twice whether it is ready. Where a visit finds one
//! datagram, that is a quarter of its cost. So the loop takes a listener out of epoll once its visits have found
//! something for a while, and then visits it every turn. When too many visits find nothing, it watches the listener
//! again; a datagram that came in between raises an event at once.

/// Turns in a row, with hardly a wait between them, after which the loop counts as busy.
const BUSY_TURNS: u8 = 8;
/// Visits in a row that must find something before a busy loop polls a listener. Leaving epoll and coming back costs as
/// much as two or three visits save.
const WORTH: u8 = 4;
/// Most credit of a polled listener, and its credit at the beginning. A visit that finds nothing takes one, a visit
/// that finds something gives two; without credit the listener is watched again. So polling ends some microseconds
/// after the last datagram, or when fewer than a third of the visits find something.
const CREDIT: u8 = 8;
/// The longest wait between two turns of a busy loop, ns.
const WAIT_NS: u64 = 2000;
/// What a wait takes longer for each listener that becomes ready, ns.
const EVENT_NS: u64 = 1000;

/// Turns of the loop with hardly a wait between them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BusyPeriod {
    /// Tells a busy period from the one before; wraps around.
    number: u16,
    /// Turns so far, [`BUSY_TURNS`] at most.
    turns: u8,
}

impl BusyPeriod {
    /// Notes a turn that found something, `gap_ns` after the turn before, and visited `visits` listeners.
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
    /// Visits in a row that found something; if the listener is polled, what is left of [`CREDIT`].
    credit: u8,
    /// Number of the busy period of those visits.
    busy_period: u16,
}

/// What follows from a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing changes.
    GoOn,
    /// The listener is worth polling.
    Poll,
    /// The listener is not worth polling any more.
    Watch,
}

impl Polling {
    /// Starts anew, because the listener is polled from now on, or watched.
    pub(crate) fn restart(&mut self, is_polled: bool) {
        self.credit = if is_polled { CREDIT } else { 0 };
    }

    /// Learns from a visit that `found` something or not. Returns what follows for the listener.
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

    /// The first change that follows from visits that found something (`+`) or nothing (`-`), and after how many
    /// visits.
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
