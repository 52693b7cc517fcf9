//! Waiting for an answer or for the next planned time, more finely than `poll(2)` can.

use std::io;

use arrayvec::ArrayVec;
use polyport_net::UdpSocket;
use polyport_protocol::{Nanos, SECOND};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Waits until a socket is readable or has an error, or `deadline`; of those that are `blocked`, also until one is
    /// writable. May return early.
    ///
    /// # Errors
    /// Those of `ppoll(2)`, without EINTR.
    pub fn wait(
        self,
        sockets: &[UdpSocket],
        blocked: &[usize],
        now: Nanos,
        deadline: Nanos,
    ) -> io::Result<()> {
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
        let events =
            |index| if blocked.contains(&index) { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let entries = sockets.iter().enumerate().map(|(index, socket)| PollFd::new(socket, events(index)));
        look(entries, sleep, |_| ())
    }
}

/// Sockets that are looked at without memory of their own for it.
const FEW: usize = 64;

/// Calls poll(2) for at most `span`, and `tell` with what it said.
fn look<'s>(
    entries: impl ExactSizeIterator<Item = PollFd<'s>>,
    span: Nanos,
    tell: impl FnOnce(&[PollFd<'s>]),
) -> io::Result<()> {
    let (mut few, mut many) = (ArrayVec::<_, FEW>::new(), Vec::new());
    let entries: &mut [PollFd<'_>] = if entries.len() <= FEW {
        few.extend(entries);
        &mut few
    } else {
        many.extend(entries);
        &mut many
    };
    match poll(entries, Some(&timespec(span))) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    tell(entries);
    Ok(())
}

/// Writes to `ready` the sockets that have something to say now: a datagram, or an error.
///
/// # Errors
/// Those of `ppoll(2)`, without EINTR.
pub fn ready(sockets: &[UdpSocket], ready: &mut Vec<usize>) -> io::Result<()> {
    ready.clear();
    look(sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)), 0, |entries| {
        let told = entries.iter().enumerate().filter(|(_, entry)| !entry.revents().is_empty());
        ready.extend(told.map(|(index, _)| index));
    })
}

fn timespec(span: Nanos) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span / SECOND).unwrap_or(i64::MAX),
        tv_nsec: (span % SECOND).try_into().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use polyport_net::SocketOptions;
    use polyport_protocol::MILLISECOND;

    use super::*;
    use crate::clock::Clock;

    fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap()
    }

    #[test]
    fn sleeping_ends_at_the_deadline_and_below_a_millisecond() {
        be_exact();
        let (clock, sockets) = (Clock::start(), [socket(), socket()]);
        let shortest = (0..50)
            .map(|_| {
                let start = clock.now();
                Pacing::Sleep.wait(&sockets, &[], start, start + 200_000).unwrap();
                clock.now() - start
            })
            .min()
            .unwrap();
        assert!((200_000..MILLISECOND).contains(&shortest), "{shortest}");
    }

    #[test]
    fn a_writable_socket_ends_the_wait_only_if_that_is_wanted() {
        let (clock, sockets) = (Clock::start(), [socket()]);
        Pacing::Sleep.wait(&sockets, &[0], 0, u64::MAX).unwrap();
        let start = clock.now();
        Pacing::Hybrid.wait(&sockets, &[], start, start + 3 * MILLISECOND).unwrap();
        let took = clock.now() - start;
        assert!(took >= 3 * MILLISECOND - SPIN, "{took}");
    }

    #[test]
    fn only_sockets_with_something_to_say_are_ready() {
        let sockets = [socket(), socket(), socket(), socket()];
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for index in [3, 1] {
            peer.send_to(b"x", sockets[index].local_addr().unwrap()).unwrap();
        }
        let mut ready = vec![7];
        super::ready(&sockets, &mut ready).unwrap();
        assert_eq!(ready, [1, 3]);
        super::ready(&sockets[..1], &mut ready).unwrap();
        assert!(ready.is_empty());
    }
}
