//! What the lines of one direction do over time: options, and the steps that replace them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::chance::{Direction, Streams, mix};
use crate::channel::Channel;
use crate::check::Problem;
use crate::config::Config;
use crate::limits::MOST_STEPS;

/// Options that change on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// In the order of their time, each later than the one before.
    pub steps: Vec<Step>,
    /// What the times count.
    pub clock: Clock,
    /// After so much, in the units of `clock`, it begins again with the options before the first step; 0: never. Not before
    /// the last step.
    pub repeat: u64,
}

/// From here on these options hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When, in the units of [`Timeline::clock`].
    pub at: u64,
    /// All options: those that the step does not name are as before.
    pub config: Config,
}

/// What the times of a timeline count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Nanoseconds since the start.
    #[default]
    Time,
    /// Datagrams of the line: step `n` holds from its datagram number n on, numbered from 0. It repeats exactly.
    Datagrams,
}

/// When a timeline and traces begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// For all lines at this moment, ns.
    At(u64),
    /// For each line with its first datagram.
    Line,
}

/// What the lines of one direction do: checked, and ready to decide.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) streams: Streams,
    direction: Direction,
    pub(crate) start: Start,
    base: Channel,
    /// Where the options change, and those from there on.
    pub(crate) changes: Box<[u64]>,
    channels: Box<[Channel]>,
    pub(crate) clock: Clock,
    pub(crate) repeat: u64,
    /// Tells timelines apart, so that a line notices another one.
    pub(crate) mark: u64,
    notes: Vec<Problem>,
}

impl Script {
    /// Checks all and makes it ready.
    ///
    /// # Errors
    /// Everything that is wrong: in the options, and in each step that has it anew.
    pub fn new(
        seed: u64,
        direction: Direction,
        start: Start,
        config: &Config,
        timeline: Option<&Timeline>,
    ) -> Result<Self, Vec<Problem>> {
        let mut wrong = config.check();
        let mut notes = config.notes();
        let none = Timeline::default();
        let timeline = timeline.unwrap_or(&none);
        let mut before = config;
        for (number, step) in timeline.steps.iter().enumerate() {
            added(&mut wrong, number, &before.check(), step.config.check());
            added(&mut notes, number, &before.notes(), step.config.notes());
            before = &step.config;
        }
        wrong.extend(timeline.check());
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let changes: Box<[u64]> = timeline.steps.iter().map(|step| step.at).collect();
        let begin = mix(timeline.repeat, timeline.clock as u64, changes.len() as u64);
        let mark = changes.iter().fold(begin, |mark, at| mix(mark, *at, 0));
        Ok(Self {
            streams: Streams::new(seed, direction),
            direction,
            start,
            base: Channel::new(config),
            channels: timeline.steps.iter().map(|step| Channel::new(&step.config)).collect(),
            changes,
            clock: timeline.clock,
            repeat: timeline.repeat,
            mark,
            notes,
        })
    }

    /// Whether every datagram passes at once, as it came, now and later: then nobody needs to ask.
    #[must_use]
    pub fn is_neutral(&self) -> bool {
        self.base.is_neutral() && self.channels.iter().all(Channel::is_neutral)
    }

    /// Which way it is about.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// What is allowed and may surprise, for the log.
    #[must_use]
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// How many steps hold at a position, and where the next change is.
    #[cold]
    pub(crate) fn steps_at(&self, position: u64) -> (u16, u64) {
        let (round, within) = match self.repeat {
            0 => (0, position),
            repeat => (position / repeat, position % repeat),
        };
        let steps = self.changes.partition_point(|at| *at <= within);
        let begin = round.saturating_mul(self.repeat);
        let next = match (self.changes.get(steps), self.repeat) {
            (Some(at), _) => begin.saturating_add(*at),
            (None, 0) => u64::MAX,
            (None, repeat) => begin.saturating_add(repeat),
        };
        (u16::try_from(steps).unwrap_or(u16::MAX), next)
    }

    /// The options after so many steps.
    #[inline]
    pub(crate) fn channel(&self, steps: u16) -> &Channel {
        match usize::from(steps).checked_sub(1) {
            None => &self.base,
            Some(last) => self.channels.get(last).unwrap_or(&self.base),
        }
    }
}

impl Timeline {
    /// What is wrong with the steps themselves.
    fn check(&self) -> Vec<Problem> {
        let mut wrong = Vec::new();
        let mut at = |step: Option<usize>, message: &'static str| {
            wrong.push(Problem { step, ..Problem::new("timeline", message) });
        };
        for (number, two) in self.steps.windows(2).enumerate() {
            if two.first().map(|step| step.at) >= two.last().map(|step| step.at) {
                at(Some(number + 1), "a step comes later than the one before it");
            }
        }
        if self.steps.len() > MOST_STEPS {
            at(Some(MOST_STEPS), "too many steps: at most 4096");
        }
        if self.repeat > 0 && self.steps.is_empty() {
            wrong.push(Problem::new("timeline_repeat", "there is no timeline to repeat"));
        } else if self.repeat > 0 && self.steps.last().is_some_and(|last| last.at >= self.repeat) {
            wrong.push(Problem::new("timeline_repeat", "it begins again before its last step"));
        }
        wrong
    }
}

/// Adds what a step has and the options before it had not, with the number of the step.
fn added(all: &mut Vec<Problem>, step: usize, before: &[Problem], found: Vec<Problem>) {
    let new = found.into_iter().filter(|problem| !before.contains(problem));
    all.extend(new.map(|problem| Problem { step: Some(step), ..problem }));
}
