//! Messages to the kernel. What it does not take waits in the listener's backlog, in order.

use super::backlog::BacklogLimits;
use super::delayed::Owned;
use super::errno::{OnSend, on_send};
use super::io::{Io, Message};
use super::limits::ReactorLimits;
use super::listener::Listener;
use super::machine::Core;
use crate::metrics::DropReason;
use crate::plugin::Output;
use arrayvec::ArrayVec;
use std::io::IoSlice;

/// Messages of one send call.
pub(super) const MAX_MESSAGES: usize = 64;

/// The sending half of the reactor, without the memory the messages lie in.
pub(super) struct Transmitter<'a, I> {
    pub(super) io: &'a mut I,
    pub(super) limits: &'a ReactorLimits,
    pub(super) backlog_bytes: &'a mut usize,
}

impl<I: Io> Transmitter<'_, I> {
    /// Sends datagrams in order; behind a backlog they queue up.
    pub(super) fn transmit(mut self, listener: &mut Listener<I::Socket>, datagrams: &[Output<'_>]) {
        if datagrams.is_empty() {
            return;
        }
        let rest = if listener.backlog.is_empty() { self.send(listener, datagrams) } else { datagrams };
        if rest.is_empty() {
            return;
        }
        let was_empty = listener.backlog.is_empty();
        let limits = backlog_limits(self.limits);
        for output in rest {
            if listener.backlog.push(Owned::copy(output, Vec::new()), &limits, self.backlog_bytes).is_err() {
                listener.counters.drop_one(DropReason::BacklogFull);
            }
        }
        if was_empty && !listener.backlog.is_empty() && !watch_writable(self.io, listener, true) {
            // Nobody would tell when there is room again.
            while listener.backlog.pop(self.backlog_bytes).is_some() {
                listener.counters.drop_one(DropReason::NoBuffers);
            }
        }
    }

    /// Returns what the socket has no room for.
    fn send<'o>(
        &mut self,
        listener: &mut Listener<I::Socket>,
        datagrams: &'o [Output<'o>],
    ) -> &'o [Output<'o>] {
        if listener.broken {
            listener.counters.drop_many(DropReason::SocketBroken, datagrams.len() as u64);
            return &[];
        }
        let parts: ArrayVec<[IoSlice<'_>; 1], MAX_MESSAGES> =
            datagrams.iter().take(MAX_MESSAGES).map(|o| [IoSlice::new(o.payload)]).collect();
        let messages: ArrayVec<Message<'_>, MAX_MESSAGES> = datagrams
            .iter()
            .zip(&parts)
            .map(|(o, parts)| Message { to: o.to, from: o.from, parts, segment: None, ecn: o.ecn })
            .collect();
        let sent = send_all(self.io, listener, &messages);
        datagrams.get(sent..).unwrap_or_default()
    }
}

impl<I: Io> Core<I> {
    /// Sends a delayed datagram and those of the same listener that are due with it. Returns how many.
    pub(super) fn send_due(&mut self, listener: &mut Listener<I::Socket>, first: Owned) -> usize {
        let mut due = ArrayVec::<Owned, MAX_MESSAGES>::new();
        due.push(first);
        while !due.is_full() {
            let Some((_, next)) = self.delayed.pop_due(self.now.mono_ns, Some(listener.token)) else { break };
            due.push(next);
        }
        let outputs: ArrayVec<Output<'_>, MAX_MESSAGES> = due.iter().map(as_output).collect();
        let Self { io, limits, backlog_bytes, .. } = self;
        Transmitter { io, limits, backlog_bytes }.transmit(listener, &outputs);
        drop(outputs);
        let n = due.len();
        listener.delayed = listener.delayed.saturating_sub(n as u64);
        for owned in due {
            self.delayed.recycle(owned);
        }
        self.close_if_broken(listener);
        n
    }

    /// The socket has room again.
    pub(super) fn flush_backlog(&mut self, listener: &mut Listener<I::Socket>) {
        while !listener.backlog.is_empty() {
            let taken = {
                let backlog = std::mem::take(&mut listener.backlog);
                let outputs: ArrayVec<Output<'_>, MAX_MESSAGES> =
                    backlog.iter().take(MAX_MESSAGES).map(as_output).collect();
                let Self { io, limits, backlog_bytes, .. } = self;
                let all = outputs.len();
                let left = Transmitter { io, limits, backlog_bytes }.send(listener, &outputs).len();
                drop(outputs);
                listener.backlog = backlog;
                all - left
            };
            for _ in 0..taken {
                listener.backlog.pop(&mut self.backlog_bytes);
            }
            if taken < MAX_MESSAGES && !listener.backlog.is_empty() {
                return;
            }
        }
        if listener.broken {
            self.close_if_broken(listener);
        } else {
            watch_writable(&mut self.io, listener, false);
        }
    }
}

fn as_output(owned: &Owned) -> Output<'_> {
    Output {
        rx: None,
        payload: &owned.payload,
        to: owned.to,
        from: owned.from,
        at_ns: 0,
        segment: 0,
        ecn: owned.ecn,
    }
}

fn backlog_limits(limits: &ReactorLimits) -> BacklogLimits {
    BacklogLimits {
        datagrams: limits.backlog_datagrams,
        bytes: limits.backlog_bytes,
        total_bytes: limits.backlog_total_bytes,
    }
}

/// Sends until the socket is full; a failing message costs itself only. Returns how many are done with.
fn send_all<I: Io>(io: &mut I, listener: &mut Listener<I::Socket>, messages: &[Message<'_>]) -> usize {
    let mut done = 0;
    while let Some(rest) = messages.get(done..).filter(|rest| !rest.is_empty()) {
        match io.send(&mut listener.socket, rest) {
            Ok(n) => {
                let left = rest.get(..n).unwrap_or(rest);
                listener.counters.sent += left.len() as u64;
                listener.counters.sent_bytes += left.iter().map(bytes).sum::<u64>();
                done += n.max(1);
            }
            Err(error) => match on_send(&error) {
                OnSend::Backlog => return done,
                OnSend::Drop(reason) => {
                    log::debug!("{listener}: to {}: {error}", rest.first().map_or(listener.local, |m| m.to));
                    listener.counters.drop_one(reason);
                    done += 1;
                }
                OnSend::Broken => {
                    log::error!("{listener}: the socket is unusable: {error}; the listener is closed");
                    // The handler stays until its answers are settled: some may lie in its memory.
                    listener.broken = true;
                    listener.counters.drop_many(DropReason::SocketBroken, rest.len() as u64);
                    return messages.len();
                }
            },
        }
    }
    done
}

fn bytes(message: &Message<'_>) -> u64 {
    message.parts.iter().map(|part| part.len() as u64).sum()
}

/// False when that is not possible.
fn watch_writable<I: Io>(io: &mut I, listener: &mut Listener<I::Socket>, on: bool) -> bool {
    let token = listener.token;
    match io.watch_writable(&mut listener.socket, token, on) {
        Ok(()) => true,
        Err(error) => {
            log::error!("{listener}: cannot be watched for room to send: {error}");
            false
        }
    }
}
