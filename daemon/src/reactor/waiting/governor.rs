//! How the loop waits for more: asleep, looking again and again, or resting while a stream gathers.
//!
//! Which of them costs least depends on the traffic and on the machine: to fall asleep and be woken costs two
//! microseconds here and thirty on a virtual machine there. So it is measured, as a cpuidle governor of the kernel
//! does for a CPU: now and then another strategy gets a short trial beside the usual one, and the processor time a message
//! costs decides, unless a rest would slow the stream down. The only promise that needs no trial is kept by the rule of
//! `FRUITLESS`: where nothing comes, the loop sleeps.

use super::moderation::{Found, Moderation};
use crate::limits::Limits;
use crate::reactor::io::nanos;
use std::time::Duration;

/// Epochs, each a stretch of turns that is measured, of a trial, the usual strategy and the other in turn: so many that the
/// noise of a shared machine does not decide.
const TRIAL: u32 = 8;
/// Epochs until the first trial, doubled with each that changed nothing: what trials cost gets lost in the noise.
const FIRST_PAUSE: u32 = 4;
/// The most such epochs.
const LONGEST_PAUSE: u32 = 512;
/// How long to look again and again for more, ns: longer than a process that waits for an answer takes to wake up and
/// ask again. What comes later is worth a sleep on every machine.
const SPIN_NS: u64 = 50_000;
/// A wait, ns, of which spinning may be worth a trial: one that slept has the time in it that the wake-up took.
const SLEPT_NS: u64 = 2 * SPIN_NS;
/// A wait, ns, that says that there was no traffic; longer than any rest. What it took is not the messages' time.
const PAUSE_NS: u64 = 2_000_000;
/// Looks of this length in a row that found nothing, after which the loop sleeps.
const FRUITLESS: u32 = 8;

/// A strategy of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    Sleep,
    /// Look again and again for a while, then sleep.
    Spin,
    /// Sleep, but rest before the next look at a stream; see [`Moderation`].
    Rest,
}

/// What may be tried, in this order.
const STRATEGIES: [Strategy; 3] = [Strategy::Sleep, Strategy::Spin, Strategy::Rest];

/// Decides after each turn.
#[derive(Debug)]
pub(crate) struct Governor {
    /// Given by the configuration: spin for so long always.
    always_ns: Option<u64>,
    may_spin: bool,
    /// Turns of an epoch, at least 1.
    epoch_turns: u32,
    moderation: Moderation,
    /// The best so far.
    usual: Strategy,
    /// What is done now: the usual, or what is tried.
    current: Strategy,
    epoch: Epoch,
    trial: Option<Trial>,
    /// Which of [`STRATEGIES`] is tried next.
    next: usize,
    /// Epochs until the next trial, and how many there were before the last.
    left: u32,
    pause: u32,
    /// Waits in a row that no spinning would have ended.
    fruitless: u32,
    /// End of the last turn that found something, ns; 0 is never.
    done_ns: u64,
}

/// A stretch of turns that is measured.
#[derive(Clone, Copy, Debug, Default)]
struct Epoch {
    /// Time and processor time at its beginning, unknown before the first.
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

/// What messages cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    ns: u64,
    cpu_ns: u64,
    messages: u64,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    strategy: Strategy,
    usual: Cost,
    tried: Cost,
    epochs: u32,
}

/// When a turn ran: monotonic ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TurnTiming {
    /// After its wait.
    pub(crate) from_ns: u64,
    /// After its visits.
    pub(crate) to_ns: u64,
    /// It had to wait: nobody was ready before.
    pub(crate) waited: bool,
}

impl Governor {
    /// `rests` says whether the I/O can rest at all.
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

    /// Whether to look again instead of sleeping, at the moment `now_ns`.
    #[inline]
    pub(crate) fn spins(&self, now_ns: u64) -> bool {
        let span_ns = self.always_ns.unwrap_or(SPIN_NS);
        self.current == Strategy::Spin && self.done_ns > 0 && self.gap_ns(now_ns) < span_ns
    }

    /// How long before `now_ns` the last turn ended that found something.
    #[inline]
    pub(crate) fn gap_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.done_ns)
    }

    /// Whether a stream is rested for; then it is not looked at twice in one visit.
    #[inline]
    pub(crate) fn rests(&self) -> bool {
        self.current == Strategy::Rest && self.moderation.is_on()
    }

    /// After a turn that found something: how long to rest before the next look, if at all. `cpu_ns` is the processor
    /// time this thread has used; it is asked for rarely.
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

    /// What comes does not come soon any more.
    #[cold]
    fn sleep_again(&mut self) {
        (self.usual, self.trial, self.epoch) = (Strategy::Sleep, None, Epoch::default());
        self.go(Strategy::Sleep);
        self.wait_longer();
    }

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

    /// Changes what is done now.
    fn go(&mut self, strategy: Strategy) {
        self.current = strategy;
        // What was learnt of the waits before says nothing of these.
        self.fruitless = 0;
        self.moderation.did_not_rest();
    }

    /// The rest that [`Self::after`] asked for was not taken.
    pub(crate) fn did_not_rest(&mut self) {
        self.moderation.did_not_rest();
    }

    /// Another strategy that may be worth a trial after such an epoch.
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
            // Not from the beginning: between strategies that are alike, chance decides.
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
    /// Whether the loop waited in a share of the turns that is worth a thought.
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

    fn of_one(self) -> u64 {
        self.cpu_ns.checked_div(self.messages).unwrap_or(0)
    }

    /// By more than a thirty-second: less is noise.
    fn is_less_than(self, other: Self) -> bool {
        product(self.cpu_ns, other.messages) * 32 < product(other.cpu_ns, self.messages) * 31
    }

    /// By more than an eighth.
    fn is_slower_than(self, other: Self) -> bool {
        product(self.ns, other.messages) * 7 > product(other.ns, self.messages) * 8
    }
}

/// What makes two costs of one message comparable without a division.
fn product(ns: u64, messages: u64) -> u128 {
    u128::from(ns) * u128::from(messages)
}

#[cfg(test)]
#[path = "governor_tests.rs"]
mod tests;
