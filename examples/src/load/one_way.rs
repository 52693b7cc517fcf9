//! Delays of each way, where the peer stamps when a request came and when its answer left.
//!
//! The two clocks differ by an offset that nobody knows. It is estimated as NTP does it (RFC 5905 section 8): of the exchange
//! with the shortest round trip, in which nothing waited, half of the round trip is taken for each way. How wrong that can be is
//! known: half of that round trip, if all of it were one way's. A drift of the clocks during the run adds to it.

use hdrhistogram::CreationError;
use polyport_protocol::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::histogram::{Percentiles, TotalLatency};
use super::plan::LONGEST;

/// Exchanges that are kept until the offset is known, of 24 octets each. Of more, each has the same chance to be among them.
const MOST_KEPT: usize = 1 << 18;

/// The stamps of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// When the request left, on our clock.
    pub sent: Nanos,
    /// When it came to the peer, on its clock.
    pub received: Nanos,
    /// When the answer left, on the peer's clock.
    pub answered: Nanos,
    /// When it came, on our clock.
    pub arrival: Nanos,
}

/// What is known of the clock of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clocks {
    /// Its clock minus ours.
    offset: i64,
    /// Of the exchange that says so, without the time in the peer.
    round_trip: Nanos,
}

/// The exchanges of a run.
#[derive(Clone, Debug)]
pub struct OneWay {
    clocks: Vec<Option<Clocks>>,
    /// Target, and the apparent delays up and down.
    kept: Vec<(u32, i64, i64)>,
    seen: u64,
    draw: u64,
}

/// Delays of each way. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OneWayReport {
    /// From us to the target.
    pub up: Percentiles,
    /// From the target to us.
    pub down: Percentiles,
    /// By how much both may be wrong, in opposite directions: half of the shortest round trip; the largest one of all targets.
    pub error_ns: Nanos,
    /// The clock of the target minus ours; `null` if there are several targets.
    #[schemars(with = "Option<String>")]
    #[serde(with = "offset")]
    pub clock_offset_ns: Option<i64>,
    /// Exchanges that both are read from.
    pub kept: u64,
    /// Exchanges with stamps.
    pub stamped: u64,
}

impl OneWay {
    /// For so many targets. `seed` decides which exchanges are kept if there are too many.
    #[must_use]
    pub fn new(targets: usize, seed: u64) -> Self {
        // All of it at once: a run does not allocate. The system gives memory when it is written.
        Self { clocks: vec![None; targets], kept: Vec::with_capacity(MOST_KEPT), seen: 0, draw: seed }
    }

    /// Takes an exchange with a target. Stamps that cannot be, such as an answer before its request, are left out.
    pub fn record(&mut self, target: usize, stamps: Stamps) {
        let whole = stamps.arrival.wrapping_sub(stamps.sent);
        let inside = stamps.answered.wrapping_sub(stamps.received);
        let Some(round_trip) = whole.checked_sub(inside) else { return };
        let (up, down) = (apart(stamps.received, stamps.sent), apart(stamps.arrival, stamps.answered));
        let Some(clocks) = self.clocks.get_mut(target) else { return };
        if clocks.is_none_or(|clocks| round_trip < clocks.round_trip) {
            let offset = (i128::from(up) - i128::from(down)) / 2;
            *clocks = i64::try_from(offset).ok().map(|offset| Clocks { offset, round_trip });
        }
        self.seen += 1;
        let sample = (u32::try_from(target).unwrap_or(u32::MAX), up, down);
        if self.kept.len() < MOST_KEPT {
            self.kept.push(sample);
            return;
        }
        // Algorithm R of Vitter (1985).
        self.draw = scramble(self.draw);
        let place = self.draw % self.seen;
        if let Some(kept) = usize::try_from(place).ok().and_then(|place| self.kept.get_mut(place)) {
            *kept = sample;
        }
    }

