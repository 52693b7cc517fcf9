//! A thread that watches whether calls of plugins return: it names the one that does not, and ends a process that was asked to end
//! and cannot, because its reactor is in such a call.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use polyport_terminal::{Exit, Interrupt, Output, aside, end_at_once};

use crate::plugin::{Doing, Function};
use crate::reactor::Clock;

/// A call that runs for so long is a reason for others to act, ns: `/healthz` says so, and a supervisor may begin the daemon again. A second may
/// pass on a busy machine.
const UNHEALTHY_NS: u64 = 3_000_000_000;
/// How often the thread looks. Two looks a second cost nothing that can be measured, and name a call within half a second of
/// [`STUCK_NS`].
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A call that runs for so long is named, ns: a hundred times what is slow. Every listener has waited for a second.
const STUCK_NS: u64 = 1_000_000_000;
/// It is named again each time that so much more has passed, ns.
const AGAIN_NS: u64 = 10_000_000_000;
/// How long a call may run on when the process was asked to end, ns. With [`LOOK_EVERY`] and [`LAST_LINES`] the process is gone
/// within five seconds.
const END_AFTER_NS: u64 = 3_000_000_000;
/// How long `destroy` may run on then, ns: a handler may finish a file in it, and `listener` gives a pipe that is read ten seconds.
const DESTROY_ENDS_AFTER_NS: u64 = 20_000_000_000;
/// How long the process waits then for the reader of its last line.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Watches what one thread does, until it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    stuck: Stuck,
}

/// What the watchdog has seen last, for other threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Stuck(Arc<Mutex<Option<String>>>);

impl Stuck {
    /// A call that does not return, in words.
    pub(super) fn words(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, words: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }
}

impl Watchdog {
    /// Watches this thread from now on. `interrupt` tells whether the process was asked to end.
    ///
    /// # Errors
    /// Those of `pthread_create(3)`.
    pub(super) fn start(interrupt: Interrupt, output: Output) -> io::Result<Self> {
        let (doing, clock) = (Doing::of_this_thread(), Clock::new());
        let (stop, stopped) = mpsc::channel();
        let stuck = Stuck::default();
        let seen_by_others = stuck.clone();
        let thread = aside("watchdog", move || {
            let mut watch = Watch::default();
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let call = doing.call();
                let seen = call.map(|call| (call.number, call.function));
                let verdict = watch.look(clock.mono_ns(), seen, interrupt.is_set());
                let unhealthy = call.filter(|_| watch.runs_ns >= UNHEALTHY_NS);
                seen_by_others.set(unhealthy.map(|call| {
                    let (function, seconds) = (call.function.name(), watch.runs_ns / 1_000_000_000);
                    format!(
                        "{call}: {function} has not returned for {seconds} s; no listener is served meanwhile"
                    )
                }));
                let (Some(verdict), Some(call)) = (verdict, call) else { continue };
                let function = call.function.name();
                match verdict {
                    Verdict::Tell { seconds } => log::warn!(
                        "{call}: {function} has not returned for {seconds} s; no listener is served meanwhile"
                    ),
                    Verdict::End { seconds } => {
                        log::error!(
                            "{call}: {function} has not returned for {seconds} s, and the daemon was asked to end: it ends \
                             without its books"
                        );
                        output.settle(LAST_LINES);
                        end_at_once(Exit::Software);
                    }
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), stuck })
    }

    /// What it has seen last, for other threads.
    pub(super) fn stuck(&self) -> Stuck {
        self.stuck.clone()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that has panicked has said so.
        self.thread.take().map(JoinHandle::join).unwrap_or(Ok(())).unwrap_or(());
    }
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The call runs for so long, and it is time to say so.
    Tell { seconds: u64 },
    /// It runs for so long, and the process should have ended.
    End { seconds: u64 },
}

