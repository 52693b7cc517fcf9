//! Whether two runs differ beyond noise: a bootstrap over the intervals of each.
//!
//! An interval is one sample of how the system behaved. Drawn again and again with replacement, the intervals of a run show how
//! much each of its figures would change if the run were repeated under the same conditions. Neighbours are alike, so that runs of
//! many intervals are drawn in blocks of them (Künsch 1989). A figure has changed if the difference lies beyond the tolerance with
//! the confidence that was asked for. What changes from day to day, such as the neighbours of a virtual machine, no run knows of
//! itself: that is what the tolerance is for.

use polyport_protocol::Nanos;
use rand::RngExt;
use rand::rngs::StdRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::histogram::TargetLatency;
use super::intervals::{Interval, Intervals};
use super::unit::{self, exact};
use crate::key::generator;

/// Version of the object.
pub const FORMAT: u32 = 1;

/// Fewer intervals say nothing of noise.
const FEWEST: usize = 5;

/// Most blocks of a run: more would not make the answer better, only later.
const MOST_BLOCKS: u64 = 60;

/// How often both runs are drawn again.
const DRAWS: usize = 1000;

/// How a comparison is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Method {
    /// How sure a difference must be, from 0.5 to 0.999.
    pub confidence: f64,
    /// A relative change of a time or a rate up to this is none, as a part of one.
    pub tolerance: f64,
    /// Of the draws.
    pub seed: u64,
}

/// What `polyport-load report compare --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompareReport {
    /// Version of this object: raised when a field changes its meaning or goes, not when one is added.
    pub format: u32,
    /// How sure a difference must be to count.
    pub confidence: f64,
    /// Which relative change is none.
    pub tolerance: f64,
    /// Seed of the draws.
    #[serde(with = "crate::json::decimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+$"))]
    pub seed: u64,
    /// How often both runs were drawn again.
    pub draws: usize,
    /// Blocks of intervals that were drawn of the first run, and of the second.
    pub blocks: [usize; 2],
    /// Each figure.
    pub figures: Vec<Figure>,
    /// Whether one of them became worse.
    pub regression: bool,
}

/// One figure of two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// Its name, as that of a threshold.
    pub name: String,
    /// What it counts in.
    pub unit: Unit,
    /// Of the first run.
    pub before: f64,
    /// Of the second run.
    pub after: f64,
    /// Difference: relative to the first run for times and rates (0.1 is 10 % more), in percentage points for shares.
    pub change: f64,
    /// The lower and the upper end of the interval that has the difference with this confidence.
    pub between: [f64; 2],
    /// What that means.
    pub verdict: Verdict,
}

/// What a figure counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Percent of the datagrams.
    Percent,
    /// Datagrams a second.
    PerSecond,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better beyond noise.
    Better,
    /// No difference that stands out from noise and tolerance.
    Same,
    /// Worse beyond noise.
    Worse,
}

/// A run to compare.
#[derive(Clone, Debug)]
pub struct Run {
    /// The load over time.
    pub intervals: Option<Intervals>,
    /// How long its load was; what it took, if it was broken off.
    pub length: Nanos,
}

/// A figure: its name, what it counts in, and how it is read.
struct Reading {
    name: &'static str,
    unit: Unit,
    more_is_better: bool,
    of: fn(&Sum<'_>) -> f64,
}

const READINGS: [Reading; 7] = [
    time("p50", |sum| sum.from_plan.quantile(0.5)),
    time("p90", |sum| sum.from_plan.quantile(0.9)),
    time("p99", |sum| sum.from_plan.quantile(0.99)),
    time("send.p50", |sum| sum.from_send.quantile(0.5)),
    time("send.p99", |sum| sum.from_send.quantile(0.99)),
    Reading { name: "loss", unit: Unit::Percent, more_is_better: false, of: |sum| share(sum.lost, sum.sent) },
    Reading {
        name: "rate",
        unit: Unit::PerSecond,
        more_is_better: true,
        of: |sum| exact(sum.sent) * 1e9 / exact(sum.time.max(1)),
    },
];

const fn time(name: &'static str, of: fn(&Sum<'_>) -> f64) -> Reading {
    Reading { name, unit: Unit::Nanoseconds, more_is_better: false, of }
}

