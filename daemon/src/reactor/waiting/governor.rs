//! The choice between three strategies of waiting: sleep, look again and again, or rest while a stream arrives.
//!
//! Which strategy costs least depends on the traffic and on the machine: a sleep and its wake-up take two microseconds
//! on one machine and thirty on another. So the governor measures, as a cpuidle governor of Linux does for a CPU. Now
//! and then it tries another strategy for a short time, beside the usual one. The strategy that takes less processor
//! time for a message becomes the usual one, unless it is a rest that slows the stream down.
//!
//! One rule needs no trial: after `FRUITLESS` waits in a row that were too long for spinning, the loop sleeps.

use std::time::Duration;

use super::moderation::{Found, Moderation};
use crate::limits::Limits;
use crate::reactor::io::nanos;

/// Epochs of a trial. The usual strategy and the other take turns, so that the noise of a shared machine affects both.
const TRIAL: u32 = 8;
/// Epochs before the first trial. Each trial that changes nothing doubles the pause, so that trials cost next to
/// nothing.
const FIRST_PAUSE: u32 = 4;
/// Most epochs between two trials.
const LONGEST_PAUSE: u32 = 512;
/// How long the loop spins for more, ns. A peer that waits for its answer needs less time to wake up and send again.
/// For anything that comes later, a sleep is cheaper on every machine.
const SPIN_NS: u64 = 50_000;
/// The longest sleep, ns, after which spinning may be worth a trial. It is longer than [`SPIN_NS`], because the wake-up
/// is part of a sleep.
const SLEPT_NS: u64 = 2 * SPIN_NS;
/// A longer wait, ns, means that there was no traffic, and does not count as time of the messages. No rest takes as
/// long.
const PAUSE_NS: u64 = 2_000_000;
/// Waits in a row that are too long for spinning, after which the loop sleeps.
const FRUITLESS: u32 = 8;

/// What the loop does between two turns when no listener is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// Sleep until an event.
    Sleep,
    /// Look again and again for a while, then sleep.
    Spin,
    /// Sleep, and rest before the next look at a stream, as [`Moderation`] says.
    Rest,
}

/// All strategies, in the order of their trials.
const STRATEGIES: [Strategy; 3] = [Strategy::Sleep, Strategy::Spin, Strategy::Rest];

/// Measures every epoch, and decides after each turn how to wait for the next.
#[derive(Debug)]
pub(crate) struct Governor {
    /// How long the configuration makes the loop spin, ns; then nothing is measured.
    always_ns: Option<u64>,
    /// Whether the configuration leaves it to the governor to spin.
    may_spin: bool,
    /// Turns of an epoch, at least 1.
    epoch_turns: u32,
    moderation: Moderation,
    /// The best strategy so far.
    usual: Strategy,
    /// The strategy in use: the usual one, or the one on trial.
    current: Strategy,
    epoch: Epoch,
    trial: Option<Trial>,
    /// Which of [`STRATEGIES`] is tried next.
    next: usize,
    /// Epochs until the next trial.
    left: u32,
    /// Epochs between the last trial and the next.
    pause: u32,
    /// Waits in a row that were too long for spinning.
    fruitless: u32,
    /// End of the last turn that found something, monotonic ns; 0 is never.
    done_ns: u64,
}

/// Turns in a row that found something and are measured together.
#[derive(Clone, Copy, Debug, Default)]
struct Epoch {
    /// Time and processor time at its beginning, both in ns; unknown for the first.
    start: Option<(u64, u64)>,
    turns: u32,
    messages: u64,
    /// Time without traffic, ns.
    idle_ns: u64,
    /// Turns that had to wait for their datagrams.
    waits: u32,
    /// Turns whose datagrams came soon enough for spinning.
    near: u32,
    /// Turns that found a stream.
    streams: u32,
}

/// What a number of messages cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Wall-clock time, ns.
    ns: u64,
    /// Processor time, ns.
    cpu_ns: u64,
    messages: u64,
}

/// A comparison of another strategy with the usual one.
#[derive(Clone, Copy, Debug)]
struct Trial {
    strategy: Strategy,
    usual: Cost,
    tried: Cost,
    epochs: u32,
}

/// When a turn ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TurnTiming {
    /// When its wait ended, monotonic ns.
    pub(crate) from_ns: u64,
    /// When its visits ended, monotonic ns.
    pub(crate) to_ns: u64,
    /// No listener was ready before, so the turn began with a wait.
    pub(crate) waited: bool,
}