/// The call that ran at the last look.
#[derive(Debug, Default)]
struct Watch {
    /// When that was, monotonic ns.
    looked_ns: u64,
    number: Option<u64>,
    /// How long it runs, ns. Of the time between two looks no more counts than two looks take: a process that was stopped, and a
    /// machine that slept, are not the plugin's fault.
    runs_ns: u64,
    /// How long it has run since the process was asked to end, ns.
    overdue_ns: u64,
    /// It is named when it runs for so long, ns.
    tell_at_ns: u64,
}

impl Watch {
    /// Looks at the call that runs at `now_ns`; `asked` is whether the process was asked to end.
    fn look(&mut self, now_ns: u64, call: Option<(u64, Function)>, asked: bool) -> Option<Verdict> {
        let most_ns = u64::try_from(2 * LOOK_EVERY.as_nanos()).unwrap_or(u64::MAX);
        let passed_ns = now_ns.saturating_sub(self.looked_ns).min(most_ns);
        self.looked_ns = now_ns;
        let number = call.map(|(number, _)| number);
        if self.number != number {
            *self = Self { looked_ns: now_ns, number, tell_at_ns: STUCK_NS, ..Self::default() };
            return None;
        }
        let (_, function) = call?;
        self.runs_ns += passed_ns;
        self.overdue_ns = if asked { self.overdue_ns + passed_ns } else { 0 };
        let seconds = self.runs_ns / 1_000_000_000;
        let may_ns = if function == Function::Destroy { DESTROY_ENDS_AFTER_NS } else { END_AFTER_NS };
        if self.overdue_ns >= may_ns {
            return Some(Verdict::End { seconds });
        }
        (self.runs_ns >= self.tell_at_ns).then(|| {
            self.tell_at_ns += AGAIN_NS;
            Verdict::Tell { seconds }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: u64 = 500_000_000;
    const BATCH: Option<(u64, Function)> = Some((7, Function::OnBatch));

    /// What so many looks find, each half a second after the other, with the number of the look.
    fn looks(n: u64, at: impl Fn(u64) -> (Option<(u64, Function)>, bool)) -> Vec<(u64, Verdict)> {
        let mut watch = Watch::default();
        let look = |look: u64| {
            let (call, asked) = at(look);
            watch.look(look * LOOK, call, asked)
        };
        (1..=n)
            .zip((1..=n).map(look).collect::<Vec<_>>())
            .filter_map(|(n, found)| Some((n, found?)))
            .collect()
    }

    #[test]
    fn a_call_is_named_after_a_second_and_every_ten() {
        let tell = |look, seconds| (look, Verdict::Tell { seconds });
        assert_eq!(looks(50, |_| (BATCH, false)), [tell(3, 1), tell(23, 11), tell(43, 21)]);
    }

    #[test]
    fn calls_that_return_are_never_named_however_many_there_are() {
        assert_eq!(looks(100, |n| (Some((n, Function::OnBatch)), true)), []);
        assert_eq!(looks(100, |n| ((n % 2 == 0).then_some((7, Function::OnBatch)), true)), []);
    }

    #[test]
    fn who_was_asked_to_end_and_does_not_return_ends_within_five_seconds() {
        let found = looks(60, |n| (BATCH, n > 10));
        let end = found.iter().find(|(_, verdict)| matches!(verdict, Verdict::End { .. })).unwrap();
        let after = Duration::from_nanos((end.0 - 10) * LOOK) + LOOK_EVERY + LAST_LINES;
        assert!(after <= Duration::from_secs(5), "{after:?}");
        assert!(
            looks(60, |_| (BATCH, false)).iter().all(|(_, verdict)| matches!(verdict, Verdict::Tell { .. }))
        );
    }

    #[test]
    fn what_is_destroyed_may_take_longer() {
        let found = looks(60, |_| (Some((7, Function::Destroy)), true));
        let end = found.iter().find(|(_, verdict)| matches!(verdict, Verdict::End { .. })).unwrap();
        assert_eq!(end.0, 41);
    }

    #[test]
    fn a_process_that_was_stopped_has_not_worked_meanwhile() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(LOOK, BATCH, false), None);
        assert_eq!(watch.look(LOOK + 3_600_000_000_000, BATCH, false), Some(Verdict::Tell { seconds: 1 }));
    }
}
