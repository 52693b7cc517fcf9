//! What the threads of a run tell of themselves while it goes on: counters, each thread's in a place of its own.

use std::sync::{Mutex, PoisonError};

use super::ledger::Ledger;
use super::stream::Tally;

/// The counters of a run, or of one thread, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The sums over all targets, without handshake and warm-up.
    pub total: Tally,
    /// Datagrams without answer and not timed out, those of the warm-up included.
    pub in_flight: u64,
    /// Planned datagrams not sent.
    pub not_sent: u64,
}

/// What each thread told last.
#[derive(Debug)]
pub struct Live {
    threads: Vec<Mutex<Counters>>,
}

impl Counters {
    /// Those of some books.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        Self { total: ledger.total(), in_flight: ledger.in_flight(), not_sent: ledger.not_sent() }
    }

    const fn add(&mut self, other: &Self) {
        self.total.add(&other.total);
        self.in_flight += other.in_flight;
        self.not_sent += other.not_sent;
    }
}

impl Live {
    /// For so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { threads: (0..threads).map(|_| Mutex::default()).collect() }
    }

    /// A thread tells. Nobody else writes there, and who reads is done in a moment.
    pub fn publish(&self, thread: usize, counters: Counters) {
        if let Some(place) = self.threads.get(thread) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = counters;
        }
    }

    /// The sums over all threads.
    #[must_use]
    pub fn sum(&self) -> Counters {
        let mut sum = Counters::default();
        for place in &self.threads {
            sum.add(&place.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_thread_counts() {
        let live = Live::new(2);
        let counters =
            |sent| Counters { total: Tally { sent, ..Tally::default() }, in_flight: 1, not_sent: 2 };
        live.publish(0, counters(1));
        live.publish(0, counters(10));
        live.publish(1, counters(5));
        let sum = live.sum();
        assert_eq!((sum.total.sent, sum.in_flight, sum.not_sent), (15, 2, 4));
    }
}
