//! When datagrams arrived by the kernel's own stamps (`SO_TIMESTAMPNS` of `socket(7)`), which leave out the time until
//! this program woke up and came to read them.
//!
//! The stamps are of the wall clock, which may be set; everything else here goes by the monotonic clock. So with each batch
//! both clocks are read, and a stamp becomes an age. It is believed if it lies between the last moment at which the socket
//! was known to be empty and now: a step of the wall clock in between leads out of that. What is not believed, and what has
//! no stamp, counts from when it was read.

use std::io;

use polyport_net::{Facts, UdpSocket};
use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Whose clock says when a datagram arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RxTime {
    /// The tester's, when it reads the datagram
    #[default]
    Tester,
    /// The kernel's, when the datagram came to the host; no trains are received then
    Kernel,
}

/// Turns stamps of the wall clock into times of the run.
#[derive(Clone, Debug)]
pub struct Stamps {
    /// For each socket the last time at which nothing was waiting that had come before.
    empty: Vec<Nanos>,
    /// Since when what is read now may have waited.
    since: Nanos,
    /// Both clocks at the same moment.
    now: Nanos,
    unix: Nanos,
    counts: StampCounts,
}

/// How many arrivals were told by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StampCounts {
    /// Datagrams whose arrival is that of the kernel's stamp.
    pub used: u64,
    /// Datagrams without a stamp: they count from when they were read.
    pub missing: u64,
    /// Stamps that were not believed, because the wall clock was set: they count from when they were read.
    pub implausible: u64,
}

/// How far a stamp may lie outside of what is possible: reading two clocks is not one moment, and the kernel slews one of
/// them against the other.
const SLACK: Nanos = 50_000;

impl Stamps {
    /// Asks the sockets for stamps.
    ///
    /// # Errors
    /// `Unsupported` where the system has none.
    pub fn ask(sockets: &mut [UdpSocket]) -> io::Result<Self> {
        for socket in &mut *sockets {
            // Each datagram has its own, so none are joined.
            socket.keep_apart(true);
            let told = socket.want(socket.facts().or(Facts { time: true, ..Facts::NONE }));
            if !told.time {
                let text = "this system does not stamp datagrams: use --rx-time tester";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        }
        Ok(Self::new(sockets.len()))
    }

    fn new(sockets: usize) -> Self {
        Self { empty: vec![0; sockets], since: 0, now: 0, unix: 0, counts: StampCounts::default() }
    }

    /// Socket number `index` was read, by a call that began at `before`; `empty` if nothing was waiting.
    pub fn received(&mut self, index: usize, before: Nanos, empty: bool, clock: Clock) {
        let last = self.empty.get_mut(index);
        self.since = last.as_deref().copied().unwrap_or(0);
        if empty {
            if let Some(last) = last {
                *last = before;
            }
            return;
        }
        (self.now, self.unix) = clock.both();
    }

    /// When a datagram with this stamp came, if it was read at `read`.
    pub fn arrival(&mut self, stamp: Option<Nanos>, read: Nanos) -> Nanos {
        let Some(stamp) = stamp else {
            self.counts.missing += 1;
            return read;
        };
        let believed = if stamp <= self.unix {
            let arrival = self.now.checked_sub(self.unix - stamp);
            arrival.filter(|arrival| arrival.saturating_add(SLACK) >= self.since)
        } else {
            (stamp - self.unix <= SLACK).then_some(self.now)
        };
        match believed {
            Some(arrival) => {
                self.counts.used += 1;
                arrival.min(read)
            }
            None => {
                self.counts.implausible += 1;
                read
            }
        }
    }

    /// How many arrivals were told by whom.
    #[must_use]
    pub const fn counts(&self) -> StampCounts {
        self.counts
    }
}

impl StampCounts {
    /// Adds those of other sockets.
    pub const fn add(&mut self, other: &Self) {
        self.used += other.used;
        self.missing += other.missing;
        self.implausible += other.implausible;
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::{MILLISECOND, SECOND};

    use super::*;

    /// Stamps of a socket that was empty at 10 ms, read at 20 ms, when the wall clock shows `unix`.
    fn stamps(unix: Nanos) -> Stamps {
        Stamps { since: 10 * MILLISECOND, now: 20 * MILLISECOND, unix, ..Stamps::new(1) }
    }

    const UNIX: Nanos = 1_700_000_000 * SECOND;

    #[test]
    fn a_stamp_is_an_age() {
        let mut stamps = stamps(UNIX);
        let read = 21 * MILLISECOND;
        for age in [0, 1, MILLISECOND, 10 * MILLISECOND] {
            assert_eq!(stamps.arrival(Some(UNIX - age), read), 20 * MILLISECOND - age);
        }
        assert_eq!(
            stamps.arrival(Some(UNIX + SLACK), read),
            20 * MILLISECOND,
            "never after it was looked at"
        );
        assert_eq!(stamps.counts(), StampCounts { used: 5, ..StampCounts::default() });
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_no_arrival_far() {
        let read = 21 * MILLISECOND;
        // The clock was set forward, then back, after the stamp.
        for stamp in [UNIX - SECOND, UNIX - 11 * MILLISECOND, UNIX + SECOND, 0] {
            let mut stamps = stamps(UNIX);
            assert_eq!(stamps.arrival(Some(stamp), read), read);
            assert_eq!(stamps.counts(), StampCounts { implausible: 1, ..StampCounts::default() });
        }
    }

    #[test]
    fn without_a_stamp_the_reading_counts() {
        let mut stamps = stamps(UNIX);
        assert_eq!(stamps.arrival(None, 7), 7);
        assert_eq!(stamps.counts(), StampCounts { missing: 1, ..StampCounts::default() });
    }

    #[test]
    fn what_may_have_waited_is_judged_by_socket() {
        let (mut stamps, clock) = (Stamps::new(2), Clock::start());
        stamps.received(1, 5, true, clock);
        stamps.received(0, 6, false, clock);
        assert_eq!(stamps.since, 0, "it was never seen empty");
        stamps.received(1, 7, false, clock);
        assert_eq!((stamps.since, stamps.empty.clone()), (5, vec![0, 5]));
    }
}
