//! What the control socket counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::wire::ControlCounts;

/// [`ControlCounts`] as the thread counts them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) strangers: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) slow: AtomicU64,
    pub(super) too_long: AtomicU64,
    pub(super) busy: AtomicU64,
    pub(super) unanswered: AtomicU64,
}

impl Counts {
    pub(super) fn read(&self) -> ControlCounts {
        ControlCounts {
            connections: self.connections.load(Relaxed),
            requests: self.requests.load(Relaxed),
            strangers: self.strangers.load(Relaxed),
            refused: self.refused.load(Relaxed),
            evicted: self.evicted.load(Relaxed),
            slow: self.slow.load(Relaxed),
            too_long: self.too_long.load(Relaxed),
            busy: self.busy.load(Relaxed),
            unanswered: self.unanswered.load(Relaxed),
            // The loop counts these.
            take_overs_given_up: 0,
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
