//! `polyport-load report`: what to do with results that were written down.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use polyport_terminal::{Exit, Style};

use super::compare::{Method, Run, compare};
use super::json::LoadReport;
use super::output::{FileArgs, store};
use super::written::{Written, escaped, name, read};
use super::{merge, page, report};
use crate::heading;
use crate::json;
use crate::outcome::{ExitError, Outcome, deliver};

/// What of a result is wanted.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Show, merge, compare and draw results that --json has written
    #[command(max_term_width = 100, disable_help_subcommand = true, after_long_help = REPORT)]
    Report {
        /// Which of these
        #[command(subcommand)]
        action: Action,
    },
}

/// What to do with results.
#[derive(Subcommand, Clone, Debug)]
pub enum Action {
    /// Print the summary screen of a result, or of several merged ones
    #[command(max_term_width = 100, after_long_help = SHOW)]
    Show {
        /// The results; - is standard input
        #[command(flatten)]
        from: FromArgs,
        /// A row for every target instead of the worst one
        #[arg(long, help_heading = heading::OUTPUT)]
        per_port: bool,
        /// A row for every flow, that is for every port of the generator
        #[arg(long, help_heading = heading::OUTPUT)]
        per_flow: bool,
        /// Other forms of it
        #[command(flatten)]
        files: FileArgs,
    },
    /// Add the results of several generators of one load, as JSON: histograms and books are added, no percentile is averaged
    #[command(max_term_width = 100, after_long_help = MERGE)]
    Merge {
        /// The results; - is standard input
        #[command(flatten)]
        from: FromArgs,
        /// Where the sum goes [default: standard output]
        #[arg(short, long, value_name = "FILE", help_heading = heading::OUTPUT)]
        output: Option<PathBuf>,
    },
    /// Say what differs between two results beyond noise, by a bootstrap over their intervals
    #[command(max_term_width = 100, after_long_help = COMPARE)]
    Compare(CompareArgs),
    /// Make the page of a result, or of several merged ones
    #[command(max_term_width = 100, after_long_help = HTML)]
    Html {
        /// The results; - is standard input
        #[command(flatten)]
        from: FromArgs,
        /// Where the page goes [default: standard output]
        #[arg(short, long, value_name = "FILE", help_heading = heading::OUTPUT)]
        output: Option<PathBuf>,
    },
}

const REPORT: &str = "Examples:
  polyport-load --json 127.0.0.1:7000 > run.json; polyport-load report show run.json
  polyport-load report merge 0.json 1.json 2.json -o all.json
  polyport-load report compare before.json after.json --fail-on-regression
  polyport-load report html all.json -o all.html

Exit codes: 0 done, 64 usage, 65 a file is no result, or results do not fit each other, 73 a file
cannot be made, 74 reading or writing failed, 99 a threshold was missed (show), or something
became worse (compare --fail-on-regression)";

const SHOW: &str = "Examples:
  polyport-load report show run.json
  polyport-load report show 0.json 1.json 2.json --per-port
  kubectl logs job/polyport-load | polyport-load report show - --junit load.xml

Exit codes: 0 shown, 64 usage, 65 a file is no result, or results do not fit each other, 73 a file
cannot be made, 74 reading or writing failed, 99 a threshold was missed";

const MERGE: &str = "Examples:
  polyport-load report merge 0.json 1.json 2.json -o all.json
  polyport-load report merge --mixed monday.json tuesday.json | jq .counts

Exit codes: 0 merged, 64 usage, 65 a file is no result, or results do not fit each other, 73 a file
cannot be made, 74 reading or writing failed";

const COMPARE: &str = "Examples:
  polyport-load report compare before.json after.json
  polyport-load report compare before.json after.json --tolerance 10% --fail-on-regression
  polyport-load report compare before.json after.json --json | jq .regression

Exit codes: 0 compared, 64 usage, 65 a file is no result, or one of too few intervals, 74 reading or
writing failed, 99 something became worse, with --fail-on-regression";

const HTML: &str = "Examples:
  polyport-load report html run.json -o run.html
  polyport-load report html 0.json 1.json 2.json > all.html

Exit codes: 0 made, 64 usage, 65 a file is no result, or results do not fit each other, 73 a file
cannot be made, 74 reading or writing failed";

