//! When each datagram of a recording is due.

use polyport_protocol::Nanos;

/// How fast a recording is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was recorded.
    Scaled(f64),
    /// As fast as the system takes it.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Self::Scaled(1.0)
    }
}

impl Speed {
    /// Reads `2x`, `2`, `0.5` or `max`.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let factor: Option<f64> = text.strip_suffix('x').unwrap_or(text).parse().ok();
        match factor {
            Some(factor) if (1e-6..=1e6).contains(&factor) => Ok(Self::Scaled(factor)),
            _ => Err("expected a factor from 0.000001 to 1000000, such as 2x or 0.5, or `max`".to_owned()),
        }
    }

    /// As the command line has it.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Scaled(factor) => format!("{factor}x"),
            Self::Max => "max".to_owned(),
        }
    }
}

/// The schedule: moments since the start, so that being late once delays nothing that follows.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    speed: Speed,
    /// When this pass begins.
    base: Nanos,
    /// The first moment of the recording and the latest so far, Unix time.
    first: Option<Nanos>,
    latest: Nanos,
    last_due: Nanos,
    backwards: u64,
}

impl Pace {
    /// A schedule whose first datagram is due at 0.
    #[must_use]
    pub const fn new(speed: Speed) -> Self {
        Self { speed, base: 0, first: None, latest: 0, last_due: 0, backwards: 0 }
    }

    /// When a datagram of this moment is due. Where the time of the recording goes backwards it is due with the one before it.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "2^53 ns are 104 days; no factor is negative, and a cast of floats saturates"
    )]
    pub fn due(&mut self, at: Nanos) -> Nanos {
        let first = *self.first.get_or_insert(at);
        self.backwards += u64::from(at < self.latest);
        self.latest = self.latest.max(at);
        let since = match self.speed {
            Speed::Max => 0,
            // Exact, as long as nothing is scaled.
            Speed::Scaled(1.0) => self.latest - first,
            Speed::Scaled(factor) => ((self.latest - first) as f64 / factor) as Nanos,
        };
        self.last_due = self.base.saturating_add(since);
        self.last_due
    }

    /// The recording begins again.
    pub const fn again(&mut self) {
        self.base = self.last_due;
        self.first = None;
        self.latest = 0;
    }

    /// Datagrams that were recorded before the one that stands before them.
    #[must_use]
    pub const fn backwards(&self) -> u64 {
        self.backwards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_scaled_looped_and_never_go_back() {
        let mut pace = Pace::new(Speed::Scaled(2.0));
        let second = 1_000_000_000;
        assert_eq!([5, 9, 6].map(|at| pace.due(at * second)), [0, 2 * second, 2 * second]);
        assert_eq!(pace.backwards(), 1);
        pace.again();
        assert_eq!([5, 9].map(|at| pace.due(at * second)), [2 * second, 4 * second]);
        let mut pace = Pace::new(Speed::Max);
        assert_eq!([7, u64::MAX].map(|at| pace.due(at)), [0, 0]);
        let mut pace = Pace::new(Speed::default());
        assert_eq!([1, u64::MAX].map(|at| pace.due(at)), [0, u64::MAX - 1]);
    }

    #[test]
    fn a_speed_is_a_factor() {
        for (text, speed) in [("2x", 2.0), ("2.5", 2.5), ("0.5x", 0.5)] {
            assert_eq!(Speed::read(text), Ok(Speed::Scaled(speed)));
        }
        assert_eq!(
            (Speed::read("max"), Speed::Max.text(), Speed::Scaled(2.0).text()),
            (Ok(Speed::Max), "max".into(), "2x".into())
        );
        for wrong in ["", "x", "-1", "0", "nan", "inf", "1e-9", "2xx"] {
            assert!(Speed::read(wrong).is_err(), "{wrong}");
        }
    }
}
