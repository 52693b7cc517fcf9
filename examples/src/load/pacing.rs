//! Waiting for an answer or for the next planned time, more finely than `poll(2)` can.

use std::io;
use std::os::fd::AsFd;

use polyport_protocol::{Nanos, SECOND};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outbox::Outbox;

/// How to wait for a planned time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pacing {
    /// Sleep in ppoll(2) until the time has come
    #[default]
    Sleep,
    /// Sleep until shortly before it, then spin
    Hybrid,
    /// Spin: one processor is spent on it
    Busy,
}

/// How long before the planned time [`Pacing::Hybrid`] wakes up: sleeping threads oversleep by tens of microseconds,
/// virtual machines by more.
const SPIN: Nanos = 200_000;

/// Asks the kernel to wake this thread as exactly as it can instead of within 50 us (`PR_SET_TIMERSLACK`, `prctl(2)`).
/// Where that is refused the lag is longer and the report shows it.
pub fn be_exact() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        log::debug!("timer slack: {error}");
    }
}

impl Pacing {
    /// Waits until a socket is readable, or `deadline`; with `blocked` also until one is writable. May return early.
    ///
    /// # Errors
    /// Those of `ppoll(2)`, without EINTR.
    pub fn wait(self, outboxes: &[Outbox], now: Nanos, deadline: Nanos, blocked: bool) -> io::Result<()> {
        let left = deadline.saturating_sub(now);
        let sleep = match self {
            Self::Sleep => left,
            Self::Hybrid => left.saturating_sub(SPIN),
            Self::Busy => 0,
        };
        if sleep == 0 {
            std::hint::spin_loop();
            return Ok(());
        }
        let events = if blocked { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let timeout = timespec(sleep);
        // One socket for each family.
        let result = match outboxes {
            [one] => poll(&mut [entry(one, events)], Some(&timeout)),
            [one, two, ..] => poll(&mut [entry(one, events), entry(two, events)], Some(&timeout)),
            [] => return Ok(()),
        };
        match result {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn entry(outbox: &Outbox, events: PollFlags) -> PollFd<'_> {
    PollFd::from_borrowed_fd(outbox.socket().as_fd(), events)
}

fn timespec(span: Nanos) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span / SECOND).unwrap_or(i64::MAX),
        tv_nsec: (span % SECOND).try_into().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use polyport_net::{SocketOptions, UdpSocket};
    use polyport_protocol::MILLISECOND;

    use super::*;
    use crate::clock::Clock;

    fn outbox() -> Outbox {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        Outbox::new(socket, 10)
    }

    #[test]
    fn sleeping_ends_at_the_deadline_and_below_a_millisecond() {
        be_exact();
        let (clock, outboxes) = (Clock::start(), [outbox(), outbox()]);
        let shortest = (0..50)
            .map(|_| {
                let start = clock.now();
                Pacing::Sleep.wait(&outboxes, start, start + 200_000, false).unwrap();
                clock.now() - start
            })
            .min()
            .unwrap();
        assert!((200_000..MILLISECOND).contains(&shortest), "{shortest}");
    }

    #[test]
    fn a_writable_socket_ends_the_wait_only_if_that_is_wanted() {
        let (clock, outboxes) = (Clock::start(), [outbox()]);
        Pacing::Sleep.wait(&outboxes, 0, u64::MAX, true).unwrap();
        let start = clock.now();
        Pacing::Hybrid.wait(&outboxes, start, start + 3 * MILLISECOND, false).unwrap();
        let took = clock.now() - start;
        assert!(took >= 3 * MILLISECOND - SPIN, "{took}");
    }
}