impl Governor {
    /// A governor that has measured nothing yet and sleeps, unless `limits` say otherwise. `rests` is whether the I/O
    /// can rest at all.
    pub(crate) fn new(limits: &Limits, rests: bool) -> Self {
        let always_ns = limits.spin.map(nanos).filter(|ns| *ns > 0);
        let rest = if rests && always_ns.is_none() { limits.moderation } else { Duration::ZERO };
        let usual = if always_ns.is_some() { Strategy::Spin } else { Strategy::Sleep };
        Self {
            always_ns,
            may_spin: limits.spin.is_none(),
            epoch_turns: limits.epoch_turns.max(1),
            moderation: Moderation::new(rest, limits.visit_datagrams),
            usual,
            current: usual,
            epoch: Epoch::default(),
            trial: None,
            next: 0,
            left: FIRST_PAUSE,
            pause: FIRST_PAUSE,
            fruitless: 0,
            done_ns: 0,
        }
    }

    /// Whether the loop looks again at the moment `now_ns` instead of sleeping.
    #[inline]
    pub(crate) fn spins(&self, now_ns: u64) -> bool {
        let span_ns = self.always_ns.unwrap_or(SPIN_NS);
        self.current == Strategy::Spin && self.done_ns > 0 && self.gap_ns(now_ns) < span_ns
    }

