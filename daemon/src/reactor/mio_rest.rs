//! Resting for a few microseconds.

use std::time::Duration;

/// Rests the thread it is made for.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// The thread's timers are exact already.
    #[cfg(target_os = "linux")]
    exact: bool,
}

impl Rest {
    /// Sleeps for that long. A signal ends the rest early, which is fine.
    #[cfg(target_os = "linux")]
    pub(super) fn rest(&mut self, span: Duration) {
        use rustix::thread::{NanosleepRelativeResult, nanosleep, set_current_timer_slack};
        use rustix::time::Timespec;
        use std::num::NonZeroU64;

        if !std::mem::replace(&mut self.exact, true) {
            // Else the kernel would add up to 50 us of its own (PR_SET_TIMERSLACK of prctl(2)).
            set_current_timer_slack(NonZeroU64::new(1)).unwrap_or(());
        }
        match nanosleep(&Timespec { tv_sec: 0, tv_nsec: span.subsec_nanos().into() }) {
            NanosleepRelativeResult::Ok
            | NanosleepRelativeResult::Interrupted(_)
            | NanosleepRelativeResult::Err(_) => {}
        }
    }

    /// Not at all: elsewhere timers are not fine enough.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "there is nothing to do")]
    pub(super) fn rest(&mut self, _: Duration) {}
}
