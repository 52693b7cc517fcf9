//! Restarts of a broken handler: how long the loop waits before it makes the handler again, and when it gives up.

use std::time::Duration;

use crate::limits::{FAULT_WINDOW, FAULTS_TO_FAIL, HEALTHY_AFTER, RESTART_FIRST, RESTART_LONGEST};
use crate::reactor::io::nanos;

/// The breaks of one listener's handler.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultHistory {
    /// Moments of the breaks within [`FAULT_WINDOW`], monotonic ns, oldest first.
    recent: Vec<u64>,
    /// The wait before the last restart, ns, without the random part.
    last_wait_ns: u64,
}

/// What follows a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Make the handler again after this long.
    Restart(Duration),
    /// Do not make the handler again: it broke too often.
    Fail,
}

impl FaultHistory {
    /// Notes a break at `now_ns` and decides what follows. `chance` is uniform in 0..1 and spreads the restarts of many
    /// listeners by 20 % either way.
    pub(crate) fn note(&mut self, now_ns: u64, chance: f64) -> Verdict {
        let healthy = self.recent.last().is_none_or(|last| {
            now_ns.saturating_sub(*last).saturating_sub(self.last_wait_ns) >= nanos(HEALTHY_AFTER)
        });
        self.recent.retain(|at| now_ns.saturating_sub(*at) < nanos(FAULT_WINDOW));
        self.recent.push(now_ns);
        if self.recent.len() >= FAULTS_TO_FAIL as usize {
            return Verdict::Fail;
        }
        let wait =
            if healthy { nanos(RESTART_FIRST) } else { (self.last_wait_ns * 2).min(nanos(RESTART_LONGEST)) };
        self.last_wait_ns = wait;
        Verdict::Restart(Duration::from_nanos(wait).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn waits_double_and_the_fifth_break_is_the_last() {
        let mut history = FaultHistory::default();
        let verdicts: Vec<_> = (1..=5).map(|i| history.note(i * S, 0.5)).collect();
        let ms = |n| Verdict::Restart(Duration::from_millis(n));
        assert_eq!(verdicts, [ms(100), ms(200), ms(400), ms(800), Verdict::Fail]);
    }

    #[test]
    fn a_healthy_minute_resets_the_wait_and_ten_minutes_the_count() {
        let mut history = FaultHistory::default();
        history.note(S, 0.5);
        history.note(2 * S, 0.5);
        assert_eq!(history.note(70 * S, 0.5), Verdict::Restart(Duration::from_millis(100)));
        for i in 1..20 {
            assert_ne!(history.note(1000 * S + i * 200 * S, 0.5), Verdict::Fail);
        }
    }

    #[test]
    fn chance_spreads_by_a_fifth_either_way() {
        let wait = |chance| FaultHistory::default().note(S, chance);
        assert_eq!(wait(0.0), Verdict::Restart(Duration::from_millis(80)));
        assert_eq!(wait(1.0), Verdict::Restart(Duration::from_millis(120)));
    }
}
