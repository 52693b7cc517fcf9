//! The deadline of a wait.
//!
//! If every wait had a timeout, the kernel would start and cancel a timer each time; for a single datagram that is
//! 300 ns, measured. So on Linux the deadline lies in a `timerfd_create(2)` timer, which is set only when the next
//! deadline has changed. It is also exact to the nanosecond, while the timeouts of mio are whole milliseconds.

use std::io;
use std::time::Duration;

use mio::{Poll, Token};

use super::clock::Clock;
use crate::reactor::io::Wait;

/// Ends a wait at the next deadline.
#[derive(Debug)]
pub(crate) struct Alarm(#[cfg(target_os = "linux")] timer::Timer);

impl Alarm {
    /// An alarm that raises an event with `token` in `poll`.
    pub(crate) fn new(poll: &Poll, token: Token) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        return Ok(Self(timer::Timer::new(poll, token)?));
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (poll, token);
            Ok(Self())
        }
    }

    /// Prepares a wait. Returns the timeout that the wait still needs.
    #[inline]
    pub(crate) fn prepare(&mut self, clock: &Clock, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::No => Some(Duration::ZERO),
            Wait::Forever => None,
            #[cfg(target_os = "linux")]
            Wait::Until(at_ns) if self.0.set(clock.system_ns(at_ns)) => None,
            Wait::Until(at_ns) => Some(Duration::from_nanos(at_ns.saturating_sub(clock.mono_ns()))),
        }
    }

    /// Notes that the alarm has gone off.
    #[cfg_attr(not(target_os = "linux"), expect(clippy::unused_self, reason = "there is nothing to go off"))]
    pub(crate) fn expired(&mut self) {
        #[cfg(target_os = "linux")]
        self.0.expired();
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use mio::unix::SourceFd;
    use mio::{Interest, Poll, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    /// A `timerfd` that mio watches edge-triggered: each expiry raises one event without a read of the
    /// descriptor.
    #[derive(Debug)]
    pub(crate) struct Timer {
        fd: OwnedFd,
        /// The moment it is set to, in ns of the system's monotonic clock.
        set_to: Option<u64>,
    }

    impl Timer {
        pub(crate) fn new(poll: &Poll, token: Token) -> io::Result<Self> {
            let fd =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
            poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { fd, set_to: None })
        }

        /// Sets the timer to `at_ns` of the system's monotonic clock. Returns false when the kernel refuses.
        #[inline]
        pub(crate) fn set(&mut self, at_ns: u64) -> bool {
            self.set_to == Some(at_ns) || self.set_anew(at_ns)
        }

        fn set_anew(&mut self, at_ns: u64) -> bool {
            // The moment 0 would disarm the timer, so there is at least one nanosecond.
            let seconds = at_ns / 1_000_000_000;
            let nanos = at_ns % 1_000_000_000;
            let (Ok(tv_sec), Ok(tv_nsec)) = (seconds.try_into(), nanos.max(1).try_into()) else {
                return false;
            };
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let once = Itimerspec { it_interval: never, it_value: Timespec { tv_sec, tv_nsec } };
            let set = timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &once).is_ok();
            self.set_to = set.then_some(at_ns);
            set
        }

        pub(crate) fn expired(&mut self) {
            self.set_to = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::Events;

    use super::*;

    const ALARM: Token = Token(7);

    /// Waits until `at_ns`. Returns the time after the wait, and how many events there were.
    fn wait(poll: &mut Poll, alarm: &mut Alarm, clock: &Clock, at_ns: u64) -> (u64, usize) {
        let mut events = Events::with_capacity(4);
        let timeout = alarm.prepare(clock, Wait::Until(at_ns));
        poll.poll(&mut events, timeout).unwrap();
        events.iter().filter(|event| event.token() == ALARM).for_each(|_| alarm.expired());
        (clock.mono_ns(), events.iter().count())
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_not_before_also_at_the_same_one_again() {
        let (mut poll, clock) = (Poll::new().unwrap(), Clock::new());
        let mut alarm = Alarm::new(&poll, ALARM).unwrap();
        for after_ns in [3_000_000, 1, 2_000_000] {
            let at_ns = clock.mono_ns() + after_ns;
            assert!(wait(&mut poll, &mut alarm, &clock, at_ns).0 >= at_ns);
            // The deadline has passed, so a second wait for it ends at once.
            assert!(wait(&mut poll, &mut alarm, &clock, at_ns).0 >= at_ns);
        }
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one() {
        let (mut poll, clock) = (Poll::new().unwrap(), Clock::new());
        let mut alarm = Alarm::new(&poll, ALARM).unwrap();
        let far = clock.mono_ns() + 3_600_000_000_000;
        alarm.prepare(&clock, Wait::Until(far));
        let near = clock.mono_ns() + 1_000_000;
        let (now, _) = wait(&mut poll, &mut alarm, &clock, near);
        assert!(near <= now && now < far);
        assert_eq!(alarm.prepare(&clock, Wait::No), Some(Duration::ZERO));
        assert_eq!(alarm.prepare(&clock, Wait::Forever), None);
    }
}
