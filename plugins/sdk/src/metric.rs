//! Numbers the host exports: adding is a load and a store, no call.

use core::sync::atomic::Ordering::Relaxed;

use crate::host::CellRef;

/// A number that only grows. A thread of the plugin may have it, and may count when the handler is gone.
#[derive(Debug)]
pub struct Counter(CellRef);

impl Counter {
    pub(crate) const fn new(cell: CellRef) -> Self {
        Self(cell)
    }

    /// Adds `n`; wraps at 2^64.
    #[inline]
    pub fn add(&self, n: u64) {
        // One writer, so load and store lose nothing and need no locked instruction.
        let cell = self.0.get();
        cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The number so far, including that of instances before this one.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get().load(Relaxed)
    }
}

/// A number that goes up and down. A thread may have it, as a [`Counter`].
#[derive(Debug)]
pub struct Gauge(CellRef);

impl Gauge {
    pub(crate) const fn new(cell: CellRef) -> Self {
        Self(cell)
    }

    /// Sets the number.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.get().store(n, Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get().load(Relaxed)
    }
}
