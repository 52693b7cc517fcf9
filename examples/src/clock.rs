//! The one place that reads the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use polyport_protocol::Nanos;

/// Monotonic time since it was made. Everything else is handed the time as an argument.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that shows 0 now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is where the clients read the time")]
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Nanoseconds since the start; never runs backwards.
    #[must_use]
    pub fn now(&self) -> Nanos {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The time, and the wall clock at the same moment, nanoseconds since 1970: the shortest of three looks counts, since one
    /// of them may be interrupted.
    #[must_use]
    pub fn both(&self) -> (Nanos, Nanos) {
        let look = || {
            let (before, unix, after) = (self.now(), nanos(time_of_day()), self.now());
            (after - before, before + (after - before) / 2, unix)
        };
        let looks = [look(), look(), look()];
        let (_, now, unix) = looks.into_iter().min().unwrap_or_default();
        (now, unix)
    }
}

/// The time of day as a span since 1970-01-01 UTC, for reports; zero on a machine whose clock lies before.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file is where the clients read the time")]
pub fn time_of_day() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A span as the machines count it.
#[must_use]
pub fn nanos(span: Duration) -> Nanos {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_from_zero() {
        let clock = Clock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(first <= second && second < nanos(Duration::from_secs(60)));
        assert!(time_of_day() > Duration::from_secs(1_700_000_000));
        let (before, (now, unix), after) = (clock.now(), clock.both(), clock.now());
        assert!((before..=after).contains(&now) && unix <= nanos(time_of_day()));
    }
}