    /// Time from the end of the last turn that found something to `now_ns`, ns.
    #[inline]
    pub(crate) fn gap_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.done_ns)
    }

    /// Whether the loop rests for a stream. If so, a visit does not look twice.
    #[inline]
    pub(crate) fn rests(&self) -> bool {
        self.current == Strategy::Rest && self.moderation.is_on()
    }

    /// Learns from a turn that found something. Returns how long to rest before the next look, if at all. `cpu_ns`
    /// gives the processor time of this thread; it is called once an epoch.
    #[inline]
    pub(crate) fn after(
        &mut self,
        found: Found,
        timing: TurnTiming,
        cpu_ns: impl FnOnce() -> u64,
    ) -> Option<Duration> {
        let gap_ns = self.gap_ns(timing.from_ns);
        let first = std::mem::replace(&mut self.done_ns, timing.to_ns) == 0;
        if self.always_ns.is_some() {
            return None;
        }
        if timing.waited && !first {
            let soon_ns = if self.current == Strategy::Spin { SPIN_NS } else { SLEPT_NS };
            let near = gap_ns < soon_ns;
            self.epoch.waits += 1;
            self.epoch.near += u32::from(near);
            self.epoch.idle_ns += if gap_ns > PAUSE_NS { gap_ns } else { 0 };
            self.fruitless = if near { 0 } else { self.fruitless.saturating_add(1) };
        }
        self.epoch.turns += 1;
        self.epoch.messages += found.messages as u64;
        self.epoch.streams += u32::from(found.stream && found.visits == 1);
        if self.current == Strategy::Spin && self.fruitless >= FRUITLESS {
            self.sleep_again();
        } else if self.epoch.turns >= self.epoch_turns {
            self.end_epoch(timing.to_ns, cpu_ns());
        }
        if self.current == Strategy::Rest { self.moderation.after(found) } else { None }
    }

    /// Goes back to sleep, because datagrams come too rarely for spinning.
    #[cold]
    fn sleep_again(&mut self) {
        self.usual = Strategy::Sleep;
        self.trial = None;
        self.epoch = Epoch::default();
        self.go(Strategy::Sleep);
        self.wait_longer();
    }

    /// Learns from an epoch: decides the trial it ends, goes on with a trial, or begins one.
    #[cold]
    fn end_epoch(&mut self, ns: u64, cpu_ns: u64) {
        let begun = Epoch { start: Some((ns, cpu_ns)), ..Epoch::default() };
        let ended = std::mem::replace(&mut self.epoch, begun);
        let Some((start_ns, start_cpu_ns)) = ended.start else { return };
        if (self.current, self.usual) == (Strategy::Spin, Strategy::Spin)
            && ended.waits_often()
            && !ended.is_near()
        {
            return self.sleep_again();
        }
        let ns = ns.saturating_sub(start_ns).saturating_sub(ended.idle_ns);
        let cpu_ns = cpu_ns.saturating_sub(start_cpu_ns);
        let cost = Cost { ns, cpu_ns, messages: ended.messages };
        if let Some(mut trial) = self.trial.take() {
            let tried = self.current == trial.strategy;
            if tried { &mut trial.tried } else { &mut trial.usual }.add(cost);
            trial.epochs += 1;
            if trial.epochs == TRIAL {
                self.decide(&trial);
            } else {
                self.go(if tried { self.usual } else { trial.strategy });
                self.trial = Some(trial);
            }
            return;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0
            && let Some(strategy) = self.challenger(&ended)
        {
            self.trial = Some(Trial { strategy, usual: cost, tried: Cost::default(), epochs: 1 });
            self.go(strategy);
        }
    }

    /// Changes the current strategy.
    fn go(&mut self, strategy: Strategy) {
        self.current = strategy;
        // Waits under another strategy say nothing about those that follow.
        self.fruitless = 0;
        self.moderation.did_not_rest();
    }

    /// Notes that the loop did not take the rest that [`Self::after`] asked for.
    pub(crate) fn did_not_rest(&mut self) {
        self.moderation.did_not_rest();
    }

    /// The next strategy in order that may be worth a trial after the epoch `ended`.
    fn challenger(&mut self, ended: &Epoch) -> Option<Strategy> {
        let eligible = |strategy: Strategy| match strategy {
            Strategy::Sleep => true,
            Strategy::Spin => self.may_spin && ended.waits_often() && ended.is_near(),
            Strategy::Rest => self.moderation.is_allowed() && ended.streams >= ended.turns.div_ceil(2),
        };
        let at = (0..STRATEGIES.len()).map(|n| (self.next + n) % STRATEGIES.len()).find(|at| {
            STRATEGIES.get(*at).is_some_and(|strategy| *strategy != self.usual && eligible(*strategy))
        })?;
        self.next = at + 1;
        STRATEGIES.get(at).copied()
    }

    /// Ends a trial: the cheaper strategy becomes the usual one, unless it is a rest that slows the stream down.
    fn decide(&mut self, trial: &Trial) {
        let slows = trial.strategy == Strategy::Rest && trial.tried.is_slower_than(trial.usual);
        let slowed = self.usual == Strategy::Rest && trial.usual.is_slower_than(trial.tried);
        if slowed || (trial.tried.is_less_than(trial.usual) && !slows) {
            log::debug!(
                "{:?} costs {} ns a message and {:?} {} ns{}: {0:?} from now on",
                trial.strategy,
                trial.tried.of_one(),
                self.usual,
                trial.usual.of_one(),
                if slowed { ", but slows it down" } else { "" }
            );
            self.usual = trial.strategy;
            // The pause does not start at `FIRST_PAUSE` again: between strategies that cost the same, chance decides.
            self.pause = (self.pause / 2).max(FIRST_PAUSE);
            self.left = self.pause;
        } else {
            self.wait_longer();
        }
        self.go(self.usual);
    }

    fn wait_longer(&mut self) {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.left = self.pause;
    }
}

impl Epoch {
    /// Whether at least an eighth of the turns began with a wait.
    fn waits_often(&self) -> bool {
        self.waits >= self.turns.div_ceil(8)
    }

    /// Whether spinning would have ended most of the waits.
    fn is_near(&self) -> bool {
        self.near >= self.waits.div_ceil(2)
    }
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.ns += other.ns;
        self.cpu_ns += other.cpu_ns;
        self.messages += other.messages;
    }

    /// Processor time of one message, ns.
    fn of_one(self) -> u64 {
        self.cpu_ns.checked_div(self.messages).unwrap_or(0)
    }

    /// Whether a message takes less processor time, by more than a thirty-second; a smaller difference is noise.
    fn is_less_than(self, other: Self) -> bool {
        product(self.cpu_ns, other.messages) * 32 < product(other.cpu_ns, self.messages) * 31
    }

    /// Whether a message takes longer on the wall clock, by more than an eighth.
    fn is_slower_than(self, other: Self) -> bool {
        product(self.ns, other.messages) * 7 > product(other.ns, self.messages) * 8
    }
}

/// One side of a comparison of two quotients: `a / b < c / d` is `a * d < c * b`, which needs no division.
fn product(ns: u64, messages: u64) -> u128 {
    u128::from(ns) * u128::from(messages)
}

#[cfg(test)]
#[path = "governor_tests.rs"]
mod tests;
