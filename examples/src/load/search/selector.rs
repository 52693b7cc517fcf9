//! What one goal wants to be measured next.
//!
//! A goal goes through its targets. Within a target it first looks again, with trials of this target's length, at what the
//! target before has found (halve, refine); where that has moved, it goes on in that direction by growing steps (extend)
//! until it has both bounds; then it cuts the interval between them (bisect) until that is narrow enough.

use polyport_protocol::Nanos;

use super::book::{Book, Bounds};
use super::goal::Target;
use super::grid::{Load, Width, middle};

/// By how much a step outwards is longer than the one before.
const EXPANSION: u64 = 2;

/// The loads that may be measured. The highest one sinks when the tester cannot keep it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) lowest: Load,
    pub(super) highest: Load,
}

/// A trial that a goal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nomination {
    pub(super) load: Load,
    pub(super) duration: Nanos,
    /// Width of the step: all goals go outwards by the same steps, so that they share their trials.
    pub(super) width: Width,
    /// The bound that would mean that the step was too short.
    expands: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

/// The state of one goal.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    targets: Vec<Target>,
    /// Which target is looked for.
    stage: usize,
    /// Where the target before has ended; for the first one, the last loads of the initial trials.
    before: Bounds,
    /// Length of the next step outwards.
    step: Width,
}

impl Selector {
    /// A goal whose first target starts between `before`.
    pub(super) fn new(targets: Vec<Target>, before: Bounds) -> Self {
        let mut selector = Self { targets, stage: 0, before, step: 0 };
        selector.start();
        selector
    }

    fn target(&self) -> &Target {
        &self.targets[self.stage]
    }

    fn start(&mut self) {
        let between = match self.before {
            Bounds { lower: Some(lower), upper: Some(upper) } => upper - lower,
            Bounds { .. } => 0,
        };
        self.step = self.target().width.max(between).saturating_mul(EXPANSION);
    }

    /// The next trial; `None` once the goal is reached.
    pub(super) fn nominate(&mut self, book: &Book, limits: Limits, global: Width) -> Option<Nomination> {
        loop {
            let bounds = book.bounds(self.target());
            if let Some(nomination) = self.within_target(bounds, limits, global) {
                return Some(nomination);
            }
            if self.stage + 1 == self.targets.len() {
                return None;
            }
            self.stage += 1;
            self.before = bounds;
            self.start();
        }
    }

    /// The nominated trial was measured: a step outwards that found no other side is followed by a longer one, of all goals.
    pub(super) fn won(&mut self, nomination: &Nomination, book: &Book, global: &mut Width) {
        let bounds = book.bounds(self.target());
        let bound = match nomination.expands {
            None => return,
            Some(Side::Lower) => bounds.lower,
            Some(Side::Upper) => bounds.upper,
        };
        if bound == Some(nomination.load) {
            self.step = self.step.saturating_mul(EXPANSION);
            *global = self.step;
        }
    }

    fn within_target(&mut self, bounds: Bounds, limits: Limits, global: Width) -> Option<Nomination> {
        self.refine(bounds)
            .or_else(|| self.extend(bounds, limits, global))
            .or_else(|| self.bisect(bounds, limits, global))
    }

    fn nomination(&self, load: Load, width: Width, expands: Option<Side>) -> Nomination {
        Nomination { load, duration: self.target().trial, width, expands }
    }

    /// Whether a trial there could make or move a bound that is still needed.
    fn is_worth(&self, bounds: Bounds, load: Load) -> bool {
        let between =
            bounds.lower.is_none_or(|lower| lower < load) && bounds.upper.is_none_or(|upper| load < upper);
        let narrow = match bounds {
            Bounds { lower: Some(lower), upper: Some(upper) } => upper - lower <= self.target().width,
            Bounds { .. } => false,
        };
        between && !narrow
    }

    /// Later steps are as short as this one.
    fn limit(&mut self, width: Width) {
        self.step = width.max(self.target().width).saturating_mul(EXPANSION);
    }

    /// Looks again at what the target before has found: first between its bounds, where this target wants them nearer.
    fn refine(&mut self, bounds: Bounds) -> Option<Nomination> {
        let width = self.target().width;
        let between = match self.before {
            Bounds { lower: Some(lower), upper: Some(upper) }
                if upper - lower > width && upper - lower <= 2 * width =>
            {
                Some(middle(lower, upper, width))
            }
            Bounds { .. } => None,
        };
        let load = [between, self.before.lower, self.before.upper]
            .into_iter()
            .flatten()
            .find(|load| self.is_worth(bounds, *load))?;
        self.limit(width);
        Some(self.nomination(load, width, None))
    }

