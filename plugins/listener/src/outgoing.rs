//! Answers that were given to the host and are recorded when they leave, so that a recording is in the order of time.

use std::collections::BTreeMap;

use crate::packet::About;

/// Answers that wait to be recorded. With the longest leisure of a minute these are 273 a second; of more, the rest is not
/// recorded, and counted.
const MOST: usize = 16_384;

/// Answers by the moment they leave, then by the order they were given in.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    waiting: BTreeMap<(u64, u64), About>,
    number: u64,
}

impl Outgoing {
    /// Takes an answer that leaves at `at_ns` of the monotonic clock. False: there is no room.
    pub(crate) fn push(&mut self, at_ns: u64, about: About) -> bool {
        let fits = self.waiting.len() < MOST;
        if fits {
            self.waiting.insert((at_ns, self.number), about);
            self.number += 1;
        }
        fits
    }

    /// The next answer that has left by `now_ns`, and when.
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<(u64, About)> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now_ns)?;
        let ((at_ns, _), about) = first.remove_entry();
        Some((at_ns, about))
    }

    /// When the next one leaves after `now_ns`.
    pub(crate) fn next(&self, now_ns: u64) -> Option<u64> {
        let mut later = self.waiting.range((now_ns.saturating_add(1), 0)..);
        later.next().map(|((at_ns, _), _)| *at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_out_when_they_leave_and_in_that_order() {
        let mut outgoing = Outgoing::default();
        for (number, at_ns) in [30, 10, 20, 10].into_iter().enumerate() {
            assert!(outgoing.push(at_ns, About { unix_ns: number as u64, ..About::UNKNOWN }));
        }
        let mut until = |now_ns| -> Vec<(u64, u64)> {
            std::iter::from_fn(|| outgoing.pop(now_ns)).map(|(at, about)| (at, about.unix_ns)).collect()
        };
        assert_eq!((until(9), until(20)), (vec![], vec![(10, 1), (10, 3), (20, 2)]));
        assert_eq!(
            (outgoing.next(29), outgoing.next(30), outgoing.pop(29).is_none()),
            (Some(30), None, true)
        );
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut outgoing = Outgoing::default();
        let fit = (0..MOST as u64 + 5).filter(|at| outgoing.push(*at, About::UNKNOWN)).count();
        assert_eq!((fit, outgoing.next(0)), (MOST, Some(1)));
    }
}
