//! Timers of the handlers and of the loop itself, ordered by deadline.

use std::collections::BTreeMap;

use crate::reactor::io::Token;

/// What a timer is for. The order of the variants matters: see [`FIRST_HANDLER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A handler's own timer.
    Handler {
        /// The handler's token for it.
        token: u64,
    },
    /// A listener whose socket gave only errors is visited again.
    Resume,
    /// A broken handler is made again.
    Restart,
}

/// The first timer of a handler in the order of [`Timer`]. A handler's timers lie between this and [`LAST_HANDLER`],
/// and the loop's own timers for the listener behind them.
const FIRST_HANDLER: Timer = Timer::Handler { token: 0 };
/// The last timer of a handler in the order of [`Timer`].
const LAST_HANDLER: Timer = Timer::Handler { token: u64::MAX };

/// Timers by deadline. Ties fire in the order they were armed, so that a run repeats.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Every timer by its deadline, monotonic ns, and its sequence number.
    queue: BTreeMap<(u64, u64), Entry>,
    /// The key in `queue` of every timer.
    armed: BTreeMap<(Token, Timer), (u64, u64)>,
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    listener: Token,
    timer: Timer,
    every_ns: u64,
}

impl Timers {
    /// Arms a timer for the moment `at_ns`, or moves it there; 0 cancels it. It fires again every `every_ns`; 0 is
    /// once.
    pub(crate) fn arm(&mut self, listener: Token, timer: Timer, at_ns: u64, every_ns: u64) {
        if let Some(old) = self.armed.remove(&(listener, timer)) {
            self.queue.remove(&old);
        }
        if at_ns > 0 {
            self.sequence += 1;
            let key = (at_ns, self.sequence);
            self.queue.insert(key, Entry { listener, timer, every_ns });
            self.armed.insert((listener, timer), key);
        }
    }

    /// Cancels every timer of a listener.
    pub(crate) fn cancel_all(&mut self, listener: Token) {
        self.cancel(listener, Timer::Restart);
    }

    /// Cancels the timers of a listener's handler. The loop's own timers stay, because nothing else brings back a
    /// listener that is paused.
    pub(crate) fn cancel_handler(&mut self, listener: Token) {
        self.cancel(listener, LAST_HANDLER);
    }

    fn cancel(&mut self, listener: Token, last: Timer) {
        let keys: Vec<_> =
            self.armed.range((listener, FIRST_HANDLER)..=(listener, last)).map(|(k, _)| *k).collect();
        for key in keys {
            if let Some(at) = self.armed.remove(&key) {
                self.queue.remove(&at);
            }
        }
    }

    /// Whether a handler may arm its timer `token` without exceeding `limit`. It may always move one.
    pub(crate) fn has_room(&self, listener: Token, token: u64, limit: usize) -> bool {
        let own = (listener, FIRST_HANDLER)..=(listener, LAST_HANDLER);
        self.armed.contains_key(&(listener, Timer::Handler { token }))
            || self.armed.range(own).count() < limit
    }

    /// The next deadline, monotonic ns.
    pub(crate) fn next(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes one timer that is due. A periodic timer is armed again for the first of its moments after `now_ns`, so
    /// that one that is behind fires once and keeps its phase.
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<(Token, Timer)> {
        let (&(at, _), _) = self.queue.first_key_value().filter(|((at, _), _)| *at <= now_ns)?;
        let (_, Entry { listener, timer, every_ns }) = self.queue.pop_first()?;
        self.armed.remove(&(listener, timer));
        if let Some(behind) = now_ns.saturating_sub(at).checked_div(every_ns) {
            let next = at.saturating_add(every_ns.saturating_mul(behind + 1));
            self.arm(listener, timer, next, every_ns);
        }
        Some((listener, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Token = Token { index: 1, generation: 1 };
    const B: Token = Token { index: 1, generation: 2 };

    fn handler(token: u64) -> Timer {
        Timer::Handler { token }
    }

    #[test]
    fn timers_fire_in_order_of_deadline_then_of_arming() {
        let mut timers = Timers::default();
        timers.arm(A, handler(1), 30, 0);
        timers.arm(A, handler(2), 10, 0);
        timers.arm(B, handler(1), 10, 0);
        assert_eq!(timers.next(), Some(10));
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_due(30)).collect();
        assert_eq!(fired, [(A, handler(2)), (B, handler(1)), (A, handler(1))]);
        assert_eq!(timers.pop_due(u64::MAX), None);
    }

    #[test]
    fn the_same_token_moves_and_zero_cancels() {
        let mut timers = Timers::default();
        timers.arm(A, handler(1), 10, 0);
        timers.arm(A, handler(1), 20, 0);
        assert_eq!(timers.pop_due(19), None);
        assert_eq!(timers.armed.len(), 1);
        timers.arm(A, handler(1), 0, 0);
        assert_eq!((timers.pop_due(u64::MAX), timers.next()), (None, None));
    }

    #[test]
    fn a_periodic_timer_that_is_behind_fires_once_and_keeps_its_phase() {
        let mut timers = Timers::default();
        timers.arm(A, handler(1), 10, 10);
        assert!(timers.pop_due(55).is_some());
        assert_eq!((timers.pop_due(55), timers.next()), (None, Some(60)));
    }

    #[test]
    fn a_limit_counts_the_handlers_own_timers_and_lets_them_move() {
        let mut timers = Timers::default();
        timers.arm(A, Timer::Resume, 10, 0);
        assert!(timers.has_room(A, 7, 1));
        timers.arm(A, handler(7), 10, 0);
        assert!(timers.has_room(A, 7, 1));
        assert!(!timers.has_room(A, 8, 1));
        assert!(timers.has_room(B, 8, 1));
    }

    #[test]
    fn what_the_loop_waits_for_survives_the_handler() {
        let mut timers = Timers::default();
        for timer in [handler(0), handler(u64::MAX), Timer::Resume] {
            timers.arm(A, timer, 10, 0);
        }
        timers.cancel_handler(A);
        assert_eq!((timers.pop_due(10), timers.next()), (Some((A, Timer::Resume)), None));
    }

    #[test]
    fn cancelling_a_listener_leaves_the_next_owner_of_its_slot_alone() {
        let mut timers = Timers::default();
        timers.arm(A, handler(u64::MAX), 10, 0);
        timers.arm(A, Timer::Restart, 10, 0);
        timers.arm(B, handler(1), 10, 0);
        timers.cancel_all(A);
        assert_eq!(timers.pop_due(10), Some((B, handler(1))));
        assert_eq!(timers.pop_due(10), None);
    }
}
