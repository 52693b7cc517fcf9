//! One trial: a run of the engine, and what it says about the server, or about this tester.

use polyport_protocol::{Nanos, SECOND};
use polyport_terminal::{Interrupt, remark};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aim::Aim;
use super::args::Plan;
use super::limit::LimitReport;
use crate::clock::Clock;
use crate::load::config::Config;
use crate::load::engine::{self, Audience};
use crate::load::histogram::Percentiles;
use crate::load::plan::Rate;
use crate::load::report::unanswered;
use crate::load::search::{Bound, Found};
use crate::load::summary::Summary;
use crate::load::unit::{self, exact, span};
use crate::load::view::board::Board;
use crate::outcome::ExitError;

/// The result of one trial. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialReport {
    /// Datagrams a second that were to be sent.
    pub rate_per_second: f64,
    /// For how long.
    pub duration_ns: Nanos,
    /// Datagrams that were to be sent.
    pub planned: u64,
    /// Datagrams that left.
    pub sent: u64,
    /// Datagrams answered without error within the timeout.
    pub ok: u64,
    /// Share of those sent that were not.
    pub loss_ratio: f64,
    /// Answer after planned time; `null` where nothing was answered.
    pub rtt_from_plan: Option<Percentiles>,
    /// What the tester itself was late; `null` where nothing was sent.
    pub lag: Option<Percentiles>,
    /// Why this is no statement about the server; `null` if it is one.
    pub generator_limited: Option<LimitReport>,
    /// Whether the conditions of each goal were met, in their order. Empty if the tester was the limit.
    pub good: Vec<bool>,
}

impl TrialReport {
    /// Reads a run of `rate` datagrams a second.
    fn new(rate: f64, duration: Nanos, summary: &Summary, max_lag: Nanos, aims: &[Aim]) -> Self {
        let total = &summary.total;
        let unanswered = total.sent - total.ok;
        let generator_limited = LimitReport::of(summary, max_lag);
        let judged = as_trial(summary);
        let good = |aim: &Aim| aim.conditions.iter().all(|condition| condition.judge(&judged).met);
        Self {
            rate_per_second: rate,
            duration_ns: duration,
            planned: summary.planned,
            sent: total.sent,
            ok: total.ok,
            loss_ratio: if total.sent > 0 { exact(unanswered) / exact(total.sent) } else { 1.0 },
            rtt_from_plan: summary.from_plan,
            lag: summary.lag,
            good: if generator_limited.is_some() { Vec::new() } else { aims.iter().map(good).collect() },
            generator_limited,
        }
    }

    /// Datagrams a second that the tester reached, where it was the limit.
    #[must_use]
    pub fn reached(&self) -> f64 {
        let share = if self.planned > 0 { exact(self.sent) / exact(self.planned) } else { 0.0 };
        self.rate_per_second * share
    }

    /// Datagrams answered a second.
    #[must_use]
    pub fn answered(&self) -> f64 {
        exact(self.ok) / (exact(self.duration_ns) / exact(SECOND))
    }

    /// The line that is shown when it is over.
    fn line(&self, number: usize) -> String {
        let read = |read: Option<Percentiles>, of: fn(&Percentiles) -> Nanos| {
            read.as_ref().map_or_else(|| "-".to_owned(), |read| span(of(read)))
        };
        let mut line = format!(
            "trial {number:>3}  {:>10}  {:>6}  loss {:>7}  p50 {:>6}  p99 {:>6}  lag {:>6}",
            unit::rate(self.rate_per_second),
            span(self.duration_ns),
            unit::percent(self.sent - self.ok, self.sent),
            read(self.rtt_from_plan, |read| read.p50),
            read(self.rtt_from_plan, |read| read.p99),
            read(self.lag, |read| read.p99),
        );
        match self.generator_limited {
            Some(limit) => line.push_str(&format!("  tester: {limit}")),
            None => self.good.iter().for_each(|good| line.push_str(if *good { "  good" } else { "  bad" })),
        }
        line
    }
}

/// The run as conditions of a goal see it: an answer that is late or an error is none (RFC 8219 section 9.2).
fn as_trial(summary: &Summary) -> Summary {
    let mut judged = summary.clone();
    judged.total.lost_unknown += judged.total.late + judged.total.error;
    judged
}

