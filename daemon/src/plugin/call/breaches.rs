//! Calls of host functions that came at a time when none may come. They do nothing; who tests a plugin asks for them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A call at the wrong time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// `metric` outside of `create`.
    Metric,
    /// `want` outside of `create`.
    Want,
    /// `flush` outside of a call with a batch.
    Flush,
    /// `session_open` and the like outside of a call with a batch.
    Session,
    /// `ticket` or `answer` outside of a call with a batch.
    Ticket,
    /// `group` outside of `create` and of a call with a batch.
    Group,
    /// Any of them but `wake` for an instance that is gone.
    Late,
}

impl Breach {
    /// Every one.
    pub const ALL: [Self; 7] =
        [Self::Metric, Self::Want, Self::Flush, Self::Session, Self::Ticket, Self::Group, Self::Late];
}

static COUNTS: [AtomicU64; Breach::ALL.len()] = [const { AtomicU64::new(0) }; Breach::ALL.len()];

/// Counts one.
#[cold]
pub(super) fn note_breach(breach: Breach) {
    if let Some(count) = COUNTS.get(breach as usize) {
        count.fetch_add(1, Relaxed);
    }
}

/// How often each has happened in this process, in the order of [`Breach::ALL`].
#[must_use]
pub fn breaches() -> [u64; Breach::ALL.len()] {
    COUNTS.each_ref().map(|count| count.load(Relaxed))
}
