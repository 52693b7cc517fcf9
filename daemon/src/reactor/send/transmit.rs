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
use crate::reactor::listener::{BacklogLimits, Listener};

/// What sending needs of the reactor. The messages lie in other parts of it, which stay borrowed meanwhile.
pub(crate) struct Transmitter<'a, I> {
    pub(crate) io: &'a mut I,
    pub(crate) limits: &'a Limits,
    /// Payload bytes of all backlogs.
    pub(crate) backlog_bytes: &'a mut usize,
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
    /// Sends outputs in order, at most [`MAX_OUTPUTS`]. If the listener has a backlog, they join it instead.
    pub(crate) fn transmit(&mut self, listener: &mut Listener<I::Socket>, outputs: &[Output<'_>]) {
        if outputs.is_empty() {
            return;
        }
        let done =
            if listener.backlog.is_empty() { self.send(listener, outputs) } else { Progress::default() };
        self.keep(listener, outputs, done);
    }

    /// Puts the outputs that the socket did not take into the backlog.
    fn keep(&mut self, listener: &mut Listener<I::Socket>, outputs: &[Output<'_>], done: Progress) {
        let rest = outputs.get(done.outputs..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let was_empty = listener.backlog.is_empty();
        let limits = backlog_limits(self.limits);
        for datagram in rest.iter().flat_map(Output::split).skip(done.datagrams) {
            let owned = OwnedOutput::copy(&datagram, Vec::new());
            if listener.backlog.push(owned, &limits, self.backlog_bytes).is_err() {
                listener.counters.drop_one(DropReason::BacklogFull);
            }
        }
        if was_empty && !listener.backlog.is_empty() && !listener.watch_for(self.io, Interest::READ_WRITE) {
            // No event would tell when the socket has room again.
            while listener.backlog.pop(self.backlog_bytes).is_some() {
                listener.counters.drop_one(DropReason::NoBuffers);
            }
        }
    }

    /// Sends one datagram as [`Self::transmit`] would, with less code to fetch.
    #[inline]
    pub(crate) fn transmit_one(&mut self, listener: &mut Listener<I::Socket>, output: &Output<'_>) {
        let outputs = std::slice::from_ref(output);
        if !listener.backlog.is_empty() {
            self.transmit(listener, outputs);
        } else if let Err(error) = self.send_piece(listener, output) {
            match failed(listener, self.now_ns, &error, outputs, 1) {
                Attempt::Full(_) => self.keep(listener, outputs, Progress::default()),
                Attempt::Broken => {
                    listener.counters.drop_one(DropReason::SocketBroken);
                    listener.broken = true;
                }
                Attempt::Settled | Attempt::Sent(_) => {}
            }
        }
    }

    /// Sends the delayed datagram `first`, and those of the same listener that are due next. Returns how many there
    /// were.
    pub(crate) fn transmit_due(
        &mut self,
        listener: &mut Listener<I::Socket>,
        delayed: &mut Delayed,
        first: OwnedOutput,
    ) -> usize {
        let mut due = ArrayVec::<OwnedOutput, MAX_OUTPUTS>::new();
        due.push(first);
        while !due.is_full() {
            let Some((_, next)) = delayed.pop_due(self.now_ns, Some(listener.token)) else { break };
            due.push(next);
        }
        let outputs: ArrayVec<Output<'_>, MAX_OUTPUTS> = due.iter().map(OwnedOutput::as_output).collect();
        self.transmit(listener, &outputs);
        drop(outputs);
        let n = due.len();
        listener.delayed = listener.delayed.saturating_sub(n as u64);
        for owned in due {
            delayed.recycle(owned);
        }
        n
    }

    /// Sends the backlog of a listener whose socket has room again, until the socket is full.
    pub(crate) fn flush_backlog(mut self, listener: &mut Listener<I::Socket>) {
        while !listener.backlog.is_empty() {
            let backlog = std::mem::take(&mut listener.backlog);
            let outputs: ArrayVec<Output<'_>, MAX_OUTPUTS> =
                backlog.iter().take(MAX_OUTPUTS).map(OwnedOutput::as_output).collect();
            let all = outputs.len();
            let done = self.send(listener, &outputs);
            drop(outputs);
            listener.backlog = backlog;
            // Each output of a backlog is one datagram, so outputs and datagrams of a run can be added.
            let taken = done.outputs + done.datagrams;
            for _ in 0..taken {
                listener.backlog.pop(self.backlog_bytes);
            }
            if taken < all {
                return;
            }
        }
        if !listener.broken {
            listener.watch_for(self.io, Interest::READ);
        }
    }

    /// Sends outputs until the socket is full. A message that fails for another reason is dropped alone.
    fn send(&mut self, listener: &mut Listener<I::Socket>, outputs: &[Output<'_>]) -> Progress {
        let mut parts = ArrayVec::<IoSlice<'_>, MAX_OUTPUTS>::new();
        outputs.iter().take(MAX_OUTPUTS).for_each(|o| parts.push(IoSlice::new(o.payload)));
        // The arrays are filled in place, here and below: a function that returned one would copy kilobytes.
        let mut runs = ArrayVec::<Run, MAX_OUTPUTS>::new();
        let mut at = 0;
        while let Some((rest, parts)) = outputs.get(at..).zip(parts.get(at..)).filter(|(r, _)| !r.is_empty())
        {
            let segments = self.now_ns >= listener.no_segments_until;
            plan(rest, segments, &mut runs);
            let attempt = match runs.first() {
                _ if listener.broken => Attempt::Broken,
                Some(run) if run.datagrams > 1 && !(segments && coalesce::fits(*run)) => {
                    self.send_pieces(listener, rest, *run)
                }
                _ => self.send_runs(listener, rest, parts, &runs),
            };
            let outputs_of = |n: usize| runs.iter().take(n).map(|run| run.outputs).sum::<usize>();
            match attempt {
                Attempt::Sent(n) => at += outputs_of(n),
                Attempt::Settled => at += outputs_of(1),
                Attempt::Full(datagrams) => return Progress { outputs: at, datagrams },
                Attempt::Broken => {
                    // The listener is closed later: answers that are not settled yet may lie in the handler's memory.
                    listener.broken = true;
                    let left = rest.iter().map(|o| o.datagrams() as u64).sum();
                    listener.counters.drop_many(DropReason::SocketBroken, left);
                    return Progress { outputs: outputs.len(), datagrams: 0 };
                }
            }
        }
        Progress { outputs: outputs.len(), datagrams: 0 }
    }

    /// Sends `runs`, with which `outputs` begin, by one call.
    fn send_runs(
        &mut self,
        listener: &mut Listener<I::Socket>,
        outputs: &[Output<'_>],
        parts: &[IoSlice<'_>],
        runs: &[Run],
    ) -> Attempt {
        let mut messages = ArrayVec::<Message<'_>, MAX_OUTPUTS>::new();
        coalesce::messages(outputs, parts, runs, &mut messages);
        match self.io.send(&mut listener.socket, &messages) {
            Ok(n) => {
                let n = n.max(1);
                listener.counters.sent += runs.iter().take(n).map(|run| run.datagrams as u64).sum::<u64>();
                listener.counters.sent_bytes += messages.iter().take(n).map(bytes).sum::<u64>();
                Attempt::Sent(n)
            }
            Err(error) => {
                let run = runs.first().copied().unwrap_or(Run { outputs: 1, datagrams: 1, segment: 0 });
                if run.datagrams > 1 && refuses_segments(&error) {
                    listener.counters.segments_refused += 1;
                    if error.raw_os_error() == Some(libc::EIO) {
                        log::warn!(
                            "{listener}: the device does not send segmented messages; trying again in a minute"
                        );
                        listener.no_segments_until = self.now_ns.saturating_add(SEGMENTS_OFF_NS);
                    }
                    return self.send_pieces(listener, outputs, run);
                }
                failed(listener, self.now_ns, &error, outputs, run.datagrams)
            }
        }
    }

    /// Sends the datagrams of a run one by one, where the socket or their size does not allow a segmented message.
    fn send_pieces(
        &mut self,
        listener: &mut Listener<I::Socket>,
        outputs: &[Output<'_>],
        run: Run,
    ) -> Attempt {
        let pieces = outputs.iter().take(run.outputs).flat_map(Output::split);
        for (done, piece) in pieces.enumerate() {
            match self.send_piece(listener, &piece) {
                Ok(()) => {}
                Err(error) => match failed(listener, self.now_ns, &error, std::slice::from_ref(&piece), 1) {
                    Attempt::Full(_) => return Attempt::Full(done),
                    Attempt::Broken => {
                        // Only the rest of this run is counted here. The caller counts the outputs behind it.
                        let left = (run.datagrams - done) as u64;
                        listener.counters.drop_many(DropReason::SocketBroken, left);
                        listener.broken = true;
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
    fn send_piece(&mut self, listener: &mut Listener<I::Socket>, piece: &Output<'_>) -> std::io::Result<()> {
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
        self.io.send(&mut listener.socket, std::slice::from_ref(&message))?;
        listener.counters.sent += 1;
        listener.counters.sent_bytes += piece.payload.len() as u64;
        Ok(())
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

/// Decides what follows from the `error` of a send, and counts the first `datagrams` of `outputs` if they are dropped.
fn failed<S>(
    listener: &mut Listener<S>,
    now_ns: u64,
    error: &std::io::Error,
    outputs: &[Output<'_>],
    datagrams: usize,
) -> Attempt {
    match on_send(error) {
        OnSend::Backlog => Attempt::Full(0),
        OnSend::Drop(reason) => {
            if log::log_enabled!(log::Level::Debug) {
                say_failed(listener, now_ns, reason, error, outputs);
            }
            listener.counters.drop_many(reason, datagrams as u64);
            Attempt::Settled
        }
        OnSend::Broken => {
            log::error!("{listener}: the socket is unusable: {error}; the listener is closed");
            Attempt::Broken
        }
    }
}

/// Logs a failed send, once a second for each reason: peers decide how many there are.
#[cold]
fn say_failed<S>(
    listener: &mut Listener<S>,
    now_ns: u64,
    reason: DropReason,
    error: &std::io::Error,
    outputs: &[Output<'_>],
) {
    let Some(more) = listener.failures.get_or_insert_default().note(reason, now_ns) else { return };
    let to = outputs.first().map_or(listener.local, |output| output.to);
    let more = if more > 0 { format!("; {more} more since the last such line") } else { String::new() };
    log::debug!("{listener}: to {to}: {error}{more}");
}

fn backlog_limits(limits: &Limits) -> BacklogLimits {
    BacklogLimits {
        datagrams: limits.backlog_datagrams,
        bytes: limits.backlog_bytes,
        total_bytes: limits.backlog_total_bytes,
    }
}

/// Payload bytes of a message.
fn bytes(message: &Message<'_>) -> u64 {
    message.parts.iter().map(|part| part.len() as u64).sum()
}