/// Makes trials, one after the other.
pub(super) struct Trials<'t> {
    config: &'t Config,
    plan: &'t Plan,
    interrupt: &'t Interrupt,
    quiet: bool,
    /// Of a live view, which has the terminal: lines must wait for its end.
    board: Option<&'t Board>,
    lines: Vec<String>,
    clock: Clock,
    done: Vec<TrialReport>,
    /// Runs of the engine so far: each has ids of its own, so that an answer to an earlier one is known for what it is.
    runs: u64,
    interrupted: bool,
    /// What the last run has to say that nothing was answered in.
    silence: Option<String>,
    answered: bool,
}

impl<'t> Trials<'t> {
    pub(super) fn new(
        config: &'t Config,
        plan: &'t Plan,
        interrupt: &'t Interrupt,
        quiet: bool,
        board: Option<&'t Board>,
    ) -> Self {
        let lines = Vec::new();
        let (clock, done) = (Clock::start(), Vec::new());
        let (runs, interrupted, silence, answered) = (0, false, None, false);
        Self {
            config,
            plan,
            interrupt,
            quiet,
            board,
            lines,
            clock,
            done,
            runs,
            interrupted,
            silence,
            answered,
        }
    }

    /// Asks every target for an answer, and sends at the lowest rate for the time of `--warmup`: routes, neighbours and caches
    /// are there then. Nothing of it counts. Whether trials may follow.
    ///
    /// # Errors
    /// A target does not answer; a socket fails.
    pub(super) fn warm_up(&mut self) -> Result<bool, ExitError> {
        let handshake = self.config.handshake;
        if handshake || self.config.warm_up > 0 {
            if let Some(board) = self.board {
                board.attempt("warming up at the lowest rate".to_owned());
            }
            self.run(self.plan.lowest, self.config.warm_up, handshake)?;
        }
        Ok(!self.interrupted)
    }

    /// One trial; `None` if the user wanted the end.
    ///
    /// # Errors
    /// A socket fails.
    pub(super) fn measure(&mut self, rate: f64, duration: Nanos) -> Result<Option<&TrialReport>, ExitError> {
        if let Some(board) = self.board {
            let number = self.done.len() + 1;
            board.attempt(format!("trial {number}  {} for {}", unit::rate(rate), span(duration)));
        }
        let summary = self.run(rate, duration, false)?;
        if summary.aborted {
            return Ok(None);
        }
        if summary.is_unanswered() {
            self.silence = Some(unanswered(&summary));
        }
        self.answered |= summary.total.ok > 0;
        let trial = TrialReport::new(rate, duration, &summary, self.plan.max_lag, &self.plan.aims);
        let line = trial.line(self.done.len() + 1);
        match self.board {
            Some(board) => {
                board.tried(line.clone());
                self.lines.push(line);
            }
            None if self.quiet => {}
            None => remark(line),
        }
        self.done.push(trial);
        Ok(self.done.last())
    }

    /// The lines of trials that could not be said yet.
    pub(super) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Tells a live view what is known of each goal.
    pub(super) fn narrowed(&self, found: &[Found]) {
        let Some(board) = self.board else { return };
        let rate =
            |bound: Option<Bound>| bound.map_or_else(|| "?".to_owned(), |bound| unit::rate(bound.rate));
        let goals = self.plan.aims.iter().zip(found).map(|(aim, found)| {
            let Found { lower, upper, reached, .. } = *found;
            let done = if reached { "  found" } else { "" };
            format!("{}: {} .. {}{done}", words(aim), rate(lower), rate(upper))
        });
        board.narrowed(goals.collect());
    }

    pub(super) fn done(&self) -> &[TrialReport] {
        &self.done
    }

    pub(super) const fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Why there is no result, if no trial had an answer.
    pub(super) fn unanswered(&self) -> Option<String> {
        self.silence.clone().filter(|_| !self.answered)
    }

    /// Since the first trial, or before it.
    pub(super) fn elapsed(&self) -> Nanos {
        self.clock.now()
    }