    /// Goes outwards where one bound is missing.
    fn extend(&self, bounds: Bounds, limits: Limits, global: Width) -> Option<Nomination> {
        let step = self.step.max(global);
        let (load, missing) = match bounds {
            Bounds { lower: None, upper: Some(upper) } if upper > limits.lowest => {
                (upper.saturating_sub(step), Side::Upper)
            }
            Bounds { lower: Some(lower), upper: None } if lower < limits.highest => {
                (lower.saturating_add(step), Side::Lower)
            }
            Bounds { .. } => return None,
        };
        let load = place(load, self.target().width, bounds, limits)?;
        self.is_worth(bounds, load).then(|| self.nomination(load, step, Some(missing)))
    }

    /// Cuts between the bounds; or goes outwards from one of them as if the other were missing, where that leads nearer to
    /// what the target before has found: bounds that other goals have left may lie far out.
    fn bisect(&mut self, bounds: Bounds, limits: Limits, global: Width) -> Option<Nomination> {
        let Bounds { lower: Some(lower), upper: Some(upper) } = bounds else { return None };
        let width = self.target().width;
        if upper - lower <= width {
            return None;
        }
        let cut = middle(lower, upper, width);
        let step = self.step.max(global);
        let outwards = |load| place(load, width, bounds, limits);
        if let Some(before) = self.before.upper.filter(|before| cut < *before)
            && let Some(load) =
                outwards(upper.saturating_sub(step)).filter(|load| (cut + 1..before).contains(load))
        {
            return Some(self.nomination(load, step, Some(Side::Upper)));
        }
        if let Some(before) = self.before.lower.filter(|before| cut > *before)
            && let Some(load) =
                outwards(lower.saturating_add(step)).filter(|load| (before + 1..cut).contains(load))
        {
            return Some(self.nomination(load, step, Some(Side::Lower)));
        }
        let smaller = (cut - lower).min(upper - cut);
        self.limit(smaller);
        Some(self.nomination(cut, smaller, None))
    }
}

/// Where to measure instead of `load`: within the limits and the bounds, and not so near to one of them that the trial would
/// tell little. A limit may be measured itself, a bound is known already. `None` where there is no room.
pub(super) fn place(load: Load, width: Width, bounds: Bounds, limits: Limits) -> Option<Load> {
    let lowest = bounds.lower.unwrap_or(limits.lowest);
    let highest = bounds.upper.unwrap_or(limits.highest);
    if highest < lowest || bounds.upper.is_some_and(|upper| upper <= limits.lowest) {
        return None;
    }
    if bounds.lower.is_some() && bounds.upper.is_some() && (load <= lowest || load >= highest) {
        return None;
    }
    let load = load.clamp(lowest, highest);
    if width >= highest - lowest {
        return match bounds {
            Bounds { lower: None, .. } => Some(lowest),
            Bounds { upper: None, .. } => Some(highest),
            Bounds { .. } => None,
        };
    }
    let (mut near_lowest, mut near_highest) = (lowest + width, highest - width);
    if near_lowest > near_highest {
        near_lowest = middle(lowest, highest, width);
        near_highest = near_lowest;
    }
    Some(if load < near_lowest {
        if bounds.lower.is_some() { near_lowest } else { lowest }
    } else if load > near_highest {
        if bounds.upper.is_some() { near_highest } else { highest }
    } else {
        load
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { lowest: 0, highest: 100 };

    #[test]
    fn a_trial_keeps_its_distance_from_what_is_known() {
        let between = |lower, upper| Bounds { lower, upper };
        let place = |load, bounds| place(load, 10, bounds, LIMITS);
        assert_eq!(place(50, between(None, None)), Some(50));
        assert_eq!(place(5, between(None, None)), Some(0), "the limit itself may be measured");
        assert_eq!(place(95, between(Some(40), None)), Some(100));
        assert_eq!(place(45, between(Some(40), None)), Some(50));
        assert_eq!(place(45, between(Some(40), Some(80))), Some(50));
        assert_eq!(place(79, between(Some(40), Some(80))), Some(70));
        assert_eq!(place(40, between(Some(40), Some(80))), None);
        assert_eq!(place(45, between(Some(40), Some(50))), None, "narrow enough");
        assert_eq!(place(30, between(None, Some(9))), Some(0));
        assert_eq!(place(30, between(None, Some(0))), None);
        assert_eq!(place(200, between(Some(95), None)), Some(100));
    }
}
