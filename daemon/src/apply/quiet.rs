//! Listeners that are not read for a while, for clients of the control socket: some addresses between two batches each.

use std::time::Duration;

use super::running::Running;
use crate::control::Reply;
use crate::control::wire::{
    Answer, DRAIN_MS, DrainParams, Drained, Error, ListenerParams, MOST_DRAIN_MS, Quieted, code,
};
use crate::reactor::{Clock, Token};

/// Slots that are looked at between two batches.
const SLOTS: usize = 512;
/// Addresses that are read no more, or again, between two batches: a system call each, and the last visits of one
/// that drains.
const ADDRESSES: usize = 16;
/// Rounds of last visits at an address: a flood has no end.
const LAST_ROUNDS: usize = 256;
/// How often it is looked whether a listener is drained.
const LOOK: Duration = Duration::from_millis(50);
/// Requests that are under way: more drains than anybody has in mind at once.
const MOST: usize = 16;

/// What is under way.
#[derive(Debug)]
pub(super) struct Quiets {
    clock: Clock,
    all: Vec<Quiet>,
}

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Pause,
    Resume,
    Drain { until_ns: u64 },
}

/// One request.
#[derive(Debug)]
struct Quiet {
    what: What,
    listener: String,
    reply: Option<Reply>,
    since_ns: u64,
    next_slot: usize,
    /// Those of the listener that were found.
    tokens: Vec<Token>,
    /// How many of them have been asked.
    done: usize,
    rounds: usize,
    /// Of a drain: those at which something may wait.
    left: Option<Vec<Token>>,
}

impl Quiets {
    pub(super) fn new() -> Self {
        Self { clock: Clock::new(), all: Vec::new() }
    }

    /// Reads the sockets of a listener no more.
    pub(super) fn pause(&mut self, running: &Running, params: ListenerParams, reply: Reply) {
        self.begin(running, What::Pause, params.listener, reply);
    }

    /// Reads them again.
    pub(super) fn resume(&mut self, running: &Running, params: ListenerParams, reply: Reply) {
        self.begin(running, What::Resume, params.listener, reply);
    }

    /// Reads them no more, and answers when nothing waits.
    pub(super) fn drain(&mut self, running: &Running, params: DrainParams, reply: Reply) {
        let within = params.within_ms.unwrap_or(DRAIN_MS).min(MOST_DRAIN_MS);
        let until_ns = self.clock.mono_ns().saturating_add(within.saturating_mul(1_000_000));
        self.begin(running, What::Drain { until_ns }, params.listener, reply);
    }

    fn begin(&mut self, running: &Running, what: What, listener: String, reply: Reply) {
        if running.prepared.plan.listen.iter().all(|listen| listen.name != listener) {
            let words = format!("there is no listener `{listener}`");
            return reply.send(Err(Error::new(code::NO_LISTENER, words)));
        }
        if self.all.len() >= MOST {
            return reply.send(Err(Error::new(code::BUSY, format!("{MOST} of these are under way"))));
        }
        self.all.push(Quiet {
            what,
            listener,
            reply: Some(reply),
            since_ns: self.clock.mono_ns(),
            next_slot: 0,
            tokens: Vec::new(),
            done: 0,
            rounds: 0,
            left: None,
        });
    }

    /// Does the next part of each. At the end of the service, and while another daemon may have the sockets already, none goes on.
    pub(super) fn attend(&mut self, running: &mut Running) {
        if running.reactor.is_ending() {
            return;
        }
        let now_ns = self.clock.mono_ns();
        let mut busy = false;
        self.all.retain_mut(|quiet| {
            busy |= quiet.go_on(running, now_ns);
            quiet.reply.is_some()
        });
        if busy {
            running.waker.wake();
        } else if !self.all.is_empty() {
            running.reactor.attend_in(LOOK);
        }
    }
}

impl Quiet {
    /// Does the next part. Returns whether there is more to be done at once.
    fn go_on(&mut self, running: &mut Running, now_ns: u64) -> bool {
        if self.next_slot < running.reactor.slots() {
            let slots = self.next_slot..self.next_slot + SLOTS;
            self.next_slot = slots.end;
            let all = running.reactor.reports_in(slots).filter(|report| **report.name == *self.listener);
            self.tokens.extend(all.map(|report| report.token));
            return true;
        }
        for _ in 0..ADDRESSES {
            let Some(token) = self.tokens.get(self.done).copied() else { break };
            let is_done = match self.what {
                // Whether it is there still, and usable, says the status.
                What::Pause => {
                    running.reactor.pause(token);
                    true
                }
                What::Resume => {
                    running.reactor.resume(token);
                    true
                }
                What::Drain { .. } => {
                    self.rounds += 1;
                    running.reactor.quiet_down(token, self.rounds > LAST_ROUNDS)
                }
            };
            if is_done {
                (self.done, self.rounds) = (self.done + 1, 0);
            }
        }
        if self.done < self.tokens.len() {
            return true;
        }
        let addresses = self.tokens.len();
        let What::Drain { until_ns } = self.what else {
            let how = if self.what == What::Pause { "paused" } else { "resumed" };
            log::info!("listener {}: {how} (control socket)", self.listener);
            let listener = self.listener.clone();
            self.answer(Answer::Quieted(Quieted { listener, addresses }));
            return false;
        };
        let left = self.left.get_or_insert_with(|| self.tokens.clone());
        // Each is looked at until it is done, and the first that is not ends the look.
        while left.last().is_some_and(|token| running.reactor.is_drained(*token)) {
            left.pop();
        }
        let left = left.len();
        if left == 0 || now_ns >= until_ns {
            let took_ms = now_ns.saturating_sub(self.since_ns) / 1_000_000;
            let drained = left == 0;
            log::info!(
                "listener {}: {} after {took_ms} ms (control socket)",
                self.listener,
                if drained { "drained" } else { "not drained" }
            );
            let listener = self.listener.clone();
            self.answer(Answer::Drained(Drained { listener, drained, addresses, left, took_ms }));
        }
        false
    }

    fn answer(&mut self, answer: Answer) {
        if let Some(reply) = self.reply.take() {
            reply.send(Ok(answer));
        }
    }
}