/// Compares the second run with the first.
///
/// # Errors
/// One of them has too few intervals.
pub fn compare(before: &Run, after: &Run, method: Method) -> Result<CompareReport, String> {
    let runs = [Blocks::new(before, "first")?, Blocks::new(after, "second")?];
    let mut rng = generator(Some(method.seed));
    let mut sums = runs.each_ref().map(Sum::of);
    let whole = READINGS.map(|reading| sums.each_ref().map(reading.of));
    let mut changes: Vec<Vec<f64>> = READINGS.iter().map(|_| Vec::with_capacity(DRAWS)).collect();
    for _ in 0..DRAWS {
        for (sum, run) in sums.iter_mut().zip(&runs) {
            sum.draw(run, &mut rng);
        }
        let [first, second] = &sums;
        for (reading, changes) in READINGS.iter().zip(&mut changes) {
            changes.push(reading.change((reading.of)(first), (reading.of)(second)));
        }
    }
    let figures: Vec<Figure> = READINGS
        .iter()
        .zip(whole.into_iter().zip(changes))
        .map(|(reading, ([before, after], changes))| reading.figure(before, after, changes, method))
        .collect();
    Ok(CompareReport {
        format: FORMAT,
        confidence: method.confidence,
        tolerance: method.tolerance,
        seed: method.seed,
        draws: DRAWS,
        blocks: runs.each_ref().map(|run| run.all.len()),
        regression: figures.iter().any(|figure| figure.verdict == Verdict::Worse),
        figures,
    })
}

/// The blocks of a run: its whole intervals, joined to at most [`MOST_BLOCKS`].
struct Blocks {
    all: Vec<Block>,
    /// The buckets that some block has something in, ascending.
    from_plan: Vec<Nanos>,
    from_send: Vec<Nanos>,
}

/// A stretch of a run, with the buckets that it has something in.
struct Block {
    time: Nanos,
    sent: u64,
    lost: u64,
    from_plan: Vec<(usize, u64)>,
    from_send: Vec<(usize, u64)>,
}

impl Blocks {
    fn new(run: &Run, which: &str) -> Result<Self, String> {
        let mut blocks: Vec<(u64, &Interval)> = Vec::new();
        let mut intervals = run.intervals.clone();
        if let Some(intervals) = &mut intervals {
            let times = (run.length / intervals.width()).div_ceil(MOST_BLOCKS);
            intervals.join(times);
        }
        if let Some(intervals) = &intervals {
            // The last one may be shorter than the others.
            let whole = usize::try_from(run.length / intervals.width()).unwrap_or(usize::MAX);
            blocks.extend(intervals.iter().take(whole).map(|(_, interval)| (intervals.width(), interval)));
        }
        if blocks.len() < FEWEST {
            return Err(format!(
                "the {which} run has {} whole intervals, and fewer than {FEWEST} say nothing of noise: run it longer, or \
                 with a shorter --interval",
                blocks.len()
            ));
        }
        let from_plan = values(blocks.iter().map(|(_, interval)| &interval.from_plan));
        let from_send = values(blocks.iter().map(|(_, interval)| &interval.from_send));
        let block = |(time, interval): &(u64, &Interval)| Block {
            time: *time,
            sent: interval.sent,
            lost: interval.lost(),
            from_plan: placed(&interval.from_plan, &from_plan),
            from_send: placed(&interval.from_send, &from_send),
        };
        Ok(Self { all: blocks.iter().map(block).collect(), from_plan, from_send })
    }
}

/// The buckets that some histogram has something in, ascending.
fn values<'l>(latencies: impl Iterator<Item = &'l TargetLatency>) -> Vec<Nanos> {
    let recorded = latencies.flat_map(|latency| latency.histogram().iter_recorded());
    let mut values: Vec<Nanos> = recorded.map(|bucket| bucket.value_iterated_to()).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The counts of a histogram with the places of their buckets.
fn placed(latency: &TargetLatency, values: &[Nanos]) -> Vec<(usize, u64)> {
    let place = |value: Nanos| values.partition_point(|known| *known < value);
    let recorded = latency.histogram().iter_recorded();
    recorded.map(|bucket| (place(bucket.value_iterated_to()), bucket.count_since_last_iteration())).collect()
}

/// What is summed up over blocks.
struct Sum<'r> {
    time: Nanos,
    sent: u64,
    lost: u64,
    from_plan: Counts<'r>,
    from_send: Counts<'r>,
}

/// A histogram of those buckets only that a run has something in: adding to it takes no longer than it must.
struct Counts<'r> {
    values: &'r [Nanos],
    counts: Vec<u64>,
}

impl<'r> Counts<'r> {
    fn new(values: &'r [Nanos]) -> Self {
        Self { values, counts: vec![0; values.len()] }
    }

    fn add(&mut self, counts: &[(usize, u64)], times: u64) {
        for (place, count) in counts {
            self.counts[*place] += count * times;
        }
    }

    fn quantile(&self, quantile: f64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let wanted = (quantile * exact(total)).max(1.0);
        let mut passed = 0;
        let reached = self.values.iter().zip(&self.counts).find(|(_, count)| {
            passed += **count;
            exact(passed) >= wanted
        });
        reached.map_or(0.0, |(value, _)| exact(*value))
    }
}