    fn run(&mut self, rate: f64, duration: Nanos, handshake: bool) -> Result<Summary, ExitError> {
        let seed = self.config.seed.wrapping_add(self.runs);
        self.runs += 1;
        let config =
            Config { rate: exactly(rate), duration, warm_up: 0, handshake, seed, ..self.config.clone() };
        let summary = {
            let audience = self.board.map_or(Audience::Nobody, Audience::View);
            engine::run(&config, self.interrupt, audience)?
        };
        self.interrupted |= summary.aborted;
        Ok(summary)
    }
}

/// The conditions of a goal.
fn words(aim: &Aim) -> String {
    aim.conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The rate with three digits behind the point.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and at most 10^9"
)]
fn exactly(rate: f64) -> Rate {
    if rate < 1e6 {
        Rate { count: ((rate * 1000.0).round() as u64).max(1), period: 1000 * SECOND }
    } else {
        Rate { count: rate.round() as u64, period: SECOND }
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::MILLISECOND;

    use super::*;
    use crate::load::histogram::TotalLatency;
    use crate::load::ledger::NotSent;
    use crate::load::stream::Tally;
    use crate::load::summary::Local;

    fn summary() -> Summary {
        let mut latency = TotalLatency::total().unwrap();
        (1..=100).for_each(|i| latency.record(i * MILLISECOND / 10));
        Summary {
            planned: 1000,
            from_plan: latency.percentiles(),
            lag: latency.percentiles(),
            total: Tally { sent: 1000, ok: 990, lost_down: 5, error: 3, late: 2, ..Tally::default() },
            ..Summary::default()
        }
    }

    fn trial(summary: &Summary, aim: &str) -> TrialReport {
        TrialReport::new(1000.0, SECOND, summary, 50 * MILLISECOND, &[Aim::parse(aim).unwrap()])
    }

    #[test]
    fn late_answers_and_errors_are_lost() {
        let read = trial(&summary(), "loss<1%");
        assert_eq!((read.good.as_slice(), read.loss_ratio), (&[false][..], 0.01));
        assert_eq!(trial(&summary(), "loss<=1%,p99<10ms").good, [true]);
        assert_eq!(trial(&summary(), "loss<=1%,p99<9ms").good, [false], "all conditions must hold");
        assert_eq!(trial(&summary(), "loss<=1%,late<=2").good, [true], "and have their own names still");
        assert!((read.answered() - 990.0).abs() < 1e-9);
    }

    #[test]
    fn what_the_tester_could_not_do_is_no_statement_about_the_server() {
        let limited = |change: fn(&mut Summary)| {
            let mut summary = summary();
            change(&mut summary);
            let read = trial(&summary, "loss<=1%");
            assert_eq!(read.generator_limited.is_some(), read.good.is_empty());
            (read.generator_limited, read.reached().round())
        };
        assert_eq!(limited(|_| ()), (None, 1000.0));
        let behind = limited(|summary| {
            summary.planned = 4000;
            summary.skipped[NotSent::Behind as usize] = 3000;
        });
        assert_eq!(behind, (Some(LimitReport::NotSent(3000)), 250.0));
        let held = limited(|summary| {
            summary.planned = 2000;
            summary.skipped[NotSent::InFlight as usize] = 1000;
        });
        assert_eq!(held, (Some(LimitReport::InFlight(1000)), 500.0));
        let dropped = limited(|summary| summary.local = Local { socket_drops: Some(7), ..Local::default() });
        assert_eq!(dropped, (Some(LimitReport::SocketDrops(7)), 1000.0));
        let late = TrialReport::new(1000.0, SECOND, &summary(), MILLISECOND, &[]);
        assert!(matches!(late.generator_limited, Some(LimitReport::Lag(9_900_000..10_000_000))), "{late:?}");
        assert_eq!(limited(|summary| *summary = Summary::default()).0, Some(LimitReport::NotSent(0)));
    }

    #[test]
    fn rates_are_kept_to_a_thousandth() {
        for (rate, count, period) in
            [(100.0, 100_000, 1000), (49_630.311_5, 49_630_312, 1000), (2_000_000.4, 2_000_000, 1)]
        {
            assert_eq!(exactly(rate), Rate { count, period: period * SECOND });
        }
        assert_eq!(exactly(49_630.311_5).total(SECOND), 49_631, "those planned before the end");
    }
}
