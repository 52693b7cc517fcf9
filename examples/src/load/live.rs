//! What the threads of a run tell of themselves while it goes on: counters, each thread's in a place of its own.

use std::sync::Mutex;

use hdrhistogram::CreationError;

use super::histogram::TargetLatency;
use super::ledger::Ledger;
use super::lock::open;
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
    threads: Vec<Mutex<Told>>,
}

#[derive(Debug)]
struct Told {
    counters: Counters,
    /// The answers since they were gathered last.
    window: TargetLatency,
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
    ///
    /// # Errors
    /// None with the bounds of our histograms; the library cannot know.
    pub fn new(threads: usize) -> Result<Self, CreationError> {
        let told =
            || Ok(Mutex::new(Told { counters: Counters::default(), window: TargetLatency::target()? }));
        Ok(Self { threads: (0..threads).map(|_| told()).collect::<Result<_, _>>()? })
    }

    /// A thread tells, and hands over the `window` of its latest answers. Without waiting: while somebody reads there, it
    /// keeps both for the next time.
    pub fn publish(&self, thread: usize, counters: Counters, window: &mut TargetLatency) {
        let Some(mut told) = self.threads.get(thread).and_then(open) else { return };
        told.counters = counters;
        if !window.is_empty() {
            told.window.add(window);
            window.clear();
        }
    }

    /// The sums over all threads. What was answered since the last time is moved to `window`. `None` if a thread is just
    /// telling, without waiting for it.
    #[must_use]
    pub fn gather(&self, window: &mut TargetLatency) -> Option<Counters> {
        let mut sum = Counters::default();
        for place in &self.threads {
            let mut told = open(place)?;
            sum.add(&told.counters);
            if !told.window.is_empty() {
                window.add(&told.window);
                told.window.clear();
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_thread_counts_and_each_answer_once() {
        let live = Live::new(2).unwrap();
        let counters =
            |sent| Counters { total: Tally { sent, ..Tally::default() }, in_flight: 1, not_sent: 2 };
        let mut own = TargetLatency::target().unwrap();
        let tell = |thread, sent, latency| {
            let mut window = TargetLatency::target().unwrap();
            window.record(latency);
            live.publish(thread, counters(sent), &mut window);
            window.is_empty()
        };
        assert!(tell(0, 1, 1000) && tell(1, 10, 2000) && tell(0, 5, 3000));
        let sum = live.gather(&mut own).unwrap();
        assert_eq!((sum.total.sent, sum.in_flight, sum.not_sent), (15, 2, 4));
        let read = own.percentiles().unwrap();
        assert_eq!((read.count, read.min, read.max), (3, 1000, 3000), "of all threads, and of both times");
        own.clear();
        live.gather(&mut own).unwrap();
        assert_eq!(own.percentiles(), None, "gathered once");
    }

    #[test]
    fn nobody_waits_and_nothing_is_lost() {
        let live = Live::new(1).unwrap();
        let mut window = TargetLatency::target().unwrap();
        window.record(1000);
        let reader = live.threads[0].lock().unwrap();
        live.publish(0, Counters { in_flight: 1, ..Counters::default() }, &mut window);
        assert!(!window.is_empty(), "kept");
        assert_eq!(live.gather(&mut TargetLatency::target().unwrap()), None);
        drop(reader);
        live.publish(0, Counters { in_flight: 2, ..Counters::default() }, &mut window);
        let mut gathered = TargetLatency::target().unwrap();
        assert_eq!(live.gather(&mut gathered).unwrap().in_flight, 2);
        assert_eq!(gathered.percentiles().unwrap().count, 1);
    }
}
