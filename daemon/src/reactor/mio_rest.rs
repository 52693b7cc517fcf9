//! Resting for a few microseconds.

use std::time::Duration;

/// Sleeps for that long. A signal ends the rest early, which is fine.
#[cfg(target_os = "linux")]
pub(super) fn rest(span: Duration) {
    use rustix::thread::{NanosleepRelativeResult, nanosleep, set_current_timer_slack};
    use rustix::time::Timespec;
    use std::num::NonZeroU64;
    use std::sync::Once;

    // Else the kernel would add up to 50 us of its own (PR_SET_TIMERSLACK of prctl(2)); it is of this thread.
    static EXACT: Once = Once::new();
    EXACT.call_once(|| set_current_timer_slack(NonZeroU64::new(1)).unwrap_or(()));
    let tv_nsec = span.subsec_nanos().into();
    match nanosleep(&Timespec { tv_sec: 0, tv_nsec }) {
        NanosleepRelativeResult::Ok
        | NanosleepRelativeResult::Interrupted(_)
        | NanosleepRelativeResult::Err(_) => {}
    }
}

/// Not at all: elsewhere timers are not fine enough.
#[cfg(not(target_os = "linux"))]
pub(super) fn rest(_: Duration) {}
