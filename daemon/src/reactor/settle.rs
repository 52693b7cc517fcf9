//! Settling a handler call: every received datagram gets an outcome, and every queued datagram is sent, delayed, or
//! dropped with a reason.
//!
//! There are two ways to settle, one of them a shortcut for the most frequent case. Both ask [`may_leave`], the only
//! place that asks the guard.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use polyport_terminal::{Quoted, counted};

use super::bundle::Aside;
use super::core::Core;
use super::due::Delayed;
use super::io::Io;
use super::listener::Listener;
use super::send::{MAX_OUTPUTS, Outlet, Transmitter};
use super::till::Till;
use crate::exchange::{Answers, Exchange, Output, OutputError, Outputs, Queued};
use crate::guard::{self, OwnAddresses};
use crate::metrics::{Counters, DropReason};
use crate::reply::ReplyPolicy;
use crate::tap::Verdict;

impl<I: Io> Core<I> {
    /// Sends, delays or drops the datagrams the handler queued, and counts an outcome for each it was shown.
    #[inline]
    pub(super) fn settle(&mut self, listener: &mut Listener<I::Socket>) {
        self.settle_call(listener, false);
    }

    /// Settles a call that has taken tickets or used them.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_tickets(&mut self, listener: &mut Listener<I::Socket>) {
        self.settle_call(listener, true);
        listener.note_tickets(self.exchange.end_tickets(), self.exchange.limits().tickets);
    }

    #[inline(always)]
    fn settle_call(&mut self, listener: &mut Listener<I::Socket>, tickets: bool) {
        let traced = log::log_enabled!(target: "polyport::datagram", log::Level::Trace);
        let now_ns = self.now.mono_ns;
        let Self {
            io,
            exchange,
            delayed,
            limits,
            shortcuts,
            backlog_bytes,
            own,
            budgets,
            bundles,
            errands,
            taps,
            ..
        } = self;
        let transmitter = Transmitter { io, limits, backlog_bytes, taps, now_ns };
        let mut till = Till::open(listener, budgets, exchange, now_ns, tickets);
        let exchange = till.exchange();
        let queued = match exchange.queued() {
            Queued::One(output) if shortcuts.one && !traced && listener.tapped == 0 => Queued::One(output),
            Queued::One(_) => Queued::Mixed(exchange.outputs()),
            mixed @ Queued::Mixed(_) => mixed,
        };
        match queued {
            Queued::One(mut output) => settle_one(listener, own, &mut till, transmitter, &mut output),
            Queued::Mixed(outputs) => {
                let mut refusals = traced.then(Vec::new);
                let aside = Aside { delayed, bundles, errands };
                let replied =
                    settle_mixed(listener, own, &mut till, transmitter, aside, outputs, refusals.as_mut());
                account(&mut listener.counters, exchange, &replied);
                if listener.tapped != 0 {
                    taps.missed(listener.tapped, u64::from(exchange.refused()));
                    taps.settle(exchange.datagrams(), |rx| verdict(exchange, &replied, rx));
                }
                if let Some(refusals) = refusals {
                    trace(&listener.name, listener.local, exchange, &refusals);
                }
            }
        }
        till.close(listener);
    }
}

/// Asks the guard whether a datagram may leave. Counts it as queued, and as dropped if the guard refuses; the error is
/// the reason. Every datagram that leaves because of a handler passes here, once: what is delayed or waits for room is
/// not asked for again, and may go to a listener that was added since; the answer to it is refused then. The budget
/// counts it now as well, together with the datagram it answers, unless that came with no hop to spare.
#[inline]
pub(super) fn may_leave<S>(
    listener: &mut Listener<S>,
    own: &OwnAddresses,
    till: &mut Till<'_>,
    output: &mut Output<'_>,
) -> Result<(), DropReason> {
    let datagrams = output.datagrams() as u64;
    listener.counters.queued += datagrams;
    let departure = guard::Departure {
        local: listener.local,
        to: output.to,
        from: output.from.map(|source| source.ip),
        answers_group: output.answers_group,
    };
    guard::depart(own, &listener.reply, &departure)
        .and_then(|()| decayed(listener.farthest, output))
        .and_then(|hop_limit| {
            output.hop_limit = hop_limit;
            till.pay(listener, own, output)
        })
        .inspect_err(|reason| refuse(listener, output, *reason, datagrams))
}

/// TTL or hop limit that an output leaves with; 0 leaves it to the system.
#[inline]
fn decayed(farthest: u8, output: &Output<'_>) -> Result<u8, DropReason> {
    if farthest > 0 && (output.answers.count > 0 || output.ticket > 0) {
        guard::decay(output.asked_with, farthest)
    } else {
        Ok(0)
    }
}

