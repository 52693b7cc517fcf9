//! What the trials of one load say about a target: that it is a lower bound, an upper bound, or nothing yet.

use polyport_protocol::Nanos;

use super::goal::{Target, exact};

/// The result of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// How long it was.
    pub duration: Nanos,
    /// Share of what was sent that had no good answer in time.
    pub loss_ratio: f64,
    /// Whether it met the conditions of each goal.
    pub good: Vec<bool>,
}

/// A load that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Lower,
    Upper,
}

/// Trials of a load by what they count for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sureness {
    /// Trials that are as long as the goal wants.
    pub trials: u64,
    /// How long the good ones of them lasted together.
    pub good: Nanos,
    /// And the bad ones.
    pub bad: Nanos,
    /// Shorter trials.
    pub short_trials: u64,
    /// How long the good ones of them lasted together.
    pub good_short: Nanos,
    /// And the bad ones.
    pub bad_short: Nanos,
}

impl Sureness {
    pub(super) fn new(trials: &[Trial], target: &Target) -> Self {
        let mut sums = Self::default();
        for trial in trials {
            let good = trial.good.get(target.goal).copied().unwrap_or(false);
            let (count, sum) = match (trial.duration >= target.trial, good) {
                (true, true) => (&mut sums.trials, &mut sums.good),
                (true, false) => (&mut sums.trials, &mut sums.bad),
                (false, true) => (&mut sums.short_trials, &mut sums.good_short),
                (false, false) => (&mut sums.short_trials, &mut sums.bad_short),
            };
            *count += 1;
            *sum = sum.saturating_add(trial.duration);
        }
        sums
    }

    /// "Load classification" of the draft: a load is decided when what is missing to the duration sum could not change it,
    /// were it all good or all bad. Bad short trials count as far as good short ones do not make up for them.
    pub(super) fn class(&self, target: &Target) -> Option<Class> {
        let made_up = exact(self.good_short) * target.exceed_ratio / (1.0 - target.exceed_ratio);
        let bad = exact(self.bad) + (exact(self.bad_short) - made_up).max(0.0);
        let good = exact(self.good);
        let whole = (good + bad).max(exact(target.sum));
        let may_exceed = whole * target.exceed_ratio;
        match (bad <= may_exceed, whole - good <= may_exceed) {
            (true, true) => Some(Class::Lower),
            (false, false) => Some(Class::Upper),
            _ => None,
        }
    }

    /// Share of bad ones among the long trials, by time.
    #[must_use]
    pub const fn exceeded(&self) -> f64 {
        let whole = self.good.saturating_add(self.bad);
        if whole > 0 { exact(self.bad) / exact(whole) } else { 0.0 }
    }
}

/// The loss that a lower bound vouches for: that of the worst of its long trials but for the share that may exceed. What is
/// missing to the duration sum counts as lost.
pub(super) fn vouched_loss(trials: &[Trial], target: &Target) -> f64 {
    let good = |trial: &Trial| trial.good.get(target.goal).copied().unwrap_or(false);
    let mut long: Vec<&Trial> = trials.iter().filter(|trial| trial.duration >= target.trial).collect();
    long.sort_by(|a, b| good(b).cmp(&good(a)).then(a.loss_ratio.total_cmp(&b.loss_ratio)));
    let measured: f64 = long.iter().map(|trial| exact(trial.duration)).sum();
    let mut remaining = measured.max(exact(target.sum)) * (1.0 - target.exceed_ratio);
    for trial in long {
        remaining -= exact(trial.duration);
        if remaining <= 0.0 {
            return trial.loss_ratio;
        }
    }
    1.0
}

#[cfg(test)]
mod tests {
    use polyport_protocol::SECOND;

    use super::*;

    const TARGET: Target = Target { goal: 0, exceed_ratio: 0.5, width: 1, trial: SECOND, sum: 21 * SECOND };

    fn trials(good: usize, bad: usize) -> Vec<Trial> {
        let trial = |good: bool| Trial {
            duration: SECOND,
            loss_ratio: if good { 0.0 } else { 0.1 },
            good: vec![good],
        };
        (0..good).map(|_| trial(true)).chain((0..bad).map(|_| trial(false))).collect()
    }

    fn class(trials: &[Trial], target: &Target) -> Option<Class> {
        Sureness::new(trials, target).class(target)
    }

    #[test]
    fn a_load_is_decided_when_nothing_could_change_it() {
        assert_eq!(class(&trials(10, 10), &TARGET), None);
        assert_eq!(class(&trials(11, 10), &TARGET), Some(Class::Lower));
        assert_eq!(class(&trials(11, 0), &TARGET), Some(Class::Lower), "ten more bad ones would not help");
        assert_eq!(class(&trials(10, 11), &TARGET), Some(Class::Upper));
        assert_eq!(class(&trials(0, 11), &TARGET), Some(Class::Upper));
        let strict = Target { exceed_ratio: 0.0, ..TARGET };
        assert_eq!(
            (class(&trials(20, 0), &strict), class(&trials(20, 1), &strict)),
            (None, Some(Class::Upper))
        );
        assert_eq!(class(&trials(21, 0), &strict), Some(Class::Lower));
    }

    #[test]
    fn short_trials_alone_condemn_and_never_acquit() {
        let long = Target { trial: 2 * SECOND, sum: 4 * SECOND, ..TARGET };
        assert_eq!(class(&trials(100, 0), &long), None);
        assert_eq!(class(&trials(0, 3), &long), Some(Class::Upper));
        assert_eq!(class(&trials(3, 3), &long), None, "the good ones make up for the bad ones");
    }

    #[test]
    fn the_loss_vouched_for_is_that_of_the_worst_that_counts() {
        let trial = |loss: f64| Trial { duration: 7 * SECOND, loss_ratio: loss, good: vec![loss < 0.05] };
        let three = [trial(0.01), trial(0.3), trial(0.02)];
        assert!((vouched_loss(&three, &TARGET) - 0.02).abs() < 1e-9, "half of 21 s ends in the second one");
        assert!((vouched_loss(&three[..1], &TARGET) - 1.0).abs() < 1e-9, "14 s are missing");
    }
}
