//! The part of the command line that is about capacity.

use std::time::Duration;

use clap::{ArgGroup, Args};
use polyport_protocol::Nanos;

use super::aim::Aim;
use crate::clock::nanos;
use crate::heading;
use crate::load::config::Config;
use crate::load::plan::{LONGEST, Rate};
use crate::outcome::ExitError;
use crate::text::positive_duration;

/// What a search decides by itself, or does not show.
const NOT_OF_TRIALS: [&str; 18] = [
    "rate",
    "duration",
    "thresholds",
    "ramp",
    "flow",
    "one_way",
    "percentiles",
    "per_port",
    "per_flow",
    "start_at",
    "shard",
    "json_stream",
    "html",
    "svg",
    "csv",
    "hdr_log",
    "junit",
    "openmetrics",
];

/// How much the targets can take.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("find").args(["find_max", "find_knee"]).multiple(true))]
pub struct CapacityArgs {
    /// Searches for the highest rate at which all of these conditions are met, by MLRsearch: 'loss<0.1%,p99<5ms'; answers
    /// after the timeout and errors count as lost. May be given several times: the goals share their trials. Parameters of a
    /// goal: width=1% between its bounds, trials from initial=1s to final=10s, that last sum=30s together at a bound, of which
    /// exceed=50% may be bad
    #[arg(long, value_parser = Aim::parse, value_name = "GOAL", conflicts_with_all = NOT_OF_TRIALS, help_heading = heading::CAPACITY)]
    pub find_max: Vec<Aim>,
    /// Measures latency over load, in steps up to the capacity and a tenth beyond, and names the knee: the step with the greatest power,
    /// which is answers a second divided by p99 (Kleinrock). The capacity is what --find-max has found, else where 5% are lost
    #[arg(long, conflicts_with_all = NOT_OF_TRIALS, help_heading = heading::CAPACITY)]
    pub find_knee: bool,
    /// The lowest rate that is tried
    #[arg(long, default_value = "100/s", requires = "find", value_parser = Rate::parse, value_name = "RATE", help_heading = heading::CAPACITY)]
    pub min_rate: Rate,
    /// The highest rate that is tried
    #[arg(long, default_value = "1M/s", requires = "find", value_parser = Rate::parse, value_name = "RATE", help_heading = heading::CAPACITY)]
    pub max_rate: Rate,
    /// A trial whose own lag exceeds this at p99 says nothing of the server: the tester is the limit
    #[arg(long, default_value = "10ms", requires = "find", value_parser = positive_duration, value_name = "TIME", help_heading = heading::CAPACITY)]
    pub max_lag: Duration,
    /// A search that takes longer ends with what is known
    #[arg(long, default_value = "20m", requires = "find", value_parser = positive_duration, value_name = "TIME", help_heading = heading::CAPACITY)]
    pub search_time: Duration,
    /// Steps of --find-knee
    #[arg(long, default_value_t = 16, requires = "find_knee", value_parser = clap::value_parser!(u32).range(4..=1000), value_name = "N", help_heading = heading::CAPACITY)]
    pub steps: u32,
    /// Length of each step of --find-knee
    #[arg(long, default_value = "2s", requires = "find_knee", value_parser = positive_duration, value_name = "TIME", help_heading = heading::CAPACITY)]
    pub step_time: Duration,
}

/// What is to be found, checked.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) aims: Vec<Aim>,
    /// Datagrams a second.
    pub(super) lowest: f64,
    /// Datagrams a second.
    pub(super) highest: f64,
    pub(super) max_lag: Nanos,
    pub(super) time: Nanos,
    /// Latency over load is wanted.
    pub(super) sweep: Option<Steps>,
}

/// Steps of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) count: u32,
    /// Length of each.
    pub(super) length: Nanos,
}

impl CapacityArgs {
    /// Whether the capacity is wanted instead of a run.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.find_knee || !self.find_max.is_empty()
    }

    /// Checks what is to be found, before anything is sent.
    ///
    /// # Errors
    /// What cannot be searched so.
    pub fn check(&self, config: &Config) -> Result<(), ExitError> {
        if self.is_wanted() { self.plan(config).map(drop) } else { Ok(()) }
    }

    pub(super) fn plan(&self, config: &Config) -> Result<Plan, ExitError> {
        let (lowest, highest) = (self.min_rate.per_second(), self.max_rate.per_second());
        if lowest >= highest {
            let (lowest, highest) = (self.min_rate, self.max_rate);
            return Err(ExitError::usage(format!("--min-rate {lowest} is not below --max-rate {highest}")));
        }
        let length = nanos(self.step_time);
        let longest = self.find_max.iter().map(|aim| aim.goal.sum).chain([length]).max();
        if longest.is_some_and(|longest| longest > LONGEST) {
            return Err(ExitError::usage("a trial or a step is longer than 100 days"));
        }
        if nanos(self.max_lag) >= config.timeout {
            return Err(ExitError::usage(
                "--max-lag is not below --timeout: datagrams that leave later than that are not sent at all",
            ));
        }
        let mut aims = self.find_max.clone();
        if aims.is_empty() {
            aims.push(Aim::saturation(length).map_err(ExitError::usage)?);
        }
        Ok(Plan {
            aims,
            lowest,
            highest,
            max_lag: nanos(self.max_lag),
            time: nanos(self.search_time),
            sweep: self.find_knee.then_some(Steps { count: self.steps, length }),
        })
    }
}