    /// Adds the exchanges of another thread with the same targets. If there are too many, each of both has the same chance to be
    /// kept, as if one had seen all of them.
    pub fn absorb(&mut self, mut other: Self) {
        for (mine, theirs) in self.clocks.iter_mut().zip(&other.clocks) {
            *mine = [*mine, *theirs].into_iter().flatten().min_by_key(|clocks| clocks.round_trip);
        }
        let (mut mine, mut theirs) = (self.seen, other.seen);
        self.seen += other.seen;
        if self.kept.len() as u64 == mine
            && other.kept.len() as u64 == theirs
            && self.seen <= MOST_KEPT as u64
        {
            self.kept.append(&mut other.kept);
            return;
        }
        let mut old = std::mem::take(&mut self.kept);
        while self.kept.len() < MOST_KEPT && mine + theirs > 0 {
            // From all that were seen one is drawn; which of its side it was, the draw of that side has settled.
            let (from, rest) = if self.draw(mine + theirs) < mine {
                (&mut old, &mut mine)
            } else {
                (&mut other.kept, &mut theirs)
            };
            *rest -= 1;
            let place = self.draw(from.len() as u64);
            let Some(place) = usize::try_from(place).ok().filter(|place| *place < from.len()) else { break };
            self.kept.push(from.swap_remove(place));
        }
    }

    /// A number below `end`, or 0.
    fn draw(&mut self, end: u64) -> u64 {
        self.draw = scramble(self.draw);
        self.draw % end.max(1)
    }

    /// Reads the delays, both ways; `None` if there were no stamps.
    ///
    /// # Errors
    /// None with these bounds; the library cannot know.
    pub fn read(&self) -> Result<Option<Delays>, CreationError> {
        let (mut up, mut down) = (TotalLatency::total()?, TotalLatency::total()?);
        for (target, apart_up, apart_down) in &self.kept {
            let clocks = self.clocks.get(*target as usize).copied().flatten();
            let Some(Clocks { offset, .. }) = clocks else { continue };
            up.record(time(apart_up.saturating_sub(offset)));
            down.record(time(apart_down.saturating_add(offset)));
        }
        let (Some(ups), Some(downs)) = (up.percentiles(), down.percentiles()) else { return Ok(None) };
        let known = self.clocks.iter().flatten();
        let report = OneWayReport {
            up: ups,
            down: downs,
            error_ns: known.clone().map(|clocks| clocks.round_trip.div_ceil(2)).max().unwrap_or(0),
            clock_offset_ns: known.map(|clocks| clocks.offset).next().filter(|_| self.clocks.len() == 1),
            kept: self.kept.len() as u64,
            stamped: self.seen,
        };
        Ok(Some(Delays { up, down, report }))
    }
}

/// The delays of a run.
#[derive(Clone, Debug)]
pub struct Delays {
    /// From us to the targets.
    pub up: TotalLatency,
    /// From the targets to us.
    pub down: TotalLatency,
    /// What is read from them.
    pub report: OneWayReport,
}

/// `one - other` of two clocks, whatever they count from.
const fn apart(one: Nanos, other: Nanos) -> i64 {
    one.wrapping_sub(other).cast_signed()
}

/// A delay is not negative: what is, by an offset that drifts, is none. Nor is one longer than a run, whatever the target stamps.
fn time(delay: i64) -> Nanos {
    Nanos::try_from(delay).unwrap_or(0).min(LONGEST)
}

