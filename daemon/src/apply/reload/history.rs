//! What became of reloads, for metrics.

use std::time::Duration;

use crate::control::http::figures::Reloads;

/// What became of reloads since the start, which is the first time that a configuration is taken.
#[derive(Debug)]
pub(super) struct History(Reloads);

impl History {
    /// A configuration was taken at this moment, and none was read again.
    pub(super) fn begin(unix_ns: u64) -> Self {
        Self(Reloads { is_last_done: true, taken_at_s: seconds(unix_ns), ..Reloads::default() })
    }

    /// One was taken again.
    pub(super) fn done(&mut self, unix_ns: u64) {
        self.0.done += 1;
        (self.0.is_last_done, self.0.taken_at_s) = (true, seconds(unix_ns));
    }

    /// One was refused.
    pub(super) fn refused(&mut self) {
        self.0.refused += 1;
        self.0.is_last_done = false;
    }

    /// As it is told.
    pub(super) fn told(&self) -> Reloads {
        self.0
    }
}

fn seconds(unix_ns: u64) -> f64 {
    Duration::from_nanos(unix_ns).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_says_how_it_went_and_a_refused_one_keeps_the_time() {
        let at = |s: u64| s * 1_000_000_000;
        let mut history = History::begin(at(5));
        let told = |history: &History| {
            let Reloads { done, refused, is_last_done, taken_at_s } = history.told();
            (done, refused, is_last_done, taken_at_s)
        };
        assert_eq!(told(&history), (0, 0, true, 5.0));
        history.refused();
        assert_eq!(told(&history), (0, 1, false, 5.0));
        history.done(at(9));
        assert_eq!(told(&history), (1, 1, true, 9.0));
    }
}
