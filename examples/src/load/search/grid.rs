//! Loads as whole steps of one ratio. Widths of intervals are relative, so they are differences of steps; sums and halves of
//! whole numbers are exact, and a search that goes back and forth meets its own loads again.

/// A load: steps above the lowest one.
pub(super) type Load = u64;

/// The width of an interval of loads, in steps.
pub(super) type Width = u64;

/// Steps in the narrowest width that is asked for: rounding makes it narrower by a hundredth at most.
const FINENESS: f64 = 100.0;

/// The loads between two rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    lowest: f64,
    highest: f64,
    /// Logarithm of the ratio of neighbours.
    step: f64,
    top: Load,
}

impl Grid {
    /// From `lowest` to `highest`, both positive and in this order, for relative widths of `narrowest` and above, which lies
    /// between 0 and 1.
    pub(super) fn new(lowest: f64, highest: f64, narrowest: f64) -> Self {
        let range = (highest / lowest).ln();
        let top = whole((range * FINENESS / -(-narrowest).ln_1p()).ceil()).max(1);
        Self { lowest, highest, step: range / exact(top), top }
    }

    /// The highest load.
    pub(super) const fn top(&self) -> Load {
        self.top
    }

    /// Datagrams a second at a load.
    pub(super) fn rate(&self, load: Load) -> f64 {
        if load >= self.top { self.highest } else { self.lowest * (self.step * exact(load)).exp() }
    }

    /// The highest load of at most this rate; the lowest one if there is none.
    pub(super) fn load(&self, rate: f64) -> Load {
        if rate <= self.lowest {
            return 0;
        }
        // A rate of the grid is the load that it came from, whatever the last bit of a logarithm says.
        let steps = (rate / self.lowest).ln() / self.step;
        whole((steps + 1e-6).floor()).min(self.top)
    }

    /// The widest width that is not wider than a relative one, one step at least.
    pub(super) fn width(&self, relative: f64) -> Width {
        whole((-(-relative).ln_1p() / self.step).floor()).max(1)
    }
}

/// Where to cut an interval from `low` to `high` that is wider than `goal`: one part is the goal times a power of two, so that
/// further cuts end at the goal exactly, and the lower part is the smaller one, since trials below the limit are worth more.
pub(super) fn middle(low: Load, high: Load, goal: Width) -> Load {
    let width = high - low;
    if width == 2 * goal {
        return low + goal;
    }
    if width < 2 * goal {
        return if goal.is_multiple_of(2) { middle(low, high, goal / 2) } else { low + width / 2 };
    }
    let mut part = goal;
    while width.saturating_sub(2 * part) > 2 * part {
        part *= 2;
    }
    // `part` is the smaller half now, and twice of it the larger: the cut nearer to the middle is the one with the larger product.
    let (small, large) = (part, 2 * part);
    let product = |part: Width| u128::from(part) * u128::from(width.saturating_sub(part));
    if product(small) > product(large) { low + small } else { low + (width - large) }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "steps stay far below 2^53: a hundred a width of 0.01% makes 2^25"
)]
const fn exact(steps: u64) -> f64 {
    steps as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and steps are not negative"
)]
const fn whole(steps: f64) -> u64 {
    steps as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn loads_lead_to_rates_and_back(lowest in 1.0..1e4_f64, ratio in 1.01..1e6_f64, narrowest in 0.001..0.5_f64) {
            let grid = Grid::new(lowest, lowest * ratio, narrowest);
            for load in [0, 1, 2, grid.top() / 3, grid.top() / 2, grid.top() - 1, grid.top()] {
                prop_assert_eq!(grid.load(grid.rate(load)), load);
            }
            let width = grid.width(narrowest);
            let (low, high) = (grid.rate(0), grid.rate(width.min(grid.top())));
            prop_assert!((high - low) / high <= narrowest * 1.000_001);
            prop_assert!(grid.top() < width || (high - low) / high >= narrowest * 0.98);
        }

        #[test]
        fn a_cut_lies_inside_and_not_far_from_the_middle(width in 2..1_000_000_u64, goal in 1..10_000_u64) {
            prop_assume!(width > goal);
            let cut = middle(7, 7 + width, goal) - 7;
            prop_assert!(cut > 0 && cut < width, "{}", cut);
            prop_assert!(cut.min(width - cut) >= width / 4, "{} of {}", cut, width);
        }
    }

    #[test]
    fn one_part_is_the_goal_times_a_power_of_two() {
        for (width, goal, cut) in
            [(2, 1, 1), (3, 1, 1), (4, 1, 2), (5, 1, 1 + 2), (8, 1, 4), (3, 2, 1), (7, 5, 3)]
        {
            let found = middle(0, width, goal);
            assert!(found == cut || width - found == cut, "{width} by {goal}: {found}");
        }
    }
}
