//! Resting for microseconds: the timeouts of `epoll_wait(2)` are milliseconds.

use mio::Poll;
use std::time::Duration;

/// Rests the thread it is made for.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// The thread's timers are exact already.
    #[cfg(target_os = "linux")]
    exact: bool,
}

impl Rest {
    /// Elsewhere there is no timer that is exact enough.
    pub(crate) const IS_EXACT: bool = cfg!(target_os = "linux");

    /// Sleeps for that long, or until `poll` has an event.
    #[cfg(target_os = "linux")]
    pub(crate) fn rest(&mut self, poll: &Poll, span: Duration) {
        use rustix::thread::set_current_timer_slack;
        use std::num::NonZeroU64;

        if !std::mem::replace(&mut self.exact, true) {
            // Else the kernel would add up to 50 us of its own (PR_SET_TIMERSLACK of prctl(2)).
            set_current_timer_slack(NonZeroU64::new(1)).unwrap_or(());
        }
        polyport_net::epoll::wait(poll, span);
    }

    /// Not at all: elsewhere timers are not fine enough.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "there is nothing to do")]
    pub(crate) fn rest(&mut self, _: &Poll, _: Duration) {}
}
