//! Waits of microseconds, by `ppoll(2)`: the timeout of `epoll_wait(2)` is in milliseconds.

use std::time::Duration;

use mio::Poll;

/// Lets one thread rest.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// The timer slack of the thread has been set.
    #[cfg(target_os = "linux")]
    exact: bool,
}

impl Rest {
    /// Whether a rest is exact to some microseconds. Only Linux has such a wait.
    pub(crate) const IS_EXACT: bool = cfg!(target_os = "linux");

    /// Sleeps for that long, or until `poll` has an event.
    #[cfg(target_os = "linux")]
    pub(crate) fn rest(&mut self, poll: &Poll, span: Duration) {
        use std::num::NonZeroU64;

        use rustix::thread::set_current_timer_slack;

        if !std::mem::replace(&mut self.exact, true) {
            // By default the kernel may end a wait up to 50 us late (PR_SET_TIMERSLACK of `prctl(2)`).
            set_current_timer_slack(NonZeroU64::new(1)).unwrap_or(());
        }
        polyport_net::epoll::wait(poll, span);
    }

    /// Does nothing, because timers are too coarse here.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "there is nothing to do")]
    pub(crate) fn rest(&mut self, _: &Poll, _: Duration) {}
}
