//! `polyport-load report`: what to do with results that were written down.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use polyport_terminal::{Escaped, Exit, Style};

use super::compare::{Method, Run, compare};
use super::config::Config;
use super::events::Event;
use super::json::LoadReport;
use super::output::{FileArgs, store};
use super::restore::restore;
use super::summary::Summary;
use super::{merge, page, report};
use crate::heading;
use crate::json;
use crate::outcome::{ExitError, Outcome, deliver};

/// What of a result is wanted.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Show, merge, compare and draw results that --json has written
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
    Merge {
        /// The results; - is standard input
        #[command(flatten)]
        from: FromArgs,
        /// Where the sum goes [default: standard output]
        #[arg(short, long, value_name = "FILE", help_heading = heading::OUTPUT)]
        output: Option<PathBuf>,
    },
    /// Say what differs between two results beyond noise, by a bootstrap over their intervals
    Compare(CompareArgs),
    /// Make the page of a result, or of several merged ones
    Html {
        /// The results; - is standard input
        #[command(flatten)]
        from: FromArgs,
        /// Where the page goes [default: standard output]
        #[arg(short, long, value_name = "FILE", help_heading = heading::OUTPUT)]
        output: Option<PathBuf>,
    },
}

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

/// Longest result that is read: one of 65,535 targets has some 60 MB.
const MAX_RESULT: u64 = 512 << 20;

/// Does it.
///
/// # Errors
/// A result cannot be read, or is none, or does not fit the others.
pub fn run(command: &Command) -> Outcome {
    let Command::Report { action } = command;
    match action {
        Action::Show { from, per_port, per_flow, files } => {
            files.check()?;
            let report = from.read()?;
            let (config, summary) = restored(&report)?;
            let written = files.write(&report, &summary);
            let tables = report::Tables { ports: *per_port, flows: *per_flow };
            let text = report::text(&config, &summary, &report.thresholds, tables, Style::stdout());
            deliver(text.trim_end())?;
            written?;
            let met = report.thresholds.iter().all(|judged| judged.met);
            return Ok(if met { Exit::Ok } else { Exit::Threshold });
        }
        Action::Merge { from, output } => put(output.as_deref(), &json::line(&from.read()?)?)?,
        Action::Html { from, output } => {
            let report = from.read()?;
            let (_, summary) = restored(&report)?;
            put(output.as_deref(), &page::html(&report, &summary))?;
        }
        Action::Compare(args) => return args.run(),
    }
    Ok(Exit::Ok)
}

impl CompareArgs {
    fn run(&self) -> Outcome {
        let run = |path: &PathBuf| -> Result<Run, ExitError> {
            let (config, summary) = restored(&read(path)?)?;
            let length = if summary.aborted { summary.took } else { config.duration };
            Ok(Run { intervals: summary.intervals, length })
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
    fn read(&self) -> Result<LoadReport, ExitError> {
        let read = |path: &PathBuf| Ok((escaped(path), read(path)?));
        let reports = self.results.iter().map(read).collect::<Result<Vec<_>, ExitError>>()?;
        if let [(_, only)] = reports.as_slice() {
            return Ok(only.clone());
        }
        merge::merge(&reports, self.mixed).map_err(|error| ExitError::new(Exit::BadInput, seen(&error)))
    }
}

fn restored(report: &LoadReport) -> Result<(Config, Summary), ExitError> {
    restore(report).map_err(|error| {
        ExitError::new(Exit::BadInput, format!("a result that is none of ours: {}", seen(&error)))
    })
}

fn read(path: &Path) -> Result<LoadReport, ExitError> {
    let name = escaped(path);
    let bad = |text: String| ExitError::new(Exit::BadInput, format!("{name}: {}", seen(&text)));
    let text =
        if path.as_os_str() == "-" { text(io::stdin().lock()) } else { File::open(path).and_then(text) };
    let text = text.map_err(|error| bad(error.to_string()))?;
    let report = find(&text).map_err(bad)?;
    restore(&report).map_err(bad)?;
    Ok(report)
}

/// The result in a text: all of it, or its last line that is one. A stream of events ends with its result, and where
/// standard error goes into the same log, as that of a container does, warnings stand behind it.
fn find(text: &str) -> Result<LoadReport, String> {
    let whole = match serde_json::from_str(text) {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    for line in text.lines().rev().filter(|line| line.starts_with('{')) {
        if let Ok(report) = serde_json::from_str(line) {
            return Ok(report);
        }
        match serde_json::from_str(line) {
            Ok(Event::End(end)) => return Ok(end.report),
            Ok(Event::Start(_) | Event::Interval(_)) => return Err("the run had not ended".to_owned()),
            Err(_) => {}
        }
    }
    Err(format!("no result of this version of polyport-load --json: {whole}"))
}

fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_RESULT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_RESULT {
        return Err(io::Error::other(format!("longer than {} MiB", MAX_RESULT >> 20)));
    }
    Ok(text)
}

fn put(output: Option<&Path>, text: &str) -> Result<(), ExitError> {
    match output {
        Some(path) => store(path, (text.trim_end().to_owned() + "\n").as_bytes()),
        None => deliver(text.trim_end()),
    }
}

fn escaped(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

/// Words in which a file may be quoted, without what a terminal would obey.
fn seen(words: &str) -> String {
    Escaped(words.as_bytes()).to_string()
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
