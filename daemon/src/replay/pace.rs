//! When each datagram is due.

use std::time::Duration;

/// How fast a recording is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded.
    Scaled(f64),
    /// As fast as the system takes it.
    Max,
}

impl Speed {
    /// Reads `2`, `0.5`, `max`; 0 is `max` too.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let factor: Option<f64> = text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
        match factor {
            Some(0.0) => Ok(Self::Max),
            Some(factor) if (1e-6..=1e6).contains(&factor) => Ok(Self::Scaled(factor)),
            _ => Err("expected a factor from 0.000001 to 1000000, or `max`".to_owned()),
        }
    }
}

/// The schedule: absolute moments, so that being late once delays nothing that follows.
#[derive(Debug)]
pub(super) struct Pace {
    speed: Speed,
    start: Duration,
    /// The first moment of the recording, and the latest so far, Unix ns.
    first_ns: Option<u64>,
    latest_ns: u64,
    /// Datagrams that were recorded before the one that stands before them.
    pub(super) backwards: u64,
}

impl Pace {
    /// A schedule that begins at `start`.
    pub(super) const fn new(speed: Speed, start: Duration) -> Self {
        Self { speed, start, first_ns: None, latest_ns: 0, backwards: 0 }
    }

    /// When it began.
    pub(super) const fn start(&self) -> Duration {
        self.start
    }

    /// When a datagram of this moment is due; none: at once. Where the time of the recording goes backwards it is due with the one
    /// before it.
    pub(super) fn due(&mut self, at_ns: u64) -> Option<Duration> {
        let first_ns = *self.first_ns.get_or_insert(at_ns);
        self.backwards += u64::from(at_ns < self.latest_ns);
        self.latest_ns = self.latest_ns.max(at_ns);
        let Speed::Scaled(factor) = self.speed else { return None };
        let since = Duration::from_nanos(self.latest_ns - first_ns).as_secs_f64() / factor;
        let since = Duration::try_from_secs_f64(since).unwrap_or(Duration::MAX);
        Some(self.start.saturating_add(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_absolute_and_never_go_back() {
        let start = Duration::from_secs(100);
        let mut pace = Pace::new(Speed::Scaled(2.0), start);
        let second = 1_000_000_000;
        assert_eq!(pace.due(5 * second), Some(start));
        assert_eq!(pace.due(9 * second), Some(start + Duration::from_secs(2)));
        assert_eq!(pace.due(6 * second), Some(start + Duration::from_secs(2)));
        assert_eq!(pace.due(0), Some(start + Duration::from_secs(2)));
        assert!(pace.due(u64::MAX) > Some(start + Duration::from_secs(9_000_000_000)));
        assert_eq!(pace.backwards, 2);
        assert_eq!(Pace::new(Speed::Max, start).due(7), None);
    }

    #[test]
    fn a_speed_is_a_factor() {
        assert_eq!(Speed::read("2.5"), Ok(Speed::Scaled(2.5)));
        assert_eq!((Speed::read("max"), Speed::read("0")), (Ok(Speed::Max), Ok(Speed::Max)));
        for wrong in ["", "-1", "nan", "inf", "1e-9", "2x"] {
            assert!(Speed::read(wrong).is_err(), "{wrong}");
        }
    }
}
