//! How long a turn works at a change.

use std::time::Duration;

use crate::reactor::io::{Io, nanos};

/// What a turn may take for a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Until then, monotonic ns.
    until_ns: u64,
}

impl Share {
    /// As long as it takes: the end, or another change, waits for the rest.
    pub(super) const ALL: Self = Self { until_ns: u64::MAX };

    /// So long, from now on.
    pub(super) fn from(now_ns: u64, span: Duration) -> Self {
        Self { until_ns: now_ns.saturating_add(nanos(span)) }
    }

    /// Whether it is used up. A turn does one thing of each kind all the same, so that a change goes on however slow all is.
    pub(super) fn is_over(self, io: &mut impl Io) -> bool {
        self.until_ns != u64::MAX && io.now().mono_ns >= self.until_ns
    }
}
