//! Options of what is shown, and of what must hold.

use std::time::Duration;

use clap::Args;

use crate::heading;
use crate::load::histogram::Percent;
use crate::load::output::OutputArgs;
use crate::load::threshold::Threshold;
use crate::text::positive_duration;

/// What becomes of the result.
#[derive(Args, Clone, Debug)]
pub struct ShownArgs {
    /// What must hold, else the exit code is 99: p99<5ms, send.p99<1ms, lag<1ms, loss<0.1%, ok>=1000; several may be
    /// given
    #[arg(long = "threshold", value_parser = Threshold::parse, value_name = "CONDITION", help_heading = heading::JUDGEMENT)]
    pub thresholds: Vec<Threshold>,
    /// Percentiles to show instead of the usual ones: 50,75,99.999
    #[arg(long, value_delimiter = ',', value_parser = Percent::parse, value_name = "PERCENT,...", help_heading = heading::OUTPUT)]
    pub percentiles: Vec<Percent>,
    /// A row for every target instead of the worst one
    #[arg(long, help_heading = heading::OUTPUT)]
    pub per_port: bool,
    /// A row for every flow, that is for every port of our own
    #[arg(long, help_heading = heading::OUTPUT)]
    pub per_flow: bool,
    /// Forms of the result for programs
    #[command(flatten)]
    pub forms: OutputArgs,
    /// Time between two lines of progress, and length of an interval of the results; a run of more than 1024 of them
    /// has longer ones
    #[arg(long, default_value = "1s", value_parser = positive_duration, help_heading = heading::OUTPUT)]
    pub interval: Duration,
    /// No progress
    #[arg(short, long, help_heading = heading::OUTPUT)]
    pub quiet: bool,
    /// A line of progress instead of the live view, which is drawn where standard error is a terminal; not with --json-stream and
    /// --pcap, nor where standard output is a pipe
    #[arg(long, help_heading = heading::OUTPUT)]
    pub no_tui: bool,
}
