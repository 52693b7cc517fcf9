//! By how much the delays of neighbours differ: IPDV (RFC 3393), of round trips, and of each way where the peer stamps. The offset of two clocks
//! cancels out of a difference, so nothing is estimated.

use hdrhistogram::CreationError;
use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::histogram::{Percentiles, TotalLatency};

/// The times of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    whole: Nanos,
    /// Delays of both ways, each with the offset of the clocks in it.
    ways: Option<(Nanos, Nanos)>,
}

/// By how much those of two exchanges differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipdv {
    /// Of the round trips.
    pub trip: Nanos,
    /// Of the ways there and back, where the peer stamped both exchanges.
    pub ways: Option<(Nanos, Nanos)>,
}

/// Differences of the delays of each way, without sign. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaysReport {
    /// From us to the target.
    pub up: Percentiles,
    /// From the target to us.
    pub down: Percentiles,
}

/// The differences of a run.
#[derive(Clone, Debug)]
pub struct Ways {
    /// Of the ways from us to the targets.
    pub up: TotalLatency,
    /// Of the ways back.
    pub down: TotalLatency,
}

impl Trip {
    /// Of a datagram that left at `sent` and was answered at `arrival`; `times` are those of the peer, and `inside` is not counted.
    #[must_use]
    pub fn new(sent: Nanos, times: Option<(Nanos, Nanos)>, arrival: Nanos, inside: Nanos) -> Self {
        Self {
            whole: arrival.saturating_sub(sent).saturating_sub(inside),
            ways: times.map(|(came, left)| (came.wrapping_sub(sent), arrival.wrapping_sub(left))),
        }
    }

    /// By how much two differ.
    #[must_use]
    pub fn apart(self, other: Self) -> Ipdv {
        // Of clocks that count from different moments the difference may wrap.
        let apart = |one: Nanos, other: Nanos| one.wrapping_sub(other).cast_signed().unsigned_abs();
        let ways = self.ways.zip(other.ways);
        Ipdv {
            trip: self.whole.abs_diff(other.whole),
            ways: ways.map(|(mine, theirs)| (apart(mine.0, theirs.0), apart(mine.1, theirs.1))),
        }
    }
}

impl Ways {
    /// Nothing yet.
    ///
    /// # Errors
    /// None with these bounds; the library cannot know.
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self { up: TotalLatency::total()?, down: TotalLatency::total()? })
    }

    /// Records a difference of both.
    pub fn record(&mut self, (up, down): (Nanos, Nanos)) {
        // What a peer stamps may be anything, and a number of a result has its limit.
        self.up.record(up.min(super::plan::LONGEST));
        self.down.record(down.min(super::plan::LONGEST));
    }

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Self) {
        self.up.add(&other.up);
        self.down.add(&other.down);
    }

    /// What is read from them; `None` if there are none.
    #[must_use]
    pub fn report(&self) -> Option<WaysReport> {
        Some(WaysReport { up: self.up.percentiles()?, down: self.down.percentiles()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_the_clocks_cancels_out() {
        for offset in [0, 5_000_000_000, u64::MAX - 3, 1 << 63] {
            let trip = |sent: Nanos, up: Nanos, down: Nanos| {
                let came = sent.wrapping_add(up).wrapping_add(offset);
                Trip::new(sent, Some((came, came.wrapping_add(7))), sent + up + 7 + down, 7)
            };
            let (one, other) = (trip(1000, 300, 50), trip(2000, 280, 90));
            let expected = Ipdv { trip: 20, ways: Some((20, 40)) };
            assert_eq!((one.apart(other), other.apart(one)), (expected, expected));
            let bare = Trip::new(0, None, 100, 0);
            assert_eq!(one.apart(bare), Ipdv { trip: 250, ways: None });
        }
    }
}
