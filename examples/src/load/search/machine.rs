//! The search itself: it says which trial comes next, and is told the result.

use polyport_protocol::Nanos;

use super::book::{Book, Bounds};
use super::class::{Sureness, Trial, vouched_loss};
use super::goal::{Goal, Target};
use super::grid::{Grid, Load, Width};
use super::selector::{Limits, Nomination, Selector, place};

/// A trial to be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Datagrams a second.
    pub rate: f64,
    /// For how long.
    pub duration: Nanos,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The load was offered.
    Counted(Trial),
    /// The tester did not keep the rate, and reached this one, in datagrams a second.
    Limited(f64),
}

/// Why a search ended without all goals reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The tester did not keep the lowest rate.
    TooSlow,
    /// The tester failed too often at rates that it had kept before.
    Unsteady,
}

/// A load that is a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Datagrams a second.
    pub rate: f64,
    /// How sure it is.
    pub sure: Sureness,
}

/// What was found for a goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The relevant lower bound; `None` if not even the lowest rate met the goal, or if nothing is decided yet.
    pub lower: Option<Bound>,
    /// The relevant upper bound; `None` if the highest rate met the goal, or if nothing is decided yet.
    pub upper: Option<Bound>,
    /// Datagrams answered a second at the lower bound (conditional throughput): what the worst of the trials that count there
    /// got through.
    pub throughput: Option<f64>,
    /// Whether the goal is reached: the bounds are near to each other, or one is missing at the end of the range.
    pub reached: bool,
}

/// How often a trial is repeated where the tester nearly kept the rate: a pause of the machine may not come again.
const REPEATS: u32 = 1;

/// A tester that reaches this share of a rate nearly kept it.
const NEARLY: f64 = 0.98;

/// Where it did not, the next rate is this share of the one that it missed, or what it reached, if that is less.
const RETREAT: f64 = 0.9;

/// Failures of the tester at rates that it had kept before: more, and nothing can be found on this machine.
const MOST_FAILURES: u32 = 20;

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    grid: Grid,
    goals: Vec<Vec<Target>>,
    limits: Limits,
    book: Book,
    stage: Stage,
    least_loss: f64,
    /// Repeats of the present trial, because of the tester.
    repeats: u32,
    failures: u32,
    stop: Option<Stop>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// A first look, with trials of the first length: at the highest load, at what got through there, and beyond that.
    First,
    Second(Load),
    Third {
        second: Load,
        third: Load,
    },
    Goals {
        selectors: Vec<Selector>,
        global: Width,
        next: Option<(usize, Nomination)>,
    },
}

impl Search {
    /// A search between two rates.
    ///
    /// # Errors
    /// There is no goal, one is wrong, or the rates are.
    pub fn new(goals: &[Goal], lowest: f64, highest: f64) -> Result<Self, String> {
        goals.iter().try_for_each(Goal::check)?;
        let narrowest = goals.iter().map(|goal| goal.width).fold(f64::INFINITY, f64::min);
        if goals.is_empty() || !(lowest > 0.0 && lowest < highest && highest.is_finite()) {
            return Err("a search needs a goal, and a highest rate above the lowest one".to_owned());
        }
        let grid = Grid::new(lowest, highest, narrowest);
        Ok(Self {
            goals: goals.iter().enumerate().map(|(index, goal)| goal.targets(index, &grid)).collect(),
            grid,
            limits: Limits { lowest: 0, highest: grid.top() },
            book: Book::default(),
            stage: Stage::First,
            least_loss: goals.iter().map(|goal| goal.loss_ratio).fold(f64::INFINITY, f64::min),
            repeats: 0,
            failures: 0,
            stop: None,
        })
    }

    /// The next trial; the same one until [`Self::tell`] is called. `None` when the search is over.
    pub fn ask(&mut self) -> Option<Ask> {
        if self.stop.is_some() {
            return None;
        }
        let (load, duration) = match &mut self.stage {
            Stage::First => (self.limits.highest, self.first_length()),
            Stage::Second(load) | Stage::Third { third: load, .. } => (*load, self.first_length()),
            Stage::Goals { selectors, global, next } => {
                if next.is_none() {
                    *next = nominate(selectors, &self.book, self.limits, *global);
                }
                let (_, nomination) = next.as_ref()?;
                (nomination.load, nomination.duration)
            }
        };
        Some(Ask { rate: self.grid.rate(load), duration })
    }

    /// Takes the result of the trial that was asked for.
    pub fn tell(&mut self, outcome: Outcome) {
        let Some(load) = self.pending() else { return };
        match outcome {
            Outcome::Limited(reached) => self.limited(load, reached),
            Outcome::Counted(trial) => {
                self.repeats = 0;
                let loss = trial.loss_ratio;
                self.book.enter(load, trial);
                self.advance(load, loss);
            }
        }
    }

    /// Why the search ended early, if it did.
    #[must_use]
    pub const fn stopped(&self) -> Option<Stop> {
        self.stop
    }

    /// The highest rate that the tester may still be asked for: below the one that the search began with if that was not kept.
    #[must_use]
    pub fn ceiling(&self) -> Option<f64> {
        (self.limits.highest < self.grid.top()).then(|| self.grid.rate(self.limits.highest))
    }

    /// What is known of each goal, in their order.
    #[must_use]
    pub fn found(&self) -> Vec<Found> {
        self.goals.iter().map(|targets| self.found_for(&targets[targets.len() - 1])).collect()
    }

