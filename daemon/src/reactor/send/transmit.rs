//! Sends messages to the kernel. What the socket does not take waits in the listener's backlog, in order.

use std::io::IoSlice;
use std::num::NonZeroU8;

use arrayvec::ArrayVec;

use super::coalesce::{self, MAX_OUTPUTS, Run};
use crate::exchange::{Output, OwnedOutput};
use crate::limits::{Limits, SEGMENTS_OFF_NS};
use crate::metrics::DropReason;
use crate::reactor::due::Delayed;
use crate::reactor::errno::{OnSend, on_send, refuses_segments};
use crate::reactor::io::{Interest, Io, Message};
use crate::reactor::listener::Listener;
use crate::reactor::send::outlet::Outlet;
use crate::reactor::tap::Taps;

/// What sending needs of the reactor. The messages lie in other parts of it, which stay borrowed meanwhile.
pub(crate) struct Transmitter<'a, I> {
    pub(crate) io: &'a mut I,
    pub(crate) limits: &'a Limits,
    /// Payload bytes of all backlogs.
    pub(crate) backlog_bytes: &'a mut usize,
    /// Who sees what leaves.
    pub(crate) taps: &'a mut Taps,
    /// The time of the turn, monotonic ns.
    pub(crate) now_ns: u64,
}

/// How far sending came before the socket was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Outputs that were sent or dropped.
    outputs: usize,
    /// Datagrams of the next outputs that were sent or dropped.
    datagrams: usize,
}

/// How one attempt to send ended.
enum Attempt {
    /// The first so many runs have left.
    Sent(usize),
    /// The first run was dropped, or its datagrams were sent or dropped one by one.
    Settled,
    /// The socket is full. So many datagrams of the first run were sent or dropped.
    Full(usize),
    /// The socket is unusable.
    Broken,
}

