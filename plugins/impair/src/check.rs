//! Which options contradict each other: all of it at once, each with the option to point at.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use crate::chance::Share;
use crate::config::{Config, Correlation, Distribution, Order};
use crate::limits::{FASTEST_RATE, LONGEST_NS, MOST_LIMIT, MOST_OVERHEAD};

/// What is wrong, or only noteworthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option that is wrong, by its name.
    pub option: &'static str,
    /// The step of the timeline, from 0; `None`: the options themselves.
    pub step: Option<usize>,
    /// A sentence without a full stop: what, and what to do.
    pub message: Cow<'static, str>,
}

impl Problem {
    pub(crate) fn new(option: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { option, step: None, message: message.into() }
    }
}

impl Config {
    /// Everything that is contradictory or out of range. Empty: the options can be used.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut wrong = |option, so: bool, message: &'static str| {
            if so {
                found.push(Problem::new(option, message));
            }
        };
        self.check_loss(&mut wrong);
        self.check_order(&mut wrong);
        self.check_correlations(&mut wrong);
        self.check_delay(&mut wrong);
        self.check_link(&mut wrong);
        self.check_slot(&mut wrong);
        self.check_bounds(&mut found);
        found
    }

    /// What is allowed and may surprise, for the log.
    #[must_use]
    pub fn notes(&self) -> Vec<Problem> {
        let mut notes = Vec::new();
        let trace = self.delay_trace.as_ref().map(|trace| trace.shortest());
        if self.jitter > trace.unwrap_or(self.delay) {
            let message = "jitter is larger than the delay: what would leave before it came leaves at once";
            notes.push(Problem::new("jitter", message));
        }
        notes
    }

    fn check_loss(&self, wrong: &mut impl FnMut(&'static str, bool, &'static str)) {
        let models = [
            ("loss_burst", self.loss_burst.is_some()),
            ("loss_state", self.loss_state.is_some()),
            ("loss_gemodel", self.loss_gemodel.is_some()),
        ];
        let mut others = !self.loss.is_never();
        for (option, given) in models {
            wrong(option, given && others, "another loss model is given as well: leave one of them out");
            others |= given;
        }
        if let Some(burst) = self.loss_burst {
            wrong("loss_burst", burst.length == 0, "a run of losses has at least one datagram");
        }
        if let Some(chain) = self.loss_state {
            let sums = [chain.p13.exceeds_with(chain.p14), chain.p31.exceeds_with(chain.p32)];
            wrong("loss_state", sums[0], "p13 and p14 both leave state 1: together they are at most 100%");
            wrong("loss_state", sums[1], "p31 and p32 both leave state 3: together they are at most 100%");
        }
        let loses = !self.loss.is_never() || models.iter().any(|(_, given)| *given);
        wrong("ecn", self.ecn && !loses, "nothing is lost that could be marked: give a loss model too");
    }

    fn check_order(&self, wrong: &mut impl FnMut(&'static str, bool, &'static str)) {
        let reorders = !self.reorder.is_never();
        let delays = self.delay > 0 || self.jitter > 0 || self.delay_trace.is_some() || self.is_link();
        let message = "what is not delayed cannot be overtaken: give a delay too, or use late instead";
        wrong("reorder", reorders && !delays, message);
        wrong("gap", self.gap == Some(0), "a gap is at least 1");
        wrong("gap", self.gap.is_some() && !reorders, "there is nothing to reorder: give reorder too");
        let keep = self.order == Order::Keep;
        let message = "order = \"keep\" lets nothing overtake: leave one of them out";
        wrong("reorder", reorders && keep, message);
        wrong("late", !self.late.is_never() && keep, message);
        wrong("late_by", !self.late.is_never() && self.late_by == 0, "late ones need some time");
    }

    fn check_correlations(&self, wrong: &mut impl FnMut(&'static str, bool, &'static str)) {
        let options = [
            ("loss_correlation", self.loss_correlation, !self.loss.is_never()),
            ("duplicate_correlation", self.duplicate_correlation, !self.duplicate.is_never()),
            ("corrupt_correlation", self.corrupt_correlation, !self.corrupt.is_never()),
            ("jitter_correlation", self.jitter_correlation, self.jitter > 0),
            ("reorder_correlation", self.reorder_correlation, !self.reorder.is_never()),
            ("late_correlation", self.late_correlation, !self.late.is_never()),
        ];
        for (option, share, decided) in options {
            let given = !share.is_never();
            wrong(
                option,
                given && !decided,
                "there is nothing that it correlates: give the option it belongs to",
            );
            let always = share == Share::ALWAYS && self.correlation == Correlation::Copy;
            wrong(option, always, "100% would repeat the first decision for ever: stay below it");
        }
    }

    fn check_delay(&self, wrong: &mut impl FnMut(&'static str, bool, &'static str)) {
        let shaped = matches!(self.distribution, Distribution::Table(_));
        wrong(
            "distribution",
            shaped && self.jitter == 0,
            "there is no jitter to distribute: give jitter too",
        );
        let trace = self.delay_trace.is_some();
        wrong("delay_trace", trace && self.delay > 0, "delay is given as well: leave one of them out");
        let step = self.delay_trace_step;
        wrong("delay_trace_step", step == Some(0), "a step takes some time");
        wrong(
            "delay_trace_step",
            step.is_some() && !trace,
            "there is no trace to step through: give delay_trace too",
        );
    }

    fn check_link(&self, wrong: &mut impl FnMut(&'static str, bool, &'static str)) {
        let link = self.rate.is_some() || self.trace.is_some();
        wrong("rate", self.rate == Some(0), "a rate of 0 lets nothing through: use blackout for that");
        wrong(
            "trace",
            self.trace.is_some() && self.rate.is_some(),
            "rate is given as well: leave one of them out",
        );
        wrong("cell_size", self.cell_size == Some(0), "a cell has at least one byte");
        let cells = self.cell_size.is_some();
        wrong("cell_size", cells && !link, "no link carries cells: give rate too");
        wrong("cell_overhead", self.cell_overhead != 0 && !cells, "there are no cells: give cell_size too");
        let whole = self.cell_size.map_or(1, |size| i64::from(size) + i64::from(self.cell_overhead));
        wrong("cell_overhead", whole <= 0, "a cell is at least one byte with its overhead");
        wrong("limit", self.limit == Some(0), "a queue of 0 lets nothing through: use blackout for that");
        wrong(
            "limit_bytes",
            self.limit_bytes == Some(0),
            "a queue of 0 lets nothing through: use blackout for that",
        );
        let waits = self.delays();
        wrong(
            "limit",
            self.limit.is_some() && !waits,
            "nothing waits that could be limited: give rate or delay too",
        );
        let message = "nothing waits that could be limited: give rate or delay too";
        wrong("limit_bytes", self.limit_bytes.is_some() && !waits, message);
    }

    fn check_slot(&self, wrong: &mut impl FnMut(&'static str, bool, &'static str)) {
        if let Some(slot) = self.slot {
            wrong("slot", slot.min > slot.max, "min is larger than max");
            wrong("slot", slot.min == 0, "slots need some time between them: min is above 0");
            wrong("slot", slot.packets == Some(0), "a slot has room for at least one datagram");
            wrong("slot", slot.bytes == Some(0), "a slot has room for at least one byte");
        }
    }

    fn check_bounds(&self, found: &mut Vec<Problem>) {
        let times = [
            ("delay", self.delay),
            ("jitter", self.jitter),
            ("late_by", self.late_by),
            ("slot", self.slot.map_or(0, |slot| slot.max)),
            ("delay_trace_step", self.delay_trace_step.unwrap_or(0)),
        ];
        for (option, _) in times.iter().filter(|(_, ns)| *ns > LONGEST_NS) {
            found.push(Problem::new(option, format!("at most {} h", LONGEST_NS / 3_600_000_000_000)));
        }
        let sizes = [
            ("packet_overhead", self.packet_overhead.unwrap_or(0).unsigned_abs()),
            ("cell_overhead", self.cell_overhead.unsigned_abs()),
            ("cell_size", self.cell_size.unwrap_or(0)),
        ];
        for (option, _) in sizes.iter().filter(|(_, bytes)| *bytes > MOST_OVERHEAD) {
            found.push(Problem::new(option, format!("at most {MOST_OVERHEAD} bytes")));
        }
        if self.limit.is_some_and(|limit| limit > MOST_LIMIT) {
            found.push(Problem::new("limit", format!("at most {MOST_LIMIT} datagrams")));
        }
        if self.rate.is_some_and(|rate| rate > FASTEST_RATE) {
            found.push(Problem::new("rate", format!("at most {FASTEST_RATE} bits a second")));
        }
    }
}

#[cfg(test)]
mod tests;