/// Counts datagrams that the guard refused, and logs the first of each kind, if a policy was the reason.
#[cold]
fn refuse<S>(listener: &mut Listener<S>, output: &Output<'_>, reason: DropReason, datagrams: u64) {
    if listener.counters.dropped(reason) == 0
        && let Some(advice) = advice(reason, output.to.port(), &listener.reply)
    {
        let to = output.to;
        log::warn!("{listener}: nothing is sent to {to}: {reason}; {advice}; this is logged once");
    }
    listener.counters.drop_many(reason, datagrams);
}

/// How what a policy refused can be allowed; none for the other reasons.
fn advice(reason: DropReason, port: u16, policy: &ReplyPolicy) -> Option<String> {
    let advice = if reason == DropReason::OwnListener {
        "no setting allows it".to_owned()
    } else if reason == DropReason::Group {
        "`reply.groups = true` allows it".to_owned()
    } else if reason == DropReason::SamePort {
        "`reply.same_port = true` allows it".to_owned()
    } else if reason == DropReason::LoopPort {
        format!("`reply.ports = [{port}]` allows it")
    } else if reason == DropReason::TtlExpired {
        "`reply.ttl = \"system\"` allows it".to_owned()
    } else if reason == DropReason::Amplification {
        let budget = policy.budget?;
        let factor = f64::from(budget.amplification_milli) / 1000.0;
        format!("`reply.amplification` is {factor}, and `reply.budget = \"off\"` allows it")
    } else if reason == DropReason::RateLimited {
        format!("`reply.rate` is \"{}/s\"", policy.budget?.rate?)
    } else {
        return None;
    };
    Some(advice)
}

/// Settles a single answer to a single datagram, which most visits of a sparse listener end in. There the time goes
/// into fetching code, so this way has little of it.
#[inline]
fn settle_one<I: Io>(
    listener: &mut Listener<I::Socket>,
    own: &OwnAddresses,
    till: &mut Till<'_>,
    mut transmitter: Transmitter<'_, I>,
    output: &mut Output<'_>,
) {
    listener.counters.replied += 1;
    if may_leave(listener, own, till, output).is_ok() {
        transmitter.transmit_one(listener, output);
    }
}

/// Datagrams of an output that are not sent, for the trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    /// Number of the output among those of the call.
    number: usize,
    /// Which of its datagrams; none for all of them.
    part: Option<usize>,
    reason: DropReason,
}

/// Settles anything a handler can queue. Returns which datagrams it answers, and notes in `refusals` what is not sent.
#[inline(never)]
fn settle_mixed<'outputs, I: Io>(
    listener: &mut Listener<I::Socket>,
    own: &OwnAddresses,
    till: &mut Till<'_>,
    mut transmitter: Transmitter<'_, I>,
    mut aside: Aside<'_>,
    outputs: Outputs<'outputs>,
    mut refusals: Option<&mut Vec<Refusal>>,
) -> Marks {
    let by_one = Till::asks_for_each(listener);
    let mut replied = Marks::default();
    let mut since_ns = None;
    let mut batch = ArrayVec::<Output<'outputs>, MAX_OUTPUTS>::new();
    for (number, output) in outputs.enumerate() {
        let mut note = |part, reason| {
            if let Some(refusals) = &mut refusals {
                refusals.push(Refusal { number, part, reason });
            }
        };
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                note(None, bad_output(listener, error));
                transmitter.taps.missed(listener.tapped, 1);
                continue;
            }
        };
        replied.set(output.answers);
        if output.address != Output::HERE {
            let later = later(&output, transmitter.now_ns, || since_turn(listener, &mut transmitter));
            match aside.takes(listener, &later) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    note(None, bad_output(listener, error));
                    transmitter.taps.missed(listener.tapped, 1);
                    continue;
                }
            }
        }
        let mut leave = |part: Option<usize>, mut output: Output<'outputs>| {
            if let Err(reason) = may_leave(listener, own, till, &mut output) {
                note(part, reason);
                transmitter.show_dropped(listener, std::slice::from_ref(&output), reason);
                return;
            }
            if output.at_ns > transmitter.now_ns {
                let since_ns = *since_ns.get_or_insert_with(|| since_turn(listener, &mut transmitter));
                if output.answers.count > 0 {
                    output.at_ns = output.at_ns.saturating_add(since_ns);
                }
                let missing = |at| note(part.or(Some(at)), DropReason::DelayFull);
                let now_ns = transmitter.now_ns;
                let refused = delay(listener, aside.delayed, &output, now_ns, missing);
                if listener.tapped != 0 {
                    show_delayed(listener, &mut transmitter, &output, (part, refused));
                }
                return;
            }
            if batch.is_full() {
                transmitter.transmit(listener, &batch);
                batch.clear();
            }
            batch.push(output);
        };
        // Where replies are counted, a train leaves as far as the rate allows.
        if by_one {
            output.split().enumerate().for_each(|(part, output)| leave(Some(part), output));
        } else {
            leave(None, output);
        }
    }
    transmitter.transmit(listener, &batch);
    replied
}