impl<'r> Sum<'r> {
    /// All blocks, each once.
    fn of(run: &'r Blocks) -> Self {
        let mut sum = Self {
            time: 0,
            sent: 0,
            lost: 0,
            from_plan: Counts::new(&run.from_plan),
            from_send: Counts::new(&run.from_send),
        };
        run.all.iter().for_each(|block| sum.add(block, 1));
        sum
    }

    /// As many blocks as there are, each drawn from all of them.
    fn draw(&mut self, run: &Blocks, rng: &mut StdRng) {
        (self.time, self.sent, self.lost) = (0, 0, 0);
        self.from_plan.counts.fill(0);
        self.from_send.counts.fill(0);
        let mut drawn = vec![0_u64; run.all.len()];
        for _ in 0..run.all.len() {
            drawn[rng.random_range(0..run.all.len())] += 1;
        }
        for (block, times) in run.all.iter().zip(drawn).filter(|(_, times)| *times > 0) {
            self.add(block, times);
        }
    }

    fn add(&mut self, block: &Block, times: u64) {
        self.time += block.time * times;
        self.sent += block.sent * times;
        self.lost += block.lost * times;
        self.from_plan.add(&block.from_plan, times);
        self.from_send.add(&block.from_send, times);
    }
}

impl Reading {
    fn change(&self, before: f64, after: f64) -> f64 {
        match self.unit {
            Unit::Percent => after - before,
            Unit::Nanoseconds | Unit::PerSecond if before > 0.0 => after / before - 1.0,
            Unit::Nanoseconds | Unit::PerSecond => 0.0,
        }
    }

    fn figure(&self, before: f64, after: f64, mut changes: Vec<f64>, method: Method) -> Figure {
        changes.sort_by(f64::total_cmp);
        let tail = (1.0 - method.confidence) / 2.0;
        let between = [at(&changes, tail), at(&changes, 1.0 - tail)];
        // A share has no relative change: of none nothing is ten percent. Any that is beyond noise counts.
        let tolerance = if self.unit == Unit::Percent { 0.0 } else { method.tolerance };
        let [low, high] = between;
        let (more, less) = (low > tolerance, high < -tolerance);
        let verdict = match (more, less) {
            (true, _) if self.more_is_better => Verdict::Better,
            (true, _) => Verdict::Worse,
            (_, true) if self.more_is_better => Verdict::Worse,
            (_, true) => Verdict::Better,
            (false, false) => Verdict::Same,
        };
        let change = self.change(before, after);
        Figure { name: self.name.to_owned(), unit: self.unit, before, after, change, between, verdict }
    }
}

impl CompareReport {
    /// The comparison as text, a line for each figure.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            " {:<10}{:>12}{:>12}{:>10}   {:<22}",
            "",
            "before",
            "after",
            "change",
            format!("with {} confidence", unit::share(self.confidence))
        )];
        lines.extend(self.figures.iter().map(Figure::line));
        lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
        lines.push(format!(
            " bootstrap of {} draws over {} and {} blocks of intervals, seed {}; changes up to {} are none",
            self.draws,
            self.blocks[0],
            self.blocks[1],
            self.seed,
            unit::share(self.tolerance)
        ));
        lines.join("\n")
    }
}

impl Figure {
    fn line(&self) -> String {
        let value = |value: f64| match self.unit {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a time that was one before"
            )]
            Unit::Nanoseconds => unit::span(value as u64),
            Unit::Percent => format!("{value:.3}%"),
            Unit::PerSecond => format!("{value:.0}/s"),
        };
        let change = |change: f64| match self.unit {
            Unit::Percent => format!("{change:+.3}"),
            Unit::Nanoseconds | Unit::PerSecond => format!("{:+.1}%", change * 100.0),
        };
        let verdict = match self.verdict {
            Verdict::Better => "better",
            Verdict::Same => "no difference",
            Verdict::Worse => "WORSE",
        };
        let between = format!("{} to {}", change(self.between[0]), change(self.between[1]));
        let (before, after) = (value(self.before), value(self.after));
        format!(
            " {:<10}{before:>12}{after:>12}{:>10}   {between:<22}{verdict}",
            self.name,
            change(self.change)
        )
    }
}

/// A value of a sorted sample.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
fn at(sorted: &[f64], quantile: f64) -> f64 {
    let place = (quantile * exact(sorted.len().saturating_sub(1) as u64)).round() as usize;
    sorted.get(place).copied().unwrap_or(0.0)
}

fn share(part: u64, whole: u64) -> f64 {
    exact(part) / exact(whole.max(1)) * 100.0
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