/// The finaliser of `SplitMix64`, one step further.
const fn scramble(bits: u64) -> u64 {
    let mut bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// An offset as a string of decimal digits: many readers keep 53 bits of a number (RFC 8259 section 6).
mod offset {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(offset: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        offset.map(|offset| offset.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An exchange over a way of `up` and `down`, with a peer whose clock is ahead by `offset` and who takes 7 ns.
    fn stamps(sent: Nanos, up: Nanos, down: Nanos, offset: u64) -> Stamps {
        let received = sent.wrapping_add(up).wrapping_add(offset);
        let answered = received.wrapping_add(7);
        Stamps { sent, received, answered, arrival: sent + up + 7 + down }
    }

    #[test]
    fn delays_are_right_but_for_the_error_that_is_told() {
        for offset in [0, 5_000_000_000, u64::MAX - 3, 1 << 62] {
            let mut delays = OneWay::new(1, 1);
            for i in 0..1000 {
                // Both wait up to a millisecond; the way up is 10 us longer.
                delays.record(
                    0,
                    stamps(1000 * i, 30_000 + i * 1000 % 999_983, 20_000 + i * 7919 % 999_983, offset),
                );
            }
            let read = delays.read().unwrap().unwrap().report;
            assert_eq!((read.kept, read.stamped, read.error_ns), (1000, 1000, 25_000));
            let wrong = read.clock_offset_ns.unwrap().wrapping_sub(offset.cast_signed());
            assert_eq!(wrong, 5_000, "half of the asymmetry, which is within the error");
            assert!(read.up.min.abs_diff(25_000) <= 1 && read.down.min.abs_diff(25_000) <= 1, "{read:?}");
            assert!(read.up.max > 900_000 && read.down.max > 900_000);
        }
    }

    #[test]
    fn each_target_has_a_clock_of_its_own() {
        let mut delays = OneWay::new(2, 1);
        for i in 0..10 {
            delays.record(0, stamps(i, 100, 100, 77));
            delays.record(1, stamps(i, 300, 300, 1 << 40));
        }
        let read = delays.read().unwrap().unwrap().report;
        assert_eq!((read.clock_offset_ns, read.error_ns, read.up.min, read.up.max), (None, 300, 100, 300));
        assert!(OneWay::new(1, 1).read().unwrap().is_none());
    }

    #[test]
    fn what_threads_saw_is_what_one_would_have() {
        let (mut parts, mut whole) = ([OneWay::new(2, 1), OneWay::new(2, 2)], OneWay::new(2, 3));
        for i in 0..1000 {
            let (target, stamps) = ((i % 2) as usize, stamps(i, 100 + i % 37 * 10, 100 + i % 41 * 10, 77));
            for delays in [&mut parts[usize::from(i % 3 == 0)], &mut whole] {
                delays.record(target, stamps);
            }
        }
        let [mut one, other] = parts;
        one.absorb(other);
        assert_eq!(one.read().unwrap().unwrap().report, whole.read().unwrap().unwrap().report);
        // Of too many, the part of each thread is that of what it saw, however many it kept.
        let (mut few, mut many) = (OneWay::new(1, 1), OneWay::new(1, 2));
        (0..2000).for_each(|i| few.record(0, stamps(i, 100, 100, 0)));
        let last = 3 * MOST_KEPT as u64 - 2000;
        (0..last).for_each(|i| many.record(0, stamps(i, 100 + i, 100, 0)));
        few.absorb(many);
        let read = few.read().unwrap().unwrap().report;
        assert_eq!((read.kept, read.stamped), (MOST_KEPT as u64, last + 2000));
        assert!(read.up.p50.abs_diff(last / 2) < last / 100, "{}", read.up.p50);
        let first = few.kept.iter().filter(|(_, up, down)| *up == 100 && *down == 100).count();
        // A third of 2001, within six standard deviations.
        assert!(first.abs_diff(667) < 6 * 22, "{first}");
    }

    #[test]
    fn impossible_stamps_are_left_out_and_too_many_are_sampled_evenly() {
        let mut delays = OneWay::new(1, 1);
        delays.record(0, Stamps { sent: 10, received: 5, answered: 500, arrival: 20 });
        delays.record(3, stamps(0, 1, 1, 0));
        assert!(delays.read().unwrap().is_none());
        let many = 4 * MOST_KEPT as u64;
        for i in 0..many {
            delays.record(0, stamps(i, 100 + i, 100, 0));
        }
        let read = delays.read().unwrap().unwrap().report;
        assert_eq!((read.kept, read.stamped), (MOST_KEPT as u64, many));
        assert!(
            read.up.p50.abs_diff(many / 2) < many / 100,
            "{}: neither the first nor the last",
            read.up.p50
        );
    }
}