/// How old the time is that a call was told, ns, if it was that of the turn: what the call answers may have arrived so much
/// later, and a delay counts from then. From the first datagram on that it delays, a handler is told the time after the receive
/// call, and what room its listener has left.
pub(super) fn since_turn<I: Io>(
    listener: &mut Listener<I::Socket>,
    transmitter: &mut Transmitter<'_, I>,
) -> u64 {
    if listener.marks.note_delay() {
        return 0;
    }
    transmitter.io.now().mono_ns.saturating_sub(transmitter.now_ns)
}

/// An output that another address will send: if it answers something later, not before its time has passed since that arrived.
#[cold]
pub(super) fn later<'a>(output: &Output<'a>, now_ns: u64, since_ns: impl FnOnce() -> u64) -> Output<'a> {
    let counts = output.at_ns > now_ns && output.answers.count > 0;
    let at_ns = if counts { output.at_ns.saturating_add(since_ns()) } else { output.at_ns };
    Output { at_ns, ..*output }
}

/// Queues the datagrams of an output for later, or drops those that exceed the share of the listener, and says which.
/// Returns how many those are.
pub(super) fn delay<S>(
    listener: &mut Listener<S>,
    delayed: &mut Delayed,
    output: &Output<'_>,
    now_ns: u64,
    mut missing: impl FnMut(usize),
) -> usize {
    let mut refused = 0;
    for (at, datagram) in output.split().enumerate() {
        listener.delayed += 1;
        if !delayed.push(listener.token, &datagram, now_ns) {
            listener.drop_delayed(1);
            missing(at);
            refused += 1;
        }
    }
    refused
}

/// Shows taps an output that leaves later, all but the last `refused` datagrams of it, which found no room. It may be a `part` of
/// another.
#[cold]
pub(super) fn show_delayed<I: Io>(
    outlet: &impl Outlet<I>,
    transmitter: &mut Transmitter<'_, I>,
    output: &Output<'_>,
    (part, refused): (Option<usize>, usize),
) {
    let kept = output.datagrams().saturating_sub(refused);
    for (piece, datagram) in output.split().enumerate() {
        if piece < kept {
            transmitter.taps.delayed(output, part.unwrap_or(piece), transmitter.now_ns);
        } else {
            transmitter.show_dropped(outlet, std::slice::from_ref(&datagram), DropReason::DelayFull);
        }
    }
}

/// What became of a datagram that the handler was shown.
pub(super) fn verdict(exchange: &Exchange, replied: &Marks, rx: usize) -> Verdict {
    if replied.is_set(rx) {
        Verdict::Replied
    } else if exchange.discarded(rx) {
        Verdict::Dropped(DropReason::OnPurpose.name())
    } else {
        Verdict::Consumed
    }
}

/// Counts the outcome of every datagram that was received, and the datagrams the handler found no room for (invariant
/// I1).
pub(super) fn account(counters: &mut Counters, exchange: &Exchange, replied: &Marks) {
    let refused = u64::from(exchange.refused());
    counters.queued += refused;
    counters.drop_many(DropReason::NoRoom, refused);
    let total = exchange.datagrams() as u64;
    let answered = replied.count(exchange.datagrams());
    counters.replied += answered;
    if answered == total {
        return;
    }
    let silent = (0..exchange.datagrams()).filter(|&rx| !replied.is_set(rx));
    let discarded = silent.filter(|&rx| exchange.discarded(rx)).count() as u64;
    counters.drop_many(DropReason::OnPurpose, discarded);
    counters.consumed += total - answered - discarded;
}

/// Counts an invalid entry as queued and dropped, and logs the first of each kind. Returns the reason.
pub(super) fn bad_output<S>(listener: &mut Listener<S>, error: OutputError) -> DropReason {
    let reason = match error {
        OutputError::Bad => DropReason::BadTx,
        OutputError::TooLong => DropReason::ReplyTooLong,
        OutputError::NoDestination => DropReason::NoDestination,
    };
    listener.counters.queued += 1;
    if listener.counters.dropped(reason) == 0 {
        log::error!("{listener}: the handler queued an invalid datagram: {reason}; this is logged once");
    }
    listener.counters.drop_one(reason);
    reason
}

