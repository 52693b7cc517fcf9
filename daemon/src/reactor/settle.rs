//! Settling a handler call: every received datagram gets an outcome, every queued one a destination, a
//! delay, or a reason why it is dropped.

use super::io::Io;
use super::listener::Listener;
use super::machine::Core;
use super::transmit::{MAX_OUTPUTS, Transmitter};
use crate::guard::OwnAddresses;
use crate::metrics::{Counters, DropReason};
use crate::plugin::{Answers, Exchange, Output, OutputError};
use arrayvec::ArrayVec;
use polyport_terminal::Escaped;
use std::net::SocketAddr;

impl<I: Io> Core<I> {
    /// Sends, delays or drops what the handler queued, and accounts for what it got.
    #[inline]
    pub(super) fn settle(&mut self, listener: &mut Listener<I::Socket>) {
        let traced = log::log_enabled!(target: "polyport::datagram", log::Level::Trace);
        if traced || !(self.settle_lone(listener) || self.settle_echo(listener)) {
            self.settle_all(listener);
        }
        if traced {
            trace(&listener.name, listener.local, &self.exchange);
        }
    }

    /// The same for the one answer to one datagram that may leave at once; false when it is anything else. Most
    /// visits of a sparse listener are this, and what they cost is code that has to be fetched: so this way is
    /// short. It counts as the other does.
    #[inline]
    fn settle_lone(&mut self, listener: &mut Listener<I::Socket>) -> bool {
        let now_ns = self.now.mono_ns;
        let Self { io, exchange, limits, backlog_bytes, own, .. } = self;
        let Some(output) = exchange.lone_answer().filter(|output| output.at_ns <= now_ns) else {
            return false;
        };
        listener.counters.queued += 1;
        listener.counters.replied += 1;
        match destination(listener.local, own, &output) {
            Ok(()) => Transmitter { io, limits, backlog_bytes, now_ns }.transmit_lone(listener, &output),
            Err(reason) => listener.counters.drop_one(reason),
        }
        true
    }

    /// The same for a batch that goes back as it came; false when it is anything else. It counts as the others do.
    #[inline(never)]
    fn settle_echo(&mut self, listener: &mut Listener<I::Socket>) -> bool {
        let now_ns = self.now.mono_ns;
        let Self { io, exchange, limits, backlog_bytes, own, .. } = self;
        let Some(outputs) = exchange.whole_echo() else { return false };
        listener.counters.queued += exchange.datagrams() as u64;
        listener.counters.replied += exchange.datagrams() as u64;
        let mut batch = ArrayVec::<Output<'_>, MAX_OUTPUTS>::new();
        for output in outputs {
            if let Err(reason) = destination(listener.local, own, &output) {
                listener.counters.drop_many(reason, output.datagrams() as u64);
                continue;
            }
            if batch.is_full() {
                Transmitter { io, limits, backlog_bytes, now_ns }.transmit(listener, &batch);
                batch.clear();
            }
            batch.push(output);
        }
        Transmitter { io, limits, backlog_bytes, now_ns }.transmit(listener, &batch);
        true
    }

    /// Whatever the handler queued.
    #[inline(never)]
    fn settle_all(&mut self, listener: &mut Listener<I::Socket>) {
        let now_ns = self.now.mono_ns;
        let Self { io, exchange, delayed, limits, backlog_bytes, own, .. } = self;
        let mut replied = Marks::default();
        let mut batch = ArrayVec::<Output<'_>, MAX_OUTPUTS>::new();
        for output in exchange.outputs() {
            let output = match output {
                Ok(output) => output,
                Err(error) => {
                    bad_output(listener, error);
                    continue;
                }
            };
            replied.set(output.answers);
            let datagrams = output.datagrams() as u64;
            listener.counters.queued += datagrams;
            if let Err(reason) = destination(listener.local, own, &output) {
                listener.counters.drop_many(reason, datagrams);
            } else if output.at_ns > now_ns {
                for one in output.split() {
                    if delayed.push(listener.token, &one, limits.delayed_datagrams, limits.delayed_bytes) {
                        listener.delayed += 1;
                    } else {
                        listener.counters.drop_one(DropReason::DelayFull);
                    }
                }
            } else {
                if batch.is_full() {
                    Transmitter { io, limits, backlog_bytes, now_ns }.transmit(listener, &batch);
                    batch.clear();
                }
                batch.push(output);
            }
        }
        Transmitter { io, limits, backlog_bytes, now_ns }.transmit(listener, &batch);
        let refused = u64::from(exchange.refused());
        listener.counters.queued += refused;
        listener.counters.drop_many(DropReason::NoRoom, refused);
        account(&mut listener.counters, exchange, &replied);
    }
}

/// I1, the half of the received datagrams.
fn account(counters: &mut Counters, exchange: &Exchange, replied: &Marks) {
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

fn bad_output<S>(listener: &mut Listener<S>, error: OutputError) {
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
}

/// Where nothing may go, and what the kernel would refuse anyway, without the call.
fn destination(local: SocketAddr, own: &OwnAddresses, output: &Output<'_>) -> Result<(), DropReason> {
    if output.answers.count > 0 && own.contains(output.to, output.from.map(|source| source.ip)) {
        return Err(DropReason::OwnListener);
    }
    if local.is_ipv4() != output.to.is_ipv4() {
        return Err(DropReason::NoDestination);
    }
    if output.to.port() == 0 { Err(DropReason::Invalid) } else { Ok(()) }
}

/// One line a datagram, for the person who watches.
fn trace(name: &str, local: SocketAddr, exchange: &Exchange) {
    for rx in 0..exchange.datagrams() {
        let Some(peer) = exchange.peer(rx) else { continue };
        let payload = exchange.payload(rx);
        let shown = payload.get(..TRACE_BYTES).unwrap_or(payload);
        let answers = |o: &Output<'_>| (o.answers.first..o.answers.first + o.answers.count).contains(&rx);
        let mut replies = exchange.outputs().flatten().filter(answers).flat_map(|o| {
            let n = if o.answers.count > 1 { 1 } else { o.datagrams() };
            std::iter::repeat_n((o.to, o.payload.len().checked_div(o.answers.count).unwrap_or(0)), n)
        });
        let verdict = match (replies.next(), replies.count()) {
            (Some((to, bytes)), 0) if to == peer => format!("replied {bytes} bytes"),
            (Some(_), more) => format!("sent {} datagrams", more + 1),
            (None, _) if exchange.discarded(rx) => "dropped on purpose".to_owned(),
            (None, _) => "consumed".to_owned(),
        };
        let cut = if shown.len() < payload.len() { "..." } else { "" };
        log::trace!(
            target: "polyport::datagram",
            "{name} {local}: {peer} says '{}{cut}': {verdict}",
            Escaped(shown)
        );
    }
}

/// Payload bytes shown in a trace line.
const TRACE_BYTES: usize = 512;

/// One bit a received datagram; room for as many as an exchange holds.
#[derive(Debug, Default)]
struct Marks([u64; 32]);

impl Marks {
    fn set(&mut self, answers: Answers) {
        let (mut at, end) = (answers.first, answers.first + answers.count);
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

    /// How many of the first `datagrams`.
    fn count(&self, datagrams: usize) -> u64 {
        self.0.iter().take(datagrams.div_ceil(64)).map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::ExchangeLimits;

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