impl<I: Io> Transmitter<'_, I> {
    /// Sends outputs in order, at most [`MAX_OUTPUTS`]. If the outlet has a backlog, they join it instead.
    pub(crate) fn transmit(&mut self, outlet: &mut impl Outlet<I>, outputs: &[Output<'_>]) {
        if outputs.is_empty() {
            return;
        }
        let done = if outlet.backlog().is_empty() { self.send(outlet, outputs) } else { Progress::default() };
        self.keep(outlet, outputs, done);
    }

    /// Puts the outputs that the socket did not take into the backlog.
    fn keep(&mut self, outlet: &mut impl Outlet<I>, outputs: &[Output<'_>], done: Progress) {
        let rest = outputs.get(done.outputs..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let was_empty = outlet.backlog().is_empty();
        let limits = outlet.backlog_limits(self.limits);
        for datagram in rest.iter().flat_map(Output::split).skip(done.datagrams) {
            let owned = OwnedOutput::copy(&datagram, Vec::new());
            if outlet.backlog().push(owned, &limits, self.backlog_bytes).is_err() {
                outlet.note_dropped(DropReason::BacklogFull, 1);
                self.show_dropped(outlet, std::slice::from_ref(&datagram), DropReason::BacklogFull);
            }
        }
        if was_empty && !outlet.backlog().is_empty() && !outlet.watch_for(self.io, Interest::READ_WRITE) {
            // No event would tell when the socket has room again.
            while outlet.backlog().pop(self.backlog_bytes).is_some() {
                outlet.note_dropped(DropReason::NoBuffers, 1);
                self.taps.missed(outlet.tapped(), 1);
            }
        }
    }

    /// Sends one datagram as [`Self::transmit`] would, with less code to fetch.
    #[inline]
    pub(crate) fn transmit_one(&mut self, outlet: &mut impl Outlet<I>, output: &Output<'_>) {
        let outputs = std::slice::from_ref(output);
        if !outlet.backlog().is_empty() {
            self.transmit(outlet, outputs);
        } else if let Err(error) = self.send_piece(outlet, output) {
            match self.failed(outlet, &error, outputs, 1) {
                Attempt::Full(_) => self.keep(outlet, outputs, Progress::default()),
                Attempt::Broken => {
                    outlet.note_dropped(DropReason::SocketBroken, 1);
                    self.show_dropped(outlet, outputs, DropReason::SocketBroken);
                    outlet.break_down();
                }
                Attempt::Settled | Attempt::Sent(_) => {}
            }
        }
    }

    /// Sends the delayed datagrams of a listener that are due, as many as one call takes. Returns how many there were.
    pub(crate) fn transmit_due(
        &mut self,
        listener: &mut Listener<I::Socket>,
        delayed: &mut Delayed,
    ) -> usize {
        let due: ArrayVec<Output<'_>, MAX_OUTPUTS> =
            delayed.due_of(listener.token, self.now_ns).take(MAX_OUTPUTS).collect();
        self.transmit(listener, &due);
        let n = due.len();
        listener.delayed = listener.delayed.saturating_sub(n as u64);
        drop(due);
        delayed.forget(listener.token, n);
        n
    }

    /// Sends the backlog of an outlet whose socket has room again, until the socket is full.
    pub(crate) fn flush_backlog(mut self, outlet: &mut impl Outlet<I>) {
        while !outlet.backlog().is_empty() {
            let backlog = std::mem::take(outlet.backlog());
            let outputs: ArrayVec<Output<'_>, MAX_OUTPUTS> =
                backlog.iter().take(MAX_OUTPUTS).map(OwnedOutput::as_output).collect();
            let all = outputs.len();
            let done = self.send(outlet, &outputs);
            drop(outputs);
            *outlet.backlog() = backlog;
            // Each output of a backlog is one datagram, so outputs and datagrams of a run can be added.
            let taken = done.outputs + done.datagrams;
            for _ in 0..taken {
                outlet.backlog().pop(self.backlog_bytes);
            }
            if taken < all {
                return;
            }
        }
        if !outlet.is_broken() {
            outlet.watch_for(self.io, Interest::READ);
        }
    }

    /// Sends outputs until the socket is full. A message that fails for another reason is dropped alone.
    fn send(&mut self, outlet: &mut impl Outlet<I>, outputs: &[Output<'_>]) -> Progress {
        let mut parts = ArrayVec::<IoSlice<'_>, MAX_OUTPUTS>::new();
        outputs.iter().take(MAX_OUTPUTS).for_each(|o| parts.push(IoSlice::new(o.payload)));
        // The arrays are filled in place, here and below: a function that returned one would copy kilobytes.
        let mut runs = ArrayVec::<Run, MAX_OUTPUTS>::new();
        let mut at = 0;
        while let Some((rest, parts)) = outputs.get(at..).zip(parts.get(at..)).filter(|(r, _)| !r.is_empty())
        {
            let segments = self.now_ns >= *outlet.no_segments_until();
            plan(rest, segments, &mut runs);
            let attempt = match runs.first() {
                _ if outlet.is_broken() => Attempt::Broken,
                Some(run) if run.datagrams > 1 && !(segments && coalesce::fits(*run)) => {
                    self.send_pieces(outlet, rest, *run)
                }
                _ => self.send_runs(outlet, rest, parts, &runs),
            };
            let outputs_of = |n: usize| runs.iter().take(n).map(|run| run.outputs).sum::<usize>();
            match attempt {
                Attempt::Sent(n) => at += outputs_of(n),
                Attempt::Settled => at += outputs_of(1),
                Attempt::Full(datagrams) => return Progress { outputs: at, datagrams },
                Attempt::Broken => {
                    // The listener is closed later: answers that are not settled yet may lie in the handler's memory.
                    outlet.break_down();
                    let left = rest.iter().map(|o| o.datagrams() as u64).sum();
                    outlet.note_dropped(DropReason::SocketBroken, left);
                    self.show_dropped(outlet, rest, DropReason::SocketBroken);
                    return Progress { outputs: outputs.len(), datagrams: 0 };
                }
            }
        }
        Progress { outputs: outputs.len(), datagrams: 0 }
    }

    /// Sends `runs`, with which `outputs` begin, by one call.
    fn send_runs(
        &mut self,
        outlet: &mut impl Outlet<I>,
        outputs: &[Output<'_>],
        parts: &[IoSlice<'_>],
        runs: &[Run],
    ) -> Attempt {
        let mut messages = ArrayVec::<Message<'_>, MAX_OUTPUTS>::new();
        coalesce::messages(outputs, parts, runs, &mut messages);
        match outlet.send(self.io, &messages) {
            Ok(n) => {
                let n = n.max(1);
                let datagrams = runs.iter().take(n).map(|run| run.datagrams as u64).sum();
                outlet.note_sent(datagrams, messages.iter().take(n).map(bytes).sum());
                if outlet.tapped() != 0 {
                    let left = runs.iter().take(n).map(|run| run.outputs).sum();
                    self.show_sent(outlet, outputs.get(..left).unwrap_or(outputs));
                }
                Attempt::Sent(n)
            }
            Err(error) => {
                let run = runs.first().copied().unwrap_or(Run { outputs: 1, datagrams: 1, segment: 0 });
                if run.datagrams > 1 && refuses_segments(&error) {
                    outlet.note_segments_refused();
                    if error.raw_os_error() == Some(libc::EIO) {
                        log::warn!(
                            "{outlet}: the device does not send segmented messages; trying again in a minute"
                        );
                        *outlet.no_segments_until() = self.now_ns.saturating_add(SEGMENTS_OFF_NS);
                    }
                    return self.send_pieces(outlet, outputs, run);
                }
                self.failed(outlet, &error, outputs, run.datagrams)
            }
        }
    }

    /// Sends the datagrams of a run one by one, where the socket or their size does not allow a segmented message.
    fn send_pieces(&mut self, outlet: &mut impl Outlet<I>, outputs: &[Output<'_>], run: Run) -> Attempt {
        let pieces = outputs.iter().take(run.outputs).flat_map(Output::split);
        for (done, piece) in pieces.enumerate() {
            match self.send_piece(outlet, &piece) {
                Ok(()) => {}
                Err(error) => match self.failed(outlet, &error, std::slice::from_ref(&piece), 1) {
                    Attempt::Full(_) => return Attempt::Full(done),
                    Attempt::Broken => {
                        // Only the rest of this run is counted here. The caller counts the outputs behind it.
                        let left = (run.datagrams - done) as u64;
                        outlet.note_dropped(DropReason::SocketBroken, left);
                        self.taps.missed(outlet.tapped(), left);
                        outlet.break_down();
                        return Attempt::Settled;
                    }
                    Attempt::Settled | Attempt::Sent(_) => {}
                },
            }
        }
        Attempt::Settled
    }

    /// Sends one datagram, and counts it if it has left.
    #[inline]
    fn send_piece(&mut self, outlet: &mut impl Outlet<I>, piece: &Output<'_>) -> std::io::Result<()> {
        let parts = [IoSlice::new(piece.payload)];
        let message = Message {
            to: &piece.to,
            from: piece.from.as_ref(),
            parts: &parts,
            segment: None,
            tos: piece.tos,
            hop_limit: NonZeroU8::new(piece.hop_limit),
            df: piece.df,
        };
        outlet.send(self.io, std::slice::from_ref(&message))?;
        outlet.note_sent(1, piece.payload.len() as u64);
        if outlet.tapped() != 0 {
            self.show_sent(outlet, std::slice::from_ref(piece));
        }
        Ok(())
    }

    /// Decides what follows from the `error` of a send, and counts the first `datagrams` of `outputs` if they are dropped.
    fn failed(
        &mut self,
        outlet: &mut impl Outlet<I>,
        error: &std::io::Error,
        outputs: &[Output<'_>],
        datagrams: usize,
    ) -> Attempt {
        match on_send(error) {
            OnSend::Backlog => Attempt::Full(0),
            OnSend::Drop(reason) => {
                if log::log_enabled!(log::Level::Debug) {
                    say_failed(outlet, self.now_ns, reason, error, outputs);
                }
                outlet.note_dropped(reason, datagrams as u64);
                if outlet.tapped() != 0 {
                    let mut left = datagrams;
                    let of_them = outputs.iter().take_while(|output| {
                        let is_one = left > 0;
                        left = left.saturating_sub(output.datagrams());
                        is_one
                    });
                    self.show_dropped(outlet, outputs.get(..of_them.count()).unwrap_or(outputs), reason);
                }
                Attempt::Settled
            }
            OnSend::Broken => {
                log::error!("{outlet}: the socket is unusable: {error}; {}", outlet.what_ends());
                Attempt::Broken
            }
        }
    }

    /// Shows taps what has left.
    #[cold]
    fn show_sent(&mut self, outlet: &impl Outlet<I>, outputs: &[Output<'_>]) {
        let now = self.io.now();
        outputs.iter().for_each(|output| self.taps.sent(outlet.place(), output, now));
    }

    /// Shows taps what goes nowhere.
    #[cold]
    pub(crate) fn show_dropped(
        &mut self,
        outlet: &impl Outlet<I>,
        outputs: &[Output<'_>],
        reason: DropReason,
    ) {
        if outlet.tapped() != 0 {
            let now = self.io.now();
            outputs.iter().for_each(|output| self.taps.dropped(outlet.place(), output, now, reason));
        }
    }
}

/// Fills `runs` with those that `outputs` begin with and one call can send. The first run is there even if no call can
/// send it; then it is the only one.
fn plan(outputs: &[Output<'_>], segments: bool, runs: &mut ArrayVec<Run, MAX_OUTPUTS>) {
    runs.clear();
    let mut rest = outputs;
    while !rest.is_empty() && !runs.is_full() {
        let run = match rest.first() {
            Some(first) if !segments && first.segment == 0 => Run { outputs: 1, datagrams: 1, segment: 0 },
            _ => coalesce::head(rest),
        };
        let sendable = run.datagrams == 1 || (segments && coalesce::fits(run));
        if !sendable && !runs.is_empty() {
            break;
        }
        runs.push(run);
        if !sendable {
            break;
        }
        rest = rest.get(run.outputs..).unwrap_or_default();
    }
}

/// Logs a failed send, once a second for each reason: peers decide how many there are.
#[cold]
fn say_failed<I: Io>(
    outlet: &mut impl Outlet<I>,
    now_ns: u64,
    reason: DropReason,
    error: &std::io::Error,
    outputs: &[Output<'_>],
) {
    let Some(more) = outlet.failures().note(reason, now_ns) else { return };
    let to = outputs.first().map_or_else(|| outlet.peer(), |output| output.to);
    let more = if more > 0 { format!("; {more} more since the last such line") } else { String::new() };
    log::debug!("{outlet}: to {to}: {error}{more}");
}

/// Payload bytes of a message.
fn bytes(message: &Message<'_>) -> u64 {
    message.parts.iter().map(|part| part.len() as u64).sum()
}