/// Results to read.
#[derive(Args, Clone, Debug)]
pub struct FromArgs {
    /// Results, as --json prints them, or the last line of --json-stream; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub results: Vec<PathBuf>,
    /// Merge results of different configurations or times all the same
    #[arg(long, help_heading = heading::INPUT)]
    pub mixed: bool,
}

/// A comparison.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// The result to compare with
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The result that is compared
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// How sure a difference must be to count
    #[arg(long, default_value = "99%", value_parser = confidence, value_name = "PERCENT", help_heading = heading::JUDGEMENT)]
    pub confidence: f64,
    /// Changes of times and rates up to this are none
    #[arg(long, default_value = "5%", value_parser = part, value_name = "PERCENT", help_heading = heading::JUDGEMENT)]
    pub tolerance: f64,
    /// Seed of the draws: the same one gives the same answer
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = heading::JUDGEMENT)]
    pub seed: u64,
    /// End with 99 if something became worse
    #[arg(long, help_heading = heading::JUDGEMENT)]
    pub fail_on_regression: bool,
    /// One JSON object instead of text
    #[arg(long, help_heading = heading::OUTPUT)]
    pub json: bool,
}

/// Does it.
///
/// # Errors
/// A result cannot be read, or is none, or does not fit the others.
pub fn run(command: &Command) -> Outcome {
    let Command::Report { action } = command;
    match action {
        Action::Show { from, per_port, per_flow, files } => {
            files.check()?;
            let Written { report, config, summary } = from.read()?;
            let written = files.write(&report, &summary);
            let tables = report::Tables { ports: *per_port, flows: *per_flow };
            let text = report::text(&config, &summary, &report.thresholds, tables, Style::stdout());
            deliver(text.trim_end())?;
            written?;
            let met = report.thresholds.iter().all(|judged| judged.met);
            return Ok(if met { Exit::Ok } else { Exit::Threshold });
        }
        Action::Merge { from, output } => put(output.as_deref(), &json::line(&from.read()?.report)?)?,
        Action::Html { from, output } => {
            let Written { report, summary, .. } = from.read()?;
            put(output.as_deref(), &page::html(&report, &summary))?;
        }
        Action::Compare(args) => return args.run(),
    }
    Ok(Exit::Ok)
}

impl CompareArgs {
    fn run(&self) -> Outcome {
        let run = |path: &PathBuf| -> Result<Run, ExitError> {
            let Written { report, summary, .. } = read(path)?;
            Ok(Run { intervals: summary.intervals, length: report.length() })
        };
        let method = Method { confidence: self.confidence, tolerance: self.tolerance, seed: self.seed };
        let report = compare(&run(&self.before)?, &run(&self.after)?, method)
            .map_err(|error| ExitError::new(Exit::BadInput, error))?;
        if self.json {
            deliver(json::line(&report)?)?;
        } else {
            deliver(report.text())?;
        }
        Ok(if report.regression && self.fail_on_regression { Exit::Threshold } else { Exit::Ok })
    }
}

impl FromArgs {
    /// The result, or the sum of all.
    fn read(&self) -> Result<Written, ExitError> {
        let mut all = self.results.iter().map(|path| read(path));
        let Some(first) = all.next().transpose()? else { return Err(ExitError::usage("no result is named")) };
        let others = all.collect::<Result<Vec<_>, _>>()?;
        if others.is_empty() {
            return Ok(first);
        }
        let reports = [first].into_iter().chain(others).zip(&self.results);
        let reports: Vec<(String, LoadReport)> =
            reports.map(|(written, path)| (name(path), written.report)).collect();
        merge::merge(&reports, self.mixed)
            .and_then(Written::new)
            .map_err(|error| ExitError::new(Exit::BadInput, escaped(&error)))
    }
}

fn put(output: Option<&Path>, text: &str) -> Result<(), ExitError> {
    match output {
        Some(path) => store(path, (text.trim_end().to_owned() + "\n").as_bytes()),
        None => deliver(text.trim_end()),
    }
}

fn part(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim().parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.map(|number| number / 100.0).ok_or_else(|| format!("`{text}` is no percentage, such as 5%"))
}

fn confidence(text: &str) -> Result<f64, String> {
    let part = part(text)?;
    if (0.5..=0.999).contains(&part) {
        Ok(part)
    } else {
        Err("a confidence from 50% to 99.9% is needed".to_owned())
    }
}