/// Logs a line for each received datagram: who sent it, its bytes, and its outcome. What the kernel refuses later is not
/// known yet.
pub(super) fn trace(name: &str, local: SocketAddr, exchange: &Exchange, refusals: &[Refusal]) {
    for rx in 0..exchange.datagrams() {
        let Some(peer) = exchange.peer(rx) else { continue };
        let payload = exchange.payload(rx);
        let shown = payload.get(..TRACE_BYTES).unwrap_or(payload);
        let answers = |o: &Output<'_>| (o.answers.first..o.answers.first + o.answers.count).contains(&rx);
        let own = || {
            let outputs =
                exchange.outputs().enumerate().filter_map(|(number, output)| Some((number, output.ok()?)));
            outputs.filter(|(_, output)| answers(output))
        };
        // An output that answers several datagrams is one reply to each of them, with an equal share of the bytes.
        let refusals_of = |number: usize, o: &Output<'_>| {
            let part = (o.answers.count > 1).then(|| rx - o.answers.first);
            refusals.iter().filter(move |refusal| {
                refusal.number == number
                    && refusal.part.is_none_or(|refused| part.is_none_or(|part| refused == part))
            })
        };
        let mut replies = own().flat_map(|(number, o)| {
            let n = if o.answers.count > 1 { 1 } else { o.datagrams() };
            let whole = refusals_of(number, &o).any(|refusal| refusal.part.is_none());
            let refused = if whole { n } else { refusals_of(number, &o).count() };
            let bytes = o.payload.len().checked_div(o.answers.count).unwrap_or(0);
            std::iter::repeat_n((o.to, bytes), n.saturating_sub(refused))
        });
        let refused = own().find_map(|(number, o)| refusals_of(number, &o).next());
        let verdict = match (replies.next(), replies.count()) {
            (Some((to, bytes)), 0) if to == peer => format!("replied {}", counted(bytes, "byte", "bytes")),
            (Some(_), more) => format!("sent {}", counted(more + 1, "datagram", "datagrams")),
            (None, _) if refused.is_some() => "not answered".to_owned(),
            (None, _) if exchange.discarded(rx) => "dropped on purpose".to_owned(),
            (None, _) => "consumed".to_owned(),
        };
        let refused = refused
            .map_or_else(String::new, |Refusal { reason, .. }| format!(", {}: {reason}", reason.name()));
        let cut = if shown.len() < payload.len() { "..." } else { "" };
        log::trace!(
            target: "polyport::datagram",
            "{name} {local}: {peer} says '{}{cut}': {verdict}{refused}",
            Quoted(shown)
        );
    }
}

/// Payload bytes shown in a trace line.
const TRACE_BYTES: usize = 512;

/// A set of received datagrams, one bit for each; room for all descriptors of an exchange.
#[derive(Debug, Default)]
pub(super) struct Marks([u64; 32]);

impl Marks {
    /// Adds a range of datagrams, a word at a time.
    pub(super) fn set(&mut self, answers: Answers) {
        let mut at = answers.first;
        let end = answers.first + answers.count;
        while at < end {
            let Some(word) = self.0.get_mut(at / 64) else { return };
            let n = (64 - at % 64).min(end - at);
            *word |= (u64::MAX >> (64 - n)) << (at % 64);
            at += n;
        }
    }

    fn is_set(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// How many of the first `datagrams` are in the set.
    fn count(&self, datagrams: usize) -> u64 {
        self.0.iter().take(datagrams.div_ceil(64)).map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ExchangeLimits;

    #[test]
    fn there_is_a_mark_for_every_descriptor() {
        assert!(ExchangeLimits::default().rx <= 32 * 64);
        let mut marks = Marks::default();
        for index in [0, 63, 64, 2047, 64, 5000] {
            marks.set(Answers { first: index, count: 1 });
        }
        assert_eq!(marks.count(2048), 4);
        assert_eq!(marks.count(64), 2);
        assert!(marks.is_set(2047) && !marks.is_set(1));
    }

    #[test]
    fn a_range_of_marks_is_as_many_single_ones() {
        for (first, count) in [(0, 64), (3, 64), (60, 8), (0, 0), (1, 200), (63, 1), (64, 64), (2000, 48)] {
            let (mut range, mut single) = (Marks::default(), Marks::default());
            range.set(Answers { first, count });
            (first..first + count).for_each(|first| single.set(Answers { first, count: 1 }));
            assert_eq!(range.0, single.0, "{first} {count}");
        }
    }
}