    fn found_for(&self, target: &Target) -> Found {
        let bounds = self.book.bounds(target);
        let bound = |load: Load| Bound {
            rate: self.grid.rate(load),
            sure: Sureness::new(self.book.of(load), target),
        };
        let reached = match bounds {
            Bounds { lower: Some(lower), upper: Some(upper) } => upper - lower <= target.width,
            Bounds { lower: Some(lower), upper: None } => lower == self.limits.highest,
            Bounds { lower: None, upper: Some(upper) } => upper == self.limits.lowest,
            Bounds { lower: None, upper: None } => false,
        };
        Found {
            lower: bounds.lower.map(bound),
            upper: bounds.upper.map(bound),
            throughput: bounds
                .lower
                .map(|lower| self.grid.rate(lower) * (1.0 - vouched_loss(self.book.of(lower), target))),
            reached,
        }
    }

    /// The first trials suit the first targets of all goals.
    fn first_length(&self) -> Nanos {
        self.goals.iter().map(|targets| targets[0].trial).max().unwrap_or(1)
    }

    fn first_width(&self) -> Width {
        self.goals.iter().map(|targets| targets[0].width).max().unwrap_or(1)
    }

    /// The load of the trial that was asked for.
    fn pending(&self) -> Option<Load> {
        match &self.stage {
            Stage::First => Some(self.limits.highest),
            Stage::Second(load) | Stage::Third { third: load, .. } => Some(*load),
            Stage::Goals { next, .. } => next.as_ref().map(|(_, nomination)| nomination.load),
        }
    }

    fn advance(&mut self, load: Load, loss: f64) {
        match &mut self.stage {
            Stage::First => {
                let through = self.got_through(load, loss);
                let below = Bounds { lower: None, upper: Some(load) };
                match place(through, self.first_width(), below, self.limits).filter(|_| through < load) {
                    None => self.begin(load, load),
                    Some(second) => self.stage = Stage::Second(second),
                }
            }
            Stage::Second(_) => {
                let width = self.first_width();
                let third = if loss > self.least_loss {
                    let through = self.got_through(load, loss);
                    let below = Bounds { lower: None, upper: Some(load) };
                    place(through, width, below, self.limits).filter(|_| through < load)
                } else {
                    let above = Bounds { lower: Some(load), upper: Some(self.limits.highest) };
                    place(load.saturating_add(width), width, above, self.limits)
                };
                match third {
                    None => self.begin(load, load),
                    Some(third) => self.stage = Stage::Third { second: load, third },
                }
            }
            Stage::Third { second, third } => {
                let (second, third) = (*second, *third);
                self.begin(second, third);
            }
            Stage::Goals { selectors, global, next } => {
                if let Some((index, nomination)) = next.take() {
                    *global = nomination.width;
                    selectors[index].won(&nomination, &self.book, global);
                }
            }
        }
    }

    /// The load that got through, as if all that is above the limit of a server were lost and nothing below it, but for the
    /// loss that every goal allows.
    fn got_through(&self, load: Load, loss: f64) -> Load {
        self.grid.load(self.grid.rate(load) * (1.0 - loss) / (1.0 - self.least_loss))
    }

    /// The first look is over.
    fn begin(&mut self, one: Load, other: Load) {
        let (lower, upper) = (one.min(other), one.max(other));
        let before = Bounds { lower: Some(lower), upper: Some(upper) };
        let selectors = self.goals.iter().map(|targets| Selector::new(targets.clone(), before)).collect();
        self.stage = Stage::Goals { selectors, global: upper - lower, next: None };
    }

    /// The tester did not keep the rate of `load`. Nothing is entered: this says nothing of the server.
    fn limited(&mut self, load: Load, reached: f64) {
        let rate = self.grid.rate(load);
        if self.book.highest().is_some_and(|highest| load <= highest) {
            // It has kept this rate or a higher one, and will again.
            self.failures += 1;
            if self.failures >= MOST_FAILURES {
                self.stop = Some(Stop::Unsteady);
            }
            return;
        }
        if reached >= rate * NEARLY && self.repeats < REPEATS {
            self.repeats += 1;
            return;
        }
        self.repeats = 0;
        let next = self.grid.load(reached.min(rate * RETREAT)).min(load.saturating_sub(1));
        if load == self.limits.lowest {
            self.stop = Some(Stop::TooSlow);
            return;
        }
        self.limits.highest = next.max(self.book.highest().unwrap_or(self.limits.lowest));
        if let Stage::Goals { next, .. } = &mut self.stage {
            *next = None;
        }
    }
}

/// The trial to make: the lowest load, since a server that is not overloaded is measured faster and recovers from nothing; of one
/// load the longest; of one length the widest step; of equal ones that of the earliest goal.
fn nominate(
    selectors: &mut [Selector],
    book: &Book,
    limits: Limits,
    global: Width,
) -> Option<(usize, Nomination)> {
    let nominations = selectors
        .iter_mut()
        .enumerate()
        .filter_map(|(index, selector)| Some((index, selector.nominate(book, limits, global)?)));
    nominations.min_by(|(_, a), (_, b)| {
        a.load.cmp(&b.load).then(b.duration.cmp(&a.duration)).then(b.width.cmp(&a.width))
    })
}
